"""Notify and Put, which a server sends to a client. Their responses have no payload."""

from typing import Annotated

from kmipkit.model.attribute import AttributeReference, Attributes
from kmipkit.model.objects import ManagedObject
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import PutFunction
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0


@structure()
class NotifyRequest(Structure):
    """Attributes that changed (1.4 §5.1, 2.1 §6.2.2).

    A deleted attribute has no value in 1.x; in 2.x it is in ``attribute_references``.
    """

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: Annotated[
        Attributes | None,
        Wire(Tag.ATTRIBUTE, until=V1_4, spread=True, required=True),
        Wire(Tag.ATTRIBUTES, since=V2_0),
    ] = None
    attribute_references: Annotated[
        tuple[AttributeReference, ...], Wire(Tag.ATTRIBUTE_REFERENCE, since=V2_0)
    ] = ()


@structure()
class PutRequest(Structure):
    """An object for the client to store (1.4 §5.2, 2.1 §6.2.3)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    put_function: Annotated[PutFunction, Wire(Tag.PUT_FUNCTION)]
    replaced_unique_identifier: Annotated[
        Identifier | None, Wire(Tag.REPLACED_UNIQUE_IDENTIFIER)
    ] = None
    object: Annotated[ManagedObject, Wire()]
    attributes: Annotated[
        Attributes | None,
        Wire(Tag.ATTRIBUTE, until=V1_4, spread=True),
        Wire(Tag.ATTRIBUTES, since=V2_0),
    ] = None
