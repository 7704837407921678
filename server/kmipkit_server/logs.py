"""The log: one line per event on standard error, whatever characters the names of clients have.

Times are in UTC. As text, a line is for people; as JSON, it is one object for a collector.
"""

import json
import logging
import os
import stat
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from kmipkit.terminal import printable, printable_json

LOGGER = "kmipkit"


class OneLine(logging.Formatter):
    """Escapes control characters, so that no name in a certificate can forge a log line."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f"worker {worker}: "
        super().__init__(f"%(asctime)s %(levelname)s {who}%(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's name
        """The time in UTC, as in ISO 8601 and RFC 3339."""
        return _time(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without its traceback."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback, indented: the text of an exception may contain lines of a client."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


class JSONLine(logging.Formatter):
    """One object for each event, a traceback included."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line without control characters."""
        value = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._worker,
            "message": record.getMessage(),
        }
        if record.exc_info:
            value["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(value, ensure_ascii=False))


def configure(
    level: str, stream: TextIO | None = None, *, form: str = "auto", worker: int | None = None
) -> None:
    """Send the log of the server to ``stream``, standard error by default.

    ``form`` is ``text``, ``json`` or ``auto``; see :func:`is_for_collector`. Each line has the number of
    the worker, if it is of one of several.
    """
    output = stream or sys.stderr
    handler = logging.StreamHandler(output)
    is_json = form == "json" or (form == "auto" and is_for_collector(output))
    handler.setFormatter(JSONLine(worker) if is_json else OneLine(worker))
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)


def set_level(level: str) -> None:
    """Change the level while the server runs."""
    logging.getLogger(LOGGER).setLevel(level)


def is_for_collector(stream: TextIO) -> bool:
    """Whether another program reads the log: then it is JSON.

    People read terminals and files. The journal of systemd is a socket, too, but shows text.
    """
    if "JOURNAL_STREAM" in os.environ:
        return False
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # not a file of the operating system
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
