"""From a Locate query to SQL over the index (KMIP 1.4 §4.9).

Each criterion becomes a look-up in the index. The criterion that most likely few objects meet lists
its objects, and the others check each of them, so that the cost depends on the rarest criterion and
not on the number of objects. The state follows from the dates: the expression here is
:func:`kmipkit.lifecycle.effective_state` in SQL, and a test compares the two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import AttributeKey, VendorName
from kmipkit.spec.enums import ObjectGroupMember, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store import criteria, index
from kmipkit_server.store.base import LocateQuery
from kmipkit_server.store.criteria import Condition, Field

STATE_NOW = f"""
    CASE WHEN state = {State.PRE_ACTIVE:d} AND activation <= :now
         THEN CASE WHEN deactivation <= :now THEN {State.DEACTIVATED:d} ELSE {State.ACTIVE:d} END
         WHEN state = {State.ACTIVE:d} AND deactivation <= :now THEN {State.DEACTIVATED:d}
         ELSE state END"""


@dataclass(slots=True)
class Statement:
    """Conditions on objects, and the values of their placeholders."""

    conditions: list[str]
    values: dict[str, object]

    def bind(self, value: object) -> str:
        """A new placeholder for a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def conjunction(conditions: Sequence[str]) -> str:
    """All conditions, as a balanced tree: SQLite limits the depth of an expression to 1000."""
    if len(conditions) <= 2:
        return " AND ".join(conditions)
    half = len(conditions) // 2
    return f"({conjunction(conditions[:half])}) AND ({conjunction(conditions[half:])})"


def build_statement(query: LocateQuery, owner: int) -> Statement:
    """The conditions of a query."""
    statement = Statement([], {"owner": owner, "now": int(query.now.timestamp())})
    selects: list[_Select] = []
    for key, items in criteria.by_attribute(query.criteria).items():
        column = _COLUMNS.get(key) if isinstance(key, Tag) else None
        if column is None:
            selects += _selects(statement, key, items)
        else:
            statement.conditions += [column.equals(statement, item) for item in items]
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH:
        selects += _selects(statement, Tag.FRESH, (criteria.FRESH,))
    # SQLite cannot know how many objects meet a criterion, so the order here decides: the rarest one
    # is a set (IN), which SQLite computes once, and the others check one object each (EXISTS). As
    # sets, they would list the whole of a group to find one member by its name. A range is always a
    # set: in the index, values come before objects, so checking one object reads the whole range.
    selects.sort(key=lambda select: select.frequency)
    for number, select in enumerate(selects):
        statement.conditions.append(select.condition(as_set=number == 0 or select.is_range))
    # The plus sign keeps SQLite from using the index over owners, which would read all objects of
    # the owner: the rows of the attribute index have the owner already.
    statement.conditions.append("+owner = :owner" if selects else "owner = :owner")
    statement.conditions.append(_storage(query))
    return statement


@dataclass(frozen=True, slots=True)
class _Column:
    """An attribute that is a column of the objects, and the Python type of its values."""

    expression: str
    type: type

    def equals(self, statement: Statement, item: Item) -> str:
        """The condition. No object has a value of another type, or outside 32 bits."""
        value = item.value
        if not isinstance(value, self.type) or (isinstance(value, int) and value >> 32):
            return "0"
        return f"{self.expression} = {statement.bind(value)}"


_COLUMNS: dict[Tag, _Column] = {
    Tag.UNIQUE_IDENTIFIER: _Column("id", str),
    Tag.OBJECT_TYPE: _Column("+type", int),
    Tag.STATE: _Column(f"({STATE_NOW})", int),
}


_DESTROYED = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))

_STORAGE: Mapping[StorageStatusMask, str] = MappingProxyType(
    {
        StorageStatusMask.ON_LINE_STORAGE: f"archived = 0 AND state NOT IN ({_DESTROYED})",
        StorageStatusMask.ARCHIVAL_STORAGE: "archived = 1",
        StorageStatusMask.DESTROYED_STORAGE: f"state IN ({_DESTROYED})",
    }
)


def _storage(query: LocateQuery) -> str:
    mask = criteria.storage_status(query)
    if mask is None:
        return "archived = 0"
    conditions = [condition for bit, condition in _STORAGE.items() if bit in mask]
    return f"({' OR '.join(conditions)})" if conditions else "0"


