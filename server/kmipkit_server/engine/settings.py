"""The settings of a server: its name, and the choices that the standard leaves to servers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.spec.enums import ValidityIndicator
from kmipkit.spec.versions import Version

Random = Callable[[int], bytes]
"""Returns a number of random bytes."""

Clock = Callable[[], datetime]
"""Returns the current time, with its time zone."""


def _never_revoked(_: PeerCertificate) -> ValidityIndicator:
    return ValidityIndicator.VALID


@dataclass(frozen=True, slots=True)
class Settings:
    """Fixed while the server runs; the same for all requests."""

    vendor: str
    server_name: str
    software_version: str
    random: Random
    versions: tuple[Version, ...]
    """The supported protocol versions, oldest first."""
    unique_names: bool = True
    """Whether only one object of an owner may have a given Name (KMIP 1.4 §3.2)."""
    lease_seconds: int = 3600
    """Lease Time of new objects (KMIP 1.4 §3.20)."""
    max_attributes: int = 500
    """Attribute instances of an object to which clients may add further ones."""
    max_located: int = 100_000
    """Objects that one Locate may look at, about, and find."""
    application_namespaces: tuple[str, ...] = ("kmipkit",)
    """Namespaces for which the server generates Application Data (KMIP 1.4 §3.36)."""
    anchors: tuple[bytes, ...] = ()
    """The certificates (DER) at which a chain must end for Validate to call it valid."""
    revocation: Callable[[PeerCertificate], ValidityIndicator] = _never_revoked
    """What the revocation lists say about a certificate, for Validate."""
    request_key: bytes = field(default=b"", repr=False)
    """Keys the digests of requests that are stored; see :mod:`kmipkit_server.engine.request_digest`."""
