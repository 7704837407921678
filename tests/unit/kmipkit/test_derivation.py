"""Derivation methods against published values and the text of their definitions."""

import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.kdf.kbkdf import (
    KBKDFCMAC,
    KBKDFHMAC,
    CounterLocation,
    Mode,
)

from kmipkit.errors import OperationError
from kmipkit.keys import derivation
from kmipkit.keys.derivation import Inputs, derive
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    ResultReason,
)

M = DerivationMethod
SHA_256 = Parameters(hashing_algorithm=HashingAlgorithm.SHA_256)
SHA_1 = Parameters(hashing_algorithm=HashingAlgorithm.SHA_1)
KEY = bytes(range(32))
FIXED = b"label\0context"


def inputs(key: bytes | None = KEY, length: int = 16, **fields: Any) -> Inputs:
    return Inputs(key=key, length=length, random=bytes, **fields)


def test_pbkdf2_as_in_rfc_6070() -> None:
    """§2, 4096 iterations; SHA-1 is the usual function."""
    derived = derive(M.PBKDF2, inputs(b"password", 20, salt=b"salt", iterations=4096))
    assert derived.hex() == "4b007901b765489abead49d926f721d065a429c1"
    with_data = inputs(None, 20, data=(b"password",), salt=b"salt", iterations=4096)
    assert derive(M.PBKDF2, with_data) == derived
    other = inputs(b"password", 20, salt=b"salt", iterations=4096, parameters=SHA_256)
    assert derive(M.PBKDF2, other).hex() == "c5e478d59288c841aa530db6845c4c8d962893a0"


def test_hkdf_as_in_rfc_5869() -> None:
    """Appendix A.1."""
    derived = derive(
        M.HKDF,
        inputs(
            b"\x0b" * 22,
            42,
            salt=bytes(range(13)),
            data=(bytes(range(0xF0, 0xFA)),),
        ),
    )
    assert derived.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_aws_signature_version_4() -> None:
    """The signing key of the example in Amazon's documentation of the method."""
    derived = derive(
        M.AWS_SIGNATURE_VERSION_4,
        inputs(
            b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            32,
            data=(b"20150830", b"us-east-1", b"iam"),
        ),
    )
    assert derived.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


@pytest.mark.parametrize("length", [1, 32, 33, 100])
def test_the_counter_mode_is_that_of_the_library(length: int) -> None:
    def settings(kind: type, algorithm: Any) -> Any:
        return kind(
            algorithm,
            Mode.CounterMode,
            length,
            4,
            None,
            CounterLocation.BeforeFixed,
            None,
            None,
            FIXED,
        )

    by_hmac = derive(M.NIST800_108_C, inputs(length=length, data=(FIXED,), parameters=SHA_256))
    assert by_hmac == settings(KBKDFHMAC, hashes.SHA256()).derive(KEY)
    aes = Parameters(cryptographic_algorithm=CryptographicAlgorithm.AES)
    by_cmac = derive(M.NIST800_108_C, inputs(length=length, data=(FIXED,), parameters=aes))
    assert by_cmac == settings(KBKDFCMAC, algorithms.AES).derive(KEY)


def prf(*parts: bytes) -> bytes:
    return hmac.digest(KEY, b"".join(parts), "sha256")


ONE, TWO = (number.to_bytes(4, "big") for number in (1, 2))


def test_the_feedback_mode_is_that_of_its_definition() -> None:
    """SP 800-108 §4.2: K(i) = PRF(K, K(i-1) || [i] || fixed), K(0) = IV."""
    first = prf(b"iv", ONE, FIXED)
    derivation_inputs = inputs(length=40, data=(FIXED,), iv=b"iv", parameters=SHA_256)
    assert derive(M.NIST800_108_F, derivation_inputs) == (first + prf(first, TWO, FIXED))[:40]


