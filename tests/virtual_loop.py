"""An event loop whose work takes as long as a test says, and whose passes are counted."""

from collections.abc import Awaitable, Callable

import trio
from kmipkit_server.fairness.shared_loop import SharedLoop, share


class VirtualLoop(trio.abc.Instrument):
    """Shares the loop that it runs by a clock of its own, on which only work and rests take time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []
        self.passes = 0
        self.asking = ""
        """An account that asks in each pass."""
        self.shared = SharedLoop(lambda: self.now, self._rest)

    async def _rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds
        await trio.lowlevel.checkpoint()

    def before_io_wait(self, timeout: float) -> None:
        """Count a pass of the loop."""
        self.passes += 1
        if self.asking:
            self.ask(self.asking)

    def work(self, seconds: float) -> None:
        """Use the loop."""
        self.now += seconds

    def ask(self, account: str) -> None:
        """Receive a request, as a connection does."""
        if self.shared.latest != account:
            self.shared.latest = account
            self.shared.changes += 1

    def run(self, test: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            share(self.shared)
            with trio.fail_after(300):  # ends a hang, and measures nothing
                await test()

        trio.run(run, instruments=[self])
