"""What a server says of itself, and the choices that the standard leaves to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kmipkit.spec.versions import Version

Random = Callable[[int], bytes]
"""Gives so many random bytes."""

Clock = Callable[[], datetime]
"""Tells the time, with its time zone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Fixed while the server runs; the same for all requests."""

    vendor: str
    server_name: str
    software_version: str
    random: Random
    versions: tuple[Version, ...]
    """The protocol versions that are served, oldest first."""
    unique_names: bool = True
    """Whether a Name may be given to one object of an owner only (KMIP 1.4 §3.2)."""
    lease_seconds: int = 3600
    """Lease Time of new objects (KMIP 1.4 §3.20)."""
    anchors: tuple[bytes, ...] = ()
    """Certificates in DER at which a chain may end that Validate calls valid."""
