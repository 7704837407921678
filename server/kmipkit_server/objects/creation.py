"""Creating objects: the attributes of the request, checked, and those that the server sets.

Who may set what follows from the attribute tables (KMIP 1.4 §3, KMIP 2.1 §4). The server's own part
is one table of functions, so that Create, Register and all later operations that make objects treat
them alike.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
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
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_3
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.objects import attribute_rules, constraints
from kmipkit_server.objects.managed import Managed, is_multi_instance, pack_object
from kmipkit_server.objects.names import require_unique_name, template_attributes
from kmipkit_server.objects.usage import with_count
from kmipkit_server.store.base import Record

DEFAULT_GROUP = "default"
"""The group of objects for which clients of 1.1 and 1.2 name none (KMIP 1.2 §3.33)."""

MAX_SECRET_BITS = 8192
"""The longest secret that the server makes or derives."""


def requested_attributes(
    call: Call, attributes: Attributes | None, object_type: ObjectType
) -> Attributes:
    """The attributes that a client asks for, templates included, after all checks.

    Later ones replace earlier ones of the same single-instance attribute, and what is asked for
    directly replaces what a template says (KMIP 1.4 §2.1.8).
    """
    given = attributes or Attributes()
    for attribute in given:
        attribute_rules.check_new(attribute, object_type, call.version)
    _refuse_repetition(given)
    merged = [with_count(attribute) for attribute in given]
    merged += [
        inherited
        for inherited in template_attributes(call, given.templates)
        if is_multi_instance(inherited.key) or inherited.key not in given
    ]
    return constraints.defaulted(call, object_type, Attributes(tuple(merged)))


def with_usage_mask(attributes: Attributes) -> Attributes:
    """With a Cryptographic Usage Mask, even if the client omits it: then no use is permitted.

    KMIP 1.4 requires the mask (§4.1, Table 163), but some clients omit it.
    """
    if Tag.CRYPTOGRAPHIC_USAGE_MASK in attributes:
        return attributes
    mask = first_instance(Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask(0))
    return attributes.plus(mask)


def _refuse_repetition(attributes: Iterable[Attribute]) -> None:
    seen: set[AttributeKey] = set()
    for attribute in attributes:
        if attribute.key in seen and not is_multi_instance(attribute.key):
            raise OperationError(
                ResultReason.ATTRIBUTE_SINGLE_VALUED,
                f"{attribute_name(attribute.key)} has one value only",
            )
        seen.add(attribute.key)


def _numbered(attributes: Iterable[Attribute]) -> list[Attribute]:
    """With indexes from zero for each attribute, in the order given (KMIP 1.4 §2.1.1)."""
    counts: dict[AttributeKey, int] = {}
    numbered = []
    for attribute in attributes:
        index = counts.get(attribute.key, 0)
        counts[attribute.key] = index + 1
        numbered.append(Attribute(attribute.key, attribute.value, index))
    return numbered


def digest(data: bytes, key_format: KeyFormatType | None) -> Digest:
    """The digest that every object has at least (KMIP 1.4 §3.17)."""
    return Digest(
        hashing_algorithm=HashingAlgorithm.SHA_256,
        digest_value=sha256(data).digest(),
        key_format_type=key_format,
    )


Default = Callable[[Call, str, Attributes], Any]

SET_BY_SERVER: Mapping[Tag, Default] = MappingProxyType(
    {
        Tag.INITIAL_DATE: lambda call, identifier, given: call.now,
        Tag.LAST_CHANGE_DATE: lambda call, identifier, given: call.now,
        Tag.OPERATION_POLICY_NAME: lambda call, identifier, given: (
            "default" if call.version < V1_3 else None
        ),
        Tag.OBJECT_GROUP: lambda call, identifier, given: (
            DEFAULT_GROUP if V1_1 <= call.version < V1_3 else None
        ),
        Tag.FRESH: lambda call, identifier, given: True,
        Tag.SENSITIVE: lambda call, identifier, given: False,
        Tag.EXTRACTABLE: lambda call, identifier, given: True,
        Tag.ALWAYS_SENSITIVE: lambda call, identifier, given: bool(given.get(Tag.SENSITIVE)),
        Tag.NEVER_EXTRACTABLE: lambda call, identifier, given: given.get(Tag.EXTRACTABLE) is False,
        Tag.SHORT_UNIQUE_IDENTIFIER: lambda call, identifier, given: sha256(
            identifier.encode()
        ).digest(),
        Tag.LEASE_TIME: lambda call, identifier, given: call.settings.lease_seconds,
        Tag.PROTECTION_STORAGE_MASK: lambda call, identifier, given: ProtectionStorageMask.SOFTWARE,
    }
)
"""Attributes that the server gives to every new object, unless the request has them."""

SYSTEM_GENERATOR = RNGParameters(rng_algorithm=RNGAlgorithm.UNSPECIFIED)

SET_IF_GENERATED: Mapping[Tag, Default] = MappingProxyType(
    {
        **SET_BY_SERVER,
        Tag.ORIGINAL_CREATION_DATE: lambda call, identifier, given: call.now,
        Tag.RANDOM_NUMBER_GENERATOR: lambda call, identifier, given: SYSTEM_GENERATOR,
    }
)
"""Those, and more for objects that it made (KMIP 1.4 §3.43, §3.44): the generator is the system's."""


