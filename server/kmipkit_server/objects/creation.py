"""Creating objects: the attributes of the request, checked, and those that the server sets.

The attribute tables (KMIP 1.4 §3, KMIP 2.1 §4) say who may set which attribute. Create, Register and
all other operations that create objects have the attributes that the server sets from here.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import (
    Attribute,
    AttributeKey,
    Attributes,
    attribute_name,
)
from kmipkit.model.attributes import Digest, RNGParameters
from kmipkit.model.objects import ManagedObject
from kmipkit.spec.enums import (
    HashingAlgorithm,
    KeyFormatType,
    ObjectType,
    ResultReason,
    RNGAlgorithm,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_3, Version
from kmipkit_server.engine import permission
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import algorithms, attribute_rules, constraints
from kmipkit_server.objects.application_data import with_application_data
from kmipkit_server.objects.dates import require_order
from kmipkit_server.objects.links import require_one_replacement, with_earlier
from kmipkit_server.objects.managed import Managed, is_multi_instance, pack_object
from kmipkit_server.objects.names import (
    require_distinct_names,
    require_unique_name,
    template_attributes,
)
from kmipkit_server.objects.protection import without_claims
from kmipkit_server.objects.protection_storage import OWN_STORAGE, require_own_storage
from kmipkit_server.objects.quantum_safety import require_quantum_safe
from kmipkit_server.objects.usage import with_count
from kmipkit_server.store.base import Record

DEFAULT_GROUP = "default"
"""The Object Group of new objects of clients of 1.1 and 1.2 that name none (KMIP 1.2 §3.33)."""

MAX_SECRET_BITS = 8192
"""The length of the longest secret that the server generates or derives."""


def requested_attributes(
    call: Call, attributes: Attributes | None, object_type: ObjectType
) -> Attributes:
    """The attributes of a new object: those that the client requests, and the server's defaults."""
    return with_defaults(call, object_type, explicit_attributes(call, attributes, object_type))


def explicit_attributes(
    call: Call, attributes: Attributes | None, object_type: ObjectType
) -> Attributes:
    """The attributes that a client requests for a new object, checked; without the server's defaults.

    Those of templates are included. An attribute in the request itself replaces the same
    single-instance attribute of a template, and that of a later template the one of an earlier
    template (KMIP 1.4 §4.2).
    """
    requested = Attributes() if attributes is None else attributes
    attribute_rules.require_room(len(requested.items), call.settings.max_attributes)
    attribute_rules.check_new(requested.items, object_type, call.version)
    refuse_repetition(requested)
    if not requested.templates:
        return _all_completed(call, requested)
    of_templates: list[Attribute] = []
    for attribute in template_attributes(call, requested.templates):
        if not is_multi_instance(attribute.key):
            if attribute.key in requested:
                continue
            of_templates = [each for each in of_templates if each.key != attribute.key]
        attribute_rules.check_new((attribute,), object_type, call.version)
        of_templates.append(attribute)
    return _all_completed(call, Attributes((*requested, *of_templates)))


def with_defaults(call: Call, object_type: ObjectType, explicit: Attributes) -> Attributes:
    """Requested attributes with the server's defaults; Invalid Field if they contradict each other."""
    attributes = constraints.with_defaults(call, object_type, explicit)
    if attributes is not explicit:
        attributes = _all_completed(call, attributes)
    require_order(attributes)
    require_own_storage(attributes)
    return attributes


def completed(call: Call, attribute: Attribute, managed: Managed | None = None) -> Attribute:
    """A requested attribute of a new or existing object with what the server adds to its value."""
    limits = managed.get(Tag.USAGE_LIMITS) if managed is not None else None
    return with_application_data(call, with_count(with_earlier(call, attribute), limits))


_COMPLETED: frozenset[AttributeKey] = frozenset(
    {Tag.USAGE_LIMITS, Tag.APPLICATION_SPECIFIC_INFORMATION, Tag.CREDENTIAL_LINK}
)
"""The attributes to which :func:`completed` may add something."""


