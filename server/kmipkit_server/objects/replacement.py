"""What a replacement inherits from the object that it replaces (KMIP 1.4 §4.4, §4.5, §4.8)."""

from collections.abc import Iterator
from datetime import timedelta

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.attributes import Link, UsageLimits
from kmipkit.spec.enums import LinkType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import load, save
from kmipkit_server.objects.dates import ORDERED_DATES, require_order
from kmipkit_server.objects.managed import Managed, add_instance, is_multi_instance
from kmipkit_server.objects.protection import inherited_protection
from kmipkit_server.objects.protection_storage import require_own_storage

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
"""Attributes that the replacement gets anew or not at all (KMIP 1.4 §4.4, Table 173)."""

SHIFTED_DATES = (Tag.PROCESS_START_DATE, Tag.PROTECT_STOP_DATE, Tag.DEACTIVATION_DATE)
"""Dates that keep their distance from the Activation Date (KMIP 1.4 §4.4, Table 172)."""


def inherited_attributes(call: Call, old: Managed, offset: int | None) -> Attributes:
    """The attributes that a replacement inherits, with the dates shifted by the offset."""
    copied = old.attributes.without(*NOT_COPIED)
    limits = copied.get(Tag.USAGE_LIMITS)
    if isinstance(limits, UsageLimits):
        unused = limits.replace(usage_limits_count=limits.usage_limits_total)
        copied = _with(copied, Tag.USAGE_LIMITS, unused)
    if offset is None:
        return copied
    activation = call.now + timedelta(seconds=offset)
    old_activation = copied.get(Tag.ACTIVATION_DATE)
    if old_activation is not None:
        for tag in SHIFTED_DATES:
            date = copied.get(tag)
            if date is not None:
                copied = _with(copied, tag, date + (activation - old_activation))
    return _with(copied, Tag.ACTIVATION_DATE, activation)


def require_offset(old: Managed, requested: Attributes, offset: int | None) -> None:
    """Refuse an Offset that contradicts the dates (KMIP 1.4 §11.5, §11.6, §11.9).

    It "is not permitted to be specified at the same time as any of the Activation Date, Process Start
    Date, Protect Stop Date, or Deactivation Date attributes", and without an Activation Date of the
    existing object, it cannot move the other dates.
    """
    if offset is None:
        return
    if any(tag in requested for tag in (Tag.ACTIVATION_DATE, *SHIFTED_DATES)):
        raise OperationError(
            ResultReason.INVALID_MESSAGE, "an Offset and dates cannot be requested together"
        )
    if old.get(Tag.ACTIVATION_DATE) is None and any(old.get(tag) for tag in SHIFTED_DATES):
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION,
            "an Offset cannot move the dates of an object that has no Activation Date",
        )


def _with(attributes: Attributes, key: Tag, value: object) -> Attributes:
    return attributes.without(key).plus(Attribute(key, value, 0))


def merged_attributes(requested: Attributes, inherited: Attributes) -> Attributes:
    """The inherited attributes and the requested ones, which replace or extend them."""
    return Attributes((*not_replaced(requested, inherited), *requested))


def not_replaced(requested: Attributes, inherited: Attributes) -> Iterator[Attribute]:
    """The inherited attributes that the requested ones neither replace nor repeat."""
    for attribute in inherited:
        if attribute.key not in requested or (
            is_multi_instance(attribute.key) and attribute.value not in requested.all(attribute.key)
        ):
            yield attribute


def replacing_attributes(
    call: Call, requested: Attributes, old: Managed, offset: int | None
) -> Attributes:
    """The attributes of a new key that replaces another one, and is as protected as that one."""
    require_offset(old, requested, offset)
    require_own_storage(requested)
    attributes = merged_attributes(requested, inherited_attributes(call, old, offset))
    require_requested_order(requested, attributes)
    return inherited_protection(attributes, (old,), is_copy=False)


def require_requested_order(requested: Attributes, attributes: Attributes) -> None:
    """Refuse a replacement with dates in the wrong order, if the client has requested one of them.

    Dates that are only copied may contradict each other, if an operation has set one of them.
    """
    if any(attribute.key in ORDERED_DATES for attribute in requested):
        require_order(attributes)


def require_not_replaced(call: Call, old: Managed) -> None:
    """Refuse a second replacement, as racing clients request it: Permission Denied.

    "There SHALL be only one such replacement object per Managed Object" (KMIP 1.4 §3.35). Two of
    them would have the names of the object in turn. An obliterated replacement does not count.
    """
    for attribute in old.instances(Tag.LINK):
        link = attribute.value
        identifier = link.linked_object_identifier
        if link.link_type == LinkType.REPLACEMENT_OBJECT_LINK and call.store.get(str(identifier)):
            raise OperationError(
                ResultReason.PERMISSION_DENIED,
                f"the object is already replaced by {identifier!r}; replace that one instead",
            )


def release_names(call: Call, old: Managed) -> Managed:
    """Remove the names of a replaced object, which the replacement takes over."""
    nameless = old.with_attributes(old.attributes.without(Tag.NAME))
    save(call, old, nameless)
    return load(call, old.id)


def link_to_replacement(call: Call, old: Managed, replacement: str) -> None:
    """Link the replaced object to its replacement."""
    link = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=replacement)
    attributes, _ = add_instance(old.attributes, Tag.LINK, link)
    save(call, old, old.with_attributes(attributes))


def link_to_replaced(old: Managed) -> Link:
    """The link from a replacement to the object that it replaces."""
    return Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=old.id)
