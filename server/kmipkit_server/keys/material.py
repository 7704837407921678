"""The material of keys that the server itself uses."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from kmipkit.errors import OperationError
from kmipkit.keys import transparent
from kmipkit.keys.certificates import certificate_key
from kmipkit.keys.formats import load_private_key, load_public_key
from kmipkit.model.keyblock import KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import Certificate
from kmipkit.spec.enums import ObjectType, ResultReason
from kmipkit.spec.titles import title_with_article
from kmipkit_server.objects.managed import Managed


def key_bytes(managed: Managed) -> bytes:
    """The Key Material of an unwrapped key. OperationError if the server cannot see it."""
    value = managed.key_block.key_value
    if value is None:
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT,
            "the server stores only the attributes of this key, not its value",
        )
    if not isinstance(value, KeyValue):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key is stored wrapped, so the server cannot use it",
        )
    if isinstance(value.key_material, TransparentSymmetricKey):
        return value.key_material.key
    if isinstance(value.key_material, bytes):
        return value.key_material
    raise OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"the server cannot use a key with the Key Format Type"
        f" {managed.key_block.key_format_type.name}",
    )


def public_key(managed: Managed) -> PublicKeyTypes:
    """The key in a Public Key or a Certificate. Illegal Object Type for other objects."""
    if managed.object_type is ObjectType.CERTIFICATE:
        value = managed.object
        assert isinstance(value, Certificate)
        return certificate_key(value.certificate_value)
    _require_type(managed, ObjectType.PUBLIC_KEY)
    return _load_public(managed)


def private_key(managed: Managed) -> PrivateKeyTypes:
    """The key in a Private Key. Illegal Object Type for other objects."""
    _require_type(managed, ObjectType.PRIVATE_KEY)
    return _load_private(managed)


def rsa_public_key(managed: Managed) -> RSAPublicKey:
    """The RSA key of a Public Key object. Illegal Object Type for a key of another algorithm."""
    key: RSAPublicKey = _require_rsa(_load_public(managed), RSAPublicKey)
    return key


def rsa_private_key(managed: Managed) -> RSAPrivateKey:
    """The RSA key of a Private Key object. Illegal Object Type for a key of another algorithm."""
    key: RSAPrivateKey = _require_rsa(_load_private(managed), RSAPrivateKey)
    return key


def _require_type(managed: Managed, object_type: ObjectType) -> None:
    if managed.object_type is not object_type:
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE,
            f"the operation needs {title_with_article(object_type)}",
        )


def _load_public(managed: Managed) -> PublicKeyTypes:
    key: PublicKeyTypes = _load_transparent(managed) or load_public_key(*_encoded(managed))
    return key


def _load_private(managed: Managed) -> PrivateKeyTypes:
    key: PrivateKeyTypes = _load_transparent(managed) or load_private_key(*_encoded(managed))
    return key


def _load_transparent(managed: Managed) -> Any:
    """The key of a transparent structure; None for other material."""
    value = managed.key_block.key_value
    material = value.key_material if isinstance(value, KeyValue) else None
    return transparent.load(material) if transparent.is_transparent(material) else None


def _encoded(managed: Managed) -> tuple[Any, ...]:
    """The bytes of a key, their format and its algorithm."""
    block = managed.key_block
    return key_bytes(managed), block.key_format_type, block.cryptographic_algorithm


def _require_rsa(key: object, key_class: type[Any]) -> Any:
    if not isinstance(key, key_class):
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE,
            "the only asymmetric keys that support this operation are RSA keys",
        )
    return key
