"""What a host measured when it booted, and which base images are accepted (vsphere.md §7.2).

An image is a list of components with their SHA-256. Booting it extends PCR 0 to 9 by these digests,
in this order, and the event log records each of them. The log proves nothing by itself: replaying
it must result in the registers that the TPM has signed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from msgspec import Meta

from kmipkit_vsphere.model.encoding import decode
from kmipkit_vsphere.model.errors import AttestationFailed, InvalidArgument
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.trust_authority.tpm import PCR_SIZE, PCRS, TPM

MAX_EVENTS: Final = 1000
"""A longer log is unreliable, as with ESXi."""

FIRMWARE, SECURITY_OPTIONS, COMPONENTS, OPTIONS = 0, 7, 8, 9
"""The registers in use."""


Digest = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{64}$")]
"""SHA-256, in hexadecimal."""
Register = Annotated[int, Meta(ge=PCRS[0], le=PCRS[-1])]


class Event(Message):
    """One measurement: the register, the digest that extends it, and what was measured."""

    pcr: Register
    digest: Digest
    kind: str
    name: str


def replay(events: Iterable[Event]) -> bytes:
    """The digest over the registers that results from the events of a log."""
    registers = {pcr: bytes(PCR_SIZE) for pcr in PCRS}
    for event in events:
        extended = registers[event.pcr] + bytes.fromhex(event.digest)
        registers[event.pcr] = hashlib.sha256(extended).digest()
    return hashlib.sha256(b"".join(registers[pcr] for pcr in PCRS)).digest()


class Image(Message):
    """A base image: metadata of a known-good host; as JSON a manifest (vsphere.md Q11)."""

    name: str
    version: str
    components: tuple[tuple[str, Digest], ...]
    options: tuple[str, ...] = ()
    secure_boot: bool = True
    debug_mode: bool = False

    def events(self) -> list[Event]:
        """The event log of a host that boots this image."""
        switches = (("secure-boot", self.secure_boot), ("debug-mode", self.debug_mode))
        return [
            _event(FIRMWARE, "version", f"{self.name} {self.version}"),
            *(
                _event(SECURITY_OPTIONS, "boot security option", f"{name}={'on' if on else 'off'}")
                for name, on in switches
            ),
            *(
                Event(COMPONENTS, digest.lower(), "software component", name)
                for name, digest in self.components
            ),
            *(_event(OPTIONS, "option", option) for option in self.options),
            _event(OPTIONS, "boot complete", ""),
        ]

    def measure(self, tpm: TPM) -> list[Event]:
        """Boot: extend the registers of a TPM; returns the event log."""
        events = self.events()
        for event in events:
            tpm.extend(event.pcr, bytes.fromhex(event.digest))
        return events


def parse_manifest(text: str) -> Image:
    """A base image from its manifest; :class:`InvalidArgument` if it is none."""
    try:
        return decode(text.encode(), Image)
    except InvalidArgument as error:
        raise InvalidArgument(f"this is not a manifest: {error.message}") from None


def accept(events: Sequence[Event], images: Iterable[Image]) -> Image:
    """The accepted image whose log this is; :class:`AttestationFailed` with the reason if none."""
    if len(events) > MAX_EVENTS:
        raise AttestationFailed(
            f"the event log has more than {MAX_EVENTS} events: it is unreliable"
        )
    security_options = {event.name for event in events if event.pcr == SECURITY_OPTIONS}
    if "secure-boot=on" not in security_options:
        raise AttestationFailed("the host was booted without secure boot")
    if "debug-mode=on" in security_options:
        raise AttestationFailed("the host was booted in debug mode")
    for image in images:
        if list(events) == image.events():
            return image
    raise AttestationFailed(
        f"the software of the host ({booted(events) or 'unknown'}) is not an accepted image"
    )


def booted(events: Iterable[Event]) -> str | None:
    """Name and version of an image by its log, None if the log does not have them."""
    return ", ".join(event.name for event in events if event.kind == "version") or None


def _event(pcr: int, kind: str, name: str) -> Event:
    return Event(pcr, hashlib.sha256(f"{kind}={name}".encode()).hexdigest(), kind, name)
