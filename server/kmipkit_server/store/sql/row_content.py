"""From a record to the columns of its row, and what the row counts."""

from datetime import datetime

from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.spec.tags import Tag
from kmipkit_server.store import index, packing
from kmipkit_server.store.base import Record

ROW_SIZE = (
    "length(attributes) + coalesce(length(material), 0)"
    " + coalesce((SELECT length(k.attributes) FROM kinds k WHERE k.number = kind), 0)"
)
"""SQL for the bytes of an object: its material, its attributes and those of its attribute set."""

_DATES: frozenset[AttributeKey] = frozenset(
    {Tag.ACTIVATION_DATE, Tag.DEACTIVATION_DATE, Tag.ARCHIVE_DATE}
)
"""The attributes that are columns as well."""


def live_names(record: Record) -> set[index.Row]:
    """The names of a record in the index of those that are not destroyed."""
    return set() if record.is_destroyed else index.live_names(record.attributes)


def count_of(record: Record) -> int:
    """How much a record counts among the objects of its owner."""
    return 0 if record.is_destroyed else 1


def size_of(own: bytes, shared: bytes, material: bytes | None) -> int:
    """The bytes of an object; :data:`ROW_SIZE` is the same in SQL."""
    return len(own) + len(shared) + (0 if material is None else len(material))


def _seconds(date: datetime | None) -> int | None:
    """Since 1970."""
    return None if date is None else int(date.timestamp())


def columns_of(record: Record, own: Attributes) -> tuple[int, int, int | None, int | None, bytes]:
    """State, archived or not, Activation Date, Deactivation Date, and the packed attributes."""
    state, packed = int(record.stored_state), packing.pack(own)
    if _DATES.isdisjoint([each.key for each in own.items]):  # as nearly every new object
        return state, 0, None, None, packed
    activation, deactivation = _seconds(record.activation), _seconds(record.deactivation)
    return state, int(record.is_archived), activation, deactivation, packed
