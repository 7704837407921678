"""Create, Create Key Pair, Create Split Key, Join Split Key."""

from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.common import (
    AttributeList,
    ImplicitAttributes,
    KeyPairResponse,
    OptionalAttributeList,
    ProtectionStorageMasks,
    StorageMasks,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import BigInteger, Identifier
from kmipkit.spec.enums import ObjectType, SecretDataType, SplitKeyMethod
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_4, V2_0


@structure()
class CreateRequest(Structure):
    """Create a symmetric key (1.4 §4.1, 2.1 §6.1.8)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    attributes: AttributeList
    protection_storage_masks: StorageMasks = None


@structure()
class CreateResponse(Structure):
    """The new key (1.4 §4.1, 2.1 §6.1.8)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: ImplicitAttributes = None


@structure()
class CreateKeyPairRequest(Structure):
    """Create a key pair (1.4 §4.2, 2.1 §6.1.9)."""

    common_attributes: Annotated[
        Attributes | None,
        Wire(Tag.COMMON_TEMPLATE_ATTRIBUTE, until=V1_4),
        Wire(Tag.COMMON_ATTRIBUTES, since=V2_0),
    ] = None
    private_key_attributes: Annotated[
        Attributes | None,
        Wire(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, until=V1_4),
        Wire(Tag.PRIVATE_KEY_ATTRIBUTES, since=V2_0),
    ] = None
    public_key_attributes: Annotated[
        Attributes | None,
        Wire(Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE, until=V1_4),
        Wire(Tag.PUBLIC_KEY_ATTRIBUTES, since=V2_0),
    ] = None
    common_protection_storage_masks: Annotated[
        ProtectionStorageMasks | None, Wire(Tag.COMMON_PROTECTION_STORAGE_MASKS, since=V2_0)
    ] = None
    private_protection_storage_masks: Annotated[
        ProtectionStorageMasks | None, Wire(Tag.PRIVATE_PROTECTION_STORAGE_MASKS, since=V2_0)
    ] = None
    public_protection_storage_masks: Annotated[
        ProtectionStorageMasks | None, Wire(Tag.PUBLIC_PROTECTION_STORAGE_MASKS, since=V2_0)
    ] = None


@structure()
class CreateKeyPairResponse(KeyPairResponse):
    """The new pair (1.4 §4.2, 2.1 §6.1.9)."""


@structure()
class CreateSplitKeyRequest(Structure):
    """Split an existing or a new key into parts (1.4 §4.38, 2.1 §6.1.10)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    split_key_parts: Annotated[int, Wire(Tag.SPLIT_KEY_PARTS)]
    split_key_threshold: Annotated[int, Wire(Tag.SPLIT_KEY_THRESHOLD)]
    split_key_method: Annotated[SplitKeyMethod, Wire(Tag.SPLIT_KEY_METHOD)]
    prime_field_size: Annotated[BigInteger | None, Wire(Tag.PRIME_FIELD_SIZE)] = None
    attributes: AttributeList
    protection_storage_masks: StorageMasks = None


@structure()
class CreateSplitKeyResponse(Structure):
    """The new parts in the order of their numbers (1.4 §4.38, 2.1 §6.1.10).

    Only 1.2 has an Object Type here (1.2 §4.38); its test cases omit it.
    """

    object_type: Annotated[ObjectType | None, Wire(Tag.OBJECT_TYPE, until=V1_2)] = None
    unique_identifiers: Annotated[
        tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER, required=True)
    ]
    attributes: ImplicitAttributes = None


@structure()
class JoinSplitKeyRequest(Structure):
    """Join the parts of a key (1.4 §4.39, 2.1 §6.1.27)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifiers: Annotated[
        tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER, required=True)
    ]
    secret_data_type: Annotated[SecretDataType | None, Wire(Tag.SECRET_DATA_TYPE)] = None
    attributes: OptionalAttributeList = None
    protection_storage_masks: StorageMasks = None


@structure()
class JoinSplitKeyResponse(Structure):
    """The joined key (1.4 §4.39, 2.1 §6.1.27); only 1.2 has an Object Type, which is optional."""

    object_type: Annotated[ObjectType | None, Wire(Tag.OBJECT_TYPE, until=V1_2)] = None
    unique_identifier: Annotated[Identifier, Wire(Tag.UNIQUE_IDENTIFIER)]
    attributes: ImplicitAttributes = None
