"""TLS on the tester's side of a connection that others open, and the messages on any connection."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from kmipkit_client.settings import LIMITS

from kmipkit.connection import Framer, Signal
from kmipkit_conformance.errors import ConformanceError


def server_context(ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """TLS settings for a peer that connects to the tester, and must present a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ConformanceError(f"{cert}, {key}, {ca}: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def received(stream: ssl.SSLSocket) -> Iterator[bytes]:
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
