"""What each value of a message means to a comparison: which values a server may choose.

Two servers that behave the same still differ in what they choose: identifiers, times, new keys, and all
that follows from a key. Such values are not compared as they are; but they must be used in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.redaction import in_secret, is_secret
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.items import children


class Kind(Enum):
    """How a value is compared."""

    PLAIN = auto()
    """It must be equal."""
    IDENTIFIER = auto()
    """It names an object: always the same one."""
    TIME = auto()
    """If a client has chosen it, it must be that time; else any."""
    MATERIAL = auto()
    """Key bytes and other secrets; never shown."""
    COMPUTED = auto()
    """Follows from a key or from chance: initialization vectors, signatures, correlation values."""
    IGNORED = auto()
    """Has no meaning for clients: messages for people, the name of the product."""


CHOSEN = frozenset({Kind.IDENTIFIER, Kind.TIME, Kind.MATERIAL, Kind.COMPUTED})
"""What a server may choose."""

_IDENTIFIERS = (
    Tag.UNIQUE_IDENTIFIER,
    Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER,
    Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER,
    Tag.CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER,
    Tag.LINKED_OBJECT_IDENTIFIER,
    Tag.REPLACED_UNIQUE_IDENTIFIER,
    Tag.SHORT_UNIQUE_IDENTIFIER,
)
_COMPUTED = (
    Tag.ASYNCHRONOUS_CORRELATION_VALUE,
    Tag.CORRELATION_VALUE,
    Tag.IV_COUNTER_NONCE,
    Tag.AUTHENTICATED_ENCRYPTION_TAG,
    Tag.MAC_SIGNATURE,
    Tag.MAC_DATA,
    Tag.SIGNATURE_DATA,
    Tag.DIGEST_VALUE,
    Tag.CERTIFICATE_VALUE,
    Tag.CERTIFICATE_REQUEST_VALUE,
    Tag.CERTIFICATE_SERIAL_NUMBER,
    Tag.NONCE_ID,
    Tag.NONCE_VALUE,
)
_IGNORED = (
    Tag.RESULT_MESSAGE,
    Tag.UNIQUE_BATCH_ITEM_ID,
    Tag.CLIENT_CORRELATION_VALUE,
    Tag.SERVER_CORRELATION_VALUE,
    Tag.SERVER_INFORMATION,
)
_BY_TAG: Mapping[int, Kind] = MappingProxyType(
    {
        **dict.fromkeys(_IDENTIFIERS, Kind.IDENTIFIER),
        **dict.fromkeys(_COMPUTED, Kind.COMPUTED),
        **dict.fromkeys(_IGNORED, Kind.IGNORED),
    }
)
_BY_TYPE: Mapping[ItemType, Kind] = MappingProxyType(
    {
        ItemType.DATE_TIME: Kind.TIME,
        ItemType.DATE_TIME_EXTENDED: Kind.TIME,
        ItemType.IDENTIFIER: Kind.IDENTIFIER,
        ItemType.REFERENCE: Kind.IDENTIFIER,
    }
)

ORDERED = frozenset({Tag.UNIQUE_IDENTIFIER, Tag.PROTOCOL_VERSION})
"""Items whose order says something: what Locate found first (KMIP 1.4 §4.9), which version a server
prefers (§4.26). All other lists of one item are sets."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item is."""

    parent: int = 0
    is_secret: bool = False
    """Whether the structure around it is a secret one."""
    attribute: int = 0
    """The tag for which an Attribute Value of 1.x stands; 0 if there is none."""

    def within(self, item: Item) -> "Place":
        """The place of the children of an item."""
        return Place(item.tag, in_secret(item.tag, self.is_secret), attribute_tag(item))

    def tag(self, item: Item) -> int:
        """The tag that says what an item is, in all versions the same."""
        return self.attribute if item.tag == Tag.ATTRIBUTE_VALUE and self.attribute else item.tag

    def kind(self, item: Item) -> Kind:
        """How an item is compared."""
        if is_secret(item.tag, item.type, in_secret(item.tag, self.is_secret)):
            return Kind.MATERIAL
        tag = self.tag(item)
        if tag == Tag.VENDOR_IDENTIFICATION and self.parent == Tag.RESPONSE_PAYLOAD:
            return Kind.IGNORED  # the answer to Query; elsewhere it is a part of a name
        return _BY_TAG.get(tag) or _BY_TYPE.get(item.type, Kind.PLAIN)


def attribute_name(item: Item) -> str:
    """The Attribute Name in a structure; empty if it has none."""
    for child in children(item):
        if child.tag == Tag.ATTRIBUTE_NAME and isinstance(child.value, str):
            return child.value
    return ""


def attribute_tag(item: Item) -> int:
    """The tag of the attribute that a structure has by its name; 0 if there is none."""
    spec = BY_NAME.get(attribute_name(item)) if item.tag == Tag.ATTRIBUTE else None
    return 0 if spec is None else int(spec.tag)
