"""TLS on the tester's side of a connection that others open, and the messages on any connection."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kmipkit_certs.contexts import trust
from kmipkit_certs.credentials import NO_PASSWORD, load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.settings import LIMITS

from kmipkit.connection import Framer, Signal
from kmipkit_conformance.errors import ConformanceError


def server_context(
    ca: Path, cert: Path, key: Path | None, password: KeyPassword = NO_PASSWORD
) -> ssl.SSLContext:
    """TLS settings for a peer that connects to the tester, and must present a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        load_credentials(cert, key, password).load_into(context)
        trust(context, load_certificates(ca, password))
    except CertificateError as error:
        raise ConformanceError(str(error)) from None
    return context


class Readable(Protocol):
    """A connection from which data come."""

    def recv(self, size: int, /) -> bytes:
        """Data; none at the end."""


def received(stream: Readable) -> Iterator[bytes]:
    """The messages on a connection, until the peer closes it."""
    framer = Framer(LIMITS)
    while True:
        data = framer.next_message()
        if isinstance(data, bytes):
            yield data
        elif data is Signal.CLOSED:
            return
        else:
            framer.feed(stream.recv(65536))
