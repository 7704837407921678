"""How far a run is, on the last line of a terminal."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kmipkit.reports import Outcome
from kmipkit.terminal import StatusLine
from kmipkit_conformance.player import Verdict

_WIDTH = 20


def bar(played: int, total: int, failed: int, seconds: float) -> str:
    """The line after so many seconds: a bar, the counts, and the time that the rest will take."""
    filled = _WIDTH * played // total if total else _WIDTH
    text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {played} of {total} cases, {failed} failed"
    if not 0 < played < total:
        return text
    minutes, rest = divmod(round(seconds / played * (total - played)), 60)
    return f"{text}, about {minutes}:{rest:02} left"


class Progress:
    """Prints verdicts above a line with the progress; without a terminal, the verdicts only."""

    def __init__(
        self,
        total: int,
        tell: Callable[[Verdict], None],
        line: StatusLine,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._tell = tell
        self._line = line
        self._now = now
        self._started = now()
        self._played = self._failed = 0

    def __call__(self, verdict: Verdict) -> None:
        """Print a verdict."""
        self._played += 1
        self._failed += verdict.outcome is Outcome.FAILED
        self._line.clear()
        self._tell(verdict)
        self._show()

    def _show(self) -> None:
        seconds = self._now() - self._started
        self._line.show(bar(self._played, self._total, self._failed, seconds))

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._line.clear()
