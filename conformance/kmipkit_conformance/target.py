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
from kmipkit_client.settings import LIMITS, tls_context

from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.spec.versions import Version
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.https import PATH, HTTPSChannel
from kmipkit_conformance.security import Suite


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

    def client(self, version: Version | None = None) -> Client:
        """A client for requests that are not part of a case; by default in the newest common version."""
        return Client(
            self.host,
            self.port,
            context=self.context(),
            timeout=self.timeout,
            version=version,
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

    def _stream(self, suite: Suite | None, port: int) -> ssl.SSLSocket:
        address = f"{self.host}:{port}"
        try:
            context = self.context()
            if suite is not None:
                suite.restrict(context)
            plain = socket.create_connection((self.host, port), timeout=self.timeout)
        except ClientError as error:
            raise ConformanceError(str(error)) from None
        except OSError as error:
            raise ConformanceError(f"{address}: {error.strerror or error}") from None
        try:
            with plain:  # TLS takes over its descriptor; what TLS does not take is closed here
                # HTTP sends head and body separately. Without this option the body waits until the
                # server has acknowledged the head (Nagle's algorithm).
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = context.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:
            raise ConformanceError(f"{address}: TLS failed: {error}") from None
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
            raise NoAnswer(f"the connection failed: {error}") from None
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()
