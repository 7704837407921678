"""Redaction of secret values: one rule for ``repr``, the printer, XML and JSON.

A value is secret if its tag is one of :data:`kmipkit.spec.secrets.SECRET_TAGS`, or if it is anywhere
below a Key Value and may contain key material: bytes, text or a big number. Numbers, dates and
enumerations are shown, and so are Attribute Names.
"""

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag

_ENCLOSING = SECRET_TAGS | {Tag.KEY_VALUE, Tag.KEY_MATERIAL}
_CARRIERS = frozenset((ItemType.BYTE_STRING, ItemType.TEXT_STRING, ItemType.BIG_INTEGER))


def in_secret(tag: int, inside: bool) -> bool:
    """Whether items at or below this tag are in a secret structure; ``inside``: the parent is."""
    return inside or tag in _ENCLOSING


def is_secret(tag: int, item_type: ItemType, inside: bool) -> bool:
    """Whether to redact the value of an item; ``inside`` is the result of :func:`in_secret`."""
    if tag in SECRET_TAGS:
        return item_type is not ItemType.STRUCTURE
    return inside and item_type in _CARRIERS and tag != Tag.ATTRIBUTE_NAME


REDACTED = "<redacted>"
"""The text in place of a secret value."""
