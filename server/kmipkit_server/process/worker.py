"""A worker process: a whole server, but that the supervisor accepts for it and gets the signals."""

import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec
import trio

from kmipkit.errors import KMIPError
from kmipkit.places import Full, Limit
from kmipkit_server import logs
from kmipkit_server.config import Settings
from kmipkit_server.engine.peers import Answer, PeerGone
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.metrics import merging
from kmipkit_server.metrics.whole import FIGURES
from kmipkit_server.net.connection import Connection
from kmipkit_server.net.connection_log import Occurrence
from kmipkit_server.net.occupancy import make_room
from kmipkit_server.process import orders as packed_orders
from kmipkit_server.process import wire
from kmipkit_server.process.background import explain
from kmipkit_server.process.channel import NO_FILE, Channel, ChannelClosed
from kmipkit_server.process.computations import OwnComputations
from kmipkit_server.process.front import as_full, inherited
from kmipkit_server.process.messages import (
    OTHERS,
    SUPERVISOR,
    Begin,
    Begun,
    Connect,
    Declined,
    Drain,
    Drained,
    End,
    Failed,
    Farewell,
    Kept,
    Leaving,
    Left,
    MakeRoom,
    Message,
    Noted,
    Question,
    Ready,
    Refused,
    Reply,
    Taken,
)
from kmipkit_server.process.questions import NoAnswer, Questions
from kmipkit_server.process.relayed_events import RelayedEvents
from kmipkit_server.process.reloading import Reloading
from kmipkit_server.process.wire import Silence
from kmipkit_server.running import process, serving
from kmipkit_server.running.clock import system_clock
from kmipkit_server.running.parts import Parts, open_parts
from kmipkit_server.service import ready
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.inventory import Inventory
from kmipkit_server.store.key_rotation import KeyFigures
from kmipkit_server.store.lock import Share
from kmipkit_server.vault.secrets import remember

log = logging.getLogger("kmipkit.server")

_FOR_SUPERVISOR = (signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True)
class ChannelPeers:
    """The other processes, through the supervisor; see :class:`kmipkit_server.engine.peers.Peers`."""

    number: int
    _questions: Questions
    is_alone: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)

    async def ask(self, worker: int, kind: str, body: bytes) -> bytes:
        """See :class:`.Peers`; the supervisor can be asked, too."""
        try:
            return await self._questions.ask(worker, kind, body)
        except NoAnswer as error:
            raise PeerGone(worker, may_have_begun=error.may_have_begun) from None

    async def ask_others(self, kind: str, body: bytes = b"") -> list[bytes]:
        """See :class:`.Peers`."""
        try:
            answer = await self._questions.ask(OTHERS, kind, body)
        except NoAnswer:  # the supervisor has ended, and this process is about to
            return []
        return msgspec.msgpack.decode(answer, type=list[bytes])

    def answer(self, kind: str, answer: Answer) -> None:
        """See :class:`.Peers`."""
        self.answers[kind] = answer


@dataclass(slots=True)
class SharedPlaces:
    """The occupancy of all workers, which the supervisor counts."""

    channel: Channel
    peers: ChannelPeers
    accounts: dict[Connection, wire.Authenticated] = field(default_factory=dict)

    async def authenticated(
        self, connection: Connection, account: str, per_account: int, tenant: str, per_tenant: int
    ) -> None:
        """See :class:`kmipkit_server.net.occupancy.Occupancy`."""
        note = wire.Authenticated(connection.number, account, per_account, tenant, per_tenant)
        if self.accounts.get(connection) == note:
            return  # only its rights have changed
        body = msgspec.msgpack.encode(note)
        try:
            full = as_full(await self.peers.ask(SUPERVISOR, wire.AUTHENTICATED, body))
        except PeerGone:
            full = Full("the server is stopping", Limit.TOTAL)
        if full is not None:
            raise full
        self.accounts[connection] = note

    def leave(self, connection: Connection) -> None:
        """See :class:`kmipkit_server.net.occupancy.Occupancy`."""
        self.accounts.pop(connection, None)
        self.channel.send(Left(connection.number))


