"""The server under load: its address, and the certificates and TLS settings for it."""

import socket
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.tls import tls_context

from kmipkit.ttlv.media import TTLV
from kmipkit_load.errors import LoadError
from kmipkit_load.framing import Framing, HTTPFraming, TTLVFraming

Place = tuple[socket.AddressFamily, tuple[Any, ...]]
"""The family and the address of a socket; that of IPv6 has four parts."""

TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how to connect to it. Processes of a run pass it on."""

    host: str
    port: int
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    password: KeyPassword = field(default_factory=KeyPassword)
    https: str | None = None
    """The path of KMIP over HTTPS; None for TTLV directly over TLS."""
    media: str = TTLV
    tls: str | None = None
    """The only version of TLS; None for the newest that both sides support."""
    place: Place | None = None
    """Where connections go; see :meth:`located`."""

    @property
    def address(self) -> str:
        """HOST:PORT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """The TLS settings. ClientError if a file cannot be used."""
        context = tls_context(self.ca, self.cert, self.key, self.password)
        if self.tls is not None:
            context.minimum_version = context.maximum_version = TLS_VERSIONS[self.tls]
        return context

    def framing(self) -> Framing:
        """How a new connection carries messages."""
        if self.https is None:
            return TTLVFraming()
        return HTTPFraming(self._host_header(), self.https, self.media)

    def _host_header(self) -> str:
        """The address in ASCII, as HTTP has it (RFC 9110 §7.2, RFC 3492)."""
        return self.address if self.address.isascii() else self.address.encode("idna").decode()

    def located(self, timeout: float) -> "Target":
        """The target with the address that all connections go to: of several, the first one that accepts
        a connection. LoadError if the name has none."""
        if self.place is not None:
            return self
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise LoadError(f"{self.address}: {getattr(error, 'strerror', error)}") from None
        places = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        accepting = (each for each in places if len(places) == 1 or _accepts(each, timeout))
        return replace(self, place=next(accepting, places[0]))


def _accepts(place: "Place", timeout: float) -> bool:
    family, address = place
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