def _all_completed(call: Call, attributes: Attributes) -> Attributes:
    """Requested attributes of a new object with what the server adds to their values."""
    if not attributes.has_any(_COMPLETED):
        return attributes
    return Attributes(tuple([completed(call, attribute) for attribute in attributes]))


def with_usage_mask(attributes: Attributes) -> Attributes:
    """With a Cryptographic Usage Mask, even if the client omits it: then no use is permitted.

    KMIP 1.4 requires the mask (§4.1, Table 163), but some clients omit it.
    """
    if Tag.CRYPTOGRAPHIC_USAGE_MASK in attributes:
        return attributes
    mask = first_instance(Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask(0))
    return attributes.plus(mask)


def refuse_repetition(attributes: Attributes) -> None:
    """Refuse several values of a single-instance attribute."""
    if len(attributes.keys()) == len(attributes.items):  # as in most requests
        return
    seen: set[AttributeKey] = set()
    for attribute in attributes:
        if attribute.key in seen and not is_multi_instance(attribute.key):
            raise OperationError(
                ResultReason.ATTRIBUTE_SINGLE_VALUED,
                f"the request has several values for {attribute_name(attribute.key)},"
                " which can have one only",
            )
        seen.add(attribute.key)


def _with_indexes(pairs: Sequence[tuple[AttributeKey, Any]]) -> list[Attribute]:
    """Attributes with indexes from zero for each key, in their order (KMIP 1.4 §2.1.1)."""
    if len(dict(pairs)) == len(pairs):  # each has one instance, as in most requests
        return [
            _first_number(key, value) if isinstance(value, int) else Attribute(key, value, 0)
            for key, value in pairs
        ]
    counts: dict[AttributeKey, int] = {}
    indexed = []
    for key, value in pairs:
        index = counts.get(key, 0)
        counts[key] = index + 1
        indexed.append(Attribute(key, value, index))
    return indexed


def digest(data: bytes, key_format: KeyFormatType | None) -> Digest:
    """The SHA-256 digest, which every object has (KMIP 1.4 §3.17)."""
    return Digest(
        hashing_algorithm=HashingAlgorithm.SHA_256,
        digest_value=sha256(data).digest(),
        key_format_type=key_format,
    )


SYSTEM_GENERATOR = RNGParameters(rng_algorithm=RNGAlgorithm.UNSPECIFIED)

ALWAYS_SET = (
    Attribute(Tag.FRESH, True, 0),
    Attribute(Tag.SENSITIVE, False, 0),
    Attribute(Tag.EXTRACTABLE, True, 0),
    Attribute(Tag.PROTECTION_STORAGE_MASK, OWN_STORAGE, 0),
)
"""Attributes that every new object gets with the same value, unless the request has them."""

ALWAYS_SET_IF_GENERATED = (
    *ALWAYS_SET,
    Attribute(Tag.RANDOM_NUMBER_GENERATOR, SYSTEM_GENERATOR, 0),
)
"""The same for objects that the server generates (KMIP 1.4 §3.44)."""

DATES = (Tag.INITIAL_DATE, Tag.LAST_CHANGE_DATE)
"""Attributes that every new object has with the time of its creation, unless the request has them."""

DATES_IF_GENERATED = (*DATES, Tag.ORIGINAL_CREATION_DATE)
"""The same for objects that the server generates (KMIP 1.4 §3.43)."""


@lru_cache(maxsize=64)
def dates(
    now: datetime, requested: frozenset[AttributeKey], *, generated: bool
) -> tuple[Attribute, ...]:
    """The dates of a new object: those that are made in the same second have the same ones."""
    keys = DATES_IF_GENERATED if generated else DATES
    return tuple([Attribute(key, now, 0) for key in keys if key not in requested])


