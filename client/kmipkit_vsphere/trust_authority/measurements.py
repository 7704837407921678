"""What a host measured when it booted, and which base images are accepted (vsphere.md §7.2).

An image is a list of components with their SHA-256; booting it extends PCR 0 to 9 by these digests,
in this order, and the event log says by what. The log proves nothing by itself: it must replay to
the registers that the TPM has signed.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from kmipkit_vsphere.model.errors import AttestationFailed, InvalidArgument
from kmipkit_vsphere.trust_authority.tpm import PCR_SIZE, PCRS, TPM

MAX_EVENTS: Final = 1000
"""A log that is longer is marked unreliable, as ESXi does."""

FIRMWARE, SECURITY_OPTIONS, COMPONENTS, OPTIONS = 0, 7, 8, 9
"""The registers in use."""


@dataclass(frozen=True, slots=True)
class Event:
    """One measurement: which register, by what, and what it stands for."""

    pcr: int
    digest: bytes
    kind: str
    name: str

    def to_json(self) -> dict[str, Any]:
        """For the channel."""
        return {"pcr": self.pcr, "digest": self.digest.hex(), "kind": self.kind, "name": self.name}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what a host sends; :class:`AttestationFailed` for anything else."""
        try:
            event = cls(
                int(found["pcr"]),
                bytes.fromhex(found["digest"]),
                str(found["kind"]),
                str(found["name"]),
            )
        except (KeyError, TypeError, ValueError):
            raise AttestationFailed("the event log is malformed") from None
        if event.pcr not in PCRS or len(event.digest) != PCR_SIZE:
            raise AttestationFailed("the event log is malformed")
        return event


def replay(events: Iterable[Event]) -> bytes:
    """The digest over PCR 0 to 9 to which a log leads."""
    registers = {pcr: bytes(PCR_SIZE) for pcr in PCRS}
    for event in events:
        registers[event.pcr] = hashlib.sha256(registers[event.pcr] + event.digest).digest()
    return hashlib.sha256(b"".join(registers[pcr] for pcr in PCRS)).digest()


@dataclass(frozen=True, slots=True)
class Image:
    """A base image: metadata of a known-good host."""

    name: str
    version: str
    components: tuple[tuple[str, bytes], ...]
    options: tuple[str, ...] = ()
    secure_boot: bool = True
    debug_mode: bool = False

    def events(self) -> list[Event]:
        """What a host that boots this image measures."""
        switches = (("secure-boot", self.secure_boot), ("debug-mode", self.debug_mode))
        found = [_event(FIRMWARE, "version", f"{self.name} {self.version}")]
        found += [
            _event(SECURITY_OPTIONS, "boot security option", f"{name}={'on' if on else 'off'}")
            for name, on in switches
        ]
        found += [
            Event(COMPONENTS, digest, "software component", name)
            for name, digest in self.components
        ]
        found += [_event(OPTIONS, "option", option) for option in self.options]
        return [*found, _event(OPTIONS, "boot complete", "")]

    def measure(self, tpm: TPM) -> list[Event]:
        """Boot: extend the registers; returns the event log."""
        events = self.events()
        for event in events:
            tpm.extend(event.pcr, event.digest)
        return events

    def to_json(self) -> dict[str, Any]:
        """A manifest (vsphere.md Q11)."""
        return {
            "name": self.name,
            "version": self.version,
            "components": [[name, digest.hex()] for name, digest in self.components],
            "options": list(self.options),
            "secureBoot": self.secure_boot,
            "debugMode": self.debug_mode,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read a manifest; :class:`InvalidArgument` for anything else."""
        try:
            components = tuple((str(name), bytes.fromhex(d)) for name, d in found["components"])
            image = cls(
                str(found["name"]),
                str(found["version"]),
                components,
                tuple(map(str, found.get("options", ()))),
                bool(found.get("secureBoot", True)),
                bool(found.get("debugMode", False)),
            )
        except (KeyError, TypeError, ValueError):
            raise InvalidArgument("this is not a manifest of a base image") from None
        if any(len(digest) != PCR_SIZE for _, digest in image.components):
            raise InvalidArgument("the digests of an image are SHA-256")
        return image


def accept(events: Sequence[Event], images: Iterable[Image]) -> Image:
    """The accepted image that a log is of; :class:`AttestationFailed` with the reason if none is."""
    if len(events) > MAX_EVENTS:
        raise AttestationFailed(
            f"the event log has more than {MAX_EVENTS} events: it is unreliable"
        )
    named = {event.name for event in events if event.pcr == SECURITY_OPTIONS}
    if "secure-boot=on" not in named:
        raise AttestationFailed("the host was booted without secure boot")
    if "debug-mode=on" in named:
        raise AttestationFailed("the host was booted in debug mode")
    for image in images:
        if list(events) == image.events():
            return image
    versions = [event.name for event in events if event.kind == "version"]
    raise AttestationFailed(
        f"the software of the host ({', '.join(versions) or 'unknown'}) is not an accepted image"
    )


def _event(pcr: int, kind: str, name: str) -> Event:
    return Event(pcr, hashlib.sha256(f"{kind}={name}".encode()).digest(), kind, name)
