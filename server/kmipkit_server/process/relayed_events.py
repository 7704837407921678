"""What happens to the connections of a worker, which the supervisor writes down."""

from collections import deque

import trio

from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.process.channel import Channel
from kmipkit_server.process.messages import Happened

SECONDS_FOR_EVENTS = 1.0
"""How long a connection waits until the supervisor has written down what has happened to it."""


class RelayedEvents(ConnectionEvents):
    """Tells the supervisor, so that there is one line for many alike, whichever workers they were at."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._told: deque[trio.Event] = deque()
        """One for each event that the supervisor has not written down yet, in their order."""

    def write(self, level: int, address: str, port: int, kind: str, text: str) -> None:
        """Tell the supervisor."""
        if self.is_wanted(level, kind):
            self._told.append(trio.Event())
            self._channel.send(Happened(level, address, port, kind, text))

    def noted(self) -> None:
        """Note that the supervisor has written the next one down."""
        self._told.popleft().set()

    async def settled(self) -> None:
        """See :class:`.ConnectionEvents`: the line is in the log, and the record in the audit."""
        if self._told:
            with trio.move_on_after(SECONDS_FOR_EVENTS):
                await self._told[-1].wait()
