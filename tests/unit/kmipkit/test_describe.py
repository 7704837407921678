"""Facts of keys."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

from kmipkit.errors import OperationError
from kmipkit.keys.describe import CURVES, KeyFacts, describe_key, private_key_facts
from kmipkit.keys.formats import dump_private_key, dump_public_key
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    RecommendedCurve,
    ResultReason,
)

A, C = CryptographicAlgorithm, RecommendedCurve
RAW, PKCS_8, X_509 = KeyFormatType.RAW, KeyFormatType.PKCS_8, KeyFormatType.X_509

KEYS = {
    "rsa": (lambda: rsa.generate_private_key(65537, 1024), KeyFacts(A.RSA, 1024)),
    "p256": (lambda: ec.generate_private_key(ec.SECP256R1()), KeyFacts(A.ECDSA, 256, C.P_256)),
    "p521": (lambda: ec.generate_private_key(ec.SECP521R1()), KeyFacts(A.ECDSA, 521, C.P_521)),
    "ed25519": (ed25519.Ed25519PrivateKey.generate, KeyFacts(A.ED25519, 256)),
    "ed448": (ed448.Ed448PrivateKey.generate, KeyFacts(A.ED448, 456)),
    "x25519": (x25519.X25519PrivateKey.generate, KeyFacts(A.ECDH, 256, C.CURVE25519)),
    "x448": (x448.X448PrivateKey.generate, KeyFacts(A.ECDH, 448, C.CURVE448)),
}


@pytest.mark.parametrize("name", KEYS)
def test_asymmetric_keys(name: str) -> None:
    make, facts = KEYS[name]
    key = make()
    private = dump_private_key(key, PKCS_8)
    public = dump_public_key(key.public_key(), X_509)
    assert describe_key(private, PKCS_8, ObjectType.PRIVATE_KEY) == facts
    assert describe_key(public, X_509, ObjectType.PUBLIC_KEY) == facts


@pytest.mark.parametrize("declared", [A.EC, A.ECDSA, A.ECDH, A.ECMQV])
def test_a_key_on_a_curve_is_called_what_its_sender_calls_it(declared: A) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    assert private_key_facts(key, declared) == KeyFacts(declared, 384, C.P_384)


def test_an_algorithm_that_is_not_so_is_not_repeated() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    assert private_key_facts(key, A.RSA).algorithm == A.ECDSA


def test_dsa() -> None:
    numbers = dsa.generate_private_key(1024)
    assert private_key_facts(numbers) == KeyFacts(A.DSA, 1024)


def test_the_table_has_every_curve_of_the_library() -> None:
    named = {
        getattr(member, "name", None) for member in vars(ec).values() if isinstance(member, type)
    }
    assert {name for name in named if isinstance(name, str)} <= CURVES.keys()


@pytest.mark.parametrize(
    ("size", "algorithm", "length"),
    [(32, A.AES, 256), (24, A.DES3, 168), (16, A.DES3, 112), (20, A.HMAC_SHA1, 160), (5, None, 40)],
)
def test_symmetric_keys(size: int, algorithm: A | None, length: int) -> None:
    facts = describe_key(bytes(size), RAW, ObjectType.SYMMETRIC_KEY, algorithm)
    assert facts == KeyFacts(algorithm, length)


@pytest.mark.parametrize("key_format", [RAW, KeyFormatType.OPAQUE])
def test_what_cannot_be_looked_into_is_measured(key_format: KeyFormatType) -> None:
    facts = describe_key(bytes(100), key_format, ObjectType.PRIVATE_KEY, A.RSA)
    assert facts == KeyFacts(A.RSA, 800)


def test_raw_keys_of_edwards_curves_are_read() -> None:
    assert describe_key(bytes(32), RAW, ObjectType.PRIVATE_KEY, A.ED25519).length == 256
    with pytest.raises(OperationError) as caught:
        describe_key(bytes(31), RAW, ObjectType.PRIVATE_KEY, A.ED25519)
    assert caught.value.reason == ResultReason.INVALID_FIELD
