"""The places for computations, which the workers of a server share: the supervisor gives them.

With places of its own, each worker would give an account its share of them, and with a connection to
each worker a client would have them all. A computation takes milliseconds at least, so that asking for a
place costs little.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import msgspec
import trio

from kmipkit_server.engine.peers import PeerGone, Peers
from kmipkit_server.process import wire
from kmipkit_server.process.channel import Channel
from kmipkit_server.process.messages import SUPERVISOR, GivenBack
from kmipkit_server.store.counters import PoolFigures
from kmipkit_server.store.places import Places

_Key = tuple[int, int]
"""The number of a worker, and that of one of its computations."""


class Computations:
    """The places of all workers, in the supervisor."""

    def __init__(self, places: int) -> None:
        self._places = Places(places)
        self._held: dict[_Key, trio.CancelScope] = {}
        """What ends each place, and each wait for one."""
        self._returned: set[_Key] = set()
        """Those that were given back before the question for them was looked at."""
        self._nursery: trio.Nursery | None = None

    def resize(self, places: int) -> None:
        """Change the number of places."""
        self._places.resize(places)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give places until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def take(self, body: bytes) -> bytes:
        """Answer :data:`.wire.PLACE` when there is a place, or when the worker wants none any more."""
        asked = msgspec.msgpack.decode(body, type=wire.Place)
        key = asked.worker, asked.number
        if key in self._returned:
            self._returned.remove(key)
            return b""
        assert self._nursery is not None
        scope, settled = trio.CancelScope(), trio.Event()
        self._held[key] = scope
        self._nursery.start_soon(self._hold, asked, scope, settled)
        await settled.wait()
        return b""

    async def _hold(self, asked: wire.Place, scope: trio.CancelScope, settled: trio.Event) -> None:
        with scope:
            try:
                async with self._places.take(asked.account, asked.most):
                    settled.set()
                    await trio.sleep_forever()
            finally:
                settled.set()

    def give_back(self, worker: int, number: int) -> None:
        """A worker does not need a place any more, or does not wait for it."""
        scope = self._held.pop((worker, number), None)
        if scope is None:
            self._returned.add((worker, number))
        else:
            scope.cancel()

    def lost(self, worker: int) -> None:
        """A worker has ended, and all that it computed."""
        for key in [key for key in self._held if key[0] == worker]:
            self._held.pop(key).cancel()
        self._returned = {key for key in self._returned if key[0] != worker}


class OwnComputations:
    """The places that one worker asks for; see :class:`kmipkit_server.engine.computing.Shares`."""

    def __init__(self, channel: Channel, peers: Peers) -> None:
        self._channel = channel
        self._peers = peers
        self._numbers = count(1)
        self._places = self._tasks = self._used = 0

    def resize(self, places: int) -> None:
        """Note how many of all places count as those of this worker, for the metrics."""
        self._places = places

    @property
    def figures(self) -> PoolFigures:
        """How many places this worker uses, and how many of its tasks wait."""
        return PoolFigures(self._places, self._used, self._tasks - self._used)

    @asynccontextmanager
    async def take(self, account: str, most: int | None = None) -> AsyncIterator[None]:
        """A place for a task of an account, as in :class:`.Places`."""
        number = next(self._numbers)
        asked = msgspec.msgpack.encode(wire.Place(self._peers.number, number, account, most))
        self._tasks += 1
        try:
            with suppress(PeerGone):  # the supervisor has ended, and this process is about to
                await self._peers.ask(SUPERVISOR, wire.PLACE, asked)
            self._used += 1
            try:
                yield
            finally:
                self._used -= 1
        finally:
            self._tasks -= 1
            self._channel.send(GivenBack(number))