@dataclass(frozen=True, slots=True)
class _Table:
    """An index table: of the attributes of objects, or of attribute sets (kinds)."""

    name: str
    member: str
    """The column with the object or the kind to which a row belongs."""
    scope: str
    """The condition with which every look-up begins."""
    set_condition: str
    """That an object is among those that meet ``{where}``, as a set that is computed once."""
    object_condition: str
    """That an object meets ``{where}``, as a look-up for this object."""


_OBJECTS = _Table(
    name="attribute_index",
    member="object",
    scope="{i}.owner = :owner AND ",
    set_condition="seq IN (SELECT i0.object FROM attribute_index i0 WHERE {where})",
    object_condition="EXISTS (SELECT 1 FROM attribute_index i0 WHERE {where} AND i0.object = seq)",
)

_KINDS = _Table(
    name="kind_index",
    member="kind",
    scope="",
    # INDEXED BY, since SQLite would prefer to read all objects of the owner, which it finds in the
    # order of the result.
    set_condition=(
        "seq IN (SELECT o.seq FROM objects o INDEXED BY objects_of_kind WHERE o.owner = :owner"
        " AND o.kind IN (SELECT i0.kind FROM kind_index i0 WHERE {where}))"
    ),
    # There are few kinds, so that their set is computed once even for a check per object.
    object_condition="+kind IN (SELECT i0.kind FROM kind_index i0 WHERE {where})",
)


def _table(key: AttributeKey) -> _Table:
    return _KINDS if key in index.SHARED else _OBJECTS


@dataclass(frozen=True, slots=True)
class _Select:
    """The objects that meet one criterion: a select over an index table ``i0``."""

    table: _Table
    where: str
    frequency: int
    """How many objects are likely to meet it: 0 for few, 2 for most."""
    is_range: bool = False

    def condition(self, *, as_set: bool) -> str:
        """The condition on objects."""
        template = self.table.set_condition if as_set else self.table.object_condition
        return template.format(where=self.where)


def _frequency(key: AttributeKey, item: Item) -> int:
    """Names and other texts differ between objects; algorithms, lengths and masks rarely do."""
    if isinstance(item.value, str | bytes | tuple):
        return 0
    return 1 if isinstance(key, VendorName) or item.type is ItemType.DATE_TIME else 2


def _selects(statement: Statement, key: AttributeKey, items: tuple[Item, ...]) -> Iterator[_Select]:
    """The selects for the values of one attribute; an object must be in each of them."""
    frequency = _frequency(key, items[0])
    for condition in criteria.conditions(key, items):
        if condition.is_range:
            yield _range(statement, condition)
        else:
            yield _select(statement, condition, frequency)


def _range(statement: Statement, condition: Condition) -> _Select:
    """The objects with a date between two others."""
    [field] = condition.fields
    low, high = statement.bind(field.low), statement.bind(field.high)
    name = statement.bind(index.name_of(condition.key))
    where = (
        f"i0.owner = :owner AND i0.attribute = {name} AND i0.field = {field.number:d}"
        f" AND i0.value BETWEEN {low} AND {high}"
    )
    return _Select(_OBJECTS, where, frequency=1, is_range=True)


def _select(statement: Statement, condition: Condition, frequency: int) -> _Select:
    """The objects with an instance of the attribute that has all fields of the condition.

    The first field finds an instance. The others must be fields of the same instance: an object
    with the links (Next, A) and (Previous, B) does not have the link (Next, B).
    """
    name = statement.bind(index.name_of(condition.key))
    table = _table(condition.key)
    conditions = [f"{table.scope.format(i='i0')}i0.attribute = {name}"]
    for number, field in enumerate(condition.fields):
        row = f"i{number}"
        matches = _matches(statement, row, field)
        if number:
            matches = (
                f"EXISTS (SELECT 1 FROM {table.name} {row} WHERE {table.scope.format(i=row)}"  # noqa: S608 - placeholders
                f"{row}.attribute = {name} AND {matches}"
                f" AND {row}.{table.member} = i0.{table.member} AND {row}.instance = i0.instance)"
            )
        conditions.append(matches)
    return _Select(table, conjunction(conditions), frequency)


def _matches(statement: Statement, row: str, field: Field) -> str:
    value = f"{row}.field = {field.number:d} AND {row}.value"
    if field.is_exact:
        return f"{value} = {statement.bind(field.low)}"
    return f"{value} BETWEEN {statement.bind(field.low)} AND {statement.bind(field.high)}"
