"""Managed objects (KMIP 1.4 §2.2, KMIP 2.1 §2)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import BigInteger
from kmipkit.spec import enums
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4


@structure(Tag.CERTIFICATE)
class Certificate(Structure):
    """A certificate; an X.509 certificate is in DER (1.4 §2.2.1)."""

    certificate_type: Annotated[enums.CertificateType, Wire(Tag.CERTIFICATE_TYPE)]
    certificate_value: Annotated[bytes, Wire(Tag.CERTIFICATE_VALUE)]


@structure(Tag.CERTIFICATE_REQUEST)
class CertificateRequest(Structure):
    """A request for a certificate; an object since 2.0 (2.1 §2.2)."""

    certificate_request_type: Annotated[
        enums.CertificateRequestType, Wire(Tag.CERTIFICATE_REQUEST_TYPE)
    ]
    certificate_request_value: Annotated[bytes, Wire(Tag.CERTIFICATE_REQUEST_VALUE)]


@structure(Tag.SYMMETRIC_KEY)
class SymmetricKey(Structure):
    """1.4 §2.2.2."""

    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


@structure(Tag.PUBLIC_KEY)
class PublicKey(Structure):
    """1.4 §2.2.3."""

    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


@structure(Tag.PRIVATE_KEY)
class PrivateKey(Structure):
    """1.4 §2.2.4."""

    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


@structure(Tag.SPLIT_KEY)
class SplitKey(Structure):
    """One part of a key that is split among several holders (1.4 §2.2.5)."""

    split_key_parts: Annotated[int, Wire(Tag.SPLIT_KEY_PARTS)]
    key_part_identifier: Annotated[int, Wire(Tag.KEY_PART_IDENTIFIER)]
    split_key_threshold: Annotated[int, Wire(Tag.SPLIT_KEY_THRESHOLD)]
    split_key_method: Annotated[enums.SplitKeyMethod, Wire(Tag.SPLIT_KEY_METHOD)]
    prime_field_size: Annotated[BigInteger | None, Wire(Tag.PRIME_FIELD_SIZE)] = None
    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


@structure(Tag.TEMPLATE)
class Template(Structure):
    """Attributes under a name; not in 2.0 and later (1.4 §2.2.6)."""

    attributes: Annotated[Attributes, Wire(Tag.ATTRIBUTE, until=V1_4, spread=True, required=True)]


@structure(Tag.SECRET_DATA)
class SecretData(Structure):
    """A password, a seed or the like (1.4 §2.2.7)."""

    secret_data_type: Annotated[enums.SecretDataType, Wire(Tag.SECRET_DATA_TYPE)]
    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


@structure(Tag.OPAQUE_OBJECT)
class OpaqueObject(Structure):
    """Bytes that the server stores without interpreting them (1.4 §2.2.8)."""

    opaque_data_type: Annotated[enums.OpaqueDataType, Wire(Tag.OPAQUE_DATA_TYPE)]
    opaque_data_value: Annotated[bytes, Wire(Tag.OPAQUE_DATA_VALUE)]


@structure(Tag.PGP_KEY)
class PGPKey(Structure):
    """A PGP key as in RFC 4880 (1.4 §2.2.9)."""

    pgp_key_version: Annotated[int, Wire(Tag.PGP_KEY_VERSION)]
    key_block: Annotated[KeyBlock, Wire(Tag.KEY_BLOCK)]


ManagedObject = (
    Certificate
    | CertificateRequest
    | SymmetricKey
    | PublicKey
    | PrivateKey
    | SplitKey
    | Template
    | SecretData
    | OpaqueObject
    | PGPKey
)

CLASS_OF_TYPE: Mapping[ObjectType, type[ManagedObject]] = MappingProxyType(
    {
        ObjectType.CERTIFICATE: Certificate,
        ObjectType.CERTIFICATE_REQUEST: CertificateRequest,
        ObjectType.SYMMETRIC_KEY: SymmetricKey,
        ObjectType.PUBLIC_KEY: PublicKey,
        ObjectType.PRIVATE_KEY: PrivateKey,
        ObjectType.SPLIT_KEY: SplitKey,
        ObjectType.TEMPLATE: Template,
        ObjectType.SECRET_DATA: SecretData,
        ObjectType.OPAQUE_OBJECT: OpaqueObject,
        ObjectType.PGP_KEY: PGPKey,
    }
)
"""The class of each Object Type."""

OBJECT_TYPE_OF: Mapping[type, ObjectType] = MappingProxyType(
    {cls: object_type for object_type, cls in CLASS_OF_TYPE.items()}
)
"""The Object Type of each class."""
