"""Key formats: every way between them, and bytes that are not what their format says."""

from functools import cache
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from kmipkit.errors import OperationError
from kmipkit.keys.formats import (
    convert,
    dump_private_key,
    dump_public_key,
    load_private_key,
    load_public_key,
)
from kmipkit.spec.enums import CryptographicAlgorithm, KeyFormatType, ObjectType, ResultReason

RAW, OPAQUE, PKCS_1 = KeyFormatType.RAW, KeyFormatType.OPAQUE, KeyFormatType.PKCS_1
PKCS_8, X_509, SEC_1 = KeyFormatType.PKCS_8, KeyFormatType.X_509, KeyFormatType.ECPRIVATEKEY
PRIVATE, PUBLIC = ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY
RSA, EC = CryptographicAlgorithm.RSA, CryptographicAlgorithm.ECDSA
ED25519, ED448 = CryptographicAlgorithm.ED25519, CryptographicAlgorithm.ED448

MAKERS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
}
ALGORITHMS = {
    "rsa": RSA,
    "p256": EC,
    "secp256k1": EC,
    "ed25519": ED25519,
    "ed448": ED448,
    "x25519": CryptographicAlgorithm.ECDH,
}
PRIVATE_FORMATS = {
    "rsa": {PKCS_1, PKCS_8},
    "p256": {SEC_1, PKCS_8},
    "secp256k1": {SEC_1, PKCS_8},
    "ed25519": {RAW, PKCS_8},
    "ed448": {RAW, PKCS_8},
    "x25519": {PKCS_8},
}
PUBLIC_FORMATS = {
    "rsa": {PKCS_1, X_509},
    "p256": {X_509},
    "secp256k1": {X_509},
    "ed25519": {RAW, X_509},
    "ed448": {RAW, X_509},
    "x25519": {X_509},
}


@cache
def key(name: str):
    return MAKERS[name]()


@pytest.mark.parametrize("name", MAKERS)
def test_private_keys_between_all_their_formats(name: str) -> None:
    formats = PRIVATE_FORMATS[name]
    written = {key_format: dump_private_key(key(name), key_format) for key_format in formats}
    for source, target in product(formats, formats):
        converted = convert(written[source], source, target, PRIVATE, ALGORITHMS[name])
        assert converted == written[target]


@pytest.mark.parametrize("name", MAKERS)
def test_public_keys_between_all_their_formats(name: str) -> None:
    formats = PUBLIC_FORMATS[name]
    written = {
        key_format: dump_public_key(key(name).public_key(), key_format) for key_format in formats
    }
    for source, target in product(formats, formats):
        converted = convert(written[source], source, target, PUBLIC, ALGORITHMS[name])
        assert converted == written[target]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("rsa", RAW),
        ("rsa", SEC_1),
        ("rsa", X_509),
        ("rsa", OPAQUE),
        ("rsa", KeyFormatType.PKCS_12),
        ("p256", PKCS_1),
        ("p256", RAW),
        ("ed25519", PKCS_1),
        ("ed25519", SEC_1),
    ],
)
def test_private_keys_in_formats_that_cannot_hold_them(name: str, target: KeyFormatType) -> None:
    with pytest.raises(OperationError) as caught:
        convert(dump_private_key(key(name), PKCS_8), PKCS_8, target, PRIVATE, ALGORITHMS[name])
    assert caught.value.reason == ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("object_type", "source", "target", "algorithm"),
    [
        (ObjectType.SYMMETRIC_KEY, RAW, PKCS_8, None),
        (ObjectType.SYMMETRIC_KEY, RAW, OPAQUE, None),
        (ObjectType.SECRET_DATA, OPAQUE, RAW, None),
        (PRIVATE, OPAQUE, PKCS_8, RSA),
        (PRIVATE, RAW, PKCS_8, RSA),
        (PRIVATE, RAW, PKCS_8, None),
        (PRIVATE, X_509, PKCS_8, RSA),
        (PUBLIC, RAW, X_509, EC),
        (PUBLIC, PKCS_8, X_509, RSA),
        (PUBLIC, KeyFormatType(0x80000001), X_509, RSA),
    ],
)
def test_no_way_between_them(
    object_type: ObjectType,
    source: KeyFormatType,
    target: KeyFormatType,
    algorithm: CryptographicAlgorithm | None,
) -> None:
    with pytest.raises(OperationError) as caught:
        convert(bytes(32), source, target, object_type, algorithm)
    assert caught.value.reason == ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED


@pytest.mark.parametrize("object_type", ObjectType)
@pytest.mark.parametrize("key_format", [RAW, OPAQUE, PKCS_1, X_509])
def test_the_same_format_gives_the_same_bytes(
    object_type: ObjectType, key_format: KeyFormatType
) -> None:
    assert convert(b"anything", key_format, key_format, object_type) == b"anything"


def private(name: str, key_format: KeyFormatType) -> bytes:
    return dump_private_key(key(name), key_format)


def public(name: str, key_format: KeyFormatType) -> bytes:
    return dump_public_key(key(name).public_key(), key_format)


WRONG_PRIVATE = {
    "nothing": (PKCS_8, lambda: b""),
    "no DER": (PKCS_8, lambda: b"-----BEGIN PRIVATE KEY-----"),
    "cut off": (PKCS_1, lambda: private("rsa", PKCS_1)[:-1]),
    "something behind": (PKCS_1, lambda: private("rsa", PKCS_1) + b"\0"),
    "PKCS#8 called PKCS#1": (PKCS_1, lambda: private("rsa", PKCS_8)),
    "PKCS#1 called PKCS#8": (PKCS_8, lambda: private("rsa", PKCS_1)),
    "SEC 1 called PKCS#8": (PKCS_8, lambda: private("p256", SEC_1)),
    "PKCS#1 called SEC 1": (SEC_1, lambda: private("rsa", PKCS_1)),
    "a public key": (PKCS_1, lambda: public("rsa", PKCS_1)),
    "the shape only": (PKCS_1, lambda: bytes.fromhex("3006020100020101")),
    "encrypted": (
        PKCS_8,
        lambda: key("p256").private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    ),
    "too short for Ed25519": (RAW, lambda: bytes(31)),
}


@pytest.mark.parametrize("name", WRONG_PRIVATE)
def test_bytes_that_are_no_private_key_of_the_format(name: str) -> None:
    key_format, make = WRONG_PRIVATE[name]
    with pytest.raises(OperationError, match=key_format.name) as caught:
        load_private_key(make(), key_format, ED25519)
    assert caught.value.reason == ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    ("key_format", "make"),
    [
        (X_509, lambda: public("rsa", PKCS_1)),
        (PKCS_1, lambda: public("rsa", X_509)),
        (X_509, lambda: bytes.fromhex("30 80 00 00")),
        (X_509, lambda: bytes.fromhex("30 85 01 00 00 00 00")),
        (X_509, lambda: bytes.fromhex("30 02 30 00")),
        (RAW, lambda: bytes(33)),
    ],
)
def test_bytes_that_are_no_public_key_of_the_format(key_format: KeyFormatType, make) -> None:
    with pytest.raises(OperationError) as caught:
        load_public_key(make(), key_format, ED25519)
    assert caught.value.reason == ResultReason.INVALID_FIELD


@pytest.mark.parametrize("name", MAKERS)
def test_no_key_byte_in_an_error(name: str) -> None:
    data = private(name, PKCS_8)
    with pytest.raises(OperationError) as caught:
        load_private_key(data[:-1], PKCS_8)
    assert data[-16:-1].hex() not in repr(caught.value)
