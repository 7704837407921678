"""How material stays protected: what is made from an object is as protected as the object itself.

Sensitive, Extractable and the Cryptographic Usage Mask of an object would protect nothing, if a client
could have its material in another object without them. Always Sensitive and Never Extractable say that
an object was protected all the time (KMIP 1.4 §3.48 to §3.51; KMIP 2.1 §4.3, §4.23, §4.33, §4.55). So
nobody but the server sets them, and they are true only for material that was never elsewhere.
"""

from collections.abc import Collection

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.spec.tags import Tag
from kmipkit_server.objects.managed import Managed, set_attribute

_CLAIMS = (Tag.ALWAYS_SENSITIVE, Tag.NEVER_EXTRACTABLE)
_CLAIM_KEYS: frozenset[AttributeKey] = frozenset(_CLAIMS)


def inherited_protection(
    attributes: Attributes, sources: Collection[Managed], *, is_copy: bool, masks: bool = True
) -> Attributes:
    """The attributes of an object that is made from others, with the protection of all of these.

    ``is_copy`` says that the material of the object is that of the sources, or follows from it, so
    that it was as visible as theirs. Without ``masks``, the usage masks of the sources do not limit
    that of the object.
    """
    if any(source.get(Tag.SENSITIVE) for source in sources):
        attributes = set_attribute(attributes, Tag.SENSITIVE, True)
    if any(source.get(Tag.EXTRACTABLE) is False for source in sources):
        attributes = set_attribute(attributes, Tag.EXTRACTABLE, False)
    if masks:
        attributes = _with_narrower_mask(attributes, sources)
    if is_copy:
        for claim in _CLAIMS:
            if not all(source.get(claim) for source in sources):
                attributes = set_attribute(attributes, claim, False)
    return attributes


def _with_narrower_mask(attributes: Attributes, sources: Collection[Managed]) -> Attributes:
    mask = attributes.get(Tag.CRYPTOGRAPHIC_USAGE_MASK)
    if mask is None:
        return attributes
    for source in sources:
        limit = source.get(Tag.CRYPTOGRAPHIC_USAGE_MASK)
        mask = mask if limit is None else mask & limit
    return set_attribute(attributes, Tag.CRYPTOGRAPHIC_USAGE_MASK, mask)


def without_claims(attributes: Attributes) -> Attributes:
    """The attributes without Always Sensitive and Never Extractable if they are true."""
    if not attributes.has_any(_CLAIM_KEYS):
        return attributes
    return attributes.without(*[claim for claim in _CLAIMS if attributes.get(claim)])


def of_unknown_history(attributes: Attributes) -> Attributes:
    """The attributes of an object that comes from elsewhere, where its material may have been seen."""
    unknown = (Attribute(claim, False, 0) for claim in _CLAIMS)
    return attributes.without(*_CLAIMS).plus(*unknown)


def with_history(managed: Managed) -> Managed:
    """The object as it is stored: Always Sensitive and Never Extractable end with the first change."""
    if managed.get(Tag.ALWAYS_SENSITIVE) and not managed.get(Tag.SENSITIVE):
        managed = managed.with_attribute(Tag.ALWAYS_SENSITIVE, False)
    if managed.get(Tag.NEVER_EXTRACTABLE) and managed.get(Tag.EXTRACTABLE) is not False:
        managed = managed.with_attribute(Tag.NEVER_EXTRACTABLE, False)
    return managed
