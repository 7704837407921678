"""What a replacement takes over from the object it replaces (KMIP 1.4 §4.4, §4.5, §4.8)."""

from datetime import timedelta

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.attributes import Link, UsageLimits
from kmipkit.spec.enums import LinkType
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.access import load, save
from kmipkit_server.objects.managed import Managed, add_instance, is_multi_instance

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


def inherited_attributes(call: Call, old: Managed, offset: int | None) -> Attributes:
    """The attributes that a replacement takes over, its dates moved."""
    copied = old.attributes.without(*NOT_COPIED)
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


def merged_attributes(given: Attributes, inherited_attributes: Attributes) -> Attributes:
    """What is inherited_attributes, and what is asked for besides or instead."""
    kept = (
        one for one in inherited_attributes if is_multi_instance(one.key) or one.key not in given
    )
    return Attributes((*kept, *given))


def release_names(call: Call, old: Managed) -> Managed:
    """Take its names from an object: the replacement has them now."""
    nameless = old.with_attributes(old.attributes.without(Tag.NAME))
    save(call, old, nameless)
    return load(call, old.id)


def link_to_replacement(call: Call, old: Managed, replacement: str) -> None:
    """Link the replaced object to its replacement."""
    link = Link(link_type=LinkType.REPLACEMENT_OBJECT_LINK, linked_object_identifier=replacement)
    stored, _ = add_instance(old.attributes, Tag.LINK, link)
    save(call, old, old.with_attributes(stored))


def link_to_replaced(old: Managed) -> Link:
    """The link of a replacement to what it replaces."""
    return Link(link_type=LinkType.REPLACED_OBJECT_LINK, linked_object_identifier=old.id)
