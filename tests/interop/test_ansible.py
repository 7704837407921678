"""Ansible's module for key providers, unmodified, with the Web Services API of a whole laboratory."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.model.certificates import to_der
from vsphere_scene import ADMINISTRATOR, Scene
from web_lab import PASSWORD, WebLab, web_lab

pytestmark = pytest.mark.long

TIMEOUT = 300.0
COLLECTION = "community.vmware"
MODULE = f"{COLLECTION}.vcenter_standard_key_provider"


async def prepare(s: Scene) -> None:
    """Key servers that show certificates."""
    authority = Authority.create("kms ca", keypairs.DEFAULT_ALGORITHM, s.now)
    for name in ("kms1", "kms2"):
        pair = authority.issue(name, Purpose.SERVER, s.now)
        s.add_server(name).certificate_shown = to_der(pair.certificate)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[WebLab]:
    with web_lab(tmp_path, prepare) as running:
        yield running


@pytest.fixture(scope="module")
def ansible() -> str:
    """The command, if it is there with the collection."""
    program = shutil.which("ansible")
    galaxy = shutil.which("ansible-galaxy")
    if program is None or galaxy is None:
        pytest.skip("ansible is not installed")
    listed = subprocess.run(
        [galaxy, "collection", "list", COLLECTION], capture_output=True, text=True, timeout=TIMEOUT
    )
    if COLLECTION not in listed.stdout:
        pytest.skip(f"the collection {COLLECTION} is not installed")
    return program


def test_a_standard_key_provider(ansible: str, lab: WebLab, tmp_path: Path) -> None:
    login = {
        "hostname": "127.0.0.1",
        "port": lab.port,
        "username": ADMINISTRATOR,
        "password": PASSWORD,
        "validate_certs": True,
    }
    servers = [
        {"kms_name": name, "kms_ip": "192.0.2.7", "kms_port": 5696} for name in ("kms1", "kms2")
    ]

    def play(**parameters: Any) -> dict[str, Any]:
        arguments = json.dumps({**login, "name": "Schlüssel", **parameters})
        process = subprocess.run(
            [ansible, "localhost", "-m", MODULE, "-a", arguments],
            env={
                **os.environ,
                "SSL_CERT_FILE": str(lab.authorities),
                "REQUESTS_CA_BUNDLE": str(lab.authorities),
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        result: dict[str, Any] = json.loads(process.stdout[process.stdout.index("{") :])
        return result

    made = play(kms_info=servers, mark_default=True)
    assert made["changed"]
    [info] = lab.call("ListKmsClusters")
    assert (info["clusterId"], info["useAsDefault"]) == ("Schlüssel", True)
    assert [server["name"] for server in info["servers"]] == ["kms1", "kms2"]
    assert not play(kms_info=servers)["changed"]
    assert play(kms_info=[{**servers[0], "kms_port": 5697}])["changed"]
    assert lab.call("ListKmsClusters")[0]["servers"][0]["port"] == 5697
    folder = str(tmp_path / "certificates")
    trusted = play(make_kms_trust_vc={"download_self_signed_cert": folder}, kms_info=[])
    assert trusted["changed"]
    [certificate] = Path(folder).iterdir()
    assert certificate.read_text() == lab.call("RetrieveClientCert", clusterId="Schlüssel")
    assert play(state="absent")["changed"]
    assert lab.call("ListKmsClusters") == []
