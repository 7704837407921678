"""The log: one line per event on standard error, whatever characters the names of clients have."""

import logging
import sys
from typing import Any, TextIO

from kmipkit.terminal import printable


class OneLine(logging.Formatter):
    """Escapes control characters, so that no name in a certificate can forge a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without its traceback."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback, indented: the text of an exception may contain lines of a client."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send the log of the server to ``stream``, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("kmipkit")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)
