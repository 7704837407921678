"""From a Locate query to SQL over the index (KMIP 1.4 §4.9).

Every criterion becomes a set of objects that the index gives in one look-up; the query joins these
sets, and only then looks at the objects themselves. State follows from the dates: the expression
here is :func:`kmipkit.lifecycle.effective_state` in SQL, which a test holds equal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def statement(query: LocateQuery, owner: int) -> Statement:
    """The conditions of a query."""
    made = Statement([], {"owner": owner, "now": int(query.now.timestamp())})
    indexed = False
    for key, items in _by_attribute(query.criteria):
        column = _COLUMNS.get(key) if isinstance(key, Tag) else None
        if column is not None:
            made.conditions += [f"{column} = {made.bind(item.value)}" for item in items]
        else:
            made.conditions += [f"seq IN ({sql})" for sql in _sets(made, key, items)]
            indexed = True
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH:
        fresh = Item(Tag.FRESH, ItemType.BOOLEAN, True)
        made.conditions += [f"seq IN ({sql})" for sql in _sets(made, Tag.FRESH, (fresh,))]
    # The index knows the owner; looking objects up by owner would read all that the owner has.
    made.conditions.append("+owner = :owner" if indexed else "owner = :owner")
    made.conditions.append(_storage(query))
    return made


_COLUMNS: dict[Tag, str] = {
    Tag.UNIQUE_IDENTIFIER: "id",
    Tag.OBJECT_TYPE: "+type",
    Tag.STATE: f"({STATE_NOW})",
}


def _by_attribute(
    criteria: Sequence[Criterion],
) -> Iterator[tuple[AttributeKey, tuple[Item, ...]]]:
    grouped: dict[AttributeKey, list[Item]] = {}
    for criterion in criteria:
        grouped.setdefault(criterion.key, []).append(criterion.value)
    for key, items in grouped.items():
        yield key, tuple(items)


def _storage(query: LocateQuery) -> str:
    """On-line objects unless asked otherwise (1.4 §4.9); nothing is ever archived here."""
    mask = query.storage_status_mask
    gone = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))
    if mask is None:
        asked = {
            criterion.value.value for criterion in query.criteria if criterion.key == Tag.STATE
        }
        return "1" if asked & DESTROYED_STATES else f"state NOT IN ({gone})"
    choices = []
    if StorageStatusMask.ON_LINE_STORAGE in mask:
        choices.append(f"state NOT IN ({gone})")
    if StorageStatusMask.DESTROYED_STORAGE in mask:
        choices.append(f"state IN ({gone})")
    return f"({' OR '.join(choices)})" if choices else "0"


def _sets(made: Statement, key: AttributeKey, items: tuple[Item, ...]) -> Iterator[str]:
    """Selects of object numbers, each of which must hold the object."""
    if len(items) == 2 and all(item.type is ItemType.DATE_TIME for item in items):
        yield from _range(made, key, items)
        return
    for item in items:
        if key in index.MASKS and isinstance(item.value, int):
            for bit in index.bits(item.value & 0xFFFFFFFF):
                yield _select(made, key, [(index.WHOLE, "=", index.number(bit))])
        elif isinstance(item.value, tuple) and not isinstance(key, VendorName):
            yield _select(made, key, [_field(child) for child in item.value])
        elif item.type is not ItemType.DATE_TIME or item.value != _UNDEFINED_DATE:
            yield _select(made, key, [(index.WHOLE, "=", index.of_item(item))])


def _field(child: Item) -> tuple[int, str, bytes]:
    comparison = ">=" if child.tag in _AT_LEAST else "="
    return child.tag, comparison, index.of_item(child)


def _range(made: Statement, key: AttributeKey, items: tuple[Item, ...]) -> Iterator[str]:
    first, last = sorted(item.value for item in items if isinstance(item.value, int))
    name = made.bind(index.name_of(key))
    low, high = made.bind(index.date(first)), made.bind(index.date(last))
    yield (
        f"SELECT object FROM attribute_index WHERE owner = :owner AND attribute = {name}"  # noqa: S608 - placeholders
        f" AND field = {index.WHOLE} AND value BETWEEN {low} AND {high}"
    )


def _select(made: Statement, key: AttributeKey, fields: Sequence[tuple[int, str, bytes]]) -> str:
    """Objects with one instance of the attribute that has all these fields."""
    name = made.bind(index.name_of(key))
    tables, conditions = [], []
    for number, (field, comparison, value) in enumerate(fields or [(-1, "", b"")]):
        tables.append(f"attribute_index i{number}")
        conditions.append(f"i{number}.owner = :owner AND i{number}.attribute = {name}")
        if fields:
            # A value that must be equal also has the right type; ">=" stays within its type.
            bound = made.bind(value)
            conditions.append(
                f"i{number}.field = {int(field)} AND i{number}.value {comparison} {bound}"
            )
            if comparison != "=":
                conditions.append(f"i{number}.value < {made.bind(value[:1] + bytes([255] * 9))}")
        if number:
            conditions.append(f"i{number}.object = i0.object AND i{number}.instance = i0.instance")
    return f"SELECT i0.object FROM {', '.join(tables)} WHERE {' AND '.join(conditions)}"  # noqa: S608 - placeholders
