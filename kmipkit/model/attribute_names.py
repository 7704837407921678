"""The keys of attributes, and the names by which people and KMIP 1.x messages know them."""

from typing import NamedTuple

from kmipkit.spec.attributes import BY_NAME, BY_TAG
from kmipkit.spec.tags import Tag

CUSTOM_PREFIXES = ("x", "y")
"""Vendor Identifications of 1.x custom attributes: those of clients and of servers (2.1 §4.60)."""


class VendorName(NamedTuple):
    """The key of an attribute that the standard does not define.

    ``vendor`` is "x" or "y" for a 1.x custom attribute, and empty for a name of 1.x that is neither
    custom nor standard.
    """

    vendor: str
    name: str

    def __str__(self) -> str:
        return f"{self.vendor}-{self.name}" if self.vendor else self.name


AttributeKey = Tag | VendorName
AttributeReference = AttributeKey
"""A reference to an attribute: an Attribute Name in 1.x, an Attribute Reference in 2.x (§5.5)."""


def custom(text: str) -> VendorName:
    """The key of a 1.x custom attribute from its full name, such as ``x-Owner``."""
    vendor, dash, name = text.partition("-")
    return VendorName(vendor, name) if dash and vendor in CUSTOM_PREFIXES else VendorName("", text)


def attribute_key(name: AttributeKey | str) -> AttributeKey:
    """The key of an attribute, from any of its names: ``State``, ``x-Owner``, or the key itself."""
    if not isinstance(name, str):
        return name
    row = BY_NAME.get(name)
    return row.tag if row is not None else custom(name)


def attribute_name(key: AttributeKey) -> str:
    """The name of an attribute as KMIP 1.x writes it, for people and for 1.x messages."""
    if isinstance(key, VendorName):
        return str(key)
    row = BY_TAG.get(key)
    return row.name if row else f"0x{int(key):06X}"