@lru_cache(maxsize=1024)
def _common_attributes(
    requested: frozenset[AttributeKey],
    is_sensitive: bool,
    is_kept: bool,
    version: Version,
    lease_seconds: int | None,
    generated: bool,
) -> tuple[Attribute, ...]:
    """The other attributes of the server: thousands of objects have the same ones."""
    values: dict[Tag, Any] = {
        Tag.OPERATION_POLICY_NAME: "default" if version < V1_3 else None,
        Tag.OBJECT_GROUP: DEFAULT_GROUP if V1_1 <= version < V1_3 else None,
        Tag.ALWAYS_SENSITIVE: is_sensitive,
        Tag.NEVER_EXTRACTABLE: is_kept,
        Tag.LEASE_TIME: lease_seconds,
    }
    given = [
        Attribute(key, value, 0)
        for key, value in values.items()
        if value is not None and key not in requested
    ]
    constants = ALWAYS_SET_IF_GENERATED if generated else ALWAYS_SET
    return (*given, *[each for each in constants if each.key not in requested])


_VARIANTS = "89ab" * 4
"""The first digit of the second half of a UUID, by what it would be if all of its bits were random."""


def new_identifier(call: Call) -> str:
    """A new Unique Identifier (KMIP 1.4 §3.1): a random UUID (RFC 9562 §5.4)."""
    # The class UUID takes ten times as long.
    drawn = call.draw(16)
    text, variant = drawn.hex(), _VARIANTS[drawn[8] >> 4]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def create(
    call: Call,
    object_type: ObjectType,
    value: ManagedObject,
    attributes: Attributes,
    derived: Iterable[tuple[Tag, Any]],
    *,
    generated: bool = False,
    identifier: str | None = None,
    state: State = State.PRE_ACTIVE,
    owner: str | None = None,
    shared_names: Collection[str] = (),
) -> Managed:
    """Store a new object that the operation returns; see :func:`store`."""
    managed = store(
        call,
        object_type,
        None if state in DESTROYED_STATES else pack_object(value),
        attributes,
        derived,
        generated=generated,
        identifier=identifier,
        state=state,
        owner=owner,
        shared_names=shared_names,
    )
    call.returns(managed.id)
    return managed


def store(
    call: Call,
    object_type: ObjectType,
    material: bytes | None,
    attributes: Attributes,
    derived: Iterable[tuple[Tag, Any]],
    *,
    generated: bool = False,
    identifier: str | None = None,
    state: State = State.PRE_ACTIVE,
    of_system: bool = False,
    owner: str | None = None,
    shared_names: Collection[str] = (),
) -> Managed:
    """Store a new object of the client.

    ``attributes`` are the requested ones. ``derived`` ones follow from the object itself (algorithm,
    length, digest) and apply unless the request has the same attributes. ``generated`` says that the
    server made the object, and not a client. ``identifier`` is one of :func:`new_identifier` that
    other objects already refer to, or that of an imported object, as ``state`` is. ``of_system`` is
    for objects that belong to the tenant of the client, or to the server if it has none. ``owner`` is
    for those that belong to the owner of another object. ``shared_names`` may be those of other objects.
    """
    identity = call.identity
    owner = identity.system if of_system else owner or identity.name
    derived = list(derived)
    if generated:
        _require_own_origin(attributes)
        # "SHALL be set to True when a new object is created on the server unless the client provides
        # a False value in Register or Import" (KMIP 2.1 §4.24).
        attributes = attributes.without(Tag.FRESH)
    else:
        _require_true(attributes, derived)
    attributes = without_claims(attributes)
    require_distinct_names(attributes)
    require_one_replacement(attributes)
    require_unique_name(call, attributes, owner=owner, shared=shared_names)
    identifier = identifier or new_identifier(call)
    all_attributes = Attributes(
        tuple(_all_attributes(call, identifier, attributes, derived, generated=generated))
    )
    if not of_system:
        constraints.check(call, object_type, all_attributes)
        if state not in DESTROYED_STATES:
            algorithms.require_new(call, object_type, all_attributes, material)
    record = Record(
        id=identifier,
        owner=owner,
        object_type=object_type,
        stored_state=state,
        attributes=all_attributes,
        material=material,
    )
    managed = Managed(record, call.now)
    # If the request "contains an Activation Date that has already occurred, then the state
    # immediately transitions from Pre-Active to Active" (KMIP 1.4 §3.22, transition 1).
    if managed.state is not state:
        managed = managed.with_state(managed.state)
    permission.require_creation(call, managed.record)
    call.transaction.insert(managed.record)
    return managed


