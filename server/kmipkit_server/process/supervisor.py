"""A server with several workers: the process that starts them, accepts for them, and gets the signals.

It reads the configuration and opens the sockets, and does nothing else that a worker could do: it has no
store and no keys, and never sees a request. So there is little that could end it. If it is killed, its
workers notice the end of their channels, and end as well.
"""

import logging
import os
import pickle
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import socket

import msgspec
import trio
from kmipkit_certs.passwords import KeyPassword

from kmipkit_server.config import Config, ConfigError, address
from kmipkit_server.metrics.whole import ABSENT, FIGURES
from kmipkit_server.net.connection_log import Occurrence, Throttle
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.net.open_files import permit_connections
from kmipkit_server.process import wire
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.crew import HURRIED_MARGIN, Crew, WorkersFailed
from kmipkit_server.process.figures import Figures
from kmipkit_server.process.front import Front
from kmipkit_server.process.messages import Refused
from kmipkit_server.process.orders import Orders
from kmipkit_server.process.questions import NoAnswer
from kmipkit_server.running.limits import connection_limits_of
from kmipkit_server.running.parts import Read, open_port
from kmipkit_server.running.serving import SIGNALS, Announce
from kmipkit_server.service.audit import MAX_RECORDED_KEYS
from kmipkit_server.service.ready import ready
from kmipkit_server.service.reload import Commit, Reloader, Values
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.lock import take_lock
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.test_mode import marker
from kmipkit_server.vault.secrets import remembered
from kmipkit_server.vault.uri import RootKeyURI

log = logging.getLogger("kmipkit.server")

FLUSH_SECONDS = 1.0
"""How often what was refused again and again is written down."""
SECONDS_FOR_ROOT_KEY = 5.0
"""How long a worker has to say which root key is in use, before another one is asked."""


async def serve(
    config: Config, count: int, announce: Announce, password: KeyPassword, read: Read
) -> None:
    """Serve with so many workers until a signal.

    ConfigError, StoreError or OSError if the files cannot be opened, WorkersFailed if a worker cannot.
    """
    with ExitStack() as cleanup:
        config.store.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.require(config, is_test_mode=False)
        lock = take_lock(lock_file(config.database))
        cleanup.callback(os.close, lock)
        sockets = open_port(config.listen.host, config.listen.port, cleanup)
        watch = config.metrics.listen
        monitoring = open_port(*address(watch), cleanup) if watch else []
        supervisor = Supervisor(config, count, password, read, lock, sockets, monitoring)
        with trio.open_signal_receiver(*SIGNALS) as signals:
            await supervisor.run(announce, signals)
    if supervisor.crew.failure:
        raise WorkersFailed(supervisor.crew.failure)
    log.info("stopped")


