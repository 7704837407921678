"""The progress line: on a terminal only, one line, whatever it shows."""

import io
import sys

import pytest
from kmipkit_load import mixes
from kmipkit_load.encoding import Encoding
from kmipkit_load.fleet import Status
from kmipkit_load.histogram import Histogram
from kmipkit_load.runner import progress_line
from kmipkit_load.settings import Settings
from kmipkit_load.target import Target

from kmipkit.spec.versions import V1_4
from kmipkit.terminal import StatusLine

SETTINGS = Settings(
    "0123abcd", Target("kms", 5696), mixes.find("get"), V1_4, Encoding(), duration=60.0, warm_up=1.0
)


class Screen(io.TextIOWrapper):
    """An error stream that is a terminal, or is not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(monkeypatch: pytest.MonkeyPatch, text: str, *, is_terminal: bool) -> str:
    screen = Screen(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "30")
    line = StatusLine()
    line.show(text)
    line.clear()
    screen.seek(0)
    return screen.read()


def test_the_line_replaces_itself_and_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, f"a\x1b[2J{'x' * 100}", is_terminal=True)
    assert output == f"\r\x1b[Ka\\x1b[2J{'x' * 21}\r\x1b[K"


def test_files_have_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, "half done", is_terminal=False) == ""


def test_what_the_line_says() -> None:
    recent = Histogram()
    recent.record(2_000_000)
    assert progress_line(SETTINGS, Status()) == "opening connections"
    assert progress_line(SETTINGS, Status(0.5)) == "warm-up"
    assert progress_line(SETTINGS, Status(11.0, 5000, 3, recent)) == (
        "10 of 60 s  5,003 requests  500/s  p50 2.00 ms  p99 2.00 ms  3 failed"
    )
