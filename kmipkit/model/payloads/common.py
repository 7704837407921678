"""Common parts of payloads: a request about one object, a response with its identifier, some fields.

A payload without other fields is a subclass, so that each operation has its own classes.
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
"""Attributes that a request sets; in 1.x a Template-Attribute."""

OptionalAttributeList: TypeAlias = Annotated[
    Attributes | None, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4), Wire(Tag.ATTRIBUTES, since=V2_0)
]
"""The same, if they are optional."""

ImplicitAttributes: TypeAlias = Annotated[
    Attributes | None, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4)
]
"""Attributes that the server set itself; a 1.x response may list them (1.4 §4.1)."""

AllAttributes: TypeAlias = Annotated[
    Attributes,
    Wire(Tag.ATTRIBUTE, until=V1_4, spread=True, required=True),
    Wire(Tag.ATTRIBUTES, since=V2_0),
]
"""The attributes of an object; in 1.x they are items of the payload itself, at least one."""


@structure(Tag.PROTECTION_STORAGE_MASKS)
class ProtectionStorageMasks(Structure):
    """Alternatives for the storage of an object, best first (2.1 §7.33)."""

    masks: Annotated[
        tuple[ProtectionStorageMask, ...], Wire(Tag.PROTECTION_STORAGE_MASK, since=V2_0)
    ] = ()


StorageMasks: TypeAlias = Annotated[
    ProtectionStorageMasks | None, Wire(Tag.PROTECTION_STORAGE_MASKS, since=V2_0)
]
"""Permitted kinds of storage for the new object."""


@structure()
class ObjectRequest(Structure):
    """A request about one object; without identifier, the ID Placeholder applies (1.4 §4)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None


@structure()
class ObjectResponse(Structure):
    """A response with the identifier of the object."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]


@structure()
class NewObjectResponse(Structure):
    """A response with the identifier of a new object; in 1.x also attributes that the server set."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: ImplicitAttributes = None


@structure()
class KeyPairResponse(Structure):
    """A response with the identifiers of a new key pair."""

    private_key_unique_identifier: Annotated[Identifier, Wire(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)]
    public_key_unique_identifier: Annotated[Identifier, Wire(Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER)]
    private_key_attributes: Annotated[
        Attributes | None, Wire(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, until=V1_4)
    ] = None
    public_key_attributes: Annotated[
        Attributes | None, Wire(Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE, until=V1_4)
    ] = None
