"""From a Locate query to SQL over the index (KMIP 1.4 §4.9).

Every criterion becomes a set of objects that the index gives in one look-up; the query joins these
sets, and only then looks at the objects themselves. State follows from the dates: the expression
here is :func:`kmipkit.lifecycle.effective_state` in SQL, which a test holds equal.
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
from kmipkit_server.store import index
from kmipkit_server.store.base import Criterion, LocateQuery

STATE_NOW = f"""
    CASE WHEN state = {State.PRE_ACTIVE:d} AND activation <= :now
         THEN CASE WHEN deactivation <= :now THEN {State.DEACTIVATED:d} ELSE {State.ACTIVE:d} END
         WHEN state = {State.ACTIVE:d} AND deactivation <= :now THEN {State.DEACTIVATED:d}
         ELSE state END"""

_UNDEFINED_DATE = (1 << 63) - 1
"""The largest date counts as none at all (KMIP 1.4 §4.9)."""

_AT_LEAST = frozenset({Tag.USAGE_LIMITS_TOTAL, Tag.USAGE_LIMITS_COUNT})
"""Fields of which objects may have more than is asked for."""


@dataclass(slots=True)
class Statement:
    """Conditions on objects, and the values that they name."""

    conditions: list[str]
    values: dict[str, object]

    def bind(self, value: object) -> str:
        """A placeholder for a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def conjunction(conditions: Sequence[str]) -> str:
    """All conditions, as a balanced tree: SQLite bounds how deep an expression may be."""
    if len(conditions) <= 2:
        return " AND ".join(conditions)
    half = len(conditions) // 2
    return f"({conjunction(conditions[:half])}) AND ({conjunction(conditions[half:])})"


def statement(query: LocateQuery, owner: int) -> Statement:
    """The conditions of a query.

    The first criterion, the one that most likely few objects meet, drives: its objects are listed.
    Of each of these the others are then asked by a look-up of their own.
    """
    made = Statement([], {"owner": owner, "now": int(query.now.timestamp())})
    selects: list[_Select] = []
    for key, items in _by_attribute(query.criteria):
        column = _COLUMNS.get(key) if isinstance(key, Tag) else None
        if column is None:
            selects += _selects(made, key, items)
        else:
            made.conditions += [column.equals(made, item) for item in items]
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH:
        fresh = Item(Tag.FRESH, ItemType.BOOLEAN, True)
        selects += _selects(made, Tag.FRESH, (fresh,))
    selects.sort(key=lambda select: select.crowd)
    for number, select in enumerate(selects):
        listed = number == 0 or select.is_range
        made.conditions.append(select.condition(listed=listed))
    # The index knows the owner; looking objects up by owner would read all that the owner has.
    made.conditions.append("+owner = :owner" if selects else "owner = :owner")
    made.conditions.append(_storage(query))
    return made


@dataclass(frozen=True, slots=True)
class _Column:
    """An attribute that is a column of the objects, and the Python type of its values."""

    expression: str
    type: type

    def equals(self, made: Statement, item: Item) -> str:
        """The condition; a value of another type belongs to no object."""
        value = item.value
        if not isinstance(value, self.type) or (isinstance(value, int) and value >> 32):
            return "0"
        return f"{self.expression} = {made.bind(value)}"


_COLUMNS: dict[Tag, _Column] = {
    Tag.UNIQUE_IDENTIFIER: _Column("id", str),
    Tag.OBJECT_TYPE: _Column("+type", int),
    Tag.STATE: _Column(f"({STATE_NOW})", int),
}


def _by_attribute(
    criteria: Sequence[Criterion],
) -> Iterator[tuple[AttributeKey, tuple[Item, ...]]]:
    grouped: dict[AttributeKey, list[Item]] = {}
    for criterion in criteria:
        grouped.setdefault(criterion.key, []).append(criterion.value)
    for key, items in grouped.items():
        yield key, tuple(items)


_GONE = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))

_STORAGE: Mapping[StorageStatusMask, str] = MappingProxyType(
    {
        StorageStatusMask.ON_LINE_STORAGE: f"archived = 0 AND state NOT IN ({_GONE})",
        StorageStatusMask.ARCHIVAL_STORAGE: "archived = 1",
        StorageStatusMask.DESTROYED_STORAGE: f"state IN ({_GONE})",
    }
)


def _storage(query: LocateQuery) -> str:
    """On-line objects unless asked otherwise (1.4 §4.9), be it by a State of destroyed ones."""
    mask = query.storage_status_mask
    if mask is None:
        asked = [one.value.value for one in query.criteria if one.key == Tag.STATE]
        destroyed = any(state in DESTROYED_STATES for state in asked)
        return "archived = 0" if destroyed else _STORAGE[StorageStatusMask.ON_LINE_STORAGE]
    choices = [condition for bit, condition in _STORAGE.items() if bit in mask]
    return f"({' OR '.join(choices)})" if choices else "0"


