"""The front of a server with several workers: accepts connections, and hands them over.

One process accepts for all, so that the limits for connections hold over all workers exactly, and each
new connection goes to the worker that has the fewest: a few clients with long-lived connections would
not be spread well by the operating system. If workers have equally many, a client comes to the one that
it was at last, where it can resume its TLS session.

What a worker does with a connection is its own affair. The front learns when a client has authenticated,
since accounts have limits, and when a connection has ended. If a place is needed, it asks the workers
how long their connections have been silent.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import msgspec
import trio

from kmipkit.places import Full, Limit, Places
from kmipkit_server.net.accepting import Acceptor
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.counters import ConnectionCounters
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.net.occupancy import resize
from kmipkit_server.process.messages import Connect, Happened, MakeRoom, Message, Noted
from kmipkit_server.process.wire import Authenticated, Silence

log = logging.getLogger("kmipkit.server")

MAX_REMEMBERED = 4096
"""Addresses whose last worker is remembered."""
SECONDS_FOR_SILENCES = 1.0
"""How long workers have to say which connections are silent: further clients wait meanwhile."""


class Worker(Protocol):
    """A worker as the front sees it."""

    number: int

    def send(self, message: Message, files: tuple[int, ...] = ()) -> None:
        """Send a message."""

    async def silences(self) -> list[Silence]:
        """How long its connections have been silent; none if it has ended."""


@dataclass(slots=True, eq=False)
class Held:
    """A connection that holds a place."""

    number: int
    address: str
    port: int
    worker: Worker
    raw: socket.socket | None
    """Until the worker serves it: if the worker ends before, another one does."""
    is_authenticated: bool = False
    silent_since: float | None = None
    """Known for a moment only, when a place is needed."""


@dataclass(slots=True)
class Front:
    """Accepts the connections of a server."""

    limits: ConnectionLimits
    events: ConnectionEvents
    workers: Callable[[], Collection[Worker]] = tuple
    """Those that take connections now."""
    available: Callable[[], Awaitable[None]] = trio.sleep_forever
    """Waits until there is one."""
    counters: ConnectionCounters = field(default_factory=ConnectionCounters)
    acceptor: Acceptor = field(init=False)
    teller: Worker | None = None
    """Who tells what is written down now; None if it is about a connection that no worker has."""
    _places: Places[Held] = field(init=False)
    _held: dict[int, Held] = field(default_factory=dict)
    _loads: dict[Worker, int] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    """The number of the worker at which an address was last."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        limits = self.limits
        self.acceptor = Acceptor(self._take, self.counters, self.events)
        self._places = Places(
            limits.connections,
            limits.connections_per_address,
            limits.connections_per_account,
            trio.current_time,
            self._make_room,
        )

    def change_limits(self, limits: ConnectionLimits) -> None:
        """Apply other limits to the connections that come from now on."""
        self.limits = limits
        resize(self._places, limits)

    # --- new connections -------------------------------------------------------------------------

    async def _take(self, raw: socket.socket, address: str, port: int) -> None:
        """Give a connection a place, and a worker. Full if there is no place."""
        worker = await self._worker_for(address)
        held = Held(next(self._numbers), address, port, worker, raw)
        try:
            self._places.enter(held)
        except Full:
            with await self._silences_known():
                self._places.enter(held)
            held.worker = await self._worker_for(address)  # the other one may have ended meanwhile
        self._held[held.number] = held
        self._hand_over(held)

    async def _worker_for(self, address: str) -> Worker:
        # Before there is a worker, connections wait in the backlog of the system, where none is lost.
        while not (workers := self.workers()):
            await self.available()
        last = self._last.get(address)
        return min(
            workers,
            key=lambda each: (self._loads.get(each, 0), each.number != last, each.number),
        )

    def _hand_over(self, held: Held) -> None:
        assert held.raw is not None
        worker = held.worker
        self._loads[worker] = self._loads.get(worker, 0) + 1
        self._last.pop(held.address, None)
        if len(self._last) >= MAX_REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[held.address] = worker.number
        try:
            worker.send(Connect(held.number, held.address, held.port), (held.raw.fileno(),))
        except OSError as error:
            log.error("%s: the connection is closed: %s", held.address, error.strerror)
            self.left(held.number)

    # --- what workers report ---------------------------------------------------------------------

    def taken(self, number: int) -> None:
        """A worker serves a connection."""
        held = self._held.get(number)
        if held is not None and held.raw is not None:
            held.raw.close()
            held.raw = None

    async def authenticated(self, body: bytes) -> bytes:
        """Note the account of a connection; the answer has a text if there is no place for it."""
        note = msgspec.msgpack.decode(body, type=Authenticated)
        held = self._held.get(note.number)
        if held is None:
            return b""  # it has ended meanwhile
        held.is_authenticated = True
        try:
            try:
                self._note_account(held, note)
            except Full:
                with await self._silences_known():
                    if held.number in self._held:
                        self._note_account(held, note)
        except Full as full:
            return msgspec.msgpack.encode((str(full), full.limit.value))
        return b""

    def _note_account(self, held: Held, note: Authenticated) -> None:
        self._places.authenticated(
            held, note.account, note.per_account, note.tenant, note.per_tenant
        )

    async def declined(self, number: int) -> None:
        """A worker is about to end, and has not begun to serve a connection: another one does."""
        held = self._held.get(number)
        if held is None:
            return
        self._loads[held.worker] -= 1
        await self._hand_over_again(held)

    async def _hand_over_again(self, held: Held) -> None:
        held.worker = await self._worker_for(held.address)
        if held.number in self._held:
            self._hand_over(held)

    def happened(self, worker: Worker, each: Happened) -> None:
        """Write down what has happened to a connection of a worker, which waits for that."""
        self.teller = worker
        try:
            self.events.write(each.level, each.address, each.port, each.kind, each.text)
        finally:
            self.teller = None
        worker.send(Noted())

    def left(self, number: int) -> None:
        """A connection has ended."""
        held = self._held.pop(number, None)
        if held is None:
            return
        self._places.leave(held)
        if held.worker in self._loads:
            self._loads[held.worker] -= 1
        if held.raw is not None:
            held.raw.close()

    def kept(self, number: int) -> None:
        """A connection that was to make room is in use again."""
        held = self._held.get(number)
        if held is not None:
            self._places.keep(held)

    async def lost(self, worker: Worker) -> None:
        """A worker has ended: what it had not begun to serve is for the others."""
        pending: list[Held] = []
        for held in [each for each in self._held.values() if each.worker is worker]:
            if held.raw is None or self.acceptor.is_stopped:
                self.left(held.number)
            else:
                pending.append(held)
        self._loads.pop(worker, None)
        for held in pending:
            await self._hand_over_again(held)

    # --- making room -----------------------------------------------------------------------------

    async def _silences_known(self) -> AbstractContextManager[None]:
        """Find out which connections are silent, for one attempt to get a place."""
        found: list[Silence] = []

        async def ask(worker: Worker) -> None:
            found.extend(await worker.silences())

        with trio.move_on_after(SECONDS_FOR_SILENCES):
            async with trio.open_nursery() as nursery:
                for worker in self.workers():
                    nursery.start_soon(ask, worker)
        return self._knowing(found)

    @contextmanager
    def _knowing(self, found: list[Silence]) -> Iterator[None]:
        now = trio.current_time()
        for number, is_authenticated, seconds in found:
            silent = self._held.get(number)
            if silent is not None:
                silent.is_authenticated = is_authenticated
                silent.silent_since = now - seconds
        try:
            yield
        finally:
            for held in self._held.values():
                held.silent_since = None

    @staticmethod
    def _make_room(held: Held, reason: str) -> None:
        held.silent_since = None
        held.worker.send(MakeRoom(held.number, reason))


def as_full(body: bytes) -> Full | None:
    """The refusal in an answer of :meth:`Front.authenticated`."""
    if not body:
        return None
    text, limit = msgspec.msgpack.decode(body, type=tuple[str, int])
    return Full(text, Limit(limit))


def inherited(descriptor: int) -> socket.socket:
    """A socket of another process, whose descriptor belongs to this one now."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
