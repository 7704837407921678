"""Tells those who wait for updates that something has changed."""

import trio


class Changes:
    """A bell: whoever waits looks again at what it is about, whatever rang."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def notify(self) -> None:
        """Something changed: a task, a view, an event."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self, at_most: float) -> None:
        """Until the next change; after so many seconds in any case."""
        event = self._event
        with trio.move_on_after(at_most):
            await event.wait()
