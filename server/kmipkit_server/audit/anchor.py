"""What the store knows of the log: a checkpoint that is on the disk, and records of late changes.

These are settings, which have MACs; so an end of the log that was cut off can be told from one that was
never written.
"""

import msgspec

from kmipkit_server.audit.records import decode
from kmipkit_server.store.base import Reader

ANCHOR = "audit"
"""The setting with the checkpoint."""

PREFIX = "audit outbox "
"""The names of the settings with records of changes begin so."""


class Anchor(msgspec.Struct, frozen=True):
    """What the store knows of the log."""

    chain: str
    """Identifies the log."""
    number: int
    """The number of a checkpoint that is on the disk."""
    hash: str


def read_anchor(reader: Reader) -> Anchor | None:
    """The last known checkpoint; None before the first one. Damaged if another program changed it."""
    data = reader.setting(ANCHOR)
    return None if data is None else msgspec.json.decode(data, type=Anchor)


def known_hashes(reader: Reader) -> dict[int, str]:
    """The hashes of the records that the log must have, by number."""
    anchor = read_anchor(reader)
    hashes = {} if anchor is None else {anchor.number: anchor.hash}
    for data in reader.settings(PREFIX).values():
        entries = map(decode, data.splitlines())
        hashes |= {entry.n: entry.hash for entry in entries}
    return hashes
