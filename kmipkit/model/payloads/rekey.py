"""Re-key, Re-key Key Pair and Derive Key: new keys from existing ones."""

from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.common import (
    AttributeList,
    KeyPairResponse,
    NewObjectResponse,
    OptionalAttributeList,
    ProtectionStorageMasks,
    StorageMasks,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier, Interval
from kmipkit.spec.enums import DerivationMethod, ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0


@structure()
class ReKeyRequest(Structure):
    """Replace a symmetric key; ``offset`` in seconds (1.4 §4.4, 2.1 §6.1.46)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    offset: Annotated[Interval | None, Wire(Tag.OFFSET)] = None
    attributes: OptionalAttributeList = None
    protection_storage_masks: StorageMasks = None


@structure()
class ReKeyResponse(NewObjectResponse):
    """The replacement key (1.4 §4.4, 2.1 §6.1.46)."""


@structure()
class ReKeyKeyPairRequest(Structure):
    """Replace a key pair; ``offset`` in seconds (1.4 §4.5, 2.1 §6.1.47)."""

    private_key_unique_identifier: Annotated[
        Identifier | None, Wire(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)
    ] = None
    offset: Annotated[Interval | None, Wire(Tag.OFFSET)] = None
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
class ReKeyKeyPairResponse(KeyPairResponse):
    """The replacement pair (1.4 §4.5, 2.1 §6.1.47)."""


@structure(Tag.DERIVATION_PARAMETERS)
class DerivationParameters(Structure):
    """Inputs of a derivation method besides the keys (1.4 §4.6, 2.1 §7.12).

    The method determines which fields it needs, so none is required here. Only 2.x permits several
    Derivation Data, but 1.x is read in the same way.
    """

    cryptographic_parameters: Annotated[
        CryptographicParameters | None, Wire(Tag.CRYPTOGRAPHIC_PARAMETERS)
    ] = None
    initialization_vector: Annotated[bytes | None, Wire(Tag.INITIALIZATION_VECTOR)] = None
    derivation_data: Annotated[tuple[bytes, ...], Wire(Tag.DERIVATION_DATA)] = ()
    salt: Annotated[bytes | None, Wire(Tag.SALT)] = None
    iteration_count: Annotated[int | None, Wire(Tag.ITERATION_COUNT)] = None


@structure()
class DeriveKeyRequest(Structure):
    """Derive a key or secret data from others (1.4 §4.6, 2.1 §6.1.14)."""

    object_type: Annotated[ObjectType, Wire(Tag.OBJECT_TYPE)]
    unique_identifiers: Annotated[
        tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER, required=True)
    ]
    derivation_method: Annotated[DerivationMethod, Wire(Tag.DERIVATION_METHOD)]
    derivation_parameters: Annotated[DerivationParameters, Wire(Tag.DERIVATION_PARAMETERS)]
    attributes: AttributeList


@structure()
class DeriveKeyResponse(NewObjectResponse):
    """The derived object (1.4 §4.6, 2.1 §6.1.14)."""
