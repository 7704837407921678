"""Passes bytes on between clients and the target, and shows them to an observer.

A message is recorded before its last bytes are passed on: what the target has been asked is in the
capture, even if the proxy is killed a moment later. Bytes are passed on as they come; the proxy never
waits for the end of a message, and changes nothing.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import trio

from kmipkit.captures import CLIENT, SERVER
from kmipkit.places import Full, Places
from kmipkit.ttlv.limits import Limits
from kmipkit_proxy.endpoint import Target, explain
from kmipkit_proxy.errors import ProxyError
from kmipkit_proxy.observer import Note, Observer
from kmipkit_proxy.pseudonyms import Pseudonyms
from kmipkit_proxy.recorder import timestamp

_CHUNK = 16 * 1024
_CLOSING_SECONDS = 1.0

Stream = trio.SSLStream[trio.SocketStream]


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Limits of the proxy; times in seconds."""

    connections: int = 500
    handshake: float = 10.0
    idle: float = 600.0
    """Without a byte from either side."""
    answer: float = 30.0
    """How long a client that has stopped to send is still answered."""
    messages: Limits = field(default_factory=lambda: Limits(8 << 20))


@dataclass(slots=True, eq=False)
class _Connection:
    """One client's connection, which holds a place."""

    address: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_authenticated: bool = False
    silent_since: float | None = field(default_factory=trio.current_time)
    ended_by: str = ""


@dataclass(slots=True)
class Relay:
    """Serves clients until it is cancelled."""

    contexts: Callable[[], ssl.SSLContext]
    """The TLS settings for the next client."""
    target: Target
    take: Note
    limits: RelayLimits = field(default_factory=RelayLimits)
    pseudonyms: Pseudonyms | None = field(default_factory=Pseudonyms)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _places: Places[_Connection] = field(init=False)

    def __post_init__(self) -> None:
        most = self.limits.connections
        self._places = Places(most, most, most, trio.current_time, _end)

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Accept connections, each in a task of its own."""
        await trio.serve_listeners(self._accepted, listeners)

    async def _accepted(self, plain: trio.SocketStream) -> None:
        observer = Observer(
            next(self._numbers), self.take, timestamp, self.limits.messages, self.pseudonyms
        )
        try:
            peer = plain.socket.getpeername()
            connection = _Connection(str(peer[0]))
            self._places.enter(connection)
        except OSError:  # it has gone already
            await trio.aclose_forcefully(plain)
            return
        except Full as full:
            observer.note(f"connection from {peer[0]} refused: {full}")
            await trio.aclose_forcefully(plain)
            return
        observer.note(f"connection from {peer[0]}, port {peer[1]}")
        try:
            with connection.scope:
                await self._serve(plain, connection, observer)
        finally:
            self._places.leave(connection)
            observer.note(f"closed{connection.ended_by}")

    async def _serve(
        self, plain: trio.SocketStream, connection: _Connection, observer: Observer
    ) -> None:
        client: Stream = trio.SSLStream(
            plain, self.contexts(), server_side=True, https_compatible=True
        )
        try:
            try:
                with trio.fail_after(self.limits.handshake):
                    await client.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError, OSError) as error:
                reason = "time-out" if isinstance(error, trio.TooSlowError) else explain(error)
                observer.note(f"TLS handshake with the client failed: {reason}")
                return
            connection.is_authenticated = True
            try:
                target = await self.target.connect()
            except ProxyError as error:
                observer.note(str(error))
                return
            try:
                await _Conversation(client, target, connection, observer, self.limits).run()
            finally:
                await _close(target)
        finally:
            await _close(client)


@dataclass(slots=True)
class _Conversation:
    """Both directions of one connection."""

    client: Stream
    target: Stream
    connection: _Connection
    observer: Observer
    limits: RelayLimits
    _client_has_ended: bool = False
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def run(self) -> None:
        """Pass bytes on until one side has ended, or nothing comes any more."""
        self._prolong()
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, CLIENT, self.client, self.target)
                await self._pass_on(SERVER, self.target, self.client)
                nursery.cancel_scope.cancel()  # whatever the client sends now, nobody answers
        if self._scope.cancelled_caught and not self._is_done():
            self.connection.ended_by = " by the proxy: time-out"

    async def _pass_on(self, sender: str, source: Stream, sink: Stream) -> None:
        try:
            while data := await source.receive_some(_CHUNK):
                self.observer.see(sender, bytes(data))
                await sink.send_all(data)
                self._prolong()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            self.observer.note(f"while the {sender} sent: {explain(error)}")
        self.observer.see(sender, b"")
        if sender == CLIENT:
            self._client_has_ended = True
            self._prolong()

    def _prolong(self) -> None:
        now = trio.current_time()
        self.connection.silent_since = None if self.observer.unanswered > 0 else now
        if self._is_done():
            self._scope.cancel()
        elif self._client_has_ended:
            self._scope.deadline = min(self._scope.deadline, now + self.limits.answer)
        else:
            self._scope.deadline = now + self.limits.idle

    def _is_done(self) -> bool:
        """Whether the client has ended its side, and has all of its answers."""
        has_answers = self.observer.understands and self.observer.unanswered <= 0
        return self._client_has_ended and has_answers


def _end(connection: _Connection, reason: str) -> None:
    connection.ended_by = f" by the proxy: {reason}"
    connection.scope.cancel()


async def _close(stream: Stream) -> None:
    with trio.move_on_after(_CLOSING_SECONDS, shield=True), suppress(trio.BrokenResourceError):
        await stream.aclose()
