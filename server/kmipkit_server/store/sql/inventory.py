"""All objects of several owners, in pages: what administrators see.

Objects are read in the order of their creation. A condition on attributes is looked up in the index, as
Locate does. Without one, the rows are read in windows, so that no page takes long however few of a
million objects meet the conditions; a page that is not full is not the last one for that.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit_server.store import criteria, index
from kmipkit_server.store.base import LocateQuery, Record
from kmipkit_server.store.inventory import Found, InventoryPage, InventoryQuery, Listed, Total
from kmipkit_server.store.slices import Steps
from kmipkit_server.store.sql import locate
from kmipkit_server.store.sql.connection import Connection, Dialect
from kmipkit_server.store.sql.locate import STATE_NOW, Statement
from kmipkit_server.store.sql.selects import conjunction


class View(Protocol):
    """A connection to the database, as far as an inventory needs it."""

    sql: Connection
    dialect: Dialect

    def look_up(
        self, identifiers: Iterable[str], *, with_material: bool = False
    ) -> Iterator[Found]:
        """The objects with these Unique Identifiers."""

    def owner_numbers(self) -> dict[str, int]:
        """The number of each owner."""


WINDOW = 20_000
"""Rows of objects that one statement reads, at most: about ten milliseconds."""
MAX_WINDOWS = 25
"""Windows of one page."""
MAX_BEGINNING = 48
"""Characters of a pattern that are looked up in the index; longer values are cut there."""

_ANYWHERE = StorageStatusMask(
    StorageStatusMask.ON_LINE_STORAGE
    | StorageStatusMask.ARCHIVAL_STORAGE
    | StorageStatusMask.DESTROYED_STORAGE
)
_NAME = index.name_of(Tag.NAME)
_INITIAL_DATE = index.name_of(Tag.INITIAL_DATE)


def page(view: View, query: InventoryQuery) -> Steps[InventoryPage]:
    """A page of an inventory; see :class:`.Inventory`."""
    owners = [number for name, number in view.owner_numbers().items() if query.owners(name)]
    searched = LocateQuery("", query.criteria, query.now, storage_status_mask=_ANYWHERE)
    statement = locate.build_statement(searched, owners, view.dialect)
    if query.name is not None:
        _require_name(statement, query.name)
    # The objects of one owner are in an index, too.
    way = _Way.over(view, query, is_whole=statement.uses_index or len(owners) <= 1)
    found: list[Listed] = []
    for _ in range(MAX_WINDOWS):
        if way.is_at_end:
            return InventoryPage(tuple(found), None)
        missing = query.maximum - len(found)
        rows = _rows(view, statement, way, missing)
        for each in view.look_up([identifier for _, identifier in rows], with_material=True):
            # The index and the columns have no MACs: what they say is compared with the object.
            if each.record is None or _is_met(query, searched, each.record):
                found.append(Listed(each.id, each.record))
            yield
        way = way.beyond_window() if len(rows) < missing else way.beyond(rows[-1][0])
        if len(found) == query.maximum:
            break
    return InventoryPage(tuple(found), None if way.is_at_end else way.position)


class _Way(NamedTuple):
    """Where a page is on its way through the positions of all objects."""

    position: int
    """The objects from here on were read, this position included."""
    end: int
    """The last position."""
    step: int
    """1 or -1."""
    window: int

    @classmethod
    def over(cls, view: View, query: InventoryQuery, *, is_whole: bool) -> "_Way":
        first, last = view.sql.one("SELECT min(seq), max(seq) FROM objects") or (None, None)
        if first is None:
            return cls(0, 0, 1, 1)
        step, start, end = (1, first - 1, last) if query.oldest_first else (-1, last + 1, first)
        position = start if query.after is None else query.after
        return cls(position, end, step, abs(end - position) if is_whole else WINDOW)

    @property
    def is_at_end(self) -> bool:
        return (self.end - self.position) * self.step <= 0

    @property
    def positions(self) -> tuple[int, int]:
        """The lowest and the highest position of the window."""
        near, far = self.position + self.step, self.position + self.step * self.window
        return min(near, far), max(near, far)

    def beyond(self, position: int) -> "_Way":
        return self._replace(position=position)

    def beyond_window(self) -> "_Way":
        return self.beyond(self.position + self.step * self.window)


def _rows(view: View, statement: Statement, way: _Way, maximum: int) -> list[tuple[int, str]]:
    low, high = way.positions
    values = statement.values | {"low": low, "high": high, "limit": maximum}
    where = conjunction(["seq BETWEEN :low AND :high", *statement.conditions])
    order = "ASC" if way.step > 0 else "DESC"
    sql = f"SELECT seq, id FROM objects WHERE {where} ORDER BY seq {order} LIMIT :limit"  # noqa: S608 - placeholders
    return view.sql.all(sql, values)


def _require_name(statement: Statement, pattern: str) -> None:
    """Restrict a statement to objects with such a name; its beginning is looked up in the index."""
    beginning = ("t" + _beginning(pattern)).encode("utf-8", "surrogatepass")
    low, high = statement.bind(beginning), statement.bind(beginning + b"\xff")
    condition, value = statement.dialect.name_pattern(pattern)
    matches = condition.format(pattern=statement.bind(value))
    # A long name is cut in the index: the objects themselves decide.
    statement.conditions.append(
        "seq IN (SELECT i.object FROM attribute_index i"  # noqa: S608 - constants, placeholders
        f" WHERE i.owner {statement.owner} AND i.attribute = '{_NAME}'"
        f" AND i.field = {int(Tag.NAME_VALUE)} AND i.value BETWEEN {low} AND {high}"
        f" AND (length(i.value) > {index.MAX_SIZE} OR {matches}))"
    )
    statement.uses_index = True


def _beginning(pattern: str) -> str:
    """What a name begins with that the pattern matches."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0][:MAX_BEGINNING]


