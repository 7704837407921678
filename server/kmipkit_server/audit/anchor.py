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


def of_node(setting: str, node: str) -> str:
    """The name of a setting of a server in a file, when its store moves to a database of nodes."""
    log, separator, number = _parts(setting)
    if log is None:
        return setting
    return f"{_OTHER}{node}/{log}".rstrip("/") + separator + number


def without_node(setting: str, node: str) -> str | None:
    """The other way round; None if it is about the log of another node, which is not here."""
    log, separator, number = _parts(setting)
    if log is None:
        return setting
    if log != node and not log.startswith(f"{node}/"):
        return None
    name = log[len(node) :].removeprefix("/")
    return (f"{_OTHER}{name}" if name else _ANCHOR) + separator + number


def _parts(setting: str) -> tuple[str | None, str, str]:
    """The log of a setting, None for what is not about one; and for records of changes, their number."""
    name, separator, number = setting.partition(" outbox ")
    if name == _ANCHOR:
        return "", separator, number
    if name.startswith(_OTHER):
        return name.removeprefix(_OTHER), separator, number
    return None, "", ""


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
