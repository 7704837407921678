"""Whether the server should get requests: each check says why it should not."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

from kmipkit_server.engine.settings import Clock
from kmipkit_server.store.base import Store
from kmipkit_server.store.errors import StoreError

PROBE_SECONDS = 5.0
"""How long the result of a write stays valid: whoever asks for it cannot keep the disk busy."""
PROBE_TIMEOUT = 3.0

Check = Callable[[], Awaitable[str | None]]
"""Why the server is not ready; None if this check finds no reason."""


@dataclass(slots=True)
class Readiness:
    """The checks by name, in the order in which they are shown."""

    checks: Mapping[str, Check]

    async def reasons(self) -> dict[str, str | None]:
        """The result of each check."""
        return {name: await check() for name, check in self.checks.items()}


def immediate(check: Callable[[], str | None]) -> Check:
    """A check that need not wait for anything."""

    async def result() -> str | None:
        return check()

    return result


@dataclass(slots=True)
class StoreProbe:
    """Whether the store can write, which only a write can tell: the disk may be full."""

    store: Store
    clock: Clock
    _until: float = 0.0
    _reason: str | None = None
    _probing: trio.Lock = field(default_factory=trio.Lock)

    async def __call__(self) -> str | None:
        """Why the store cannot write; None if it can."""
        async with self._probing:
            if trio.current_time() >= self._until:
                self._reason = await self._write()
                self._until = trio.current_time() + PROBE_SECONDS
            return self._reason

    async def _write(self) -> str | None:
        try:
            with trio.fail_after(PROBE_TIMEOUT):
                now = self.clock()
                await self.store.run(lambda transaction: transaction.note_time(now), writes=True)
        except trio.TooSlowError:
            return f"a write takes more than {PROBE_TIMEOUT:g} seconds"
        except StoreError as error:
            return f"the store cannot write: {error}"
        return None
