"""The log of a role: one line per event on standard error, whatever characters others have sent."""

import logging
import sys
from typing import Any, TextIO

from kmipkit.terminal import printable


class OneLine(logging.Formatter):
    """Escapes control characters, so that no name of a machine or certificate can forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without its traceback."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback, indented: the text of an exception may contain lines of others."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


def log_to_stderr(stream: TextIO | None = None) -> None:
    """Write the log to standard error, unless the root logger has a handler already."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
