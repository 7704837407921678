"""The names of algorithms and parameters: those of the standard, and the usual ones.

A document may write them in any of the spellings of the standard, whatever their case and punctuation:
``SHA-256``, ``SHA_256``, ``sha256``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    ObjectType,
    PaddingMethod,
    RecommendedCurve,
    WrappingMethod,
)
from kmipkit.spec.names import member_named, value_name
from kmipkit.spec.tags import Tag

TAGS: Mapping[type[OpenEnum], Tag] = MappingProxyType(
    {
        CryptographicAlgorithm: Tag.CRYPTOGRAPHIC_ALGORITHM,
        RecommendedCurve: Tag.RECOMMENDED_CURVE,
        BlockCipherMode: Tag.BLOCK_CIPHER_MODE,
        PaddingMethod: Tag.PADDING_METHOD,
        HashingAlgorithm: Tag.HASHING_ALGORITHM,
        DigitalSignatureAlgorithm: Tag.DIGITAL_SIGNATURE_ALGORITHM,
        WrappingMethod: Tag.WRAPPING_METHOD,
        ObjectType: Tag.OBJECT_TYPE,
    }
)
"""The tag by which the standard's names of an enumeration are found."""


def shown(value: OpenEnum) -> str:
    """The name of a value in messages."""
    tag = TAGS.get(type(value))
    name = value_name(tag, int(value)) if tag is not None else None
    return (name or value.name).replace("_", "-")


def named(kind: type[OpenEnum], name: str) -> OpenEnum | None:
    """The value of a name; None if there is none."""
    return member_named(kind, name)


def all_names(kind: type[OpenEnum]) -> list[str]:
    """The names of all values."""
    return [shown(member) for member in kind]