@dataclass(slots=True)
class Supervisor:
    """The parts of the process."""

    config: Config
    count: int
    password: KeyPassword
    read: Read
    lock: int
    sockets: list[socket]
    monitoring_sockets: list[socket]
    crew: Crew = field(init=False)
    front: Front = field(init=False)
    computations: Computations = field(init=False)
    _file: Path | None = field(init=False)
    """The configuration file."""
    _root_key: RootKeyURI | None = field(default=None, init=False)
    """The root key in use, or about to be, as a worker has last said."""
    _reloader: Reloader = field(init=False)
    _files: "WorkerFiles" = field(init=False)
    _events: ConnectionEvents = field(init=False)

    def __post_init__(self) -> None:
        self._file = self.read().file
        self._events = ConnectionEvents(Throttle(self._record, MAX_RECORDED_KEYS))
        self.front = Front(connection_limits_of(self.config), self._events)
        timeout = self.config.server.answer_timeout
        self.computations = Computations(self.config.limits.workers)
        self.crew = Crew(self.count, self._orders, self.front, self.computations, timeout)
        self.front.workers, self.front.available = self.crew.taking, self.crew.available
        figures = Figures(self.crew, self.front.counters)
        self.crew.on_end.append(figures.keep)
        self.crew.answers.update(
            {
                wire.AUTHENTICATED: self.front.authenticated,
                wire.PLACE: self.computations.take,
                FIGURES: figures.of_all,
                ABSENT: self._absent,
                wire.NEXT_ROOT_KEY: self._note_root_key,
            }
        )
        self._files = WorkerFiles(self.crew)
        self._reloader = Reloader(
            self.config,
            self.read,
            (self._files, Values(self._change_limits)),
            self._store_and_apply,
            self.crew.turn,
        )

    async def run(self, announce: Announce, signals: AsyncIterator[int]) -> None:
        """Serve until a signal, or until the workers have failed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey, signals, announced := trio.Event())
            nursery.start_soon(self._flush)
            await nursery.start(self.computations.run)
            async with trio.open_nursery() as working:
                await working.start(self._work)
                if not self.crew.is_stopping:
                    working.start_soon(self.front.acceptor.serve, self.sockets)
                    announce(
                        ready(
                            self.config,
                            Path(self.crew.ca),
                            self.sockets,
                            self.monitoring_sockets,
                            is_test_mode=False,
                        )
                    )
                    announced.set()
            nursery.cancel_scope.cancel()

    async def _work(self, task_status: trio.TaskStatus[None]) -> None:
        """Keep the workers running; when they have ended, there is nobody to accept for."""
        await self.crew.run(task_status=task_status)
        self.front.acceptor.stop()

    async def _orders(self, number: int, is_first: bool) -> tuple[bytes, tuple[int, ...]]:
        config = await self._with_root_key(self._reloader.config)
        orders = Orders(
            number, self.count, is_first, config, self._file, self.password, remembered()
        )
        descriptors = (self.lock, *(each.fileno() for each in self.monitoring_sockets))
        return orders.packed(), descriptors

    async def _with_root_key(self, config: Config) -> Config:
        """The configuration with the root key that is in use: a rotation may have replaced the one that
        the server was started with, and the worker to begin needs the new one."""
        for member in self.crew.serving():
            place = ""
            with suppress(NoAnswer), trio.move_on_after(SECONDS_FOR_ROOT_KEY):
                place = (await member.ask(wire.ROOT_KEY)).decode()
            if place:
                self._root_key = RootKeyURI(place)
                break
        if self._root_key is None:
            return config
        # The counter stays where the other workers have it.
        store = replace(config.store, root_key=self._root_key, counter=config.counter)
        return replace(config, store=store)

    async def _note_root_key(self, place: bytes) -> bytes:
        """A rotation is about to end: a start needs the new root key, also if all workers end now.

        It ends when no worker opens the store any longer with the old one, which it was told before.
        """
        self._root_key = RootKeyURI(place.decode())
        await self.crew.opened()
        return b""

    async def _flush(self) -> None:
        while True:
            await trio.sleep(FLUSH_SECONDS)
            self._events.flush()

    def _record(self, each: Occurrence) -> None:
        """Have a refusal recorded by a worker, since the audit is theirs.

        A worker that has refused a connection records that itself before it closes it.
        """
        workers = self.crew.taking() or self.crew.serving()
        for worker in [self.front.teller] if self.front.teller else workers[:1]:
            worker.send(Refused(each.address, each.port, each.kind, each.text, each.further))

    async def _absent(self, _: bytes) -> bytes:
        """Which workers do not run, or do not answer."""
        present = {each.number for each in self.crew.serving() if not each.is_silent}
        absent = [each for each in range(1, self.count + 1) if each not in present]
        return msgspec.msgpack.encode(absent)

    # --- signals ---------------------------------------------------------------------------------

    async def _obey(self, signals: AsyncIterator[int], announced: trio.Event) -> None:
        """Reload on SIGHUP, stop on SIGTERM and SIGINT, and hurry on a second one."""
        async with trio.open_nursery() as nursery:
            async for number in signals:
                if number == signal.SIGHUP:
                    nursery.start_soon(self._reload, announced)
                    continue
                self.front.acceptor.stop()
                if self.crew.is_stopping:
                    log.info("stopping at once")
                    self.crew.stop(0, HURRIED_MARGIN)
                else:
                    log.info("stopping: finishing the requests that have begun")
                    self.crew.stop(self.config.listen.drain_seconds)

    async def _reload(self, announced: trio.Event) -> None:
        await announced.wait()
        if not self.crew.is_stopping:
            await self._reloader.reload()

    # --- reloading -------------------------------------------------------------------------------

    def _change_limits(self, config: Config) -> None:
        self.front.change_limits(connection_limits_of(config))
        self.computations.resize(config.limits.workers)
        permit_connections(config.limits.connections)

    async def _store_and_apply(self, config: Config) -> Iterable[str]:
        """Have one worker store what the store has of the configuration, and then all use it."""
        outcome = await self._stored(config)
        if outcome.fault:
            await self._files.abandon()
            raise StoreError(outcome.fault)
        applied = await self.crew.ask_all(wire.APPLY)
        for member in self.crew.serving():
            if member not in applied:
                log.warning(
                    "worker %d has not said that it uses the new configuration; it does when it answers"
                    " again, or else another one takes its place",
                    member.number,
                )
        # The files are the same for all, and so are the lines about what has changed in them.
        lines = [msgspec.msgpack.decode(each, type=list[str]) for each in applied.values()]
        return [*outcome.lines, *dict.fromkeys(line for each in lines for line in each)]

    async def _stored(self, config: Config) -> wire.Stored:
        """What one worker has stored."""
        serving = self.crew.serving()
        if not serving:
            return wire.Stored(
                fault="no worker serves that could check the files and store the policy: reload again"
                " when one does"
            )
        member = serving[0]
        try:
            answer = await member.ask(wire.STORE, pickle.dumps(config))
            return msgspec.msgpack.decode(answer, type=wire.Stored)
        except NoAnswer as error:
            return wire.Stored(
                fault=f"worker {member.number} was to store the policy, but {error}; whether it has"
                " is unknown: reload again"
            )


@dataclass(slots=True)
class WorkerFiles:
    """The files of all workers, which a reload reads again."""

    crew: Crew
    _number: int = 0
    """That of the last reload."""

    def prepare(self, config: Config) -> Commit:
        """Have all workers read and check all of their files. ConfigError if one finds a fault."""
        self._number += 1
        trio.from_thread.run(self._prepare, pickle.dumps((self._number, config)))
        return tuple

    async def abandon(self) -> None:
        """Have all workers keep what they use."""
        await self.crew.ask_all(wire.ABANDON, pickle.dumps(self._number))

    async def _prepare(self, config: bytes) -> None:
        seconds = wire.SECONDS[wire.PREPARE]
        answers = await self.crew.ask_all(wire.PREPARE, config)
        faults = [msgspec.msgpack.decode(each, type=list[str]) for each in answers.values()]
        faults += [
            [f"worker {each.number} has not read its files within {seconds:g} seconds"]
            for each in self.crew.serving()
            if each not in answers
        ]
        found = tuple(dict.fromkeys(fault for each in faults for fault in each))
        if found:
            await self.abandon()
            raise ConfigError(*found)
