"""Object groups: members that nobody has used yet, and the member that is meant by default.

KMIP 1.4 §4.9: a Locate of a group may ask for fresh members, and "if there are no more fresh objects
in the group, the server MAY choose to generate a new object on-the-fly, based on server policy"; or
for "the default object as defined by server policy". The policies here: the group ``default`` is
filled up with AES keys, and the default member of a group is the next in turn.
"""

from dataclasses import replace

from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import CryptographicAlgorithm, KeyFormatType, ObjectGroupMember, ObjectType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import creation
from kmipkit_server.objects.creation import DEFAULT_GROUP
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.store.base import Located, LocateQuery

BITS = 256
_DESCRIBES: dict[Tag, object] = {
    Tag.OBJECT_GROUP: DEFAULT_GROUP,
    Tag.OBJECT_TYPE: ObjectType.SYMMETRIC_KEY,
    Tag.CRYPTOGRAPHIC_ALGORITHM: CryptographicAlgorithm.AES,
    Tag.CRYPTOGRAPHIC_LENGTH: BITS,
}
"""What the keys are that the group ``default`` is filled up with."""

USES = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT


def locate(call: Call, query: LocateQuery) -> Located:
    """The answer to a Locate, with what groups make of it."""
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_DEFAULT:
        return _next_in_turn(call, query)
    found = call.store.locate(query)
    if found.ids or query.object_group_member != ObjectGroupMember.GROUP_MEMBER_FRESH:
        return found
    if not _is_filled_up(query):
        return found
    return Located((_fill(call),), 1)


def _is_filled_up(query: LocateQuery) -> bool:
    """Whether the query is for the default group and for what it is filled up with."""
    asked = {criterion.key: criterion.value.value for criterion in query.criteria}
    is_filled = all(
        isinstance(key, Tag) and key in _DESCRIBES and value == _DESCRIBES[key]
        for key, value in asked.items()
    )
    return is_filled and Tag.OBJECT_GROUP in asked and not query.offset


def _fill(call: Call) -> str:
    algorithm = CryptographicAlgorithm.AES
    assert call.transaction  # before anything is made that a second run would make again
    key = SymmetricKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW,
            key_value=KeyValue(key_material=generate_key(algorithm, BITS, call.random)),
            cryptographic_algorithm=algorithm,
            cryptographic_length=BITS,
        )
    )
    given = Attributes.of((Tag.OBJECT_GROUP, DEFAULT_GROUP), (Tag.CRYPTOGRAPHIC_USAGE_MASK, USES))
    made = creation.store(
        call,
        ObjectType.SYMMETRIC_KEY,
        pack_object(key),
        given,
        derived_attributes(key),
        generated=True,
    )
    return made.id


def _next_in_turn(call: Call, query: LocateQuery) -> Located:
    """The member after the one that was given last, the oldest one first."""
    whole = replace(query, maximum=None, offset=0, object_group_member=None)
    ids = call.store.locate(whole).ids[::-1]
    if not ids:
        return Located((), 0)
    turns = call.batch.staged(call.batch.server.state.group_turns)
    key = (query.owner, query.criteria)
    last = turns.get(key)
    number = (ids.index(last) + 1) % len(ids) if last in ids else 0
    turns[key] = ids[number]
    while len(turns) > MOST_TURNS:
        turns.pop(next(iter(turns)))
    return Located((ids[number],), 1)


MOST_TURNS = 1000
"""Queries whose turn is remembered."""
