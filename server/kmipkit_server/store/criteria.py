"""From the criteria of Locate to conditions on index rows, and whether an object meets them.

The store looks conditions up in its index. What it finds there it then checks with the object itself,
whose attributes are authenticated and whose index rows are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import AttributeKey, VendorName
from kmipkit.spec.enums import ObjectGroupMember
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store import index
from kmipkit_server.store.base import Criterion, LocateQuery, Record

_UNDEFINED_DATE = (1 << 63) - 1
"""The largest date is no criterion: "If a Date attribute is set to its largest possible value, then it
is equivalent to an undefined attribute" (KMIP 1.4 §4.9)."""

_MINIMUM_FIELDS = frozenset({Tag.USAGE_LIMITS_TOTAL, Tag.USAGE_LIMITS_COUNT})
"""Fields that may be larger in the object: "equal to or larger than the values specified in the
request" (KMIP 1.4 §4.9)."""

FRESH = Item(Tag.FRESH, ItemType.BOOLEAN, True)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the index, and the values that meet a condition: from ``low`` to ``high``."""

    number: int
    low: bytes
    high: bytes

    @property
    def is_exact(self) -> bool:
        """Whether only one value meets the condition."""
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Condition:
    """What one instance of an attribute must have: all these fields."""

    key: AttributeKey
    fields: tuple[Field, ...]
    is_range: bool = False

    def is_met(self, rows: set[index.Row]) -> bool:
        """Whether an object with these rows of the index meets it."""
        name = index.name_of(self.key)
        if not self.fields:
            return any(row[0] == name for row in rows)
        instances: set[int] | None = None
        for field in self.fields:
            matches = {
                instance
                for attribute, number, value, instance in rows
                if attribute == name and number == field.number and field.low <= value <= field.high
            }
            instances = matches if instances is None else instances & matches
        return bool(instances)


def by_attribute(criteria: Sequence[Criterion]) -> dict[AttributeKey, tuple[Item, ...]]:
    """The values of the criteria on each attribute."""
    grouped: dict[AttributeKey, tuple[Item, ...]] = {}
    for criterion in criteria:
        grouped[criterion.key] = (*grouped.get(criterion.key, ()), criterion.value)
    return grouped


def conditions(key: AttributeKey, items: tuple[Item, ...]) -> Iterator[Condition]:
    """The conditions for the values of one attribute; an object must meet each of them."""
    if len(items) == 2 and all(item.type is ItemType.DATE_TIME for item in items):
        # Two values of a date: the objects between them, in whatever order they come.
        low, high = sorted(index.date(item.value) for item in items if isinstance(item.value, int))
        yield Condition(key, (Field(index.WHOLE, low, high),), is_range=True)
        return
    if key in index.MASKS and all(isinstance(item.value, int) for item in items):
        # "a matching candidate object has all of the bits set in its mask that are set in the
        # requested mask, but MAY have additional bits set" (KMIP 1.4 §4.9): one look-up per bit.
        mask = 0
        for item in items:
            mask |= int(item.value) & 0xFFFFFFFF  # type: ignore[arg-type]  # integers, see above
        for bit in index.bits(mask):
            yield Condition(key, (_exact(index.WHOLE, index.number(bit)),))
        return
    for item in dict.fromkeys(items):
        if isinstance(item.value, tuple) and not isinstance(key, VendorName):
            # "all of the structure fields are not REQUIRED to be specified" (KMIP 1.4 §4.9).
            fields = tuple(dict.fromkeys(_field(key, child) for child in item.value))
            yield Condition(key, fields)
        elif item.type is not ItemType.DATE_TIME or item.value != _UNDEFINED_DATE:
            yield Condition(key, (_exact(index.WHOLE, index.of_item(item)),))


def _exact(number: int, value: bytes) -> Field:
    return Field(number, value, value)


def _field(key: AttributeKey, child: Item) -> Field:
    value = index.of_item(child)
    # In other attributes, where a client may have put them, these fields are like any others.
    if key != Tag.USAGE_LIMITS or child.tag not in _MINIMUM_FIELDS:
        return _exact(child.tag, value)
    # The first byte of a value is its type (see :mod:`.index`), and nine bytes are a number.
    return Field(child.tag, value, value[:1] + bytes([255] * 9))


def is_met(query: LocateQuery, record: Record) -> bool:
    """Whether an object meets all criteria of a query."""
    if record.owner != query.owner or not _is_in_storage(query, record):
        return False
    columns = {
        Tag.UNIQUE_IDENTIFIER: record.id,
        Tag.OBJECT_TYPE: int(record.object_type),
        Tag.STATE: int(record.state_at(query.now)),
    }
    grouped = by_attribute(query.criteria)
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH:
        grouped[Tag.FRESH] = (*grouped.get(Tag.FRESH, ()), FRESH)
    rows = index.rows([each for each in record.attributes if each.key in grouped])
    for key, items in grouped.items():
        if isinstance(key, Tag) and key in columns:
            if any(item.value != columns[key] for item in items):
                return False
        elif not all(condition.is_met(rows) for condition in conditions(key, items)):
            return False
    return True


def storage_status(query: LocateQuery) -> StorageStatusMask | None:
    """The storage status: on-line unless the mask says otherwise (KMIP 1.4 §4.9, Table 190).

    None without a mask and with a State of destroyed objects, which finds these: 1.4 has no mask bit
    for them. Then an object must only not be archived.
    """
    if query.storage_status_mask is not None:
        return query.storage_status_mask
    states = [each.value.value for each in query.criteria if each.key == Tag.STATE]
    is_destroyed = any(state in DESTROYED_STATES for state in states)
    return None if is_destroyed else StorageStatusMask.ON_LINE_STORAGE


def _is_in_storage(query: LocateQuery, record: Record) -> bool:
    mask = storage_status(query)
    if mask is None:
        return not record.is_archived
    is_on_line = not record.is_archived and not record.is_destroyed
    return (
        (StorageStatusMask.ON_LINE_STORAGE in mask and is_on_line)
        or (StorageStatusMask.ARCHIVAL_STORAGE in mask and record.is_archived)
        or (StorageStatusMask.DESTROYED_STORAGE in mask and record.is_destroyed)
    )
