"""Kinds: sets of attributes that many objects share, kept and indexed once for all of them.

Objects of one kind are alike in all attributes of :data:`kmipkit_server.store.index.OF_KIND`. Without
kinds each new object would write two thirds of its attributes and of its index rows for values that
the last thousand objects had, too.
"""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit_server.store import index, packing

_REMEMBERED = 1024
"""Kinds that are known without asking the database."""


def own_part(attributes: Attributes) -> Attributes:
    """The attributes of an object that are not of its kind."""
    return Attributes(tuple([one for one in attributes if one.key not in index.OF_KIND]))


class Kinds:
    """The kinds of a database, for the connection that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[tuple[AttributeKey, Any, int | None], ...], int] = {}

    def split(self, attributes: Attributes) -> tuple[int, Attributes]:
        """The kind of an object with these attributes, and those that are its own.

        Where there is no object like it yet, its kind is added.
        """
        shared = [one for one in attributes if one.key in index.OF_KIND]
        key = tuple([(one.key, one.value, one.index) for one in shared])
        number = self._known.get(key)
        if number is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            number = self._known[key] = self._find_or_add(shared)
        return number, own_part(attributes)

    def release(self, number: int) -> None:
        """Delete a kind that an object has left, if it was the last."""
        sql = "SELECT 1 FROM objects WHERE kind = ? LIMIT 1"
        if self._connection.execute(sql, (number,)).fetchone() is None:
            self._connection.execute("DELETE FROM kinds WHERE number = ?", (number,))
            self.forget()

    def forget(self) -> None:
        """Ask the database again: what was added or deleted may have been taken back."""
        self._known.clear()

    def _find_or_add(self, shared: Sequence[Attribute]) -> int:
        ordered = sorted(shared, key=lambda one: (index.name_of(one.key), one.index or 0))
        packed = packing.pack(Attributes(tuple(ordered)))
        digest = sha256(packed).digest()
        found = self._connection.execute(
            "SELECT number FROM kinds WHERE digest = ?", (digest,)
        ).fetchone()
        if found is not None:
            return int(found[0])
        number = self._connection.execute(
            "INSERT INTO kinds (digest, attributes) VALUES (?, ?)", (digest, packed)
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO kind_index (attribute, field, value, instance, kind)"
            " VALUES (?, ?, ?, ?, ?)",
            [(*row, number) for row in index.rows(shared)],
        )
        assert number is not None
        return number
