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

    def next(self) -> trio.Event:
        """What is set by the next change: get it before looking, so that no change is missed."""
        return self._event
