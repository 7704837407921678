"""The server that is tested: TLS, and whole messages."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from kmipkit_client import Client
from kmipkit_client.errors import ClientError
from kmipkit_client.settings import tls_context

from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import Limits
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.https import PATH, HTTPSChannel
from kmipkit_conformance.security import Suite

LIMITS = Limits(max_message=64 << 20, max_items=1 << 20)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is, and the certificates to talk to it; time-outs in seconds."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    timeout: float = 30.0
    https_port: int | None = None
    """Where KMIP over HTTPS is; by default at the same port."""
    path: str = PATH

    def client(self, version: Version | None = None) -> Client:
        """A client of ours, for what is no part of a case; in the best version if none is given."""
        return Client(
            self.host,
            self.port,
            ca=self.ca,
            cert=self.cert,
            key=self.key,
            timeout=self.timeout,
            version=version,
        )

    def connect(self, suite: Suite | None = None, media: str | None = None) -> "TargetConnection":
        """Connect and shake hands, by one suite if need be. ConformanceError if not possible.

        With a media type messages go over HTTPS, else one after the other as TTLV.
        """
        stream = self._stream(suite, self.port if media is None else self.https_port or self.port)
        if media is None:
            return TargetConnection(stream, TTLVChannel(stream))
        return TargetConnection(stream, HTTPSChannel(stream, media, self.path, LIMITS))

    def _stream(self, suite: Suite | None, port: int) -> ssl.SSLSocket:
        where = f"{self.host}:{port}"
        try:
            context = tls_context(self.ca, self.cert, self.key)
            if suite is not None:
                suite.restrict(context)
            plain = socket.create_connection((self.host, port), timeout=self.timeout)
        except ClientError as error:
            raise ConformanceError(str(error)) from None
        except OSError as error:
            raise ConformanceError(f"{where}: {error.strerror or error}") from None
        try:
            with plain:  # TLS takes the socket out of it; closed here is what TLS did not take
                # HTTP sends head and body apart; the body shall not wait for the head's receipt.
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = context.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:
            raise ConformanceError(f"{where}: TLS failed: {error}") from None
        if suite is not None and not suite.accepts(stream):
            stream.close()
            raise ConformanceError(f"{where}: TLS took the suite {stream.cipher()}")
        return stream


class Channel(Protocol):
    """How messages travel on a connection."""

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the answer. NoAnswer if there is none."""


class TTLVChannel:
    """Messages one after the other, as bytes."""

    def __init__(self, stream: ssl.SSLSocket) -> None:
        self._stream = stream
        self._framer = Framer(LIMITS)

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the answer. NoAnswer if there is none."""
        try:
            self._stream.sendall(request)
            while True:
                data = self._framer.next_message()
                if data is Signal.CLOSED:
                    raise NoAnswer("the server closed the connection without an answer")
                if isinstance(data, bytes):
                    return data
                self._framer.feed(self._stream.recv(65536))
        except TimeoutError:
            raise NoAnswer("the server did not answer in time") from None
        except OSError as error:
            raise NoAnswer(f"the connection broke: {error}") from None
        except ProtocolError as error:
            raise NoAnswer(f"the server sent something that is no message: {error}") from None


class TargetConnection:
    """One connection; messages go out one at a time."""

    def __init__(self, stream: ssl.SSLSocket, channel: Channel) -> None:
        self._stream = stream
        self._channel = channel

    def exchange(self, request: bytes) -> bytes:
        """Send a message and wait for the answer. NoAnswer if there is none."""
        return self._channel.exchange(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()
