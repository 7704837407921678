"""Records on standard output, one JSON object a line, for what collects the output of processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from kmipkit.terminal import printable_json


@dataclass(slots=True)
class OutputTransport:
    """Writes lines with a function that flushes and may block, in a thread of its own."""

    write: Callable[[str], object]
    _thread: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    async def send(self, lines: Sequence[bytes]) -> None:
        """Write lines; see :class:`.sink.Transport`."""
        text = printable_json(b"".join(lines).decode())
        # Who reads the output may stop to do so. Then the thread is abandoned when the server stops.
        await trio.to_thread.run_sync(
            self.write, text, limiter=self._thread, abandon_on_cancel=True
        )

    async def close(self) -> None:
        """Nothing is open."""
