"""Places for tasks that run at the same time, such as threads that read, shared among accounts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from kmipkit_server.store.counters import PoolFigures


class Places:
    """Places for tasks, shared among accounts.

    An account may use half of the places at the same time. Its further tasks wait for these, and not
    for a place, so that those of other accounts begin meanwhile.
    """

    def __init__(self, places: int) -> None:
        self._total = places
        self._places = trio.CapacityLimiter(places)
        self._share = max(1, places // 2)
        self._accounts: dict[str, _Account] = {}

    def resize(self, places: int) -> None:
        """Change the number of places; accounts that have tasks keep their share meanwhile."""
        self._total, self._share = places, max(1, places // 2)
        self._places.total_tokens = places

    @property
    def figures(self) -> PoolFigures:
        """How many places are used, and how many tasks wait."""
        used = self._places.borrowed_tokens
        tasks = sum(account.tasks for account in self._accounts.values())
        return PoolFigures(self._total, used, tasks - used)

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[None]:
        """A place for a task of an account; waits for one."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(trio.CapacityLimiter(self._share))
        account.tasks += 1
        try:
            async with account.places, self._places:
                yield
        finally:
            account.tasks -= 1
            if not account.tasks:
                del self._accounts[name]


@dataclass(slots=True)
class _Account:
    places: trio.CapacityLimiter
    tasks: int = 0
