"""The server under load: its address, and the certificates and TLS settings for it."""

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.tls import tls_context

from kmipkit.ttlv.media import TTLV
from kmipkit_load.errors import LoadError
from kmipkit_load.framing import Framing, HTTPFraming, TTLVFraming

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
        return HTTPFraming(self.address, self.https, self.media)

    def resolve(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Family and address of the server. LoadError if its name has none."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise LoadError(f"{self.address}: {error.strerror or error}") from None
        family, _, _, _, address = found[0]
        return family, (str(address[0]), int(address[1]))
