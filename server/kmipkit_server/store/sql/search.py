"""The search among the objects of one owner, by the shortest of several ways.

Neither database can be relied on to know how many objects meet a criterion. So the search begins with
bounded look-ups in the index, one for each criterion. If a criterion is met by few objects, these are
compared with the other criteria. If each is met by many, a page is found in the order of the result, in
lists that an index has in this order: the objects with one value of an attribute, those with one of the
attribute sets that meet the criteria, those of a type and in a state, or all objects of the owner. So no
search reads much more than its page, however many objects there are; only criteria that are met by many
objects each, and by few or none together, make it read more, until the limit of the query ends it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import AttributeKey
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit_server.store import criteria
from kmipkit_server.store.base import Located, LocateQuery
from kmipkit_server.store.sql import locate
from kmipkit_server.store.sql.connection import Connection, Dialect
from kmipkit_server.store.sql.locate import Statement
from kmipkit_server.store.sql.positions import Positions
from kmipkit_server.store.sql.selects import Select, conjunction, exists
from kmipkit_server.store.sql.stretches import Members, Stretch, positions_in

VERY_FEW, FEW = 64, 500
"""Objects that are all looked at: at once, or if no criterion is met by fewer. More are not counted:
that would take longer than the page."""
MAX_LISTS = 50
"""Attribute sets whose objects are read as lists of their own. If there are more, many objects meet the
criteria."""
MAX_PROBES = 12
"""Criteria of which it is found out how many objects meet them."""
MAX_INTERSECTED = 50
"""Criteria on attribute sets in one compound select, of which databases limit the size."""
OWNED = "+owner = :owner"
"""That an object belongs to the owner, where the index has not said so."""
_UNLIMITED = (1 << 63) - 1
"""As a LIMIT: all rows."""


Limits = Mapping[str, int]
"""How many rows a page has, how many are passed over before it, and their sum, with these names."""


class View(Protocol):
    """A connection to the database, as far as a search needs it."""

    sql: Connection
    dialect: Dialect
    positions: Positions


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to the objects that meet all criteria."""

    rows: Stretch | Members
    """Where they come from."""
    checks: str
    """The conditions that they must meet besides."""
    lists: str = ""
    """For each row of this select, as ``k``, ``rows`` is a list."""

    def page(self, dialect: Dialect, comparison: str, direction: str, limits: Limits) -> str:
        """Selects positions and identifiers; ``comparison`` is that with the end of another page."""
        limit, offset, most = [dialect.number(*each) for each in limits.items()]
        position, order = self.rows.position, self.rows.order(direction)
        source = self._source(dialect, comparison)
        if self.lists:
            each = f"SELECT {position} AS position {source} ORDER BY {order} LIMIT {most}"
            position = "x.position"
            source, order = f"FROM {dialect.for_each(self.lists, each)}", f"{position} {direction}"
        identifier = f"(SELECT o.id FROM objects o WHERE o.seq = {position})"  # noqa: S608 - a column
        return (
            f"SELECT {position}, {identifier} {source}"
            f" ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        )

    def count(self, dialect: Dialect) -> str:
        """Counts all objects."""
        if not self.lists:
            return f"SELECT count(*) {self._source(dialect)}"
        each = f"SELECT {self.rows.position} AS position {self._source(dialect)}"
        # There are not so many, but with a limit no planner joins the lists in another order.
        each += f" ORDER BY {self.rows.order('DESC')} LIMIT {FEW}"
        return f"SELECT count(*) FROM {dialect.for_each(self.lists, each)}"  # noqa: S608 - placeholders

    def _source(self, dialect: Dialect, comparison: str = "") -> str:
        checks = dialect.check(self.checks) if isinstance(self.rows, Stretch) else self.checks
        return f"FROM {self.rows.table} WHERE {self.rows.where(comparison)} AND {checks}"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A way that may be the shortest."""

    probe: str
    """Selects the rows that it looks at, to be counted."""
    frequency: int
    """As of :class:`Select`."""
    in_order: bool
    """Whether it finds the objects in the order of the result."""
    way: Callable[[], _Way]
    has_lists: bool = False
    """Whether it reads several lists."""


class Search:
    """The search of a query."""

    def __init__(self, view: View, query: LocateQuery, owner: int) -> None:
        self._view = view
        self._query = query
        self._statement = Statement(
            [], {"owner": owner, "now": int(query.now.timestamp())}, view.dialect
        )
        found = locate.conditions_of(self._statement, query)
        self._selects = [each for each in found if not each.is_shared]
        kinds = [each.rows() for each in found if each.is_shared]
        self._kinds = " INTERSECT ".join(kinds[:MAX_INTERSECTED])
        self._columns = [*self._statement.conditions, locate.storage(query)]
        self._finds_nothing = locate.NEVER in self._columns
        self._columns += [self._of_kind(each) for each in kinds[MAX_INTERSECTED:]]
        self._few = FEW if query.limit is None else min(FEW, max(VERY_FEW, query.limit))
        self._probe = ""
        """Selects the rows that the way looks at."""
        self._is_many = False
        """Whether it is known that these are not few."""
        self._way = self._shortest()

    def located(self) -> Located:
        """The page of the query."""
        query = self._query
        # One more than permitted, to know that there are more.
        limits = [query.maximum, None if query.limit is None else query.limit + 1]
        limit = min((each for each in limits if each is not None), default=_UNLIMITED)
        place = self._view.positions.nearest(query)
        before, offset = (None, 0) if place is None else (place.position, place.offset)
        rows = self.rows(limit, before, query.offset - offset)
        if rows:
            self._view.positions.note(query, query.offset + len(rows), rows[-1][0])
        is_last = len(rows) < limit and (bool(rows) or not query.offset)
        total = query.offset + len(rows) if is_last else self._count()
        return Located(tuple([identifier for _, identifier in rows]), total)

    def rows(self, limit: int, before: int | None = None, offset: int = 0) -> list[tuple[int, str]]:
        """Positions and identifiers of what is found, in order, after a position."""
        if self._finds_nothing:
            return []
        sql, values = self.page(limit, before, offset)
        rows = self._view.sql.all(sql, values)
        return list(dict.fromkeys(rows)) if len(rows) > 1 else rows

    def page(
        self, limit: int, before: int | None = None, offset: int = 0
    ) -> tuple[str, dict[str, object]]:
        """The statement of a page, and its values."""
        most = min(limit + offset, _UNLIMITED)
        limits = {"limit": limit, "offset": offset, "most": most}
        values = self._statement.values | limits
        comparison, direction = ("<", "DESC") if not self._query.oldest_first else (">", "ASC")
        if before is None:
            comparison = ""
        else:
            values["before"] = before
        return self._way.page(self._view.dialect, comparison, direction, limits), values

    def _count(self) -> int | None:
        """The number of objects on all pages, if it is cheap to know.

        "A server MAY elect to omit this value from the Response if it is unable or unwilling to
        determine the total count of matched items" (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28).
        """
        if self._finds_nothing:
            return 0
        if self._is_many or self._counts([self._probe], self._few)[0] >= self._few:
            return None
        row = self._view.sql.one(self._way.count(self._view.dialect), self._statement.values)
        return 0 if row is None else int(row[0])

    def _shortest(self) -> _Way:
        """The way that looks at few objects, or else one that finds them in order."""
        if self._finds_nothing or self._has_identifier():
            self._probe = "SELECT 1"
            return self._over(Members(OWNED), self._checks())
        if self._is_one_text():
            self._probe = _probe(self._selects[0])
            return self._through(self._selects[0], self._selects[0])
        candidates = sorted(self._candidates(), key=lambda each: each.frequency)[:MAX_PROBES]
        ordered = [each for each in candidates if each.in_order]
        chosen = self._fewest(candidates, VERY_FEW)
        if chosen is None and (self._restricts_state() or not ordered):
            candidates += self._in_state()
        if chosen is None and len(candidates) > len(ordered[:1]):
            chosen = self._fewest(candidates, self._few)
            self._is_many = chosen is None and bool(candidates)
        if chosen is None:
            # Several lists are read to their ends if none of their objects meets another criterion.
            in_order = [each for each in candidates if each.in_order]
            is_alone = len(candidates) == 1 and self._restricts_state() != bool(self._kinds)
            ordered = [each for each in in_order if is_alone or not each.has_lists]
            chosen = ordered[0] if ordered else self._all()
        return self._choose(chosen)

    def _choose(self, candidate: _Candidate) -> _Way:
        self._probe = candidate.probe
        return candidate.way()

    def _is_one_text(self) -> bool:
        """Whether all objects with one text are wanted, such as a Name: that needs no look-up before."""
        if self._query.maximum is not None or self._query.offset or self._kinds:
            return False
        return len(self._selects) == 1 and self._selects[0].is_text

    def _fewest(self, candidates: list[_Candidate], limit: int) -> _Candidate | None:
        """The one that looks at the fewest objects, if these are fewer than a number."""
        counts = self._counts([each.probe for each in candidates], limit)
        fewest = min(counts, default=limit)
        return candidates[counts.index(fewest)] if fewest < limit else None

    def _counts(self, probes: Sequence[str], limit: int) -> list[int]:
        """How many rows each select finds, up to a number."""
        counts = [
            f"(SELECT count(*) FROM ({each} LIMIT {limit}) p{number})"  # noqa: S608 - placeholders
            for number, each in enumerate(probes)
        ]
        if not counts:
            return []
        row = self._view.sql.one(f"SELECT {', '.join(counts)}", self._statement.values)
        return [] if row is None else list(row)

    def _has_identifier(self) -> bool:
        return any(each.key == Tag.UNIQUE_IDENTIFIER for each in self._query.criteria)

    def _has_state(self) -> bool:
        return any(each.key == Tag.STATE for each in self._query.criteria)

    def _candidates(self) -> Iterator[_Candidate]:
        """A way for each criterion, and for each field of a structure."""
        for select in self._selects:
            for each in select.by_field():
                way = partial(self._through, each, select)
                yield _Candidate(_probe(each), each.frequency, not each.is_range, way)
        if self._kinds:
            yield self._of_kinds()

    def _of_kinds(self) -> _Candidate:
        """The way through the objects whose attribute sets meet the criteria on these."""
        stretch = self._stretch("objects_of_kind", {"kind": "k.kind", "owner": ":owner"})
        probe = positions_in(self._kinds, stretch, FEW)
        if self._counts([self._kinds], MAX_LISTS)[0] == MAX_LISTS:
            return _Candidate(probe, 2, False, partial(self._in, probe, with_kinds=False))
        checks = self._checks(with_kinds=False)
        way = partial(self._over, stretch, checks, self._kinds)
        return _Candidate(probe, 2, True, way, has_lists=True)

    def _stretch(self, name: str, columns: Mapping[str, str], condition: str = "") -> Stretch:
        """The objects in an index that begins with these columns, in the order of the result."""
        dialect = self._view.dialect
        names = [f"objects.{each}" for each in columns]
        table = dialect.using("objects", name)
        return Stretch(dialect, table, names, [*columns.values()], "objects.seq", condition)

    def _through(self, select: Select, original: Select) -> _Way:
        """The way through the rows of the index that meet a criterion."""
        if select.is_range:
            return self._in(select.rows(), known=original)
        rest = conjunction([*self._checks(original), OWNED])
        conditions = [
            *select.others("d"),
            exists(f"SELECT 1 FROM objects WHERE seq = d.object AND {rest}"),  # noqa: S608 - placeholders
        ]
        # An object with two such instances is found once; :meth:`rows` sees to that among all rows.
        if select.repeats and not self._is_one_text():
            earlier = f"{select.where('i')} AND i.object = d.object AND i.instance < d.instance"
            conditions.append(
                "NOT " + exists(f"SELECT 1 FROM attribute_index i WHERE {earlier}")  # noqa: S608 - placeholders
            )
        return _Way(select.stretch("d"), conjunction(conditions))

    def _in(self, rows: str, known: Select | None = None, *, with_kinds: bool = True) -> _Way:
        """The way over the objects in a set of positions."""
        checks = self._checks(known, with_kinds=with_kinds)
        return self._over(Members(f"seq {self._view.dialect.member(rows)}"), [*checks, OWNED])

    def _all(self) -> _Candidate:
        """All objects of the owner, in the order of the result."""
        stretch = self._stretch("objects_of_owner", {"owner": ":owner"})
        probe = f"SELECT 1 FROM {stretch.table} WHERE {stretch.where()}"  # noqa: S608 - placeholders
        return _Candidate(probe, 3, True, partial(self._over, stretch, self._checks()))

    @staticmethod
    def _over(rows: Stretch | Members, checks: list[str], lists: str = "") -> _Way:
        return _Way(rows, conjunction(checks), lists)

    def _checks(self, known: Select | None = None, *, with_kinds: bool = True) -> list[str]:
        """The conditions on an object, but for one that it is known to meet."""
        conditions = [*self._columns]
        if self._kinds and with_kinds:
            conditions.append(self._of_kind(self._kinds))
        return conditions + [each.of_object() for each in self._selects if each is not known]

    def _of_kind(self, rows: str) -> str:
        return f"+kind {self._view.dialect.member(rows)}"

    def _restricts_state(self) -> bool:
        """Whether the query is about types, states or storage."""
        asked = {each.key for each in self._query.criteria}
        mask = criteria.storage_status(self._query)
        return bool(asked & _OF_STATE) or mask != StorageStatusMask.ON_LINE_STORAGE

    def _in_state(self) -> Iterator[_Candidate]:
        """The way through the objects of the types and in the states that the query permits."""
        asked = criteria.by_attribute(self._query.criteria)
        types = [int(item.value) for item in asked.get(Tag.OBJECT_TYPE, ())]  # type: ignore[arg-type]  # others find nothing
        states = [State(item.value) for item in asked.get(Tag.STATE, ())]  # type: ignore[arg-type]  # as above
        mask = criteria.storage_status(self._query)
        if mask == StorageStatusMask.ARCHIVAL_STORAGE and not types and not states:
            yield self._archived()
        elif states:
            yield self._of_state(types, _STORED.get(states[0], (states[0],)))
        else:
            stored = tuple(_states_in(mask))
            if types or len(stored) < len(State):
                yield self._of_state(types, stored)

    def _of_state(self, types: list[int], states: tuple[State, ...]) -> _Candidate:
        wanted = types[:1] or [int(each) for each in ObjectType]
        numbers = [int(each) for each in states]
        lists = (
            f"SELECT t.number AS type, s.number AS state FROM ({_numbers(wanted)}) t"  # noqa: S608 - numbers
            f" CROSS JOIN ({_numbers(numbers)}) s"
        )
        columns = {"type": "k.type", "owner": ":owner", "state": "k.state"}
        stretch = self._stretch("objects_by_state", columns)
        # Of objects in other states than the stored one, whole lists may have none.
        is_stored = len(states) == 1 or not self._has_state()
        way = partial(self._over, stretch, self._checks(), lists)
        probe = positions_in(lists, stretch, FEW)
        return _Candidate(probe, 3, is_stored, way, has_lists=True)

    def _archived(self) -> _Candidate:
        stretch = self._stretch("archived_objects", {"owner": ":owner"}, "archived = 1")
        probe = f"SELECT 1 FROM {stretch.table} WHERE {stretch.where()}"  # noqa: S608 - placeholders
        return _Candidate(probe, 3, True, partial(self._over, stretch, self._checks()))


def _probe(select: Select) -> str:
    return f"SELECT 1 FROM attribute_index i WHERE {select.first('i')}"  # noqa: S608 - placeholders


def _numbers(numbers: list[int]) -> str:
    """Selects numbers."""
    return " UNION ALL ".join([f"SELECT {number} AS number" for number in numbers])


def _states_in(mask: StorageStatusMask | None) -> Iterator[State]:
    """The states of objects in such a storage; archived ones have any state."""
    for state in State:
        bit = (
            StorageStatusMask.DESTROYED_STORAGE
            if state in DESTROYED_STATES
            else StorageStatusMask.ON_LINE_STORAGE
        )
        if mask is None or bit in mask or StorageStatusMask.ARCHIVAL_STORAGE in mask:
            yield state


_OF_STATE: frozenset[AttributeKey] = frozenset({Tag.OBJECT_TYPE, Tag.STATE})
_STORED: dict[State, tuple[State, ...]] = {
    State.ACTIVE: (State.ACTIVE, State.PRE_ACTIVE),
    State.DEACTIVATED: (State.DEACTIVATED, State.ACTIVE, State.PRE_ACTIVE),
}
"""For an effective state, the stored ones from which it follows when dates have passed."""


def each_row(search: Search, most: int) -> Iterator[tuple[int, str]]:
    """All rows of a search, read as they are needed, with ``most`` of them at most."""
    size, before = 50, None
    while most > 0:
        rows = search.rows(min(size, most), before)
        yield from rows
        if len(rows) < min(size, most):
            return
        before, most, size = rows[-1][0], most - len(rows), size * 2
