"""New objects like the last ones: of requests that differ in the Name only, most is worked out once.

Clients send the same few templates with another Name each time. What the ordinary way has made of such
a request is then known but for the Name, the dates, the Digest and the Short Unique Identifier: the
other attributes are checked, and they are the same objects in memory, which the decoder remembers as
well. So a pattern is found by their identities. It belongs to a version of KMIP, to the settings of the
server, and to the constraints and defaults in force. Names, policy and algorithm rules are asked about
each object.
"""

from hashlib import sha256
from typing import NamedTuple

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.attributes import Digest, Name
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit_server.engine import permission
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.settings import Settings
from kmipkit_server.objects import algorithms, constraints, creation
from kmipkit_server.objects.names import require_free_name
from kmipkit_server.store import index
from kmipkit_server.store.base import Record
from kmipkit_server.store.moulds import Mould

MAX_PATTERNS = 256
"""Patterns in memory."""

_NAME, _DIGEST, _SHORT = Tag.NAME, Tag.DIGEST, Tag.SHORT_UNIQUE_IDENTIFIER
_PRE_ACTIVE = State.PRE_ACTIVE
_NEW = frozenset({_NAME, _DIGEST, _SHORT, *creation.DATES_IF_GENERATED})
"""The attributes of which each object has a value of its own."""


_UNUSUAL = frozenset({Tag.KEY_FORMAT_TYPE, Tag.ROTATE_AUTOMATIC})
"""Attributes of a request with which the key is converted, or rotated."""


class Pattern(NamedTuple):
    """What symmetric keys have in common that the server generates."""

    algorithm: CryptographicAlgorithm
    bits: int

    requested: tuple[Attribute, ...]
    """The attributes of the request without the Name. They are kept, so that nothing else gets their
    identities."""
    settings: Settings
    """The settings of the server, such as the Lease Time of new objects."""
    rules: constraints.Rules
    """The constraints and defaults in force."""
    keys: frozenset[AttributeKey]
    """The keys of the attributes of the request."""
    shared: tuple[Attribute, ...]
    """The attributes that the store keeps once for all of them."""
    own: tuple[Attribute, ...]
    """The others, without those of which each has a value of its own."""
    digest: Digest
    """The Digest of one of them."""
    mould: Mould
    """The stored form of the others."""


class Requested(NamedTuple):
    """The attributes of a request that may have a pattern: a Name, and numbers.

    Of a Name, only the type can be wrong, which belongs to the key.
    """

    name: Attribute
    others: tuple[Attribute, ...]
    key: tuple[object, ...]
    """That of its pattern."""


def requested(
    call: Call, attributes: Attributes | None, object_type: ObjectType
) -> Requested | None:
    """The attributes of a request for a new object, if they may have a pattern."""
    if attributes is None or attributes.templates:
        return None
    others: list[Attribute] = []
    name: Attribute | None = None
    for each in attributes.items:
        if isinstance(each.value, int):
            others.append(each)
        elif name is None and each.value.__class__ is Name and each.key is _NAME:
            name = each
        else:
            return None
    if name is None:
        return None
    kind = name.value.name_type
    key = (call.identity.tenant, call.version, object_type, kind, *map(id, others))
    return Requested(name, tuple(others), key)


def find(call: Call, request: Requested) -> Pattern | None:
    """The pattern of a request, if there is one for the settings, constraints and defaults in force."""
    pattern: Pattern | None = call.batch.server.state.patterns.get(request.key)
    if pattern is None or pattern.settings is not call.settings:
        return None
    return pattern if pattern.rules is constraints.rules_in_force(call) else None


def keep(call: Call, request: Requested, record: Record) -> None:
    """Keep the pattern of a request, from what the ordinary way has made of it."""
    rules = constraints.rules_in_force(call)
    if rules.constraints is not None or rules.defaults is not None:
        return
    if record.stored_state is not _PRE_ACTIVE or call.batch.has_changed_state:
        return
    keys = frozenset({_NAME, *(each.key for each in request.others)})
    algorithm = record.attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if not _UNUSUAL.isdisjoint(keys) or not isinstance(algorithm, CryptographicAlgorithm):
        return
    patterns = call.batch.server.state.patterns
    if len(patterns) >= MAX_PATTERNS:
        patterns.clear()
    attributes = record.attributes
    shared = tuple([each for each in attributes if each.key in index.SHARED])
    own = tuple([each for each in attributes if each.key not in index.SHARED | _NEW])
    dates = tuple([each.key for each in creation.dates(call.now, keys, generated=True)])
    name, digest, short = (attributes.get(key) for key in (_NAME, _DIGEST, _SHORT))
    try:
        mould = Mould(shared, own, dates, name, digest, short)
    except ValueError:
        return
    bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    patterns[request.key] = Pattern(
        algorithm, bits, request.others, call.settings, rules, keys, shared, own, digest, mould
    )


def store(
    call: Call,
    object_type: ObjectType,
    name: Attribute,
    pattern: Pattern,
    material: bytes,
    key: bytes,
) -> str:
    """Store an object like those of a pattern; its Unique Identifier. See :func:`.creation.store`."""
    owner = call.identity.name
    require_free_name(call, name.value.name_value, owner)
    identifier = creation.new_identifier(call)
    digest, short = sha256(key).digest(), sha256(identifier.encode()).digest()

    def attributes() -> Attributes:
        return Attributes(
            (
                Attribute(_NAME, name.value, 0),
                *pattern.own,
                Attribute(_DIGEST, pattern.digest.replace(digest_value=digest), 0),
                *creation.dates(call.now, pattern.keys, generated=True),
                Attribute(_SHORT, short, 0),
                *pattern.shared,
            )
        )

    record = Record(
        identifier,
        owner,
        object_type,
        _PRE_ACTIVE,
        attributes,
        material,
        written=pattern.mould.written(name, digest, short, call.now),
    )
    if algorithms.rules_in_force(call):
        algorithms.require_new(call, object_type, record.attributes, material)
    permission.require_creation(call, record)
    call.transaction.insert(record)
    return identifier
