"""govc, unmodified: key providers, keys, encrypted machines, events and storage policies."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vsphere_scene import ADMINISTRATOR, Scene
from web_lab import WebLab, web_lab

pytestmark = pytest.mark.standard

TIMEOUT = 120.0
DATASTORE = "esx01-datastore"

Run = Callable[..., str]


async def prepare(s: Scene) -> None:
    """Two hosts in a cluster, and key servers that no provider has yet."""
    await s.call("CreateCluster", name="prod")
    for name in ("esx01", "esx02"):
        s.start_host(name)
        await s.call("AddHost", name=name, address="192.0.2.1", port=1, parent="cluster/prod")
    for name in ("kms1", "kms2", "kms3"):
        s.add_server(name)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[WebLab]:
    with web_lab(tmp_path, prepare) as running:
        yield running


@pytest.fixture
def run(govc: Path, lab: WebLab, tmp_path: Path) -> Run:
    def run(*words: str, exits: int = 0, **environment: str) -> str:
        process = subprocess.run(
            [str(govc), *words],
            env={
                "HOME": str(tmp_path),
                "GOVC_SHOW_UNRELEASED": "true",
                "GOVC_DATASTORE": DATASTORE,
                "GOVC_HOST": "/Laboratory/host/prod/esx01",
                **lab.govc(**environment),
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=tmp_path,
        )
        assert process.returncode == exits, process.stderr + process.stdout
        return process.stdout + process.stderr

    return run


def test_key_providers_and_keys(run: Run, lab: WebLab, tmp_path: Path) -> None:
    run("kms.add", "-n", "kms1", "-a", "192.0.2.7", "-p", "5697", "KMS")
    run("kms.add", "-n", "kms2", "-a", "192.0.2.8", "KMS")
    run("kms.add", "-n", "kms3", "-a", "192.0.2.9", "OTHER")
    table = run("kms.ls")
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["KMS", "Standard", "green"],
        ["OTHER", "Standard", "green"],
    ]
    assert table.splitlines()[0].split()[3:] == ["default"]
    assert "192.0.2.7:5697" in run("kms.ls", "KMS")
    assert "kms2" in run("kms.ls", "-")
    run("kms.default", "OTHER")
    assert "OTHER" in run("kms.ls", "-json", "-")
    run("kms.default", "-e", "/Laboratory/host/prod", "KMS")
    assert lab.call("GetDefaultKmsCluster", entity="cluster/prod") == "KMS"
    run("kms.default", "-")
    assert lab.call("GetDefaultKmsCluster") is None
    run("kms.default", "KMS")

    key = run("kms.key.create", "KMS").strip()
    info = run("kms.key.info", "-p", "KMS", key)
    assert key in info
    [status] = json.loads(run("kms.key.info", "-json", "-p", "KMS", key))["status"]
    assert status["keyAvailable"] is True
    run("kms.key.rm", "-p", "KMS", key)
    assert "no key provider missing" in run("kms.key.create", "missing", exits=1)

    run("kms.rm", "-s", "kms2", "KMS")
    run("kms.rm", "OTHER")
    assert [line.split()[0] for line in run("kms.ls").splitlines()] == ["KMS"]
    assert "invalid cluster ID" in run("kms.rm", "missing", exits=1)
    assert run("kms.add", "-n", "kms1", "-a", "192.0.2.7", "KMS", exits=1)

    certificate = tmp_path / "kms.pem"
    certificate.write_text(lab.call("GenerateSelfSignedClientCert", clusterId="KMS"))
    run("kms.trust", "-server-cert", certificate.read_text(), "KMS")
    names = [event["operation"] for event in lab.do(lab.scene.events)]
    assert "UploadKmipServerCert" in names


def test_a_native_provider_is_added_exported_and_removed(run: Run, tmp_path: Path) -> None:
    run("kms.add", "-N", "-tpm=false", "NKP")
    assert run("kms.ls").split()[:3] == ["NKP", "Native", "red"]
    assert "ALREADY_EXISTS" in run("kms.add", "-N", "NKP", exits=1)
    file = tmp_path / "backup.p12"
    run("kms.export", "-f", str(file), "-p", "geheim", "NKP")
    assert file.stat().st_size > 1000
    assert run("kms.ls").split()[:3] == ["NKP", "Native", "green"]
    assert "Has Backup: true  TPM Required: false" in run("kms.ls", "NKP")
    run("kms.rm", "NKP")
    assert run("kms.ls") == ""


def machine(run: Run, name: str) -> Any:
    [found] = json.loads(run("vm.info", "-json", name))["virtualMachines"]
    return found


def test_machines_are_created_encrypted_cloned_and_destroyed(run: Run, lab: WebLab) -> None:
    run("kms.add", "-n", "kms1", "-a", "192.0.2.7", "KMS")
    policies = run("storage.policy.ls")
    assert "VM Encryption Policy" in policies
    run("vm.create", "-on=false", "plain 1")
    assert "keyId" not in machine(run, "plain 1")["config"]
    run("vm.create", "-on=false", "-disk=1M", "-profile", "VM Encryption Policy", "Lohn µ")
    made = machine(run, "Lohn µ")
    assert made["config"]["keyId"]["providerId"] == {"id": "KMS"}
    disks = [
        device["backing"]
        for device in made["config"]["hardware"]["device"]
        if "capacityInBytes" in device
    ]
    assert [disk["keyId"]["keyId"] for disk in disks] == [made["config"]["keyId"]["keyId"]]
    run("vm.power", "-on", "Lohn µ")
    assert machine(run, "Lohn µ")["runtime"]["powerState"] == "poweredOn"
    assert "already" in run("vm.power", "-on", "Lohn µ", exits=1)
    run("vm.power", "-off", "Lohn µ")
    run("vm.clone", "-vm", "Lohn µ", "-on=false", "copy")
    assert machine(run, "copy")["config"]["keyId"] == made["config"]["keyId"]
    run("vm.change", "-vm", "plain 1", "-migrate-encryption", "required")
    assert machine(run, "plain 1")["config"]["migrateEncryption"] == "required"
    exists = run("vm.create", "-on=false", "copy", exits=1)
    assert "already exists" in exists
    for name in ("Lohn µ", "copy", "plain 1"):
        run("vm.destroy", name)
    assert run("ls", "/Laboratory/vm") == ""
    assert lab.call("ListDatastore", host="esx01") == []


# What differs from run to run: keys, numbers of machines, and that a terminal line is cleared.
VARYING = ((r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?!  VM)", "ID"), (r"vm-\d+", "vm-18"))


def test_the_transcript_of_the_page(run: Run) -> None:
    """docs/vsphere.md shows what govc prints for this laboratory."""
    page = (Path(__file__).parents[2] / "docs" / "vsphere.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = r"^\$ govc (.*)\n((?:(?!\$ ).*\n)*)"
    for command, shown in re.findall(lines, blocks[1], re.MULTILINE):
        printed = run(*shlex.split(command))
        for pattern, instead in VARYING:
            printed = re.sub(pattern, instead, printed)
        assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines(), command


def test_events_are_shown(run: Run, lab: WebLab) -> None:
    run("kms.add", "-n", "kms1", "-a", "192.0.2.7", "KMS")
    key = run("kms.key.create", "KMS").strip()
    text = run("events", "/")
    assert f"GenerateKey by {ADMINISTRATOR}, key KMS/{key}" in text
    lab.call("CreateVM", host="esx01", name="db1", diskSize=4096, encrypt=True)
    text = run("events", "-type", "com.vmware.vc.crypto.Operation", "/Laboratory/vm/db1")
    assert "Encrypt by" in text
    assert "GenerateKey" not in text


def test_whoever_lacks_a_privilege_is_told_so(run: Run, lab: WebLab) -> None:
    lab.do(reader, lab.scene)
    as_reader = {"GOVC_USERNAME": "reader", "GOVC_PASSWORD": "nur lesen, bitte"}
    for words in (
        ("kms.add", "-n", "kms1", "-a", "192.0.2.7", "KMS"),
        ("vm.create", "-on=false", "x"),
        ("kms.key.create", "KMS"),
    ):
        assert "reader lacks the privilege" in run(*words, exits=1, **as_reader)


async def reader(s: Scene) -> None:
    await s.call("SetPassword", user="reader", password="nur lesen, bitte")
    await s.call("SetPermission", entity="/", principal="reader", role="ReadOnly")
