"""Re-key and Re-key Key Pair: replacements for keys (KMIP 1.4 §4.4, §4.5; KMIP 2.1 §6.1.46, .47)."""

from datetime import timedelta

from kmipkit.errors import OperationError
from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.attributes import Link, UsageLimits
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.rekey import (
    ReKeyKeyPairRequest,
    ReKeyKeyPairResponse,
    ReKeyRequest,
    ReKeyResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    ObjectType,
    Operation,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server import newborn, pairs
from kmipkit_server.call import Call
from kmipkit_server.handlers.create import raw_key
from kmipkit_server.managed import Managed, add_instance, is_multi_instance
from kmipkit_server.object_facts import facts_of
from kmipkit_server.registry import operation

NOT_COPIED: frozenset[AttributeKey] = frozenset(
    {
        Tag.INITIAL_DATE,
        Tag.DESTROY_DATE,
        Tag.COMPROMISE_OCCURRENCE_DATE,
        Tag.COMPROMISE_DATE,
        Tag.REVOCATION_REASON,
        Tag.DIGEST,
        Tag.LINK,
        Tag.LAST_CHANGE_DATE,
        Tag.RANDOM_NUMBER_GENERATOR,
        Tag.ORIGINAL_CREATION_DATE,
        Tag.SHORT_UNIQUE_IDENTIFIER,
        Tag.FRESH,
        Tag.ALWAYS_SENSITIVE,
        Tag.NEVER_EXTRACTABLE,
        Tag.KEY_FORMAT_TYPE,
    }
)
"""What the replacement gets anew or not at all (KMIP 1.4 §4.4, Table 173)."""

SHIFTED = (Tag.PROCESS_START_DATE, Tag.PROTECT_STOP_DATE, Tag.DEACTIVATION_DATE)
"""Dates that keep their distance from the Activation Date (KMIP 1.4 §4.4, Table 172)."""


def _inherited(call: Call, old: Managed, offset: int | None) -> Attributes:
    """The attributes that a replacement takes over, its dates moved."""
    copied = old.stored.without(*NOT_COPIED)
    limits = copied.get(Tag.USAGE_LIMITS)
    if isinstance(limits, UsageLimits):
        whole = limits.replace(usage_limits_count=limits.usage_limits_total)
        copied = _with(copied, Tag.USAGE_LIMITS, whole)
    if offset is None:
        return copied
    activation = call.now + timedelta(seconds=offset)
    before = copied.get(Tag.ACTIVATION_DATE)
    if before is not None:
        for tag in SHIFTED:
            date = copied.get(tag)
            if date is not None:
                copied = _with(copied, tag, date + (activation - before))
    return _with(copied, Tag.ACTIVATION_DATE, activation)


def _with(attributes: Attributes, key: Tag, value: object) -> Attributes:
    return attributes.without(key).plus(Attribute(key, value, 0))


def _merged(given: Attributes, inherited: Attributes) -> Attributes:
    """What is inherited, and what is asked for besides or instead."""
    kept = (one for one in inherited if is_multi_instance(one.key) or one.key not in given)
    return Attributes((*kept, *given))


def _retire(call: Call, old: Managed) -> Managed:
    """Take its names from an object: the replacement has them now."""
    nameless = old.with_stored(old.stored.without(Tag.NAME))
    call.save(old, nameless)
    return call.load(old.id)


def _point(call: Call, old: Managed, replacement: str) -> None:
    link = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=replacement)
    stored, _ = add_instance(old.stored, Tag.LINK, link)
    call.save(old, old.with_stored(stored))


def _back(old: Managed) -> Link:
    return Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=old.id)


def _require_type(managed: Managed, wanted: ObjectType, operation_name: str) -> None:
    if managed.object_type is not wanted:
        word = wanted.name.replace("_", " ").title()
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE, f"{operation_name} replaces a {word}"
        )
    managed.require_alive()


@operation(Operation.RE_KEY, writes=True)
def re_key(call: Call, request: ReKeyRequest) -> ReKeyResponse:
    """Make a replacement for a symmetric key, which takes over its names."""
    old = call.load_for_change(request.unique_identifier)
    _require_type(old, ObjectType.SYMMETRIC_KEY, "Re-key")
    given = newborn.requested(call, request.attributes, ObjectType.SYMMETRIC_KEY)
    attributes = _merged(given, _inherited(call, old, request.offset))
    algorithm = CryptographicAlgorithm(attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or 0)
    bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0
    key = SymmetricKey(
        key_block=raw_key(generate_key(algorithm, bits, call.facts.random), algorithm, bits)
    )
    nameless = _retire(call, old)
    attributes = attributes.plus(Attribute(Tag.LINK, _back(old)))
    managed = newborn.create(
        call, ObjectType.SYMMETRIC_KEY, key, attributes, facts_of(key), generated=True
    )
    _point(call, nameless, managed.id)
    return ReKeyResponse(unique_identifier=managed.id)


@operation(Operation.RE_KEY_KEY_PAIR, writes=True, slow=True)
def re_key_key_pair(call: Call, request: ReKeyKeyPairRequest) -> ReKeyKeyPairResponse:
    """Make a replacement for both keys of a pair."""
    private = call.load_for_change(request.private_key_unique_identifier)
    _require_type(private, ObjectType.PRIVATE_KEY, "Re-key Key Pair")
    public = call.load_for_change(_public_half(private))
    _require_type(public, ObjectType.PUBLIC_KEY, "Re-key Key Pair")
    asked = pairs.requested(
        call,
        request.common_attributes,
        request.private_key_attributes,
        request.public_key_attributes,
    )
    wanted = pairs.Wanted(
        _merged(asked.private, _inherited(call, private, request.offset)),
        _merged(asked.public, _inherited(call, public, request.offset)),
    )
    halves = {ObjectType.PRIVATE_KEY: private, ObjectType.PUBLIC_KEY: public}
    nameless = [_retire(call, old) for old in halves.values()]
    made = pairs.create(call, wanted, links=lambda half: [_back(halves[half])])
    for old, new in zip(nameless, made, strict=True):
        _point(call, old, new.id)
    return ReKeyKeyPairResponse(
        private_key_unique_identifier=made[0].id, public_key_unique_identifier=made[1].id
    )


def _public_half(private: Managed) -> str:
    """The public key of a pair, from the link of the private one."""
    for attribute in private.all(Tag.LINK):
        link = attribute.value
        if link.link_type == LinkType.PUBLIC_KEY_LINK and isinstance(
            link.linked_object_identifier, str
        ):
            return link.linked_object_identifier
    raise OperationError(
        ResultReason.OBJECT_NOT_FOUND, "the private key has no link to a public key"
    )
