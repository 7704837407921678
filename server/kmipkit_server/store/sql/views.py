"""Reading records through a connection to the database."""

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from kmipkit.spec.tags import Tag
from kmipkit_server.store import criteria, index
from kmipkit_server.store.base import (
    DueRotation,
    Entry,
    Located,
    LocateQuery,
    Record,
    Share,
)
from kmipkit_server.store.errors import Damaged, ReadingTooLong, SearchTooLong
from kmipkit_server.store.integrity import Integrity, is_same_mac
from kmipkit_server.store.inventory import (
    Found,
    Inventory,
    InventoryPage,
    InventoryQuery,
    Total,
)
from kmipkit_server.store.key_rotation import KeyFigures
from kmipkit_server.store.owners import system_owner
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.slices import Steps
from kmipkit_server.store.sql import entries, inventory, locate, object_rows, permitted, rotations
from kmipkit_server.store.sql.connection import Connection, Dialect, Row
from kmipkit_server.store.sql.key_figures import key_figures
from kmipkit_server.store.sql.object_rows import ONE, PART, record_of
from kmipkit_server.store.sql.positions import Positions
from kmipkit_server.store.sql.search import Search, each_row
from kmipkit_server.store.sql.selects import conjunction

_NAMED = f"""
    SELECT o.id FROM attribute_index i JOIN objects o ON o.seq = i.object
    WHERE i.owner = ? AND i.attribute = '{index.LIVE_NAME}' AND i.field = {index.WHOLE}
    AND i.value = ? ORDER BY i.object DESC LIMIT 2"""  # noqa: S608 - constants of the index

MAX_CHECKED = 1000
"""Results of a Locate that are compared with its criteria, since nothing protects the index itself. A
client that wants more, checked as well, asks for them in pages."""

MAX_PERMITTED = 10_000
"""Objects that a search looks at, at most, if each of them must be permitted."""


