"""What the store knows of the log: a checkpoint that is on the disk, and records of late changes.

These are settings, which have MACs; so an end of the log that was cut off can be told from one that was
never written.
"""

import msgspec

from kmipkit_server.audit.records import decode
from kmipkit_server.store.base import Reader

_ANCHOR = "audit"
_OUTBOX = "audit outbox "
_OTHER = "audit of "


def anchor_name(log: str) -> str:
    """The name of the setting with the checkpoint of a log, by its key in the store."""
    return f"{_OTHER}{log}" if log else _ANCHOR


def outbox_prefix(log: str) -> str:
    """How the names of the settings with records of changes begin."""
    return f"{_OTHER}{log} outbox " if log else _OUTBOX


class Anchor(msgspec.Struct, frozen=True):
    """What the store knows of the log."""

    chain: str
    """Identifies the log."""
    number: int
    """The number of a checkpoint that is on the disk."""
    hash: str


def known_logs(reader: Reader, node: str = "") -> list[str]:
    """The names of the logs of a server of which the store may know a checkpoint."""
    keys = [name.removeprefix(_OTHER) for name in reader.settings(_OTHER) if " outbox " not in name]
    if not node:
        return ["", *(key for key in keys if "/" not in key)]
    own = (key for key in keys if key == node or key.startswith(f"{node}/"))
    return [key[len(node) :].removeprefix("/") for key in own]


def read_anchor(reader: Reader, log: str = "") -> Anchor | None:
    """The last known checkpoint; None before the first one. Damaged if another program changed it."""
    data = reader.setting(anchor_name(log))
    return None if data is None else msgspec.json.decode(data, type=Anchor)


def known_hashes(reader: Reader, log: str = "") -> dict[int, str]:
    """The hashes of the records that a log must have, by number."""
    anchor = read_anchor(reader, log)
    hashes = {} if anchor is None else {anchor.number: anchor.hash}
    for data in reader.settings(outbox_prefix(log)).values():
        entries = map(decode, data.splitlines())
        hashes |= {entry.n: entry.hash for entry in entries}
    return hashes
