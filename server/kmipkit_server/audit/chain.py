"""The chain of records: each has a hash that depends on all records before it.

A line of the log is a record as JSON, with the hash of the record as its last field:
``{"n":7,…,"hash":"<64 hexadecimal digits>"}``. The hash is SHA-256 over the 32 bytes of the hash before
it and the bytes of the record without this field, ``{"n":7,…}``. So it can be computed with any tool.
"""

import re
from binascii import hexlify
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from kmipkit_server.audit.records import Record, encode

_LINE = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}')


class Position(NamedTuple):
    """A place in a chain: the number of a record and its hash."""

    number: int
    digest: bytes


BEGINNING = Position(0, bytes(32))
"""The place before the first record."""


class Link(NamedTuple):
    """A line, taken apart."""

    body: bytes
    """The record without its hash."""
    digest: bytes
    """The hash that the line has."""

    def follows(self, digest: bytes) -> bool:
        """Whether the hash is right after a record with this one."""
        return sha256(digest + self.body).digest() == self.digest


def parse(line: bytes) -> Link | None:
    """The parts of a line without its end; None if it is not one of a log."""
    match = _LINE.fullmatch(line)
    return None if match is None else Link(match[1] + b"}", bytes.fromhex(match[2].decode()))


def extend(
    position: Position, records: Sequence[Record], log: str = ""
) -> tuple[Position, list[bytes]]:
    """The lines for new records, which get their numbers and the log, and the position after them."""
    number, digest = position
    lines = []
    for record in records:
        number += 1
        record.n, record.log = number, log
        line, digest = link(digest, encode(record))
        lines.append(line)
    return Position(number, digest), lines


def link(digest: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The line of a record after one with this hash, and its own hash."""
    new = sha256(digest + body).digest()
    return b'%b,"hash":"%b"}\n' % (body[:-1], hexlify(new)), new
