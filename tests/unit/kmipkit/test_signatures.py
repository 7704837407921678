"""Signatures: what is signed here verifies by the library alone, and the other way round."""

from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    padding,
    rsa,
    utils,
    x25519,
)

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import digest
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.signatures import ALGORITHMS, Signer, scheme
from kmipkit.spec.enums import (
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    MaskGenerator,
    PaddingMethod,
    ResultReason,
)

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
DSA = dsa.generate_private_key(1024)
SHA_256 = HashingAlgorithm.SHA_256
MESSAGE = "Grüße, 世界".encode()

CASES: list[tuple[Any, Parameters, tuple[Any, ...]]] = [
    (RSA, Parameters(hashing_algorithm=SHA_256), (padding.PKCS1v15(), hashes.SHA256())),
    (
        RSA,
        Parameters(padding_method=PaddingMethod.PSS, hashing_algorithm=SHA_256),
        (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    ),
    (
        RSA,
        Parameters(
            digital_signature_algorithm=DigitalSignatureAlgorithm.RSASSA_PSS,
            hashing_algorithm=HashingAlgorithm.SHA_512,
            mask_generator_hashing_algorithm=HashingAlgorithm.SHA_1,
            salt_length=7,
        ),
        (padding.PSS(padding.MGF1(hashes.SHA1()), 7), hashes.SHA512()),
    ),
    (
        RSA,
        Parameters(
            digital_signature_algorithm=DigitalSignatureAlgorithm.SHA_384_WITH_RSA_ENCRYPTION,
            hashing_algorithm=SHA_256,
        ),
        (padding.PKCS1v15(), hashes.SHA384()),
    ),
    (P256, Parameters(hashing_algorithm=SHA_256), (ec.ECDSA(hashes.SHA256()),)),
    (
        DSA,
        Parameters(digital_signature_algorithm=DigitalSignatureAlgorithm.DSA_WITH_SHA256),
        (hashes.SHA256(),),
    ),
    (ed25519.Ed25519PrivateKey.generate(), Parameters(), ()),
    (ed448.Ed448PrivateKey.generate(), Parameters(hashing_algorithm=SHA_256), ()),
]


def signer(key: object, parameters: Parameters, data: bytes, part: int = 3) -> Signer:
    made = Signer(scheme(key, parameters))
    for start in range(0, len(data), part):
        made.update(data[start : start + part])
    return made


@pytest.mark.parametrize(("key", "parameters", "arguments"), CASES)
def test_the_library_agrees(key: Any, parameters: Parameters, arguments: tuple[Any, ...]) -> None:
    public = key.public_key()
    signature = signer(key, parameters, MESSAGE).sign(key)
    public.verify(signature, MESSAGE, *arguments)
    theirs = key.sign(MESSAGE, *arguments)
    assert signer(public, parameters, MESSAGE).verify(public, theirs)
    assert not signer(public, parameters, MESSAGE + b"!").verify(public, theirs)
    assert not signer(public, parameters, MESSAGE).verify(public, theirs[:-1])
    assert not signer(public, parameters, MESSAGE).verify(public, bytes(len(theirs)))


@pytest.mark.parametrize(("key", "parameters", "arguments"), CASES[:6])
def test_a_digest_of_the_client_is_as_good_as_the_message(
    key: Any, parameters: Parameters, arguments: tuple[Any, ...]
) -> None:
    made = scheme(key, parameters)
    assert made.hashing_algorithm is not None
    digested = digest(MESSAGE, made.hashing_algorithm)
    signature = Signer(made, digested=digested).sign(key)
    key.public_key().verify(signature, MESSAGE, *arguments)


def test_rfc_8032_ed25519() -> None:
    """§7.1, test 2."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    expected = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert signer(key, Parameters(), b"\x72").sign(key).hex() == expected


def test_pkcs_1_without_a_hash_signs_the_bytes_as_they_are() -> None:
    """A digest of which nobody said how it was made; cryptography 47 and later can sign it."""
    digested = bytes(range(16))
    if not hasattr(utils, "NoDigestInfo"):
        with pytest.raises(OperationError, match="installed library"):
            Signer(scheme(RSA, Parameters()), digested=digested).sign(RSA)
        return
    signature = Signer(scheme(RSA, Parameters()), digested=digested).sign(RSA)
    public = RSA.public_key()
    assert public.recover_data_from_signature(signature, padding.PKCS1v15(), None) == digested
    assert Signer(scheme(public, Parameters()), digested=digested).verify(public, signature)


def test_a_digest_of_another_length_is_not_signed() -> None:
    for_a_digest = Signer(scheme(RSA, Parameters(hashing_algorithm=SHA_256)), digested=b"short")
    with pytest.raises(OperationError) as caught:
        for_a_digest.sign(RSA)
    assert caught.value.reason is ResultReason.CRYPTOGRAPHIC_FAILURE
    assert not for_a_digest.verify(RSA.public_key(), bytes(256))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (Parameters(), ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS),
        (
            Parameters(padding_method=PaddingMethod.OAEP, hashing_algorithm=SHA_256),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
        (
            Parameters(
                digital_signature_algorithm=DigitalSignatureAlgorithm.MD2_WITH_RSA_ENCRYPTION
            ),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
        (
            Parameters(
                padding_method=PaddingMethod.PSS,
                hashing_algorithm=SHA_256,
                mask_generator=MaskGenerator(0x80000001),
            ),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
        (
            Parameters(padding_method=PaddingMethod.PSS, hashing_algorithm=SHA_256, salt_length=-1),
            ResultReason.CRYPTOGRAPHIC_FAILURE,
        ),
    ],
)
def test_parameters_that_cannot_be_used(parameters: Parameters, reason: ResultReason) -> None:
    with pytest.raises(OperationError) as caught:
        signer(RSA, parameters, MESSAGE)
    assert caught.value.reason is reason


def test_keys_that_hash_by_themselves_take_no_digest() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(OperationError) as caught:
        Signer(scheme(key, Parameters()), digested=bytes(32))
    assert caught.value.reason is ResultReason.INVALID_FIELD


def test_every_named_algorithm_but_md2_is_there() -> None:
    missing = set(DigitalSignatureAlgorithm) - set(ALGORITHMS)
    assert missing == {DigitalSignatureAlgorithm.MD2_WITH_RSA_ENCRYPTION}


P521 = ec.generate_private_key(ec.SECP521R1())


@pytest.mark.parametrize("size", [1, 16, 20, 24, 28, 32, 40, 48, 64, 200])
@pytest.mark.parametrize("key", [P256, DSA, P521], ids=["P-256", "DSA", "P-521"])
def test_a_digest_of_any_length_is_signed_without_hashing_algorithm(key: Any, size: int) -> None:
    """FIPS 186-5 §6.4.1; the official case TC-ECDSA-SIGN-DIGESTEDDATA has one of 16 bytes."""
    public, digest = key.public_key(), bytes(range(1, size + 1))
    if key is P521 and size > 64:
        with pytest.raises(OperationError, match="a digest of 66 bytes"):
            Signer(scheme(key, Parameters()), digested=digest).sign(key)
        return
    signature = Signer(scheme(key, Parameters()), digested=digest).sign(key)
    assert Signer(scheme(public, Parameters()), digested=digest).verify(public, signature)
    other = bytes([digest[0] ^ 1]) + digest[1:]
    assert not Signer(scheme(public, Parameters()), digested=other).verify(public, signature)


@pytest.mark.parametrize("key", [P256, DSA], ids=["ECDSA", "DSA"])
def test_a_digest_of_a_known_length_is_that_of_the_hash(key: Any) -> None:
    digest = sha256(MESSAGE).digest()
    signature = Signer(scheme(key, Parameters()), digested=digest).sign(key)
    named = Parameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    assert signer(key.public_key(), named, MESSAGE).verify(key.public_key(), signature)


@pytest.mark.parametrize("key", [P256, DSA], ids=["ECDSA", "DSA"])
def test_the_default_hash_of_a_message_is_sha_256(key: Any) -> None:
    """The mandatory case CS-AC-M-3-ECC of 1.3."""
    signature = signer(key, Parameters(), MESSAGE).sign(key)
    named = Parameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    assert signer(key.public_key(), named, MESSAGE).verify(key.public_key(), signature)


def test_a_key_for_key_agreement_does_not_sign() -> None:
    key = x25519.X25519PrivateKey.generate()
    for half in (key, key.public_key()):
        with pytest.raises(OperationError, match="key agreement is not supported"):
            scheme(half, Parameters())


def test_a_defect_while_signing_is_not_hidden() -> None:
    class Broken:
        def sign(self, _data: bytes) -> bytes:
            raise AttributeError("a defect")

    with pytest.raises(AttributeError, match="a defect"):
        Signer(scheme(Broken(), Parameters())).sign(Broken())