@dataclass(slots=True)
class Stop:
    """Asked for by the supervisor, by its end, or by a signal to this process alone."""

    channel: Channel
    questions: Questions
    seconds: float = 0.0
    _asked: trio.Event = field(default_factory=trio.Event)
    _hurried: trio.Event = field(default_factory=trio.Event)
    _ended: trio.Event = field(default_factory=trio.Event)

    def ask(self, seconds: float) -> None:
        """Stop within so many seconds. If that was asked for before, only 0 seconds change something:
        a service manager sends its signal to the supervisor and to all workers."""
        if not self._asked.is_set():
            self.seconds = seconds
            self._asked.set()
        elif not seconds:
            self._hurried.set()

    async def asked(self) -> float:
        """Wait until the process is to stop; how many seconds it has for that."""
        await self._asked.wait()
        return self.seconds

    async def hurried(self) -> None:
        """Wait until it is told so again."""
        await self._hurried.wait()

    def end(self) -> None:
        """The other workers do not need this one any more, but for what they have handed over to it."""
        self._ended.set()

    async def unneeded(self) -> None:
        """Wait for that, and until what was handed over is finished."""
        self.channel.send(Drained())
        await self._ended.wait()
        await self.questions.settled()


class Worker:
    """One worker process."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._questions = Questions(channel)
        self._peers = ChannelPeers(number, self._questions)
        self._places = SharedPlaces(channel, self._peers)
        self._events = RelayedEvents(channel)
        self._stop = Stop(channel, self._questions)
        self._begin: trio.Event = trio.Event()
        self._message: tuple[Begin, tuple[int, ...]] | None = None
        self._parts: Parts | None = None

    async def run(self) -> None:
        """Serve until told to stop, or until the supervisor has ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._channel.run)
            nursery.start_soon(self._hear, nursery)
            nursery.start_soon(self._obey)
            with trio.CancelScope() as waiting:
                nursery.start_soon(self._cancel_when_asked, waiting)
                await self._begin.wait()
            if self._message is not None:
                await self._serve(*self._message)
            await self._channel.flushed()
            nursery.cancel_scope.cancel()

    async def _cancel_when_asked(self, waiting: trio.CancelScope) -> None:
        await self._stop.asked()
        waiting.cancel()

    async def _serve(self, message: Begin, descriptors: tuple[int, ...]) -> None:
        orders = packed_orders.unpacked(message.orders)
        lock, *sockets = descriptors
        log_settings = orders.config.log
        logs.configure(log_settings.level, form=log_settings.format, worker=orders.number)
        process.prepare(orders.config)
        remember(orders.secrets)
        try:
            async with open_workers() as executor:
                with ExitStack() as cleanup:
                    monitoring = [cleanup.enter_context(inherited(each)) for each in sockets]
                    parts = await open_parts(
                        orders.config,
                        system_clock,
                        orders.password,
                        executor,
                        partial(Settings, orders.config, file=orders.file),
                        cleanup,
                        process=process.Process(
                            self._peers,
                            orders.count,
                            Share(lock, orders.is_first),
                            monitoring,
                            self._places,
                            self._events,
                            OwnComputations(self._channel, self._peers),
                            self._announce_root_key,
                        ),
                    )
                    self._register(parts)
                    await serving.serve(parts, self._announce, self._stop)
                    self._channel.send(Farewell(self._figures(parts)))
        except (KMIPError, OSError) as error:
            self._channel.send(Failed(explain(error)))

    def _announce(self, state: ready.Ready) -> None:
        self._channel.send(Ready(str(state.ca)))

    # --- what it hears ---------------------------------------------------------------------------

    async def _hear(self, nursery: trio.Nursery) -> None:
        try:
            while True:
                message, files = await self._channel.receive()
                self._on_message(message, files, nursery)
        except ChannelClosed:
            # The supervisor has ended, also if it was killed: nobody accepts for this process.
            self._questions.end(may_have_begun=True)
            self._stop.ask(0)

    def _on_message(self, message: Message, files: tuple[int, ...], nursery: trio.Nursery) -> None:
        match message:
            case Begin():
                self._message = message, files
                self._begin.set()
            case Connect(number, address, port):
                self._connect(files[0], number, address, port)
            case MakeRoom(number, reason):
                self._make_room(number, reason)
            case Refused(address, port, kind, text, further):
                self._record(Occurrence(logging.WARNING, address, port, kind, text, further))
            case Noted():
                self._events.noted()
            case Drain(seconds):
                self._stop.ask(seconds)
            case End():
                self._stop.end()
            case Question():
                self._questions.begin(nursery, message, self._peers.answers.get(message.kind))
            case Reply() | Begun():
                self._questions.on_answer(message)

    def _connect(self, descriptor: int, number: int, address: str, port: int) -> None:
        if descriptor == NO_FILE:
            log.error(
                "%s: the connection is closed: too many open files; raise their limit, or lower"
                " limits.connections",
                address,
            )
            self._channel.send(Left(number))
            return
        raw = inherited(descriptor)
        if self._parts is None or self._parts.monitored.listener.is_draining:
            raw.close()
            self._channel.send(Declined(number))
            return
        self._parts.monitored.listener.hand_over(raw, address, port, number)
        self._channel.send(Taken(number))

    def _connections(self) -> "list[Connection]":
        return [] if self._parts is None else list(self._parts.monitored.listener.connections)

    def _make_room(self, number: int, reason: str) -> None:
        for connection in self._connections():
            if connection.number == number:
                if connection.silent_since is None:
                    self._channel.send(Kept(number))
                else:
                    make_room(connection, reason)

    def _record(self, occurrence: Occurrence) -> None:
        audit = None if self._parts is None else self._parts.monitored.audit
        if audit is not None:
            audit.connections.refused(
                occurrence.address,
                occurrence.port,
                occurrence.kind,
                occurrence.text,
                occurrence.further,
            )

    # --- what it answers -------------------------------------------------------------------------

    def _register(self, parts: Parts) -> None:
        self._parts = parts
        reloading = Reloading(parts.reloader)
        answers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            wire.ALIVE: self._is_alive,
            wire.SILENCES: self._silences,
            FIGURES: self._answer_figures,
            wire.ROOT_KEY: self._place_of_root_key,
            wire.PREPARE: reloading.prepare,
            wire.STORE: reloading.store,
            wire.APPLY: reloading.apply,
            wire.ABANDON: reloading.abandon,
        }
        self._peers.answers.update(answers)

    async def _is_alive(self, _: bytes) -> bytes:
        return b""

    async def _silences(self, _: bytes) -> bytes:
        now = trio.current_time()
        return msgspec.msgpack.encode(
            [
                Silence(each.number, each.is_authenticated, now - since)
                for each in self._connections()
                if (since := each.silent_since) is not None and not each.ended_by
            ]
        )

    async def _place_of_root_key(self, _: bytes) -> bytes:
        """As the database has it, under its MAC: the root key may have been rotated since the start."""
        assert self._parts is not None

        def read(reader: Inventory) -> KeyFigures:
            return reader.key_figures()

        try:
            figures: KeyFigures = await self._parts.monitored.store.run(read, slow=True)
        except StoreError:
            return b""
        places = [each.entry.place for each in figures.root_keys]
        return places[0].encode() if len(places) == 1 else b""

    async def _announce_root_key(self, place: str) -> None:
        """The supervisor must know it before the old one is given up: it starts who opens the store."""
        with suppress(PeerGone):  # the supervisor has ended, and this process is about to
            await self._peers.ask(SUPERVISOR, wire.NEXT_ROOT_KEY, place.encode())

    async def _answer_figures(self, _: bytes) -> bytes:
        assert self._parts is not None
        return self._figures(self._parts)

    @staticmethod
    def _figures(parts: Parts) -> bytes:
        return merging.pack(parts.monitored.collect())

    # --- signals ---------------------------------------------------------------------------------

    async def _obey(self) -> None:
        """End on SIGTERM, as the supervisor would have it: another worker then takes the place.

        Service managers send it to all processes. Ctrl-C and SIGHUP are for the supervisor.
        """
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            async for _ in signals:
                self._channel.send(Leaving())
                drain = 0.0 if self._parts is None else self._parts.config.listen.drain_seconds
                self._stop.ask(drain)


def main(number: int, descriptor: int) -> None:
    """Run a worker, whose end of the channel to the supervisor has this descriptor."""
    for each in _FOR_SUPERVISOR:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_SUPERVISOR)
    channel = Channel(socket.socket(fileno=descriptor))

    async def run() -> None:
        await Worker(channel, number).run()

    trio.run(run)
