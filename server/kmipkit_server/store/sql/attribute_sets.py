"""Sets of attributes that many objects share, stored and indexed once for all of them.

Objects with the same set have the same values of all attributes of
:data:`kmipkit_server.store.index.SHARED`. Without sets, two thirds of the attributes and index rows
of each new object would repeat those of the last thousand objects. The schema calls a set a "kind".
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.spec.tags import Tag
from kmipkit_server.store import index, packing
from kmipkit_server.store.sql.connection import Connection

_MAX_CACHED = 1024
"""Sets whose numbers are cached."""
_MAX_LATEST = 64
"""Sets that are found by the identities of their attributes."""


def own_part(attributes: Attributes) -> Attributes:
    """The attributes that an object does not share."""
    return Attributes(
        tuple([attribute for attribute in attributes.items if attribute.key not in index.SHARED])
    )


class AttributeSet(NamedTuple):
    """A stored set."""

    number: int
    packed: bytes
    """Its attributes in their stored form."""
    may_rotate: bool
    """Whether it has Rotate Automatic."""


_NO_SET: tuple[tuple[Attribute, ...] | None, AttributeSet] = (None, AttributeSet(0, b"", False))


class AttributeSets:
    """The sets of a database, for the connection that writes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sets: dict[tuple[tuple[AttributeKey, Any, int | None], ...], AttributeSet] = {}
        self._latest: dict[tuple[int, ...], tuple[tuple[Attribute, ...], AttributeSet]] = {}
        """The same by the identities of the attributes."""
        self._last = _NO_SET
        """The attributes that were looked for last, and their set."""

    def connect(self, connection: Connection) -> None:
        """Go on with another connection."""
        self._connection = connection
        self.clear_cache()

    def split(self, attributes: Attributes) -> tuple[AttributeSet, Attributes]:
        """The set that an object shares, and the attributes that it does not share.

        A new set is added to the database.
        """
        shared: list[Attribute] = []
        own: list[Attribute] = []
        is_shared = index.SHARED.__contains__
        for each in attributes.items:
            (shared if is_shared(each.key) else own).append(each)
        return self.set_of(tuple(shared)), Attributes(tuple(own))

    def set_of(self, shared: tuple[Attribute, ...]) -> AttributeSet:
        """The set with these attributes, which is added to the database if it is new."""
        # Most new objects have the same attributes in memory as the last ones, which is soon seen.
        if shared is self._last[0]:
            return self._last[1]
        self._last = shared, self._known_set(shared)
        return self._last[1]

    def _known_set(self, shared: tuple[Attribute, ...]) -> AttributeSet:
        identity = tuple(map(id, shared))
        same = self._latest.get(identity)
        if same is not None:
            return same[1]
        key = tuple([(attribute.key, attribute.value, attribute.index) for attribute in shared])
        attribute_set = self._sets.get(key)
        if attribute_set is None:
            if len(self._sets) >= _MAX_CACHED:
                self._sets.clear()
            attribute_set = self._sets[key] = self._find_or_add(shared)
        if len(self._latest) >= _MAX_LATEST:
            self._latest.clear()
        # The attributes are kept here, so that nothing else gets their identities.
        self._latest[identity] = shared, attribute_set
        return attribute_set

    def release(self, number: int) -> None:
        """Delete a set that an object had, unless another object has it as well."""
        sql = "SELECT 1 FROM objects WHERE kind = ? LIMIT 1"
        if self._connection.one(sql, (number,)) is None:
            self._connection.run("DELETE FROM kinds WHERE number = ?", (number,))
            self.clear_cache()

    def clear_cache(self) -> None:
        """Read the database again: sets may have been deleted, or added and rolled back."""
        self._sets.clear()
        self._latest.clear()
        self._last = _NO_SET

    def _find_or_add(self, shared: Sequence[Attribute]) -> AttributeSet:
        # Sorted, so that the order in which a client sends attributes makes no further sets.
        ordered = sorted(shared, key=lambda each: (index.name_of(each.key), each.index or 0))
        packed = packing.pack(Attributes(tuple(ordered)))
        may_rotate = any(each.key is Tag.ROTATE_AUTOMATIC for each in shared)
        digest = sha256(packed).digest()
        row = self._connection.one(
            "SELECT number, attributes FROM kinds WHERE digest = ?", (digest,)
        )
        if row is not None:
            if row[1] != packed:
                # The set was changed in the database. Its objects are refused as damaged; with the
                # attributes of its digest they, and the new object, are not.
                self._connection.run(
                    "UPDATE kinds SET attributes = ? WHERE number = ?", (packed, row[0])
                )
            return AttributeSet(int(row[0]), packed, may_rotate)
        number = self._connection.insert(
            "INSERT INTO kinds (digest, attributes) VALUES (?, ?)", "number", (digest, packed)
        )
        self._connection.insert_rows(
            "kind_index",
            ("attribute", "field", "value", "instance", "kind"),
            [(*row, number) for row in index.rows(shared)],
        )
        return AttributeSet(number, packed, may_rotate)
