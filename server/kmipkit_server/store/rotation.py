"""When the server rotates an object by itself (KMIP 2.1 §4.48, §4.51)."""

from datetime import UTC, datetime

from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit_server.store.base import Record

ROTATED_TYPES = frozenset(
    {ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY, ObjectType.CERTIFICATE}
)
"""The types that Re-key, Re-key Key Pair and Re-certify replace; a public key is rotated with its
private key."""

_STATES = frozenset({State.PRE_ACTIVE, State.ACTIVE})
_LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


def rotation_time(record: Record) -> int | None:
    """The time in seconds since 1970 from which on the object is to be rotated; None for never.

    "Automatic rotation of the Managed Object is performed by the server when the difference between
    the Initial Date of the Managed Object and the current server time reaches or exceeds" the Rotate
    Interval, if Rotate Automatic is true (KMIP 2.1 §4.51). An object that will be deactivated before,
    or that nobody may use any longer, needs no successor.
    """
    attributes = record.attributes
    if not attributes.get(Tag.ROTATE_AUTOMATIC) or record.object_type not in ROTATED_TYPES:
        return None
    interval, initial = attributes.get(Tag.ROTATE_INTERVAL), attributes.get(Tag.INITIAL_DATE)
    if not interval or interval <= 0 or initial is None:
        return None
    if record.stored_state not in _STATES or record.is_archived:
        return None
    due = int(initial.timestamp()) + int(interval)
    end = record.deactivation
    is_ended = end is not None and end.timestamp() <= due
    return None if is_ended or due > _LATEST else due
