"""What many payloads share: a request about one object, a response that names one, some fields.

A family file subclasses these where a payload has no more than that, so that each operation keeps
a class of its own (handlers and tests go by class), and says only what is particular to it.
"""

from typing import Annotated, TypeAlias

from kmipkit.model.attribute import Attributes
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.masks import ProtectionStorageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0

AttributeList: TypeAlias = Annotated[
    Attributes, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4), Wire(Tag.ATTRIBUTES, since=V2_0)
]
"""Attributes that a request sets: a Template-Attribute in 1.x."""

OptionalAttributeList: TypeAlias = Annotated[
    Attributes | None, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4), Wire(Tag.ATTRIBUTES, since=V2_0)
]
"""The same, where a request may leave them out."""

ImplicitAttributes: TypeAlias = Annotated[
    Attributes | None, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4)
]
"""Attributes that the server set by itself; a 1.x response may list them (1.4 §4.1)."""

AllAttributes: TypeAlias = Annotated[
    Attributes,
    Wire(Tag.ATTRIBUTE, until=V1_4, spread=True, required=True),
    Wire(Tag.ATTRIBUTES, since=V2_0),
]
"""All attributes of an object: in 1.x items of the payload itself, at least one."""


@structure(Tag.PROTECTION_STORAGE_MASKS)
class ProtectionStorageMasks(Structure):
    """Alternatives for how to store an object, best first; any one will do (2.1 §7.33)."""

    masks: Annotated[
        tuple[ProtectionStorageMask, ...], Wire(Tag.PROTECTION_STORAGE_MASK, since=V2_0)
    ] = ()


StorageMasks: TypeAlias = Annotated[
    ProtectionStorageMasks | None, Wire(Tag.PROTECTION_STORAGE_MASKS, since=V2_0)
]
"""How the new object may be stored."""


@structure()
class ObjectRequest(Structure):
    """A request about one object; without identifier it means the ID Placeholder (1.4 §4)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None


@structure()
class ObjectResponse(Structure):
    """An answer that names the object that was worked on."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]


@structure()
class NewObjectResponse(Structure):
    """An answer that names a new object; 1.x may add what the server set by itself."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: ImplicitAttributes = None


@structure()
class KeyPairResponse(Structure):
    """An answer that names both halves of a new key pair."""

    private_key_unique_identifier: Annotated[Identifier, Wire(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)]
    public_key_unique_identifier: Annotated[Identifier, Wire(Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER)]
    private_key_attributes: Annotated[
        Attributes | None, Wire(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, until=V1_4)
    ] = None
    public_key_attributes: Annotated[
        Attributes | None, Wire(Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE, until=V1_4)
    ] = None
