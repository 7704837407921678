"""What a host needs of a TPM 2.0, whether it is hardware or software."""

from dataclasses import dataclass
from typing import Final, Protocol

PCRS: Final = tuple(range(10))
"""The registers that are quoted and that secrets are sealed to; bank SHA-256 (vsphere.md Q11)."""
PCR_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Endorsement:
    """The endorsement key: its public area (TPMT_PUBLIC), and its certificate (DER) if any."""

    public: bytes
    certificate: bytes | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A signed statement about the registers: TPMS_ATTEST and TPMT_SIGNATURE."""

    attest: bytes
    signature: bytes


class TPM(Protocol):
    """A TPM 2.0. A refusal is a :class:`~kmipkit_vsphere.model.errors.VSphereError`."""

    def endorsement(self) -> Endorsement:
        """The endorsement key, unique to this TPM."""

    def make_attestation_key(self) -> bytes:
        """Create a restricted signing key under the endorsement key; returns its TPMT_PUBLIC."""

    def activate_credential(self, blob: bytes, secret: bytes) -> bytes:
        """The secret of a credential for the endorsement key and attestation key of this TPM."""

    def quote(self, nonce: bytes) -> Quote:
        """A quote over :data:`PCRS`, signed by the attestation key."""

    def extend(self, pcr: int, digest: bytes) -> None:
        """Extend a register by a SHA-256 digest."""

    def seal(self, data: bytes, state: bytes | None = None) -> bytes:
        """Bind up to 128 bytes to this TPM and to a state of :data:`PCRS`.

        ``state`` is the digest over the registers, None for what they hold now.
        """

    def unseal(self, blob: bytes) -> bytes:
        """The sealed bytes; refused on another TPM, or after the registers changed."""

    def close(self) -> None:
        """Release the TPM."""
