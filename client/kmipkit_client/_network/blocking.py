"""Connections by blocking sockets."""

import socket
import ssl
import threading

from kmipkit_client._network.deadline import Deadline
from kmipkit_client._network.reasons import connect_failed, transfer_failed
from kmipkit_client.errors import TimedOut
from kmipkit_client.settings import Settings

Lock = threading.Lock


class Stream:
    """A TLS connection."""

    def __init__(self, sock: ssl.SSLSocket, address: str) -> None:
        self._sock = sock
        self._address = address

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all bytes; ConnectionFailed or TimedOut if that is not possible."""
        try:
            rest = memoryview(data)
            while rest:  # not sendall, which grants the time-out to each of its parts
                self._sock.settimeout(deadline.remaining())
                rest = rest[self._sock.send(rest) :]
        except TimeoutError:
            raise TimedOut(
                f"{self._address}: the server did not accept the request in time"
            ) from None
        except OSError as error:
            raise transfer_failed(self._address, error) from None

    def receive(self, deadline: Deadline) -> bytes:
        """Receive some bytes; none when the server has closed. ConnectionFailed or TimedOut."""
        try:
            self._sock.settimeout(deadline.remaining())
            return self._sock.recv(65536)
        except TimeoutError:
            raise TimedOut(f"{self._address}: the server did not respond in time") from None
        except OSError as error:
            raise transfer_failed(self._address, error) from None

    def unread(self) -> bytes | None:
        """Bytes that have already arrived: none when the server has closed, None if there are none."""
        try:
            self._sock.settimeout(0)
            return self._sock.recv(65536)
        except ssl.SSLWantReadError:
            return None
        except OSError as error:
            raise transfer_failed(self._address, error) from None

    def close(self) -> None:
        """Close the connection without waiting for the server; never raises."""
        self._sock.close()


def connect(settings: Settings) -> Stream:
    """Open a TLS connection; ConnectionFailed or TimedOut if that is not possible."""
    address = f"{settings.host}:{settings.port}"
    deadline = Deadline(settings.connect_timeout, settings.clock)
    try:
        sock = socket.create_connection(
            (settings.host, settings.port), timeout=settings.connect_timeout
        )
    except TimeoutError:
        raise TimedOut(f"{address}: no connection within {settings.connect_timeout:g} s") from None
    except OSError as error:
        raise connect_failed(address, error) from None
    try:
        with sock:  # TLS takes over its descriptor; what TLS does not take is closed here
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.remaining())
            return Stream(
                settings.context.wrap_socket(sock, server_hostname=settings.server_name), address
            )
    except TimeoutError:
        raise TimedOut(
            f"{address}: no TLS handshake within {settings.connect_timeout:g} s"
        ) from None
    except OSError as error:
        raise connect_failed(address, error) from None