def test_the_double_pipeline_is_that_of_its_definition() -> None:
    """SP 800-108 §4.3: A(i) = PRF(K, A(i-1)), A(0) = fixed; K(i) = PRF(K, A(i) || [i] || fixed)."""
    a_1 = prf(FIXED)
    expected = prf(a_1, ONE, FIXED) + prf(prf(a_1), TWO, FIXED)
    derivation_inputs = inputs(length=64, data=(FIXED,))
    assert derive(M.NIST800_108_DPI, derivation_inputs) == expected


def test_hash_hmac_and_encrypt() -> None:
    assert derive(M.HASH, inputs(b"abc", 20, parameters=SHA_1)).hex() == (
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    )
    assert (
        derive(M.HASH, inputs(None, 20, data=(b"abc",), parameters=SHA_1)).hex().startswith("a99")
    )
    assert derive(M.HMAC, inputs(data=(FIXED,), parameters=SHA_256)) == prf(FIXED)[:16]
    # "If a key is derived using HMAC … the Cryptographic Parameters are ignored."
    keyed = inputs(data=(FIXED,), parameters=SHA_1, algorithm=CryptographicAlgorithm.HMAC_SHA256)
    assert derive(M.HMAC, keyed) == prf(FIXED)[:16]
    # FIPS 197, Appendix C.3
    ecb = inputs(
        algorithm=CryptographicAlgorithm.AES,
        data=(bytes.fromhex("00112233445566778899aabbccddeeff"),),
        parameters=Parameters(block_cipher_mode=BlockCipherMode.ECB),
    )
    assert derive(M.ENCRYPT, ecb).hex() == "8ea2b7ca516745bfeafc49904b496089"


@pytest.mark.parametrize(
    ("method", "derivation_inputs", "reason"),
    [
        (M.PBKDF2, inputs(salt=b"salt"), ResultReason.INVALID_FIELD),
        (M.PBKDF2, inputs(iterations=1), ResultReason.INVALID_FIELD),
        (M.PBKDF2, inputs(salt=b"salt", iterations=0), ResultReason.INVALID_FIELD),
        (M.PBKDF2, inputs(salt=b"salt", iterations=2**31 - 1), ResultReason.INVALID_FIELD),
        (M.HASH, inputs(), ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS),
        (M.HASH, inputs(length=33, parameters=SHA_256), ResultReason.INVALID_FIELD),
        (M.HMAC, inputs(parameters=SHA_256), ResultReason.INVALID_FIELD),
        (M.HMAC, inputs(None, data=(b"x",), parameters=SHA_256), ResultReason.INVALID_FIELD),
        (M.HMAC, inputs(data=(b"x",)), ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS),
        (M.ENCRYPT, inputs(data=(b"x",)), ResultReason.INVALID_FIELD),
        (M.HKDF, inputs(length=32 * 255 + 1), ResultReason.INVALID_FIELD),
        (M.AWS_SIGNATURE_VERSION_4, inputs(data=(b"20150830",)), ResultReason.INVALID_FIELD),
        (M.ASYMMETRIC_KEY, inputs(), ResultReason.FEATURE_NOT_SUPPORTED),
        (DerivationMethod(0x80000001), inputs(), ResultReason.FEATURE_NOT_SUPPORTED),
    ],
)
def test_what_cannot_be_derived(
    method: DerivationMethod, derivation_inputs: Inputs, reason: ResultReason
) -> None:
    with pytest.raises(OperationError) as caught:
        derive(method, derivation_inputs)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        x25519.X25519PrivateKey.generate,
        x448.X448PrivateKey.generate,
    ],
)
def test_two_pairs_agree(make: Any) -> None:
    ours, theirs = make(), make()
    assert derivation.agree(ours, theirs.public_key()) == derivation.agree(
        theirs, ours.public_key()
    )


def test_keys_of_different_curves_agree_on_nothing() -> None:
    private, other = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1()))
    montgomery = x25519.X25519PrivateKey.generate()
    for public in (other.public_key(), montgomery.public_key()):
        with pytest.raises(OperationError) as caught:
            derivation.agree(private, public)
        assert caught.value.reason is ResultReason.INVALID_FIELD
