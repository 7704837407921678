"""Captures: what went between clients and a server, one JSON object in each line.

The first line says what the file is: ``{"kmipkit_capture": 1, "time": ..., "target": ..., "secrets":
"redacted"}``; ``secrets`` is ``kept`` if the messages are as they were. Each further line has the number
of its ``connection``, its ``time``, and either a ``message`` or a ``note``.

A message has ``from`` (``client`` or ``server``), its protocol ``version``, and itself in hexadecimal
TTLV, so that everything that reads TTLV can read it. ``redacted`` counts the values in it that were
replaced by others of the same form: equal secrets by equal ones, so that it still shows which key came
back. A note says what cannot be said by a message.

A file that was not finished is a capture as well: a last line without its end is left out.
"""

import json
from binascii import unhexlify
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kmipkit.errors import Cause, RemoteProtocolError

FORMAT = 1
MARK = "kmipkit_capture"
_STARTS = (f'{{"{MARK}"'.encode(), b'{"connection"')

CLIENT, SERVER = "client", "server"
"""Who sent a message."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The first line of a capture."""

    time: str
    target: str
    keeps_secrets: bool = False

    def line(self) -> str:
        """The line of the file, without its end."""
        secrets = "kept" if self.keeps_secrets else "redacted"
        return json.dumps(
            {MARK: FORMAT, "time": self.time, "target": self.target, "secrets": secrets}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message or a note."""

    connection: int
    """Connections count from 1, in the order in which they were opened."""
    time: str
    """UTC, as in ISO 8601."""
    sender: str = ""
    """``client`` or ``server``; empty for a note."""
    version: str = ""
    redacted: int = 0
    """How many values are not those that were sent."""
    message: bytes = b""
    """A message in TTLV; empty for a note."""
    note: str = ""

    def __repr__(self) -> str:
        # A message may have secrets, if they were kept.
        what = f"{len(self.message)} bytes from the {self.sender}" if self.message else self.note
        return f"Entry({self.connection}, {self.time}, {what!r})"

    def line(self) -> str:
        """The line of the file, without its end."""
        fields: dict[str, Any] = {"connection": self.connection, "time": self.time}
        if self.message:
            fields |= {"from": self.sender, "version": self.version, "redacted": self.redacted}
            fields["message"] = self.message.hex()
        else:
            fields["note"] = self.note
        return json.dumps(fields)


def is_capture(data: bytes) -> bool:
    """Whether a file is a capture, or some lines of one."""
    return data.startswith(_STARTS)


def read(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a capture, without its heading. RemoteProtocolError names a line that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            entry = None if MARK in fields else _entry(fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if not line.endswith(b"\n"):
                return  # the proxy was killed while it wrote this line
            message = f"line {number} is not a line of a capture"
            raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX) from None
        if entry is None:
            _require_format(fields[MARK])
        else:
            yield entry


def _require_format(number: object) -> None:
    if number != FORMAT:
        message = f"the capture has the format {number!r}; this version reads {FORMAT}"
        raise RemoteProtocolError(message, cause=Cause.BAD_SYNTAX)


def _entry(fields: dict[str, Any]) -> Entry:
    connection, time = int(fields["connection"]), str(fields["time"])
    if "message" not in fields:
        return Entry(connection=connection, time=time, note=str(fields["note"]))
    sender = fields["from"]
    if sender not in (CLIENT, SERVER):
        raise ValueError(sender)
    return Entry(
        connection=connection,
        time=time,
        sender=sender,
        version=str(fields["version"]),
        redacted=int(fields["redacted"]),
        message=unhexlify(fields["message"]),
    )
