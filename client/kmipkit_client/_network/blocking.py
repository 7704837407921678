"""On blocking sockets."""

import socket
import ssl
import threading
import time

from kmipkit_client._network.reasons import broken, connecting
from kmipkit_client.errors import TimedOut
from kmipkit_client.settings import Settings

Lock = threading.Lock


class Stream:
    """A TLS connection. Each call has a deadline on the clock of :func:`time.monotonic`."""

    def __init__(self, sock: ssl.SSLSocket, where: str) -> None:
        self._sock = sock
        self._where = where

    def send(self, data: bytes, deadline: float) -> None:
        """Send all; ConnectionFailed or TimedOut if not possible."""
        try:
            self._limit(deadline)
            self._sock.sendall(data)
        except TimeoutError:
            raise TimedOut(f"{self._where}: takes no data") from None
        except OSError as error:
            raise broken(self._where, error) from None

    def receive(self, deadline: float) -> bytes:
        """Some bytes, none when the server has closed; ConnectionFailed or TimedOut."""
        try:
            self._limit(deadline)
            return self._sock.recv(65536)
        except TimeoutError:
            raise TimedOut(f"{self._where}: no answer in time") from None
        except OSError as error:
            raise broken(self._where, error) from None

    def _limit(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def close(self) -> None:
        """Close without waiting for the server; never raises."""
        self._sock.close()


def connect(settings: Settings) -> Stream:
    """Connect and shake hands; ConnectionFailed or TimedOut if not possible."""
    where = f"{settings.host}:{settings.port}"
    try:
        plain = socket.create_connection(
            (settings.host, settings.port), timeout=settings.connect_timeout
        )
    except TimeoutError:
        raise TimedOut(f"{where}: no connection in {settings.connect_timeout:g} s") from None
    except OSError as error:
        raise connecting(where, error) from None
    try:
        with plain:  # TLS takes the socket out of it; closed here is what TLS did not take
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Stream(
                settings.context.wrap_socket(plain, server_hostname=settings.server_name), where
            )
    except TimeoutError:
        raise TimedOut(f"{where}: no handshake in {settings.connect_timeout:g} s") from None
    except OSError as error:
        raise connecting(where, error) from None
