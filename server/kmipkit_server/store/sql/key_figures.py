"""The keys of a database, in numbers: for administrators."""

from collections.abc import Mapping
from typing import Protocol

from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.key_rotation import KeyFigures, RootKeyFigures, Rotation, rotation_of
from kmipkit_server.store.root_keys import verified_entries
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Connection

_ALL = (1 << 63) - 1
"""A number that no data key exceeds."""


class _View(Protocol):
    sql: Connection
    integrity: Integrity
    name: str

    def setting(self, name: str) -> bytes | None: ...


def key_figures(view: _View) -> KeyFigures:
    """See :class:`.key_rotation.KeyFigures`. StoreError if an entry was changed by another program."""
    sql = view.sql
    counts = key_tables.data_keys_by_root_key(sql)
    entries = verified_entries(key_tables.root_key_rows(sql), view.integrity, view.name)
    rotation = rotation_of(view)
    return KeyFigures(
        tuple(
            RootKeyFigures(number, entry, counts.get(number, 0))
            for number, entry in entries.items()
        ),
        sum(counts.values()),
        key_tables.sealed_things(sql, _ALL),
        rotation,
        0 if rotation is None else _remaining(sql, rotation, counts),
    )


def _remaining(sql: Connection, rotation: Rotation, counts: Mapping[int, int]) -> int:
    if rotation.kind == "data":
        return key_tables.sealed_things(sql, rotation.target)
    return sum(count for number, count in counts.items() if number != rotation.target)
