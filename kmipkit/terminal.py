"""Text of others on a terminal: control characters are shown as escapes, never sent.

Names, messages and certificates of peers may contain whatever a terminal acts upon: escape sequences
that clear the screen or change the title, characters that reverse the direction of the text, or line
ends that forge a further line of output. Every command prints through these functions, and the logs use
:func:`printable`; a test holds that.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import click

# What str.isprintable() refuses: C0, DEL and C1, bidirectional and other format characters, line and
# paragraph separators, spaces but the ordinary one, surrogates, and characters that do not exist.


def printable(text: str) -> str:
    """The text on one line, with escapes as in Python literals."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, which are all ours."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """JSON with the same meaning: escapes are permitted in its strings, and only they need them."""
    return _UNUSUAL.sub(_json_escape, text)


def printable_xml(text: str) -> str:
    """XML with the same meaning: only the values of attributes have unusual characters."""
    return _UNUSUAL.sub(_xml_escape, text)


class OutputFailed(Exception):
    """What a command prints cannot be written, for example because a disk is full."""

    def __init__(self, reason: str, *, err: bool) -> None:
        super().__init__(f"cannot write to standard {'error' if err else 'output'}: {reason}")
        self.err = err


@contextmanager
def _written(*, err: bool) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # its reader has enough, which is no failure
        raise
    except OSError as error:
        raise OutputFailed(error.strerror or str(error), err=err) from None


def _print(text: str | bytes, *, err: bool = False, nl: bool = True) -> None:
    with _written(err=err):
        click.echo(text, nl=nl, err=err)


def echo(text: str, *, err: bool = False) -> None:
    """Print one line."""
    _print(printable(text), err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print several lines, which are all ours: line ends in values of others must be escaped before."""
    _print(printable_lines(text), err=err)


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    import json  # most commands need none, and --help is to be fast

    _print(printable_json(json.dumps(value, indent=2, ensure_ascii=False)))


def echo_json_line(value: Any) -> None:
    """Print a value as JSON on one line, for programs that read line by line."""
    import json

    _print(printable_json(json.dumps(value, ensure_ascii=False)))


def write_escaped(text: str, *, err: bool = False) -> None:
    """Write text in which all is escaped already, without a further line end."""
    _print(text.encode(), nl=False, err=err)


def write_data(data: bytes) -> None:
    """Write data to standard output as they are: the user has asked for them, usually for a file."""
    with _written(err=False):
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def flush() -> None:
    """Write what is still in the memory of this process."""
    with _written(err=False):
        sys.stdout.flush()


def progress_bar(label: str, length: int) -> AbstractContextManager[Any]:
    """A bar on standard error; its method ``update`` moves it."""
    return click.progressbar(length=length, label=label, file=sys.stderr)


class StatusLine:
    """A line on standard error that is written over and over; nothing if that is not a terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Replace the line, cut to the width of the terminal."""
        if self._is_shown:
            width = shutil.get_terminal_size().columns - 1
            write_escaped(f"\r\x1b[K{printable(text)[:width]}", err=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            write_escaped("\r\x1b[K", err=True)


_UNUSUAL = re.compile(r"[^\n\x20-\x7e]")


def _json_escape(match: re.Match[str]) -> str:
    char = match.group()
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _xml_escape(match: re.Match[str]) -> str:
    char = match.group()
    return char if char.isprintable() else f"&#x{ord(char):X};"
