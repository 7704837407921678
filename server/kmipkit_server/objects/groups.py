"""Object groups: fresh members, and the default member.

KMIP 1.4 §4.9: a Locate of a group may ask for fresh members, and "if there are no more fresh objects
in the group, the server MAY choose to generate a new object on-the-fly, based on server policy"; or
for "the default object as defined by server policy". The policies of this server: it generates AES
keys for the group ``default``, and the default member of a group is each member in turn.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import CryptographicAlgorithm, KeyFormatType, ObjectGroupMember, ObjectType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.unfinished import DEFAULT_MEMBER
from kmipkit_server.objects import creation, sharing
from kmipkit_server.objects.creation import DEFAULT_GROUP
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.store.base import Entry, Located, LocateQuery, Transaction

KEY_LENGTH = 256
_GENERATED_KEY: dict[Tag, object] = {
    Tag.OBJECT_GROUP: DEFAULT_GROUP,
    Tag.OBJECT_TYPE: ObjectType.SYMMETRIC_KEY,
    Tag.CRYPTOGRAPHIC_ALGORITHM: CryptographicAlgorithm.AES,
    Tag.CRYPTOGRAPHIC_LENGTH: KEY_LENGTH,
}
"""The attributes by which clients may look for a key that the server generates."""

KEY_USAGE = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT


def locate(call: Call, query: LocateQuery) -> Located:
    """The result of a Locate, with the policies for groups."""
    if query.object_group_member == ObjectGroupMember.GROUP_MEMBER_DEFAULT:
        return _default_member(call, query)
    located = sharing.locate(call, query)
    if located.ids or query.object_group_member != ObjectGroupMember.GROUP_MEMBER_FRESH:
        return located
    if not _matches_generated_key(query):
        return located
    return Located((_generate_member(call),), 1)


def _matches_generated_key(query: LocateQuery) -> bool:
    """Whether a key that the server generates for the group ``default`` meets all criteria."""
    criteria = {criterion.key: criterion.value.value for criterion in query.criteria}
    is_match = all(
        isinstance(key, Tag) and key in _GENERATED_KEY and value == _GENERATED_KEY[key]
        for key, value in criteria.items()
    )
    return is_match and Tag.OBJECT_GROUP in criteria and not query.offset


def _generate_member(call: Call) -> str:
    algorithm = CryptographicAlgorithm.AES
    # On a read-only view this ends the run, before a key is made that the next run makes again.
    assert call.transaction
    key = SymmetricKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW,
            key_value=KeyValue(key_material=generate_key(algorithm, KEY_LENGTH, call.draw)),
            cryptographic_algorithm=algorithm,
            cryptographic_length=KEY_LENGTH,
        )
    )
    attributes = Attributes.of(
        (Tag.OBJECT_GROUP, DEFAULT_GROUP), (Tag.CRYPTOGRAPHIC_USAGE_MASK, KEY_USAGE)
    )
    managed = creation.store(
        call,
        ObjectType.SYMMETRIC_KEY,
        pack_object(key),
        attributes,
        derived_attributes(key),
        generated=True,
    )
    return managed.id


def _default_member(call: Call, query: LocateQuery) -> Located:
    """The member after the one that was located last; the oldest one comes first."""
    ids = sharing.locate(call, replace(query, maximum=None, offset=0)).ids[::-1]
    if not ids:
        return Located((), 0)
    key = _key(query)
    entry = call.store.entry(DEFAULT_MEMBER, key)
    last = None if entry is None else entry.content.decode()
    position = (ids.index(last) + 1) % len(ids) if last in ids else 0
    transaction = call.optional_transaction
    if transaction is not None:
        _note_member(transaction, query, ids[position], call.now)
    return Located((ids[position],), 1)


def _key(query: LocateQuery) -> bytes:
    """What identifies a query in the store."""
    parts = [query.owner.encode()]
    parts += [
        f"{len(str(each.key))} {each.key}".encode() + binary.encode(each.value)
        for each in query.criteria
    ]
    return sha256(b"".join(parts)).digest()


def _note_member(
    transaction: Transaction, query: LocateQuery, identifier: str, now: datetime
) -> None:
    """Store the member that was located, so that the next Locate, in any process, has the next one."""
    entry = Entry(DEFAULT_MEMBER, _key(query), query.owner, now + REMEMBER, identifier.encode())
    transaction.remove_expired(DEFAULT_MEMBER, now)
    transaction.put_entry(entry)
    own = transaction.entries(DEFAULT_MEMBER, query.owner)
    if len(own) > MAX_GROUP_QUERIES:
        others = [each for each in own if each.key != entry.key]
        oldest = min(others, key=lambda each: each.expires)
        transaction.remove_entry(DEFAULT_MEMBER, oldest.key)


REMEMBER = timedelta(days=365)
"""How long the last member of a query is remembered."""
MAX_GROUP_QUERIES = 100
"""Queries of an account whose last member is remembered; those of others must not make it forget one."""
