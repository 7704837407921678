"""A real software TPM: attestation end to end with the verifier, and sealing to its registers."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_vsphere.errors import AttestationFailed, InvalidState
from kmipkit_vsphere.trust_authority import tpm2
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.tpm2 import TPM2, open_tpm
from software_tpm import attest, service

MISSING = [tool for tool in ("swtpm", "swtpm_setup") if shutil.which(tool) is None]
MISSING += [] if tpm2._stack is not None else ["tpm2-pytss"]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

IMAGE = Image("ESXi", "8.0.3", (("esx-base", bytes(32)), ("vmx", b"\x01" * 32)))


def manufacture(folder: Path) -> list[str]:
    """Make a TPM with an endorsement certificate; returns its maker's authorities, PEM (§7.6)."""
    ca, state = folder / "ca", folder / "state"
    for one in (ca, state):
        one.mkdir()
    (folder / "ca.conf").write_text(
        f"statedir={ca}\nsigningkey={ca}/signkey.pem\n"
        f"issuercert={ca}/issuercert.pem\ncertserial={ca}/certserial\n"
    )
    (folder / "ca.opts").write_text("")
    (folder / "setup.conf").write_text(
        "create_certs_tool=/usr/bin/swtpm_localca\n"
        f"create_certs_tool_config={folder}/ca.conf\n"
        f"create_certs_tool_options={folder}/ca.opts\nactive_pcr_banks=sha256\n"
    )
    command = ["swtpm_setup", "--tpm2", "--tpmstate", str(state)]
    command += ["--config", str(folder / "setup.conf"), "--create-ek-cert", "--lock-nvram"]
    command += ["--pcr-banks", "sha256", "--overwrite"]
    subprocess.run(command, check=True, capture_output=True)
    return [path.read_text() for path in sorted(ca.glob("*cert.pem"))]


def free_pair() -> int:
    """A port of which the next one is free too: swtpm's control port."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


class Running:
    """A software TPM; a reboot clears its registers."""

    def __init__(self, folder: Path) -> None:
        self.authorities = manufacture(folder)
        self._folder = folder
        self.boot()

    def boot(self) -> TPM2:
        port = free_pair()
        where = f"port={port},bindaddr=127.0.0.1"
        control = f"port={port + 1},bindaddr=127.0.0.1"
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder / 'state'}"]
        command += ["--server", f"type=tcp,{where}", "--ctrl", f"type=tcp,{control}"]
        command += ["--flags", "not-need-init,startup-clear"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.tpm = self._connect(f"swtpm:host=127.0.0.1,port={port}")
        return self.tpm

    def _connect(self, where: str) -> TPM2:
        for _ in range(1000):
            assert self._process.poll() is None, "swtpm ended"
            try:
                return open_tpm(where)
            except InvalidState:
                trio.run(trio.sleep, 0.01)
        raise AssertionError("swtpm does not answer")

    def stop(self) -> None:
        self.tpm.close()
        self._process.kill()
        self._process.wait()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop()


def test_r26_a_real_tpm_is_attested_and_another_state_is_not(running: Running) -> None:
    events = IMAGE.measure(running.tpm)
    anchors = Anchors(tuple(running.authorities))
    verifier = service(anchors, [IMAGE], lambda: datetime.now(UTC))
    assert attest(verifier, running.tpm, events)["attested"]
    running.tpm.extend(8, b"\x02" * 32)
    with pytest.raises(AttestationFailed, match="does not lead to the registers"):
        attest(verifier, running.tpm, events)
    running.stop()
    running.boot()
    assert attest(verifier, running.tpm, IMAGE.measure(running.tpm))["attested"]


def test_the_maker_must_be_known(running: Running) -> None:
    events = IMAGE.measure(running.tpm)
    verifier = service(Anchors(()), [IMAGE], lambda: datetime.now(UTC))
    with pytest.raises(AttestationFailed, match="registered TPM maker"):
        attest(verifier, running.tpm, events)


def test_what_is_sealed_opens_in_the_same_state_only(running: Running) -> None:
    IMAGE.measure(running.tpm)
    sealed = running.tpm.seal(b"x" * 32)
    assert running.tpm.unseal(sealed) == b"x" * 32
    running.tpm.extend(0, bytes(32))
    with pytest.raises(InvalidState, match="not booted as it was"):
        running.tpm.unseal(sealed)
    running.stop()
    running.boot()
    IMAGE.measure(running.tpm)
    assert running.tpm.unseal(sealed) == b"x" * 32, "after a reboot into the same image"


def test_another_tpm_does_not_open_it(running: Running, tmp_path: Path) -> None:
    sealed: Any = running.tpm.seal(b"x" * 32)
    (tmp_path / "other").mkdir()
    other = Running(tmp_path / "other")
    try:
        with pytest.raises(InvalidState, match="not sealed by this TPM"):
            other.tpm.unseal(sealed)
    finally:
        other.stop()
