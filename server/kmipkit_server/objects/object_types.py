"""Which attributes belong to which types of objects.

The attribute tables say it in their last row, "Applies to Object Types" (KMIP 1.4 §3, KMIP 2.1 §4).
An attribute of another type of object is refused, since it would say nothing about the object.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.model.attribute import AttributeKey, attribute_name
from kmipkit.spec.attributes import ATTRIBUTES
from kmipkit.spec.enums import ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version

_KEYS = frozenset(
    {
        ObjectType.SYMMETRIC_KEY,
        ObjectType.PUBLIC_KEY,
        ObjectType.PRIVATE_KEY,
        ObjectType.SPLIT_KEY,
        ObjectType.PGP_KEY,
    }
)
_ASYMMETRIC_KEYS = frozenset({ObjectType.PUBLIC_KEY, ObjectType.PRIVATE_KEY})
_CRYPTOGRAPHIC_OBJECTS = frozenset(
    {
        *_KEYS,
        ObjectType.CERTIFICATE,
        ObjectType.CERTIFICATE_REQUEST,
        ObjectType.SECRET_DATA,
        # "treated in the same manner as a Managed Cryptographic Object for handling of attributes"
        # (KMIP 1.4 Errata 01 §2.2).
        ObjectType.OPAQUE_OBJECT,
    }
)

_GROUPS: Mapping[str, frozenset[ObjectType]] = MappingProxyType(
    {
        "All Cryptographic Objects": _CRYPTOGRAPHIC_OBJECTS,
        "Managed Cryptographic Objects": _CRYPTOGRAPHIC_OBJECTS,
        "Keys": _KEYS,
        "Asymmetric Keys": _ASYMMETRIC_KEYS,
        "Symmetric Keys": frozenset({ObjectType.SYMMETRIC_KEY}),
        "Split Keys of symmetric keys": frozenset({ObjectType.SPLIT_KEY}),
        "X.509 Certificates": frozenset({ObjectType.CERTIFICATE}),
        "PGP keys": frozenset({ObjectType.PGP_KEY}),
    }
)
"""What the tables call several types, or one type under another name."""

_FURTHER_TYPES: Mapping[Tag, frozenset[ObjectType]] = MappingProxyType(
    {
        # The length of Secret Data to be created or derived has to be given (KMIP 1.4 §4.6), and
        # its key block may have both (§2.1.3).
        Tag.CRYPTOGRAPHIC_ALGORITHM: frozenset({ObjectType.SECRET_DATA}),
        Tag.CRYPTOGRAPHIC_LENGTH: frozenset({ObjectType.SECRET_DATA}),
        # The mandatory case CS-AC-M-8 of the profiles gives both dates to asymmetric keys.
        Tag.PROCESS_START_DATE: _ASYMMETRIC_KEYS,
        Tag.PROTECT_STOP_DATE: _ASYMMETRIC_KEYS,
    }
)
"""Types that other clauses and the official cases permit beyond the tables of 1.x."""


def _types(printed: str) -> Iterator[ObjectType]:
    """The types that a cell of the tables names, such as ``Keys, Certificates, Templates``."""
    for part in printed.split(", "):
        if part in _GROUPS:
            yield from _GROUPS[part]
        else:
            yield ObjectType[part.removesuffix("s").upper().replace(" ", "_")]


def _restrictions(version: Version) -> Mapping[AttributeKey, frozenset[ObjectType]]:
    return MappingProxyType(
        {
            row.tag: frozenset(_types(row.object_types(version)))
            | _FURTHER_TYPES.get(row.tag, frozenset())
            for row in ATTRIBUTES
            if row.object_types(version)
        }
    )


_IN_1, _IN_2 = _restrictions(V1_4), _restrictions(V2_1)


def belongs_to(key: AttributeKey, object_type: ObjectType, version: Version) -> bool:
    """Whether an object of this type may have the attribute."""
    types = (_IN_1 if version < V2_0 else _IN_2).get(key)
    return types is None or object_type in types


def require_type(
    key: AttributeKey,
    object_type: ObjectType,
    version: Version,
    reason: ResultReason = ResultReason.INVALID_ATTRIBUTE,
) -> None:
    """Refuse an attribute that does not belong to the type of the object.

    "An attribute is invalid for this object for this operation" (KMIP 2.1 §11.46).
    """
    if not belongs_to(key, object_type, version):
        raise OperationError(
            reason, f"{attribute_name(key)} does not apply to {title_with_article(object_type)}"
        )
