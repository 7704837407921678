"""The time of an event loop, which all clients share.

Whatever runs on the event loop delays all that comes meanwhile. Most messages take less than a slice,
and nobody asks about them. Work that takes longer, such as a message with many items or a large
response, gives way after each slice:

1. What has arrived meanwhile goes first.
2. Of all the long work there is, one piece runs before others may go first again, however many
   connections have some. It is that of the account that has used the least.
3. If other accounts have asked for something meanwhile, the loop rests as long as the work has taken.
   So most requests of clients that ask little find it idle, and long work takes half of its time at
   most. If nobody else asks, nothing rests.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter

import trio

SLICE = 0.0003
"""Seconds of work after which others go first."""

RESOLUTION = 0.001
"""The shortest rest, in seconds: an event loop cannot sleep for less. Smaller ones are added up."""

LONGEST_REST = 0.05
"""The longest rest, in seconds: whoever asked may have gone by then."""

CREDIT = 0.05
"""Seconds by which an account counts as having used less than the others, at most: one that returns must
not keep the others waiting for as long as it was away."""

ACCOUNTS = 256
"""Accounts that are remembered until those are forgotten that have used little."""

MEMORY = 0.1
"""Seconds for which other accounts count as asking after they have asked."""


class SharedLoop:
    """Decides about the long work on one event loop; see the head of this module."""

    def __init__(
        self,
        clock: Callable[[], float] = perf_counter,
        sleep: Callable[[float], Awaitable[None]] = trio.sleep,
    ) -> None:
        self.clock = clock
        self._sleep = sleep
        # Whoever receives a message sets these two, without a call: it is part of each request.
        self.latest = ""
        """The account that asked last, or whose long work went on after that."""
        self.changes = 0
        """How often another account asked than the latest one."""
        self._seen = 0
        """The changes until long work last went on."""
        self._asked = float("-inf")
        """When other accounts were last known to ask."""
        self._rest = 0.0
        """Seconds of rest that are still owed."""
        self.debts: dict[str, float] = {}
        """Seconds that accounts have used at a stretch, and for which they have not given way so far."""
        self._used: dict[str, float] = {}
        """Seconds that the long work of accounts has used; others count as having all their credit."""
        self._least = 0.0
        """What all those have used that have had long work of late."""
        self._waiting: dict[str, trio.lowlevel.ParkingLot] = {}
        self._is_giving_way = False

    @property
    def is_asked_by_others(self) -> bool:
        """Whether several accounts have asked for something of late."""
        return self.changes != self._seen or self.clock() - self._asked < MEMORY

    async def give_way(self, account: str, used: float) -> None:
        """Let others go first, after work for an account has used the loop for so many seconds."""
        self._charge(account, used)
        await self._take_turn(account, used)

    async def _take_turn(self, account: str, used: float) -> None:
        if self._is_giving_way:
            await self._wait(account)
        self._is_giving_way = True
        try:
            await self.let_others_run()
            rest = self._rest_after(used)
            if rest:
                await self._sleep(rest)
        finally:
            self._pass_on(account)
        self._went_on(account)

    async def hand_over(self, account: str) -> None:
        """Let only those go first who have arrived: for work on whose end other accounts wait."""
        await self.let_others_run()
        if self.changes != self._seen:
            self._asked = self.clock()
        self._went_on(account)

    def owe(self, account: str, used: float) -> None:
        """Note that work for an account has used the loop at a stretch: its next request gives way.

        Less than the shortest rest is not counted.
        """
        if used >= RESOLUTION and account:
            self.debts[account] = self.debts.get(account, 0.0) + used

    async def settle(self, account: str) -> None:
        """Give way for what an account owes, unless it has used much less than others."""
        debt = self.debts.pop(account, 0.0)
        if debt:
            self._charge(account, debt)
            if self._used[account] >= self._least - CREDIT / 2:
                await self._take_turn(account, debt)

    def _charge(self, account: str, used: float) -> None:
        self._used[account] = max(self._used.get(account, 0.0), self._least - CREDIT) + used

    @staticmethod
    async def let_others_run() -> None:
        """Let the tasks run that are ready."""
        await trio.lowlevel.checkpoint()
        # Tasks that became ready during the slice run at the same time as this one, in any order;
        # after a second checkpoint, all of them have run.
        await trio.lowlevel.checkpoint()

    def _rest_after(self, used: float) -> float:
        """How long the loop rests after a slice."""
        if self.changes == self._seen:
            self._rest = 0.0
            return 0.0
        self._asked = self.clock()
        self._rest = min(self._rest + used, LONGEST_REST)
        rest = self._rest // RESOLUTION * RESOLUTION
        self._rest -= rest
        return rest

    def _went_on(self, account: str) -> None:
        self.latest, self._seen = account, self.changes

    async def _wait(self, account: str) -> None:
        """Wait until it is the turn of this work."""
        lot = self._waiting.setdefault(account, trio.lowlevel.ParkingLot())
        try:
            await lot.park()
        finally:
            if not lot and self._waiting.get(account) is lot:
                del self._waiting[account]

    def _pass_on(self, account: str) -> None:
        """Have other work give way next, before it goes on."""
        used = self._used
        waiting = [each for each, lot in self._waiting.items() if lot]
        least = min(used[each] for each in (account, *waiting))
        self._least = max(self._least, least)
        self._is_giving_way = bool(waiting)
        if waiting:
            self._waiting[min(waiting, key=used.__getitem__)].unpark()
        elif len(used) > ACCOUNTS:
            floor = self._least - CREDIT
            self._used = {each: number for each, number in used.items() if number > floor}


_shared_loop: trio.lowlevel.RunVar[SharedLoop] = trio.lowlevel.RunVar("shared_loop")


def shared_loop() -> SharedLoop:
    """That of the event loop that runs."""
    try:
        return _shared_loop.get()
    except LookupError:
        loop = SharedLoop()
        _shared_loop.set(loop)
        return loop


def share(loop: SharedLoop) -> None:
    """Have the event loop that runs shared by other rules, or by another clock."""
    _shared_loop.set(loop)
