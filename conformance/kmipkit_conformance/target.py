"""The server under test: TLS connections that exchange whole messages."""

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from kmipkit_certs.passwords import KeyPassword
from kmipkit_client import Client
from kmipkit_client.errors import ClientError
from kmipkit_client.settings import LIMITS
from kmipkit_client.tls import tls_context

from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.spec.versions import Version
from kmipkit_conformance.clock import SYSTEM_CLOCK
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.https import PATH, HTTPSChannel
from kmipkit_conformance.security import Suite

RESTART = 5.0
"""Seconds within which a server that was reached before may accept connections again."""
_PAUSE = 0.1
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection of a request that is not part of a case, unless the time-out is shorter."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address of the server, and the certificates for it; the time-out in seconds."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path | None
    timeout: float = 30.0
    password: KeyPassword = field(default_factory=KeyPassword)
    """The password of the private key."""
    https_port: int | None = None
    """The port of KMIP over HTTPS; by default the same port."""
    path: str = PATH
    _usual: list[ssl.SSLContext] = field(default_factory=list, init=False, compare=False)
    """The TLS settings of connections without a certain suite, once they were needed."""
    _reached: set[int] = field(default_factory=set, init=False, compare=False)
    """The ports that have accepted a connection."""

    def client(self, version: Version | None = None, retries: int = 2) -> Client:
        """A client for requests that are not part of a case; by default in the newest common version."""
        return Client(
            self.host,
            self.port,
            context=self.context(),
            connect_timeout=min(self.timeout, CONNECT_TIMEOUT),
            timeout=self.timeout,
            version=version,
            retries=retries,
        )

    def context(self) -> ssl.SSLContext:
        """TLS settings with these certificates. ClientError: a file cannot be used."""
        return tls_context(self.ca, self.cert, self.key, self.password)

    def connect(self, suite: Suite | None = None, media: str | None = None) -> "TargetConnection":
        """Connect, with only the cipher suites of ``suite``. ConformanceError if that is not possible.

        With a media type, messages go over HTTPS, else as TTLV directly over TLS.
        """
        stream = self._stream(suite, self.port if media is None else self.https_port or self.port)
        if media is None:
            return TargetConnection(stream, TTLVChannel(stream))
        return TargetConnection(stream, HTTPSChannel(stream, media, self.path, LIMITS))

    def stream(self) -> ssl.SSLSocket:
        """A TLS connection for messages that are not those of a case. ConformanceError as above."""
        return self._stream(None, self.port)

    def wait_for(self) -> None:
        """Wait for a server that may just restart. ConformanceError if it does not come back."""
        self.connect().close()

    def _context_for(self, suite: Suite | None) -> ssl.SSLContext:
        if suite is not None:
            context = self.context()
            suite.restrict(context)
            return context
        if not self._usual:
            self._usual.append(self.context())
        return self._usual[0]

    def _open(self, suite: Suite | None, port: int) -> ssl.SSLSocket:
        context = self._context_for(suite)
        # TLS takes over the descriptor of the TCP connection; what TLS does not take is closed here.
        with socket.create_connection((self.host, port), timeout=self.timeout) as plain:
            # HTTP sends head and body separately. Without this option the body waits until the
            # server has acknowledged the head (Nagle's algorithm).
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(plain, server_hostname=self.host)

    def _stream(self, suite: Suite | None, port: int) -> ssl.SSLSocket:
        """A TLS connection. A server that was there before may be back soon: a crash ends no run."""
        address = f"{self.host}:{port}"
        deadline = SYSTEM_CLOCK.now() + RESTART
        while True:
            try:
                stream = self._open(suite, port)
            except ClientError as error:
                raise ConformanceError(str(error)) from None
            except ssl.SSLError as error:
                raise ConformanceError(f"{address}: TLS failed: {error}") from None
            except OSError as error:
                is_gone = isinstance(error, ConnectionError)
                if not is_gone or port not in self._reached or SYSTEM_CLOCK.now() > deadline:
                    text = error.strerror or error
                    raise ConformanceError(f"{address}: cannot connect: {text}") from None
                SYSTEM_CLOCK.sleep(_PAUSE)
            else:
                self._reached.add(port)
                break
        if suite is not None and not suite.accepts(stream):
            stream.close()
            raise ConformanceError(
                f"{address}: TLS negotiated {stream.cipher()}, not a suite of the profile"
            )
        return stream


class Channel(Protocol):
    """How a connection carries messages."""

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the response. NoAnswer if there is none."""


class TTLVChannel:
    """TTLV messages directly over TLS."""

    def __init__(self, stream: ssl.SSLSocket) -> None:
        self._stream = stream
        self._framer = Framer(LIMITS)

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the response. NoAnswer if there is none."""
        try:
            self._stream.sendall(request)
            while True:
                data = self._framer.next_message()
                if data is Signal.CLOSED:
                    raise NoAnswer("the server closed the connection without a response")
                if isinstance(data, bytes):
                    return data
                self._framer.feed(self._stream.recv(65536))
        except TimeoutError:
            raise NoAnswer("the server did not respond in time") from None
        except OSError as error:
            raise NoAnswer(f"the connection failed: {error.strerror or error}") from None
        except ProtocolError as error:
            raise NoAnswer(f"the server did not send a KMIP message: {error}") from None


class TargetConnection:
    """One connection, which exchanges one message at a time."""

    def __init__(self, stream: ssl.SSLSocket, channel: Channel) -> None:
        self._stream = stream
        self._channel = channel

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the response. NoAnswer if there is none."""
        return self._channel.exchange(request)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