@dataclass(frozen=True, slots=True)
class _Table:
    """An index of attributes, and of whom it is one."""

    name: str
    member: str
    """The column that says whose row it is."""
    scope: str
    """What every look-up begins with."""
    listed: str
    """The objects of these members, as a set that is made once."""
    asked: str
    """Whether one object belongs to these members, as a question of its own."""


_OBJECTS = _Table(
    name="attribute_index",
    member="object",
    scope="{i}.owner = :owner AND ",
    listed="seq IN (SELECT i0.object FROM attribute_index i0 WHERE {where})",
    asked="EXISTS (SELECT 1 FROM attribute_index i0 WHERE {where} AND i0.object = seq)",
)

_KINDS = _Table(
    name="kind_index",
    member="kind",
    scope="",
    # Named, since SQLite would rather read all objects of the owner in the order of the answer.
    listed=(
        "seq IN (SELECT o.seq FROM objects o INDEXED BY objects_of_kind WHERE o.owner = :owner"
        " AND o.kind IN (SELECT i0.kind FROM kind_index i0 WHERE {where}))"
    ),
    asked="+kind IN (SELECT i0.kind FROM kind_index i0 WHERE {where})",
)


def _table(key: AttributeKey) -> _Table:
    return _KINDS if key in index.SHARED else _OBJECTS


@dataclass(frozen=True, slots=True)
class _Select:
    """Objects that meet one criterion: a select over an index as ``i0``."""

    table: _Table
    where: str
    crowd: int
    """How many objects may be expected to meet it: 0 for few, 2 for most."""
    is_range: bool = False

    def condition(self, *, listed: bool) -> str:
        """The condition on objects."""
        return (self.table.listed if listed else self.table.asked).format(where=self.where)


def _crowd(key: AttributeKey, item: Item) -> int:
    """Names and other texts tell objects apart; algorithms, lengths and masks hardly do."""
    if isinstance(item.value, str | bytes | tuple):
        return 0
    return 1 if isinstance(key, VendorName) or item.type is ItemType.DATE_TIME else 2


def _selects(made: Statement, key: AttributeKey, items: tuple[Item, ...]) -> Iterator[_Select]:
    """Selects each of which must hold the object."""
    crowd = _crowd(key, items[0])
    if len(items) == 2 and all(item.type is ItemType.DATE_TIME for item in items):
        yield _range(made, key, items)
        return
    if key in index.MASKS and all(isinstance(item.value, int) for item in items):
        together = 0
        for item in items:
            together |= int(item.value) & 0xFFFFFFFF  # type: ignore[arg-type]  # integers, see above
        for bit in index.bits(together):
            yield _select(made, key, [(index.WHOLE, "=", index.number(bit))], crowd)
        return
    for item in dict.fromkeys(items):
        if isinstance(item.value, tuple) and not isinstance(key, VendorName):
            fields = list(dict.fromkeys(_field(child) for child in item.value))
            yield _select(made, key, fields, crowd)
        elif item.type is not ItemType.DATE_TIME or item.value != _UNDEFINED_DATE:
            yield _select(made, key, [(index.WHOLE, "=", index.of_item(item))], crowd)


_Field = tuple[int, str, bytes]
"""Field, comparison and value."""


def _field(child: Item) -> _Field:
    comparison = ">=" if child.tag in _AT_LEAST else "="
    return child.tag, comparison, index.of_item(child)


def _range(made: Statement, key: AttributeKey, items: tuple[Item, ...]) -> _Select:
    first, last = sorted(item.value for item in items if isinstance(item.value, int))
    low, high = made.bind(index.date(first)), made.bind(index.date(last))
    name = made.bind(index.name_of(key))
    where = (
        f"i0.owner = :owner AND i0.attribute = {name} AND i0.field = {index.WHOLE}"
        f" AND i0.value BETWEEN {low} AND {high}"
    )
    return _Select(_OBJECTS, where, crowd=1, is_range=True)


def _select(made: Statement, key: AttributeKey, fields: Sequence[_Field], crowd: int) -> _Select:
    """Objects with one instance of the attribute that has all these fields."""
    name = made.bind(index.name_of(key))
    table = _table(key)
    conditions = [f"{table.scope.format(i='i0')}i0.attribute = {name}"]
    for number, field in enumerate(fields):
        row = f"i{number}"
        compared = _compared(made, row, field)
        if number:
            compared = (
                f"EXISTS (SELECT 1 FROM {table.name} {row} WHERE {table.scope.format(i=row)}"  # noqa: S608 - placeholders
                f"{row}.attribute = {name} AND {compared}"
                f" AND {row}.{table.member} = i0.{table.member} AND {row}.instance = i0.instance)"
            )
        conditions.append(compared)
    return _Select(table, conjunction(conditions), crowd)


def _compared(made: Statement, row: str, field: _Field) -> str:
    tag, comparison, value = field
    condition = f"{row}.field = {int(tag)} AND {row}.value {comparison} {made.bind(value)}"
    if comparison == "=":
        return condition
    # A value that must be equal also has the right type; ">=" stays within its type.
    return f"{condition} AND {row}.value < {made.bind(value[:1] + bytes([255] * 9))}"
