"""Which values may not be shown: one rule for ``repr``, the printer and the text forms.

A value is hidden if its tag names a secret (:data:`kmipkit.spec.secrets.SECRET_TAGS`), or if it
stands anywhere below a Key Value and could hold key material: bytes, text or a big number. Numbers,
dates and enumerations stay, and so do Attribute Names, which say what kind of attribute it is.
"""

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag

_ENCLOSING = SECRET_TAGS | {Tag.KEY_VALUE, Tag.KEY_MATERIAL}
_CARRIERS = frozenset((ItemType.BYTE_STRING, ItemType.TEXT_STRING, ItemType.BIG_INTEGER))


def within(tag: int, inside: bool) -> bool:
    """Whether what stands at or below this tag is in a secret place; ``inside``: its parent is."""
    return inside or tag in _ENCLOSING


def hidden(tag: int, item_type: ItemType, inside: bool) -> bool:
    """Whether the value of an item may not be shown; ``inside`` is what :func:`within` told."""
    if tag in SECRET_TAGS:
        return item_type is not ItemType.STRUCTURE
    return inside and item_type in _CARRIERS and tag != Tag.ATTRIBUTE_NAME


REDACTED = "<redacted>"
"""What is shown in place of a value that may not be shown."""
