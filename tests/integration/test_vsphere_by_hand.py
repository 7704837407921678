"""A laboratory by hand, over processes: the commands that init-lab makes, and each step's command."""

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import Client
from pyVim.connect import Disconnect, SmartConnect
from servers import ANSWER_TIMEOUT

from kmipkit.spec.enums import RevocationReasonCode

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
KMIPKIT = f"{sys.executable} -m kmipkit"
DATA = b"salaries: Ada 120000"


def free_ports(count: int) -> int:
    """The first of some ports in a row that are free now; each worker of the tests has its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    for first in range(21000 + 1000 * worker, 22000 + 1000 * worker, 37):
        try:
            for port in range(first, first + count):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return first
    raise AssertionError("no ports are free")


class Lab:
    """The laboratory, and the processes that were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kms_port = free_ports(5)
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.environment = {**os.environ, "KMIPKIT": KMIPKIT}

    def make(self, *arguments: str) -> str:
        return self.kmipkit(
            *("vcenter", "init-lab", str(self.folder), "--kms-port", str(self.kms_port)),
            *("--first-port", str(self.kms_port + 1)),
            *("--api-port", str(self.kms_port + 4), *arguments),
        )

    def kmipkit(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "kmipkit", *arguments)

    def run(self, *command: str, data: bytes | None = None, fails: bool = False) -> str:
        result = subprocess.run(command, input=data, capture_output=True, env=self.environment)
        text = result.stdout.decode() + result.stderr.decode()
        assert (result.returncode != 0) is fails, text
        return text

    def script(self, name: str, *arguments: str, **more: Any) -> str:
        return self.run(str(self.folder / "bin" / name), *arguments, **more)

    def call(self, *arguments: str, **more: Any) -> str:
        return self.script("call", *arguments, **more)

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.folder / "bin" / name), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
            )
        self.processes[name] = process
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready"), (
            self.folder / f"{name}.log"
        ).read_text()

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A laboratory with a key provider, two hosts and an encrypted machine."""
    made = Lab(tmp_path_factory.mktemp("lab") / "lab")
    try:
        text = made.make()
        assert "bin/call" in text
        made.start("kms")
        made.start("vcenter", "--poll-interval", "1")
        made.start("esx01")
        made.start("esx02")
        made.call("add-key-server", "KMS", "kms1", "127.0.0.1", "--port", str(made.kms_port))
        made.call("add-host", "esx01", "127.0.0.1", str(made.kms_port + 2))
        made.call("add-host", "esx02", "127.0.0.1", str(made.kms_port + 3))
        made.call("create-vm", "esx01", "db1", "1048576", "--encrypt")
        yield made
    finally:
        made.stop()


def until(lab: Lab, *arguments: str, shows: str) -> str:
    """The answer to a call, once it shows something: the background needs some seconds."""
    end = time.monotonic() + ANSWER_TIMEOUT
    while True:
        answer = lab.call(*arguments)
        if shows in answer:
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.2)


def test_init_lab_does_not_touch_a_directory_that_is_in_use(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    text = lab.run(
        sys.executable, "-m", "kmipkit", "vcenter", "init-lab", str(tmp_path), fails=True
    )
    assert "not empty" in text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_guest_reads_what_it_has_written(lab: Lab) -> None:
    written = lab.script("guest", "esx01", "write-disk", "db1", "-", "--offset", "7", data=DATA)
    assert f"{len(DATA)} bytes" in written
    read = lab.script(
        "guest", "esx01", "read-disk", "db1", "--offset", "7", "--length", str(len(DATA))
    )
    assert read.encode() == DATA
    lines = lab.call("events").splitlines()
    assert any("Encrypt" in line and "machine/db1" in line for line in lines)
    assert len(lines) == len(json.loads(lab.call("--json", "events")))


def curl(lab: Lab, *arguments: str, **more: Any) -> Any:
    """The answer of a role to curl, as JSON."""
    return first_json(lab.script("curl", *arguments, **more))


def first_json(text: str) -> Any:
    """The answer in what curl prints, which its own messages follow."""
    return json.JSONDecoder().raw_decode(text)[0]


@needs_curl
def test_curl_calls_every_role(lab: Lab) -> None:
    document = curl(lab, "vcenter", "/openapi.json")
    assert document["info"]["title"] == "kmipkit vCenter"
    assert document["paths"] == json.loads(lab.kmipkit("vcenter", "openapi"))["paths"]
    [machine] = [vm for vm in curl(lab, "vcenter", "/api/ListVMs") if vm["name"] == "db1"]
    assert machine["cryptoState"] == "unlocked"
    header = "Content-Type: application/json"
    data = json.dumps({"keyIds": machine["keyIds"]})
    [status] = curl(lab, "vcenter", "/api/QueryCryptoKeyStatus", "-H", header, "--data", data)
    assert status["encryptedVMs"] == ["db1"]
    assert curl(lab, "vcenter", "/api/QueryEvents?limit=1&type=x", fails=True)["status"] == 400
    size = curl(lab, "esx01", "/api/DiskInfo?name=db1")
    assert size == {"size": 1048576, "sectorSize": 512}
    refusal = curl(lab, "esx01", "/api/ListKeys", fails=True)
    assert (refusal["status"], refusal["fault"]) == (403, "NoPermission")


@needs_curl
def test_the_requests_of_the_page(lab: Lab) -> None:
    page = (Path(__file__).parents[2] / "docs" / "vsphere.md").read_text()
    section = page.partition("## Calls over HTTPS")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert len(commands) == 7
    for command in commands:
        ports = command.replace("5989", str(lab.kms_port + 1))
        text = lab.run("sh", "-c", f"cd {shlex.quote(str(lab.folder.parent))} && {ports}")
        assert "fault" not in (first_json(text) or ()), command


@needs_curl
@pytest.mark.parametrize("header", ["Expect: 100-continue", "Expect:"])
def test_curl_is_told_that_a_body_is_too_long(lab: Lab, tmp_path: Path, header: str) -> None:
    """Whether it waits before it sends the body, or has begun already."""
    (tmp_path / "body").write_bytes(b" " * (3 << 20))
    options = ("-H", "Content-Type: application/json", "--data-binary", f"@{tmp_path / 'body'}")
    options = ("-H", header, *options)
    refusal = curl(lab, "esx01", "/api/WriteDisk", *options, fails=True)
    assert refusal["status"] == 413


def test_the_ten_lines_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "vsphere.md").read_text()
    [block] = re.findall(
        r"^```sh\n(kmipkit vcenter init-lab.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    init, start, *lines = block.splitlines()
    assert len(lines) == 8, "ten lines"
    by_hand = Lab(tmp_path / "lab")
    port = by_hand.kms_port
    try:
        assert init == "kmipkit vcenter init-lab lab"
        by_hand.make()
        for name in re.findall(r"lab/bin/(\w+) &", start):
            by_hand.start(name)
        for line in lines:
            ports = line.replace("5990", str(port + 2)).replace("5991", str(port + 3))
            if "add-key-server" in line:
                ports += f" --port {port}"
            text = by_hand.run("sh", "-c", f"cd {shlex.quote(str(tmp_path))} && {ports}")
            if "read-disk" in line:
                assert text == "salaries 2026"
        assert "db1 moved encrypted from esx01 to esx02" in by_hand.call("events")
    finally:
        by_hand.stop()


def test_the_log_has_no_warning_about_ordinary_calls(lab: Lab) -> None:
    """Other tests of this laboratory make bad requests: only what is new in the logs counts."""
    before = {name: len(lab.log(name)) for name in ("vcenter", "esx01")}
    for _ in range(3):
        lab.call("vms")
    vcenter, host = (lab.log(name)[start:] for name, start in before.items())
    warnings = [line for line in vcenter.splitlines() if " WARNING " in line]
    assert [line for line in warnings if "administrator" in line or "connection" in line] == []
    assert " WARNING " not in host


def test_a_user_without_a_password_does_not_end_vcenter(lab: Lab) -> None:
    answer = lab.call("add-key-server", "BAD", "kms9", "127.0.0.1", "--user", "vc")
    assert "password of user vc is missing" in answer
    status = until(lab, "status", shows="overallStatus: red")
    assert "overallStatus: green" in status
    assert lab.processes["vcenter"].poll() is None
    lab.kill("vcenter")
    lab.start("vcenter", "--poll-interval", "1")
    until(lab, "status", shows="password of user vc is missing")
    assert lab.processes["vcenter"].poll() is None
    lab.call("remove-provider", "BAD")
    assert "UnregisterKmsCluster" in lab.call("events", "--type", "crypto.Operation")


def test_the_default_is_cleared_and_set(lab: Lab) -> None:
    lab.call("clear-default")
    assert "KMS" not in lab.call("default-provider")
    assert "no default" in lab.call("generate-key", fails=True)
    lab.call("mark-default", "KMS")
    assert "KMS" in lab.call("default-provider")


def test_attributes_of_a_key_are_set(lab: Lab) -> None:
    answer = lab.call("generate-key")
    match = re.search(r"keyId: (\S{36})", answer)
    assert match, answer
    lab.call("set-key-attributes", f"KMS/{match[1]}", "--attribute", "Department=finance")
    assert "SetKeyCustomAttributes" in lab.call("events", "--key", match[1])


def test_a_core_dump_leaves_the_host(lab: Lab, tmp_path: Path) -> None:
    lab.call("dump-core", "esx01", "hostd")
    match = re.search(r"file: (\S+)", lab.call("core-dumps", "esx01"))
    assert match
    password, dump = tmp_path / "password", tmp_path / "dump"
    password.write_text("secret\n")
    options = ("--password-file", str(password))
    lab.call("export-core-dump", "esx01", match[1], str(dump), *options)
    assert dump.stat().st_mode & 0o777 == 0o600
    opened = tmp_path / "dump.raw"
    lab.kmipkit("host", "open-core-dump", str(dump), str(opened), *options)
    assert opened.exists()
    password.write_text("wrong")
    again = str(tmp_path / "again")
    refused = lab.run(
        *(sys.executable, "-m", "kmipkit", "host", "open-core-dump", str(dump), again, *options),
        fails=True,
    )
    assert "password" in refused


def test_a_leftover_on_a_datastore_is_seen_and_deleted(lab: Lab) -> None:
    copies = lab.folder / "esx01" / "datastore"
    lab.call("clone-vm", "db1", "copy")
    lab.call("unregister-vm", "copy")
    assert "name: copy" in lab.call("datastore", "esx01")
    assert "name: copy" not in lab.call("vms")
    lab.call("delete-files", "esx01", "copy")
    assert sorted(path.name for path in copies.iterdir()) == ["db1"]
    assert "destroy-vm" in lab.call("delete-files", "esx01", "db1", fails=True)


def test_vms_are_listed_while_a_host_is_down_and_unlocked_when_it_is_back(lab: Lab) -> None:
    lab.call("create-vm", "esx02", "web 1", "65536")
    lab.kill("esx01")
    answer = lab.call("vms")
    assert "cryptoState: unknown" in answer
    assert "name: web 1" in answer
    lab.start("esx01")
    until(lab, "vms", shows="cryptoState: unlocked")
    assert re.search(r"^db1 +unlocked", lab.call("reconnect-host", "esx01"), re.MULTILINE)
    assert lab.call("unlock-vm", "db1") == "db1  unlocked\n"
    lab.script("guest", "esx01", "read-disk", "db1", "--length", "1")


def test_one_destroyed_key_locks_one_machine_after_a_reboot(lab: Lab) -> None:
    lab.call("create-vm", "esx01", "bad", "65536", "--encrypt")
    machines = {vm["name"]: vm for vm in json.loads(lab.call("--json", "vms"))}
    [key] = [key["keyId"] for key in machines["bad"]["keyIds"]]
    pki = lab.folder / "kms" / "certs"
    credentials = {"ca": pki / "ca.crt", "cert": pki / "vcenter.crt", "key": pki / "vcenter.key"}
    with Client("127.0.0.1", lab.kms_port, **credentials) as client:
        client.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION)
        client.destroy(key)
    lab.kill("esx01")
    lab.start("esx01")
    alarms = until(lab, "alarms", shows="bad")
    assert key in alarms
    until(lab, "alarms", shows="name: bad")
    lab.script("guest", "esx01", "read-disk", "db1", "--length", "1")
    time.sleep(6)  # another round of the background
    locked = lab.call("events", "--type", "vm.Crypto.VMLocked")
    assert locked.count("machine/bad ") == 1
    assert key in lab.call("unlock-vm", "bad", fails=True)
    lab.call("destroy-vm", "bad")
    assert "bad" not in lab.call("alarms")


@pytest.mark.long
def test_policies_snapshots_and_a_virtual_tpm_on_the_command_line(lab: Lab) -> None:
    lab.call("create-vm", "esx02", "hr 1", "65536", "--policy", "VM Encryption Policy")
    lab.script("guest", "esx02", "write-disk", "hr 1", "-", data=b"before")
    lab.call("add-tpm", "hr 1")
    sealed = lab.folder / "sealed"
    lab.script("guest", "esx02", "tpm-seal", "hr 1", "-", "--out", str(sealed), data=DATA)
    assert DATA not in sealed.read_bytes()
    lab.call("create-snapshot", "hr 1", "before the upgrade", "--description", "a\nb")
    lab.script("guest", "esx02", "write-disk", "hr 1", "-", data=b"after!")
    assert "hr 1-000001.vmdk" in lab.call("snapshots", "hr 1")
    assert "remove-all-snapshots" in lab.call("decrypt-vm", "hr 1", "--part", "disk", fails=True)
    lab.call("revert-snapshot", "hr 1", "before the upgrade")
    assert "before" in lab.script("guest", "esx02", "read-disk", "hr 1", "--length", "6")
    assert DATA.decode() in lab.script("guest", "esx02", "tpm-unseal", "hr 1", str(sealed))
    lab.call("clone-vm", "hr 1", "hr 2", "--linked", "--tpm", "replace")
    assert "hr 2" in lab.call("destroy-vm", "hr 1", fails=True)
    lab.call("destroy-vm", "hr 2")
    assert "compliant" in lab.call("check-compliance", "--vm", "hr 1", "--all")
    assert "isWhole: yes" in lab.call("check-integrity", "hr 1")
    lab.call("destroy-vm", "hr 1")


@pytest.mark.long
def test_an_alarm_is_acknowledged_on_the_command_line(lab: Lab) -> None:
    lab.kill("kms")
    until(lab, "alarms", shows="keyServer")
    lab.call("acknowledge-alarm", "keyServerConnection", "keyServer/KMS/kms1")
    assert "acknowledgedBy: administrator" in lab.call("alarms")
    lab.start("kms")
    end = time.monotonic() + ANSWER_TIMEOUT
    while "keyServerConnection" in lab.call("alarms"):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_certificate_for_both_usages_is_issued(lab: Lab) -> None:
    lab.kmipkit("certs", "issue", str(lab.folder / "roles-pki"), "esx03", "--both")
    shown = lab.kmipkit("certs", "show", str(lab.folder / "roles-pki" / "esx03.crt"))
    assert "client" in shown.lower()
    assert "server" in shown.lower()


def test_the_password_that_init_lab_made(lab: Lab) -> None:
    """It opens the Web Services API, for a client that checks the certificate of vCenter."""
    file = lab.folder / "administrator.password"
    assert file.stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=str(lab.folder / "roles-pki" / "ca.crt"))
    service = SmartConnect(
        host="127.0.0.1",
        port=lab.kms_port + 4,
        user="administrator",
        pwd=file.read_text().strip(),
        sslContext=context,
    )
    assert service.content.about.apiType == "VirtualCenter"
    Disconnect(service)
    service._stub.DropConnections()


def test_a_user_gets_a_password_and_loses_it(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("Ädas Geheimnis\n")
    lab.call("set-password", "ada", "--password-file", str(file))
    assert lab.call("users").split() == ["ada", "administrator"]
    lab.call("remove-password", "ada")
    assert lab.call("users").split() == ["administrator"]
    assert "Geheimnis" not in lab.log("vcenter")
    file.write_text("kurz")
    assert "a password has" in lab.call(
        "set-password", "ada", "--password-file", str(file), fails=True
    )
