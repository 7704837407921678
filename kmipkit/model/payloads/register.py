"""Register, Import and Export: the operations that transfer managed objects."""

from typing import Annotated

from kmipkit.model.keyblock import KeyWrappingSpecification
from kmipkit.model.objects import ManagedObject
from kmipkit.model.payloads.common import (
    AllAttributes,
    AttributeList,
    NewObjectResponse,
    ObjectResponse,
    StorageMasks,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier
from kmipkit.spec.enums import KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V2_0


@structure()
class RegisterRequest(Structure):
    """Register an object in the server (1.4 §4.3, 2.1 §6.1.43).

    The object is optional in the tables of 1.0 and 1.1, and required in 1.2 and later.
    """

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    attributes: AttributeList
    object: Annotated[ManagedObject | None, Wire(until=V1_1), Wire(since=V1_2, required=True)] = (
        None
    )
    protection_storage_masks: StorageMasks = None


@structure()
class RegisterResponse(NewObjectResponse):
    """The registered object (1.4 §4.3, 2.1 §6.1.43)."""


@structure()
class ImportRequest(Structure):
    """Import an object with its identifier (1.4 §4.41, 2.1 §6.1.25)."""

    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    object_type: Annotated[ObjectType | None, Wire(Tag.OBJECT_TYPE, since=V2_0, required=True)] = (
        None
    )
    replace_existing: Annotated[bool | None, Wire(Tag.REPLACE_EXISTING)] = None
    key_wrap_type: Annotated[KeyWrapType | None, Wire(Tag.KEY_WRAP_TYPE)] = None
    attributes: AllAttributes
    object: Annotated[ManagedObject, Wire()]


@structure()
class ImportResponse(ObjectResponse):
    """The imported object (1.4 §4.41, 2.1 §6.1.25)."""


@structure()
class ExportRequest(Structure):
    """Export an object with all its attributes (1.4 §4.40, 2.1 §6.1.18)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    key_format_type: Annotated[KeyFormatType | None, Wire(Tag.KEY_FORMAT_TYPE)] = None
    key_wrap_type: Annotated[KeyWrapType | None, Wire(Tag.KEY_WRAP_TYPE)] = None
    key_compression_type: Annotated[KeyCompressionType | None, Wire(Tag.KEY_COMPRESSION_TYPE)] = (
        None
    )
    key_wrapping_specification: Annotated[
        KeyWrappingSpecification | None, Wire(Tag.KEY_WRAPPING_SPECIFICATION)
    ] = None


@structure()
class ExportResponse(Structure):
    """The object and its attributes (1.4 §4.40, 2.1 §6.1.18)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: AllAttributes
    object: Annotated[ManagedObject, Wire()]
