"""Attributes of one object: Get, Get List, Add, Modify, Delete, Set, Adjust.

1.x selects an instance by name and index; 2.x selects it by tag and value (Current Attribute). The
responses of 1.x repeat the attribute, those of 2.x do not.
"""

from typing import Annotated

from kmipkit.model.attribute import NO_ATTRIBUTES, Attribute, AttributeReference, Attributes
from kmipkit.model.payloads.common import ObjectRequest, ObjectResponse
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import AdjustmentType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0
from kmipkit.ttlv.tree import Item


@structure()
class GetAttributesRequest(Structure):
    """Get these attributes, or all (1.4 §4.12, 2.1 §6.1.20)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    attribute_references: Annotated[
        tuple[AttributeReference, ...],
        Wire(Tag.ATTRIBUTE_NAME, until=V1_4),
        Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0),
    ] = ()


@structure()
class GetAttributesResponse(Structure):
    """The attributes (1.4 §4.12, 2.1 §6.1.20)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: Annotated[
        Attributes,
        Wire(Tag.ATTRIBUTE, until=V1_4, spread=True),
        Wire(Tag.ATTRIBUTES, since=V2_0, required=True),
    ] = NO_ATTRIBUTES


@structure()
class GetAttributeListRequest(ObjectRequest):
    """List the attributes of the object (1.4 §4.13, 2.1 §6.1.21)."""


@structure()
class GetAttributeListResponse(Structure):
    """The attributes that the object has (1.4 §4.13, 2.1 §6.1.21)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attribute_references: Annotated[
        tuple[AttributeReference, ...],
        Wire(Tag.ATTRIBUTE_NAME, until=V1_4, required=True),
        Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0, required=True),
    ]


@structure()
class AddAttributeRequest(Structure):
    """Add an attribute instance (1.4 §4.14, 2.1 §6.1.2)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    attribute: Annotated[
        Attribute, Wire(Tag.ATTRIBUTE, until=V1_4), Wire(Tag.NEW_ATTRIBUTE, since=V2_0)
    ]


@structure()
class AttributeChangedResponse(Structure):
    """The object, and in 1.x the attribute that was added, modified or deleted."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attribute: Annotated[Attribute | None, Wire(Tag.ATTRIBUTE, until=V1_4, required=True)] = None


@structure()
class AddAttributeResponse(AttributeChangedResponse):
    """The added attribute (1.4 §4.14, 2.1 §6.1.2)."""


@structure()
class ModifyAttributeRequest(Structure):
    """Change the value of an attribute instance (1.4 §4.15, 2.1 §6.1.34).

    In 2.x, ``current_attribute`` selects the instance.
    """

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    current_attribute: Annotated[Attribute | None, Wire(Tag.CURRENT_ATTRIBUTE, since=V2_0)] = None
    attribute: Annotated[
        Attribute, Wire(Tag.ATTRIBUTE, until=V1_4), Wire(Tag.NEW_ATTRIBUTE, since=V2_0)
    ]


@structure()
class ModifyAttributeResponse(AttributeChangedResponse):
    """The modified attribute (1.4 §4.15, 2.1 §6.1.34)."""


@structure()
class DeleteAttributeRequest(Structure):
    """Delete an attribute (1.4 §4.16, 2.1 §6.1.13).

    1.x: the name, and the index of the instance. 2.x: the instance by its value
    (``current_attribute``), or all instances (``attribute_reference``).
    """

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    attribute_name: Annotated[
        AttributeReference | None, Wire(Tag.ATTRIBUTE_NAME, until=V1_4, required=True)
    ] = None
    attribute_index: Annotated[int | None, Wire(Tag.ATTRIBUTE_INDEX, until=V1_4)] = None
    current_attribute: Annotated[Attribute | None, Wire(Tag.CURRENT_ATTRIBUTE, since=V2_0)] = None
    attribute_reference: Annotated[
        AttributeReference | None, Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0)
    ] = None


@structure()
class DeleteAttributeResponse(AttributeChangedResponse):
    """The deleted attribute (1.4 §4.16, 2.1 §6.1.13)."""


@structure()
class SetAttributeRequest(Structure):
    """Set the value of a single-instance attribute (2.1 §6.1.51)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    attribute: Annotated[Attribute, Wire(Tag.NEW_ATTRIBUTE, since=V2_0)]


@structure()
class SetAttributeResponse(ObjectResponse):
    """The changed object (2.1 §6.1.51)."""


@structure()
class AdjustAttributeRequest(Structure):
    """Increment, decrement or negate an attribute (2.1 §6.1.3).

    ``adjustment_value`` has the item type of the attribute; therefore it is a tree item.
    """

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    attribute_reference: Annotated[AttributeReference, Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0)]
    adjustment_type: Annotated[AdjustmentType, Wire(Tag.ADJUSTMENT_TYPE, since=V2_0)]
    adjustment_value: Annotated[Item | None, Wire(Tag.ADJUSTMENT_VALUE, since=V2_0)] = None


@structure()
class AdjustAttributeResponse(ObjectResponse):
    """The changed object (2.1 §6.1.3)."""
