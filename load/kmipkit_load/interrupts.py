"""Ctrl-C and SIGTERM: they end what a run does at the moment, and never lose what is to be cleaned up.

An exception at any place could: between the last response and the list of what was created. So a signal
raises KeyboardInterrupt only where somebody has said that it may; otherwise it waits until it is taken.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

ENDING = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a run: what ends jobs elsewhere must not leave objects on the server."""


class Interrupts:
    """The signals of this process, while it is a context; they come to the main thread."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._pending = 0
        self._raises = False

    def __enter__(self) -> Self:
        for number in ENDING:
            # A script that has started us in the background has Ctrl-C ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._come)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _come(self, _number: int, _frame: FrameType | None) -> None:
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
        self._pending += 1

    def take(self) -> bool:
        """Whether a signal has come that nobody has taken."""
        if not self._pending:
            return False
        self._pending -= 1
        return True

    @contextmanager
    def raising(self) -> Iterator[None]:
        """A signal that has come, or comes meanwhile, raises KeyboardInterrupt."""
        self._raises = True
        try:
            if self.take():
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False


@contextmanager
def blocked() -> Iterator[None]:
    """The signals wait meanwhile. Processes that start in it never get them: Ctrl-C on a terminal goes
    to all processes of a run, and the first one decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
