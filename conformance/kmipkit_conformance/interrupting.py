"""Ctrl-C ends the cases, and not the reports of them.

The first one ends what is played. A second one ends the removal of objects, which may take long with a
server that is silent. Any other is ignored, since all that is left is to write the reports. A CI that
cancels a job sends SIGTERM, which has the same effect.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Decides which signals raise KeyboardInterrupt. Outside of the main thread, it changes nothing."""

    def __init__(self) -> None:
        self._is_over = self._is_cleaning = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former = {each: signal.signal(each, self._handle) for each in SIGNALS}
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """What a further signal ends, without an exception."""
        self._is_over = True
        with suppress(KeyboardInterrupt):
            self._is_cleaning = True
            try:
                yield
            finally:
                self._is_cleaning = False

    def hold(self) -> None:
        """Ignore signals from now on."""
        self._is_over = True

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_over and not self._is_cleaning:
            return
        self._is_over, self._is_cleaning = True, False
        raise KeyboardInterrupt
