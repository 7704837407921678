"""A queue between the log and something slow, so that no request waits for it.

A sink never has more than :data:`CAPACITY` records in memory. If its transport is slower than the
records come, or fails, the sink drops what does not fit, and counts it. Nothing is lost from the log.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

log = logging.getLogger("kmipkit.server")

CAPACITY = 10_000
"""Records that wait, at most."""

BATCH = 100
"""Records that are handed over at once, at most."""

SEND_TIMEOUT = 30.0
"""Seconds for a transport to accept a batch."""

MIN_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds until the next attempt; the pause doubles with each failure."""

FAILURES = (OSError, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)
"""How transports fail; ssl.SSLError is an OSError."""


class Transport(Protocol):
    """Takes lines of the log to another place."""

    async def send(self, lines: Sequence[bytes]) -> None:
        """Hand over lines. One of :data:`FAILURES` if that is not possible at the moment."""

    async def close(self) -> None:
        """Release what it has open, such as after a failure."""


class Sink:
    """Records on their way to one transport."""

    def __init__(self, name: str, transport: Transport, capacity: int = CAPACITY) -> None:
        """``name`` is for the log and for records about losses."""
        self.name = name
        self.lost = 0
        """Records that were dropped, and not reported yet."""
        self._transport = transport
        self._capacity = capacity
        self._queue: deque[bytes] = deque()
        self._new = trio.Event()
        self._empty = trio.Event()
        self._is_failing = False

    def put(self, lines: Sequence[bytes]) -> None:
        """Queue lines, or drop them if there is no room."""
        room = self._capacity - len(self._queue)
        if room < len(lines):
            if not self.lost:
                log.warning("audit sink %s is too slow: it misses records", self.name)
            self.lost += len(lines) - max(0, room)
            lines = lines[: max(0, room)]
        self._queue.extend(lines)
        self._new.set()

    async def run(self, report_losses: Callable[[str, int], None]) -> None:
        """Send what comes until cancelled; losses are reported once records get through again."""
        pause = MIN_PAUSE
        try:
            while True:
                if not self._queue:
                    self._empty.set()
                    self._empty = trio.Event()
                    await self._new.wait()
                    self._new = trio.Event()
                    continue
                batch = [self._queue[index] for index in range(min(BATCH, len(self._queue)))]
                if await self._send(batch, pause):
                    pause = MIN_PAUSE
                    for _ in batch:
                        self._queue.popleft()
                    if self.lost and len(self._queue) < self._capacity // 2:
                        lost, self.lost = self.lost, 0
                        log.warning("audit sink %s has missed %d records", self.name, lost)
                        report_losses(self.name, lost)
                else:
                    await trio.sleep(pause)
                    pause = min(2 * pause, MAX_PAUSE)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._transport.close()

    async def drained(self) -> None:
        """Wait until nothing waits any longer."""
        while self._queue:
            await self._empty.wait()

    async def _send(self, batch: Sequence[bytes], pause: float) -> bool:
        try:
            with trio.fail_after(SEND_TIMEOUT):
                await self._transport.send(batch)
        except FAILURES as error:
            if not self._is_failing:
                reason = str(error) or type(error).__name__
                log.warning(
                    "audit sink %s does not accept records: %s; next attempt in %g s",
                    self.name, reason, pause,
                )  # fmt: skip
            self._is_failing = True
            await self._transport.close()
            return False
        if self._is_failing:
            log.info("audit sink %s accepts records again", self.name)
        self._is_failing = False
        return True
