"""The idle connections of a pool."""

import os
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from kmipkit_client.deadline import Clock

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a connection belongs to: it is not used again when one of these has changed."""

    context: ssl.SSLContext
    """The TLS settings, which change with the certificate files."""
    generation: int
    """How many times the pool was closed before."""
    process: int
    """A forked process must not use the connections of its parent: both would write to them."""


class Idle(Generic[C]):
    """Idle connections, the last used first, so that those which are not needed become old.

    Threads may share it: all changes are single steps of a deque.
    """

    def __init__(self, max_idle: float, clock: Clock) -> None:
        """``max_idle``: seconds after which a connection is not used again."""
        self._max_idle = max_idle
        self._clock = clock
        self._entries: deque[tuple[C, Origin, float]] = deque()
        self._generation = 0

    def origin(self, context: ssl.SSLContext) -> Origin:
        """The origin of a connection that is opened now."""
        return Origin(context, self._generation, os.getpid())

    def put(self, connection: C, origin: Origin) -> None:
        """Add a connection."""
        self._entries.append((connection, origin, self._clock()))

    def take(self, context: ssl.SSLContext) -> tuple[C, Origin, bool] | None:
        """Remove a connection; with its origin, and whether it can be used. None if there is none."""
        try:
            connection, origin, since = self._entries.pop()
        except IndexError:
            return None
        is_recent = self._clock() - since < self._max_idle
        return connection, origin, is_recent and origin == self.origin(context)

    def is_current(self, origin: Origin) -> bool:
        """Whether the pool was not closed since then."""
        return origin.generation == self._generation

    def drain(self) -> list[C]:
        """Remove all; no connection that was opened before is used again, even if it is in use now."""
        self._generation += 1
        drained = []
        with suppress(IndexError):
            while True:
                drained.append(self._entries.pop()[0])
        return drained
