"""Sets of attributes that many objects share, stored and indexed once for all of them.

Objects with the same set are alike in all attributes of :data:`kmipkit_server.store.index.SHARED`.
Otherwise each new object would write two thirds of its attributes and of its index rows for values
that the last thousand objects had, too. The schema calls a set a "kind".
"""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit_server.store import index, packing

_REMEMBERED = 1024
"""Sets that are known without asking the database."""


def own_part(attributes: Attributes) -> Attributes:
    """The attributes that an object does not share."""
    return Attributes(
        tuple([attribute for attribute in attributes if attribute.key not in index.SHARED])
    )


class AttributeSets:
    """The sets of a database, for the connection that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[tuple[AttributeKey, Any, int | None], ...], int] = {}

    def split(self, attributes: Attributes) -> tuple[int, Attributes]:
        """The number of the set that an object shares, and the attributes that it does not share.

        A set that no object has yet is added.
        """
        shared = [attribute for attribute in attributes if attribute.key in index.SHARED]
        key = tuple([(item.key, item.value, item.index) for item in shared])
        number = self._known.get(key)
        if number is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            number = self._known[key] = self._find_or_add(shared)
        return number, own_part(attributes)

    def release(self, number: int) -> None:
        """Delete a set that an object no longer has, if no other object has it."""
        sql = "SELECT 1 FROM objects WHERE kind = ? LIMIT 1"
        if self._connection.execute(sql, (number,)).fetchone() is None:
            self._connection.execute("DELETE FROM kinds WHERE number = ?", (number,))
            self.forget()

    def forget(self) -> None:
        """Ask the database again: what was added or deleted may have been rolled back."""
        self._known.clear()

    def _find_or_add(self, shared: Sequence[Attribute]) -> int:
        ordered = sorted(shared, key=lambda item: (index.name_of(item.key), item.index or 0))
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
