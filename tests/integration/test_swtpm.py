"""A real software TPM: attestation end to end with the verifier, and sealing to its registers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.demo.swtpm import SoftwareTPM, missing
from kmipkit_vsphere.model.errors import AttestationFailed, InvalidState
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.tpm2 import TPM2, open_tpm
from software_tpm import attest, service

MISSING = missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

IMAGE = Image("ESXi", "8.0.3", (("esx-base", "00" * 32), ("vmx", "01" * 32)))


class Running:
    """A software TPM with somebody connected to it; a reboot clears its registers."""

    def __init__(self, folder: Path) -> None:
        self._process = SoftwareTPM(folder)
        self.authorities = self._process.authorities()
        self.boot()

    def boot(self) -> TPM2:
        self.tpm = open_tpm(self._process.boot())
        return self.tpm

    def stop(self) -> None:
        self.tpm.close()
        self._process.stop()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop()


def test_r26_a_real_tpm_is_attested_and_another_state_is_not(running: Running) -> None:
    events = IMAGE.measure(running.tpm)
    anchors = Anchors(tuple(running.authorities))
    verifier = service(anchors, [IMAGE], lambda: datetime.now(UTC))
    assert attest(verifier, running.tpm, events).attested
    running.tpm.extend(8, b"\x02" * 32)
    with pytest.raises(AttestationFailed, match="does not lead to the registers"):
        attest(verifier, running.tpm, events)
    running.stop()
    running.boot()
    assert attest(verifier, running.tpm, IMAGE.measure(running.tpm)).attested


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
    with pytest.raises(InvalidState, match="booted in another state"):
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
        with pytest.raises(InvalidState, match="another TPM sealed"):
            other.tpm.unseal(sealed)
    finally:
        other.stop()
