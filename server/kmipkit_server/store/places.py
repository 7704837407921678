"""Places for tasks that run at the same time, such as threads that read, shared among accounts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from kmipkit_server.store.counters import PoolFigures
from kmipkit_server.store.owners import system_owner, tenant_of


class Places:
    """Places for tasks, shared among accounts and among tenants.

    An account may use half of the places at the same time, and all accounts of a tenant three quarters
    of them, unless the tenant has a limit of its own. Their further tasks wait for these, and not for a
    place, so that those of others begin meanwhile.
    """

    def __init__(self, places: int) -> None:
        self._places = trio.CapacityLimiter(places)
        self._holders: dict[str, _Holder] = {}
        self._tasks = 0
        self.resize(places)

    def resize(self, places: int) -> None:
        """Change the number of places; who has tasks keeps the share meanwhile."""
        self._total = places
        self._share, self._share_of_tenant = max(1, places // 2), max(1, places * 3 // 4)
        self._places.total_tokens = places

    @property
    def figures(self) -> PoolFigures:
        """How many places are used, and how many tasks wait."""
        used = self._places.borrowed_tokens
        return PoolFigures(self._total, used, self._tasks - used)

    @asynccontextmanager
    async def take(self, account: str, most: int | None = None) -> AsyncIterator[None]:
        """A place for a task of an account; waits for one.

        Args:
            account: Its whole name.
            most: How many places its tenant may use, instead of the share of a tenant.
        """
        tenant = tenant_of(account)
        self._tasks += 1
        try:
            async with self._share_of(account, self._share):
                if not tenant:
                    async with self._places:
                        yield
                    return
                async with (
                    self._share_of(system_owner(tenant), most or self._share_of_tenant),
                    self._places,
                ):
                    yield
        finally:
            self._tasks -= 1

    @asynccontextmanager
    async def _share_of(self, name: str, share: int) -> AsyncIterator[None]:
        """A place of the share of an account or a tenant."""
        holder = self._holders.get(name)
        if holder is None:
            holder = self._holders[name] = _Holder(trio.CapacityLimiter(share))
        holder.tasks += 1
        try:
            async with holder.places:
                yield
        finally:
            holder.tasks -= 1
            if not holder.tasks:
                del self._holders[name]


@dataclass(slots=True)
class _Holder:
    places: trio.CapacityLimiter
    tasks: int = 0
