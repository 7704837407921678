"""One connection to the server that never blocks: TCP, TLS, one request and its response.

The owner waits until the socket is ready and calls :meth:`Link.advance`. So one thread serves
thousands of connections, and a request costs it little.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from kmipkit_client._network.reasons import describe

from kmipkit_load.errors import LinkFailed
from kmipkit_load.framing import CLOSED, UNASKED, Framing

_CHUNK = 65536
_UNDER_WAY = frozenset({0, errno.EINPROGRESS})
_CLOSINGS = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection ends that the server has closed; which of them is a matter of timing."""


class State(Enum):
    """How far a connection is."""

    CLOSED = auto()
    CONNECTING = auto()
    HANDSHAKE = auto()
    OPEN = auto()


class Peer(NamedTuple):
    """Where connections go."""

    family: socket.AddressFamily
    address: tuple[Any, ...]
    name: str
    """The name that the certificate must have."""
    context: ssl.SSLContext
    framing: Callable[[], Framing]


class Owner(Protocol):
    """Who waits for the sockets."""

    session: ssl.SSLSession | None
    """The newest TLS session of the server."""

    def now(self) -> int:
        """The time in nanoseconds."""

    def watch(self, link: "Link", *, writes: bool) -> None:
        """Wait until the socket can be read, or written."""

    def opened(self, link: "Link") -> None:
        """The handshake is done."""

    def closed(self, number: int) -> None:
        """The socket with this number is about to be closed."""


class Link:
    """A connection, which can be opened again and again."""

    def __init__(self, peer: Peer, owner: Owner, *, resumes: bool = False) -> None:
        self._peer = peer
        self._owner = owner
        self._resumes = resumes
        self._plain: socket.socket | None = None
        self._stream: ssl.SSLSocket | None = None
        self._framing: Framing | None = None
        self._outgoing = b""
        self._waits_to_write: bool | None = None
        """What its owner waits for; None if there is no socket."""
        self.state = State.CLOSED
        self.began = 0
        """When it began to connect, in nanoseconds."""
        self.is_resumed = False

    @property
    def is_open(self) -> bool:
        """Whether the handshake is done."""
        return self.state is State.OPEN

    def fileno(self) -> int:
        """The number of the socket; -1 if there is none."""
        sock = self._stream or self._plain
        return sock.fileno() if sock is not None else -1

    def open(self) -> None:
        """Begin to connect. LinkFailed if that fails at once."""
        self.began = self._owner.now()
        try:
            plain = socket.socket(self._peer.family, socket.SOCK_STREAM)
        except OSError as error:  # there are too many open files
            raise LinkFailed(f"cannot connect: {error.strerror}", may_have_arrived=False) from None
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._plain = plain
        self.state = State.CONNECTING
        self._framing = self._peer.framing()
        code = plain.connect_ex(self._peer.address)
        if code not in _UNDER_WAY:
            self.close()
            raise LinkFailed(f"cannot connect: {os.strerror(code)}", may_have_arrived=False)
        self._watch(writes=True)

    def send(self, body: bytes) -> None:
        """Send a message, after connecting if there is no connection. LinkFailed if that fails."""
        if self.state is State.CLOSED:
            self.open()
        assert self._framing is not None
        request = self._framing.request(body)
        self._outgoing = self._outgoing + request if self._outgoing else request
        if self.state is State.OPEN:
            self._write()

    def advance(self) -> bytes | None:
        """Go on after the socket became ready. A response, once it is complete; LinkFailed if the
        connection fails."""
        try:
            if self.state is not State.OPEN and not self._opening():
                return None
            if self._outgoing:
                self._write()
            return self._read()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except LinkFailed:
            self.close()
            raise
        except OSError as error:
            raise self._failed(error) from None

    def _opening(self) -> bool:
        """Go on with TCP and TLS; whether the connection is open."""
        if self.state is State.CONNECTING:
            self._connected()
        return self._shake_hands()

    def _connected(self) -> None:
        plain = self._plain
        assert plain is not None
        code = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise LinkFailed(f"cannot connect: {os.strerror(code)}", may_have_arrived=False)
        self._plain = None
        self._stream = self._peer.context.wrap_socket(
            plain,
            do_handshake_on_connect=False,
            server_hostname=self._peer.name,
            session=self._owner.session if self._resumes else None,
        )
        self.state = State.HANDSHAKE

    def _shake_hands(self) -> bool:
        assert self._stream is not None
        try:
            self._stream.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(writes=False)
            return False
        except ssl.SSLWantWriteError:
            self._watch(writes=True)
            return False
        self.state = State.OPEN
        self.is_resumed = bool(self._stream.session_reused)
        self._watch(writes=False)
        self._owner.opened(self)
        return True

    def _write(self) -> None:
        assert self._stream is not None
        try:
            sent = self._stream.send(self._outgoing)
        except ssl.SSLWantWriteError:
            sent = 0
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            raise self._failed(error) from None
        if sent == len(self._outgoing):
            self._outgoing = b""
            self._watch(writes=False)
        else:
            self._outgoing = self._outgoing[sent:]
            self._watch(writes=True)

    def _watch(self, *, writes: bool) -> None:
        if writes is not self._waits_to_write:
            self._waits_to_write = writes
            self._owner.watch(self, writes=writes)

    def _read(self) -> bytes | None:
        stream, framing = self._stream, self._framing
        assert stream is not None
        assert framing is not None
        while True:
            data = stream.recv(_CHUNK)
            response = framing.feed(data)
            if response is not None:
                return self._complete(response)
            if not data:
                raise LinkFailed(CLOSED)

    def _complete(self, response: bytes) -> bytes:
        stream, framing = self._stream, self._framing
        assert stream is not None
        assert framing is not None
        if self._resumes:  # with TLS 1.3, the server sends it after the handshake
            self._owner.session = stream.session or self._owner.session
        if framing.has_more:  # it would count as the response to the next request
            raise LinkFailed(UNASKED)
        if not framing.is_reusable:
            self.close()
        return response

    def _failed(self, error: OSError) -> LinkFailed:
        """Close; the reason is the same for equal failures, so that they are counted together."""
        was_open = self.is_open
        self.close()
        if isinstance(error, _CLOSINGS):
            reason = CLOSED if was_open else f"{CLOSED} during the TLS handshake"
        else:
            reason = describe(error)
        return LinkFailed(reason, may_have_arrived=was_open)

    def close(self) -> None:
        """Close the connection; the server is told, so that it keeps the TLS session."""
        number = self.fileno()
        if number >= 0:
            self._owner.closed(number)
        stream, plain = self._stream, self._plain
        self._stream = self._plain = None
        self._outgoing = b""
        self._waits_to_write = None
        was_open, self.state = self.state is State.OPEN, State.CLOSED
        if stream is not None:
            if was_open:
                with suppress(OSError, ValueError):
                    stream.unwrap()  # sends close_notify, and does not wait for that of the server
            stream.close()
        if plain is not None:
            plain.close()
