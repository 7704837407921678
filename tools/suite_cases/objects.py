"""Objects of each type that cases register."""

from collections.abc import Mapping
from typing import Any

from kmipkit_conformance.markers import OF_TYPE
from kmipkit_conformance.wording import value_title

from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import (
    Certificate,
    ManagedObject,
    OpaqueObject,
    PrivateKey,
    PublicKey,
    SecretData,
    SplitKey,
    SymmetricKey,
    Template,
)
from kmipkit.model.payloads.register import RegisterRequest, RegisterResponse
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    OpaqueDataType,
    Operation,
    SecretDataType,
    SplitKeyMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from suite_cases.building import attributes_needed
from suite_cases.material import CERTIFICATE, PRIVATE_KEY, PUBLIC_KEY
from suite_cases.steps import KEY, Step, uid


def block(
    data: bytes,
    form: KeyFormatType = KeyFormatType.RAW,
    algorithm: CryptographicAlgorithm | None = CryptographicAlgorithm.AES,
    bits: int | None = None,
) -> KeyBlock:
    """A key block of a key in the clear."""
    return KeyBlock(
        key_format_type=form,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=algorithm,
        cryptographic_length=(bits or 8 * len(data)) if algorithm else None,
    )


_RSA = (KeyFormatType.PKCS_1, CryptographicAlgorithm.RSA, 2048)

_Mask = CryptographicUsageMask

OBJECTS: Mapping[ObjectType, tuple[ManagedObject, CryptographicUsageMask | None]] = {
    ObjectType.SYMMETRIC_KEY: (SymmetricKey(key_block=block(KEY)), _Mask.ENCRYPT | _Mask.DECRYPT),
    ObjectType.PUBLIC_KEY: (PublicKey(key_block=block(PUBLIC_KEY, *_RSA)), _Mask.VERIFY),
    ObjectType.PRIVATE_KEY: (PrivateKey(key_block=block(PRIVATE_KEY, *_RSA)), _Mask.SIGN),
    ObjectType.SECRET_DATA: (
        SecretData(
            secret_data_type=SecretDataType.PASSWORD,
            key_block=block(b"secret words", KeyFormatType.OPAQUE, None),
        ),
        _Mask.DERIVE_KEY,
    ),
    ObjectType.CERTIFICATE: (
        Certificate(certificate_type=CertificateType.X_509, certificate_value=CERTIFICATE),
        _Mask.VERIFY | _Mask.CERTIFICATE_SIGN,
    ),
    ObjectType.OPAQUE_OBJECT: (
        OpaqueObject(opaque_data_type=OpaqueDataType(0x80000001), opaque_data_value=b"opaque"),
        None,
    ),
    ObjectType.SPLIT_KEY: (
        SplitKey(
            split_key_parts=3,
            key_part_identifier=1,
            split_key_threshold=2,
            split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8,
            key_block=block(KEY),
        ),
        _Mask.ENCRYPT,
    ),
    ObjectType.TEMPLATE: (
        Template(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 128))),
        None,
    ),
}
"""An object of each type, and the Cryptographic Usage Mask with which it is registered."""


def register(
    object_type: ObjectType,
    number: int = 0,
    *pairs: tuple[AttributeKey, Any],
    value: ManagedObject | None = None,
    mask: CryptographicUsageMask | None = None,
) -> Step:
    """Register an object of a type with some attributes."""
    usual, usual_mask = OBJECTS[object_type]
    mask = mask or usual_mask
    masks = [] if mask is None else [(Tag.CRYPTOGRAPHIC_USAGE_MASK, mask)]
    return Step(
        Operation.REGISTER,
        RegisterRequest(
            object_type=object_type,
            attributes=Attributes.of(*masks, *pairs),
            object=value or usual,
        ),
        RegisterResponse(unique_identifier=uid(number)),
        optional=attributes_needed(pairs) or _type_needed(object_type),
    )


def _type_needed(object_type: ObjectType) -> str:
    if object_type is ObjectType.SYMMETRIC_KEY:
        return ""
    return f"{OF_TYPE} {value_title(Tag.OBJECT_TYPE, object_type)}"