def new_identifier(call: Call) -> str:
    """A Unique Identifier that nobody has (KMIP 1.4 §3.1)."""
    return str(uuid.UUID(bytes=call.random(16), version=4))


def create(
    call: Call,
    object_type: ObjectType,
    value: ManagedObject,
    given: Attributes,
    derived: Iterable[tuple[Tag, Any]],
    *,
    generated: bool = False,
    identifier: str | None = None,
    state: State = State.PRE_ACTIVE,
) -> Managed:
    """Store a new object that the operation returns: see :func:`store`."""
    managed = store(
        call,
        object_type,
        None if state in DESTROYED_STATES else pack_object(value),
        given,
        derived,
        generated=generated,
        identifier=identifier,
        state=state,
    )
    call.returns(managed.id)
    return managed


def store(
    call: Call,
    object_type: ObjectType,
    material: bytes | None,
    given: Attributes,
    derived: Iterable[tuple[Tag, Any]],
    *,
    generated: bool = False,
    identifier: str | None = None,
    state: State = State.PRE_ACTIVE,
    owner: Identity | None = None,
) -> Managed:
    """Store a new object of the caller; ``generated`` if the server made it rather than a client.

    ``identifier`` is one of :func:`new_identifier` where others must know it before, or that of an
    object which comes from elsewhere, like ``state``. ``owner`` is given for what belongs to the
    server. ``derived`` attributes follow from the object itself (algorithm, length, digest); they
    count where the request does not give the same attributes.
    """
    owner = owner or call.identity
    require_unique_name(call, given, owner=owner.name)
    identifier = identifier or new_identifier(call)
    taken = {attribute.key for attribute in given}
    known = [
        Attribute(key, value) for key, value in derived if value is not None and key not in taken
    ]
    attributes = _numbered((*given, *known))
    for key, make in (SET_IF_GENERATED if generated else SET_BY_SERVER).items():
        value_set = None if key in taken else make(call, identifier, given)
        if value_set is not None:
            attributes.append(first_instance(key, value_set))
    if owner is not SYSTEM:
        constraints.check(call, object_type, attributes)
    record = Record(
        id=identifier,
        owner=owner.name,
        object_type=object_type,
        stored_state=state,
        attributes=Attributes(tuple(attributes)),
        material=material,
    )
    managed = Managed(record, call.now)
    # What an Activation Date of the past makes active is active from the start (KMIP 1.4 §3.22, 1).
    managed = managed.with_state(managed.state)
    call.transaction.insert(managed.record)
    return managed


def first_instance(key: AttributeKey, value: Any) -> Attribute:
    """The first instance of an attribute."""
    return Attribute(key, value, 0)
