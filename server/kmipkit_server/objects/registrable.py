"""Which objects Register takes: every type that the wire model has (KMIP 1.4 §4.3)."""

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