class View(Inventory):
    """A view of the committed state, and what a transaction has in common with it."""

    def __init__(
        self,
        sql: Connection,
        dialect: Dialect,
        sealer: Sealer,
        integrity: Integrity,
        name: str,
    ) -> None:
        self.sql = sql
        self.dialect = dialect
        self.sealer = sealer
        self.integrity = integrity
        self.name = name
        self.positions = Positions()
        """Those of this view, until its database gives it those that all its views have."""
        self._owners: dict[str, int] = {}

    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier."""
        row = self.object_row(identifier)
        return None if row is None else record_of(self, row)

    def look_up(
        self, identifiers: Iterable[str], *, first: int = PART, with_material: bool = False
    ) -> Iterator[Found]:
        """The objects with these Unique Identifiers, in the same order."""
        return object_rows.look_up(self, identifiers, first=first, with_material=with_material)

    def object_row(self, identifier: str) -> Row | None:
        """The row of an object in the database, with the revision of the policies; not verified."""
        return self.sql.one(ONE, (identifier,))

    def locate(self, query: LocateQuery) -> Located:
        """The objects that meet all criteria, newest first."""
        return self.checked(query, self.search(query))

    def search(self, query: LocateQuery, *, in_place: bool = False) -> Located:
        """The objects that meet all criteria according to the index.

        ``in_place`` is for the event loop: ReadingTooLong if it takes long.
        """
        owner = self.owner_number(query.owner)
        if owner is None:
            return Located((), 0)
        try:
            with self.sql.limited(query.limit, in_place=in_place):
                located = Search(self, query, owner).located()
        except ReadingTooLong:
            if in_place or query.limit is None:
                raise
            raise SearchTooLong(
                f"the search would look at more than {query.limit} objects, which is the maximum;"
                " use criteria that fewer objects meet, such as a Name"
            ) from None
        if query.limit is not None and len(located.ids) > query.limit:
            raise SearchTooLong(
                f"more than {query.limit} objects meet the criteria, which is the maximum; use more"
                " criteria, or Maximum Items and Offset Items"
            )
        return located

    def locate_permitted(
        self, query: LocateQuery, shares: Sequence[Share], permits: Callable[[Record], bool]
    ) -> Located:
        """The objects that meet all criteria and that a function permits, newest first."""
        return self.search_permitted(query, shares, permits, MAX_PERMITTED)

    def search_permitted(
        self,
        query: LocateQuery,
        shares: Sequence[Share],
        permits: Callable[[Record], bool],
        limit: int,
        *,
        in_place: bool = False,
    ) -> Located:
        """The same; ``limit`` is how many objects may be looked at, at most.

        ``in_place`` is for the event loop: ReadingTooLong if it takes long.
        """
        try:
            with self.sql.limited(query.limit, in_place=in_place):
                # One more than the page has says whether there is another one.
                first = PART if query.maximum is None else query.offset + query.maximum + 1
                found = self.look_up(self._found(query, shares, limit + 1), first=first)
                return permitted.page(query, found, permits, limit)
        except (ReadingTooLong, permitted.TooMany):
            if in_place:
                raise ReadingTooLong from None
            raise SearchTooLong(
                f"the search would look at more than {limit} objects of this and other accounts,"
                " which is the maximum; use criteria that fewer objects meet, such as a Name"
            ) from None

    def _found(self, query: LocateQuery, shares: Sequence[Share], most: int) -> Iterator[str]:
        """The identifiers of what the index finds, in order, each once."""
        searches = [(query, (query.owner,))] + [
            (replace(query, criteria=(*query.criteria, *share.criteria)), share.owners)
            for share in shares
        ]
        rows = heapq.merge(
            *(self._rows(each, owners, most) for each, owners in searches),
            reverse=not query.oldest_first,
        )
        last = None
        for seq, identifier in rows:
            if seq != last:
                yield identifier
            last = seq

    def _rows(
        self, query: LocateQuery, owners: Sequence[str], most: int
    ) -> Iterator[tuple[int, str]]:
        """Positions and identifiers in order, ``most`` of them at most."""
        numbers = [number for owner in owners if (number := self.owner_number(owner)) is not None]
        if not numbers:
            return
        if len(numbers) == 1:
            yield from each_row(Search(self, query, numbers[0]), most)
            return
        statement = locate.build_statement(query, numbers, self.dialect)
        where = conjunction(statement.conditions)
        order = "ASC" if query.oldest_first else "DESC"
        limit = self.dialect.number("most", most)
        sql = f"SELECT seq, id FROM objects WHERE {where} ORDER BY seq {order} LIMIT {limit}"  # noqa: S608 - placeholders
        yield from self.sql.each(sql, statement.values | {"most": most})

    def checked(self, query: LocateQuery, located: Located) -> Located:
        """The result of a search without objects that do not meet the criteria."""
        ids, rest = located.ids[:MAX_CHECKED], located.ids[MAX_CHECKED:]
        # Who uses a damaged object learns that it is damaged.
        checked = tuple(
            [
                each.id
                for each in self.look_up(ids)
                if each.is_damaged
                or (each.record is not None and criteria.is_met(query, each.record))
            ]
        )
        if located.total is None or len(checked) == len(ids):
            return Located(checked + rest, located.total)
        return Located(checked + rest, located.total - len(ids) + len(checked))

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """Up to two objects with this name."""
        number = self.owner_number(owner)
        rows = self.sql.all(_NAMED, (number, index.text(name)))
        if not rows:  # the name of nearly every new object is new
            return ()
        # The name of a damaged object stays in use, and who uses the object learns that it is damaged.
        return tuple(
            [
                each.id
                for each in self.look_up([identifier for (identifier,) in rows])
                if each.is_damaged or _has_name(each.record, owner, name)
            ]
        )

    def setting(self, name: str) -> bytes | None:
        """What the server has stored for itself under this name."""
        row = self.sql.one("SELECT value, mac FROM settings WHERE name = ?", (name,))
        return None if row is None else self._checked_setting(name, *row)

    def settings(self, prefix: str) -> dict[str, bytes]:
        """What the server has stored for itself under names that begin so."""
        rows = self.sql.all(
            "SELECT name, value, mac FROM settings WHERE name >= ? AND name < ? ORDER BY name",
            (prefix, prefix + chr(sys.maxunicode)),
        )
        return {name: self._checked_setting(name, value, mac) for name, value, mac in rows}

    def _checked_setting(self, name: str, value: bytes, mac: bytes) -> bytes:
        if not is_same_mac(mac, self.integrity.of_setting(name, value)):
            raise Damaged(f"the setting {name} was changed in the database")
        return bytes(value)

    def entry(self, kind: str, key: bytes) -> Entry | None:
        """The entry of a kind with this key."""
        return entries.read(self, kind, key)

    def entries(self, kind: str, owner: str | None = None) -> tuple[Entry, ...]:
        """The entries of a kind, or those of one owner."""
        return entries.read_all(self, kind, owner)

    def entry_owners(self, kind: str, now: datetime) -> dict[str, int]:
        """Who has entries of a kind, and how many."""
        return entries.owners(self, kind, now)

    def key_figures(self) -> KeyFigures:
        """The keys of the database, in numbers."""
        return key_figures(self)

    def due_rotation(self, now: int, after: tuple[int, int]) -> DueRotation | None:
        """The object that is to be rotated first, of those after a position."""
        return rotations.next_due(self.sql, now, after)

    def owners(self, tenant: str) -> tuple[str, ...]:
        """The owners of a tenant that have, or have had, objects."""
        first = system_owner(tenant)
        rows = self.sql.all(
            "SELECT name FROM owners WHERE name >= ? AND name < ? ORDER BY name",
            (first, first + chr(sys.maxunicode)),
        )
        return tuple([name for (name,) in rows])

    def objects_of(self, owner: str, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """A page of the identifiers of an owner's objects, oldest first."""
        rows = self.sql.all(
            "SELECT id FROM objects WHERE owner = ?"
            " AND seq > coalesce((SELECT seq FROM objects WHERE id = ?), -1)"
            " ORDER BY seq LIMIT ?",
            (self.owner_number(owner), after, limit),
        )
        return tuple([identifier for (identifier,) in rows])

    def inventory(self, query: InventoryQuery) -> Steps[InventoryPage]:
        """A page of an inventory."""
        return inventory.page(self, query)

    def totals(self, owners: Callable[[str], bool], now: datetime) -> Steps[tuple[Total, ...]]:
        """The numbers of objects by owner, type and state."""
        return inventory.totals(self, owners, now)

    def ages(
        self, owners: Callable[[str], bool], limits: tuple[datetime, ...]
    ) -> Steps[tuple[int, ...]]:
        """How many objects were created before each date."""
        return inventory.ages(self, owners, limits)

    def owner_numbers(self) -> dict[str, int]:
        """The number of each owner."""
        rows = self.sql.all("SELECT name, number FROM owners")
        return dict(rows)

    def owner_number(self, owner: str) -> int | None:
        """The number of an owner; None if it has never had an object."""
        number = self._owners.get(owner)
        if number is None:
            row = self.sql.one("SELECT number FROM owners WHERE name = ?", (owner,))
            if row is None:
                return None
            number = self._owners[owner] = int(row[0])
        return number


def _has_name(record: Record | None, owner: str, name: str) -> bool:
    if record is None or record.owner != owner or record.is_destroyed:
        return False
    return any(each.name_value == name for each in record.attributes.all(Tag.NAME))
