"""Get."""

from typing import Annotated

from kmipkit.model.keyblock import KeyWrappingSpecification
from kmipkit.model.objects import ManagedObject
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4


@structure()
class GetRequest(Structure):
    """Get an object (1.4 §4.11, 2.1 §6.1.19)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    key_format_type: Annotated[KeyFormatType | None, Wire(Tag.KEY_FORMAT_TYPE)] = None
    key_wrap_type: Annotated[KeyWrapType | None, Wire(Tag.KEY_WRAP_TYPE, since=V1_4)] = None
    key_compression_type: Annotated[KeyCompressionType | None, Wire(Tag.KEY_COMPRESSION_TYPE)] = (
        None
    )
    key_wrapping_specification: Annotated[
        KeyWrappingSpecification | None, Wire(Tag.KEY_WRAPPING_SPECIFICATION)
    ] = None


@structure()
class GetResponse(Structure):
    """The object (1.4 §4.11, 2.1 §6.1.19)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    object: Annotated[ManagedObject, Wire()]
