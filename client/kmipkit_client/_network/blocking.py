"""Connections by blocking sockets."""

import socket
import ssl
import threading
import time

from kmipkit_client._network.reasons import connect_failed, transfer_failed
from kmipkit_client.deadline import Deadline
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.errors import TimedOut
from kmipkit_client.settings import Settings

sleep = time.sleep


class Slots:
    """Permits for a number of connections."""

    def __init__(self, count: int) -> None:
        self._semaphore = threading.BoundedSemaphore(count)

    def take(self, deadline: Deadline) -> bool:
        """Wait for a permit; False if there is none in time."""
        return self._semaphore.acquire(timeout=min(deadline.left(), threading.TIMEOUT_MAX))

    def give_back(self) -> None:
        """Return a permit."""
        self._semaphore.release()


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


def connect(settings: Settings, endpoint: Endpoint, deadline: Deadline) -> Stream:
    """Open a TLS connection; ConnectionFailed or TimedOut if that is not possible."""
    seconds = deadline.left()
    try:
        sock = _open_socket(endpoint, deadline)
        with sock:  # TLS takes over its descriptor; what TLS does not take is closed here
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.remaining())
            secured = settings.tls.context().wrap_socket(
                sock, server_hostname=settings.expected_name(endpoint)
            )
    except TimeoutError:
        raise TimedOut(f"{endpoint}: no connection within {seconds:.3g} s") from None
    except (OSError, UnicodeError) as error:  # the latter for names that DNS cannot have
        raise connect_failed(endpoint, error) from None
    return Stream(secured, str(endpoint))


def _open_socket(endpoint: Endpoint, deadline: Deadline) -> socket.socket:
    """A connection to the first address of the host that accepts one.

    Each address gets its share of the time; ``create_connection`` would grant all of it to each.
    """
    addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionRefusedError("the host has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.remaining() / (len(addresses) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
