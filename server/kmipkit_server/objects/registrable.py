"""The object types that Register accepts: all that clients can have (KMIP 1.4 §4.3)."""

from kmipkit.spec.enums import ObjectType

REGISTRABLE = frozenset(
    {
        ObjectType.CERTIFICATE,
        ObjectType.CERTIFICATE_REQUEST,
        ObjectType.SYMMETRIC_KEY,
        ObjectType.PUBLIC_KEY,
        ObjectType.PRIVATE_KEY,
        ObjectType.SPLIT_KEY,
        ObjectType.TEMPLATE,
        ObjectType.SECRET_DATA,
        ObjectType.OPAQUE_OBJECT,
        ObjectType.PGP_KEY,
    }
)
