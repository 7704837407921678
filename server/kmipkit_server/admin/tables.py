"""Answers for people: tables that fit the terminal, and for scripts: JSON, one object a line."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kmipkit.terminal import echo, printable, printable_json, write_escaped

ELLIPSIS = "…"
MIN_WIDTH = 8
"""To how many characters a column is cut, at least."""
WHOLE = frozenset({"ID"})
"""Columns that are never cut: what is in them is to be copied."""


def print_json(values: Iterable[Any]) -> None:
    """Each value as JSON on a line."""
    for value in values:
        write_escaped(printable_json(json.dumps(value, ensure_ascii=False)) + "\n")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under a header, in columns; the widest are cut if the terminal is not wide enough.

    Whatever is not a terminal gets all of the text.
    """
    escaped = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]
    is_whole = [name in WHOLE for name in header]
    widths = fitting(widths, terminal_width(), is_whole)
    for row in escaped:
        cells = (_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True))
        echo("  ".join(cells).rstrip())


def print_fields(fields: Mapping[str, str]) -> None:
    """Names and values, one a line; empty ones are left out."""
    shown = {name: value for name, value in fields.items() if value}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        echo(f"{name.ljust(width)}  {value}")


def terminal_width() -> int | None:
    """The width of the terminal; None if the output is not one."""
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitting(widths: Sequence[int], total: int | None, is_whole: Sequence[bool]) -> list[int]:
    """The widths of columns that fit, of which the widest are cut, but none that stays whole."""
    fitted = list(widths)
    excess = 0 if total is None else sum(fitted) + 2 * (len(fitted) - 1) - total
    while excess > 0:
        width, number = max((0 if is_whole[n] else each, n) for n, each in enumerate(fitted))
        if width <= MIN_WIDTH:
            break
        fitted[number] -= 1
        excess -= 1
    return fitted


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + ELLIPSIS


def moment(text: str | None) -> str:
    """A time of an answer, without its zone, which is UTC."""
    return "" if text is None else text.replace("T", " ").partition(".")[0].removesuffix("Z")[:19]


def size(count: int) -> str:
    """A number of bytes with a unit."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