def _has_name(record: Record, pattern: str) -> bool:
    escaped = pattern.replace("[", "[[]")
    return any(fnmatchcase(name.name_value, escaped) for name in record.attributes.all(Tag.NAME))


def _is_met(query: InventoryQuery, searched: LocateQuery, record: Record) -> bool:
    if not query.owners(record.owner):
        return False
    if not criteria.is_met(replace(searched, owner=record.owner), record):
        return False
    return query.name is None or _has_name(record, query.name)


def totals(view: View, owners: Callable[[str], bool], now: datetime) -> Steps[tuple[Total, ...]]:
    """The numbers of objects by owner, type and state; see :class:`.Inventory`."""
    names = {number: name for name, number in view.owner_numbers().items() if owners(name)}
    counts: Counter[tuple[int, int, int]] = Counter()
    way = _Way.over(view, InventoryQuery(owners, now, oldest_first=True), is_whole=False)
    sql = (
        f"SELECT +owner, type, {STATE_NOW} AS now_state, count(*) FROM objects"  # noqa: S608 - placeholders
        " WHERE seq BETWEEN :low AND :high GROUP BY +owner, type, now_state"
    )
    while not way.is_at_end:
        low, high = way.positions
        values = {"low": low, "high": high, "now": int(now.timestamp())}
        for owner, object_type, state, count in view.sql.all(sql, values):
            if owner in names:
                counts[owner, object_type, state] += count
        yield
        way = way.beyond_window()
    return tuple(
        Total(names[owner], object_type, state, count)
        for (owner, object_type, state), count in sorted(counts.items())
    )


def ages(
    view: View, owners: Callable[[str], bool], limits: tuple[datetime, ...]
) -> Steps[tuple[int, ...]]:
    """How many objects were created before each date; see :class:`.Inventory`."""
    numbers = [number for name, number in view.owner_numbers().items() if owners(name)]
    counts = [0] * len(limits)
    sql = (
        "SELECT count(*) FROM attribute_index WHERE owner = ? AND attribute = ? AND field = ?"
        " AND value < ?"
    )
    for number in numbers:
        for place, limit in enumerate(limits):
            value = index.date(int(limit.timestamp()))
            row = view.sql.one(sql, (number, _INITIAL_DATE, index.WHOLE, value))
            counts[place] += 0 if row is None else row[0]
            yield
    return tuple(counts)