def _all_attributes(
    call: Call,
    identifier: str,
    attributes: Attributes,
    derived: Iterable[tuple[Tag, Any]],
    *,
    generated: bool,
) -> list[Attribute]:
    """The requested attributes, those that follow from the object, and those of the server."""
    requested_keys = frozenset(attributes.keys())
    pairs = [(attribute.key, attribute.value) for attribute in attributes.items]
    pairs += [pair for pair in derived if pair[1] is not None and pair[0] not in requested_keys]
    all_attributes = _with_indexes(pairs)
    all_attributes += dates(call.now, requested_keys, generated=generated)
    if Tag.SHORT_UNIQUE_IDENTIFIER not in requested_keys:
        short = sha256(identifier.encode()).digest()
        all_attributes.append(Attribute(Tag.SHORT_UNIQUE_IDENTIFIER, short, 0))
    all_attributes += _common_attributes(
        requested_keys,
        bool(attributes.get(Tag.SENSITIVE)),
        attributes.get(Tag.EXTRACTABLE) is False,
        call.version,
        call.settings.lease_seconds,
        generated,
    )
    if Tag.QUANTUM_SAFE in requested_keys:
        require_quantum_safe(Attributes(tuple(all_attributes)))
    return all_attributes


_DESCRIPTIONS = (
    Tag.CERTIFICATE_TYPE,
    Tag.CERTIFICATE_LENGTH,
    Tag.DIGITAL_SIGNATURE_ALGORITHM,
    Tag.KEY_FORMAT_TYPE,
    Tag.OPAQUE_DATA_TYPE,
)
"""Attributes of the server by which a request may describe the object that it has."""


def _require_true(attributes: Attributes, derived: Iterable[tuple[Tag, Any]]) -> None:
    """Refuse a description of the object that contradicts the object itself (KMIP 1.4 §11.4)."""
    for key in _DESCRIPTIONS:
        requested = attributes.all(key)
        actual = [value for tag, value in derived if tag == key and value is not None]
        if requested and actual and not set(requested) <= set(actual):
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"the attribute {attribute_name(key)} contradicts the object, which has"
                f" {', '.join(map(str, actual))}",
            )


def _require_own_origin(attributes: Attributes) -> None:
    """Refuse what would not be true of an object that the server generates.

    Its Original Creation Date "SHALL be set by the server and SHALL be the same as the Initial Date",
    and if the server cannot use a generator that matches a requested Random Number Generator, "then
    it SHALL fail the request" (KMIP 1.4 §3.43, §3.44; KMIP 2.1 §4.38, §4.46).
    """
    if Tag.ORIGINAL_CREATION_DATE in attributes:
        raise OperationError(
            ResultReason.ATTRIBUTE_READ_ONLY,
            "the server sets the Original Creation Date of an object that it generates",
        )
    generator = attributes.get(Tag.RANDOM_NUMBER_GENERATOR)
    if generator is not None and generator != SYSTEM_GENERATOR:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the server does not have the requested Random Number Generator; its own one is"
            " Unspecified, as Query says",
        )


def first_instance(key: AttributeKey, value: Any) -> Attribute:
    """The first instance of an attribute."""
    return _first_number(key, value) if isinstance(value, int) else Attribute(key, value, 0)


@lru_cache(maxsize=4096, typed=True)
def _first_number(key: AttributeKey, value: int) -> Attribute:
    """The same for a number, which thousands of objects have: the store knows the attribute again."""
    return Attribute(key, value, 0)
