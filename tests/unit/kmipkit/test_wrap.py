"""Wrapping: defaults, what each method takes, and the reasons of its errors.

The published results are in tests/vectors/test_unwrap_vectors.py.
"""

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from kmipkit.errors import OperationError
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.wrap import unwrap, wrap
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    HashingAlgorithm,
    PaddingMethod,
    ResultReason,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SECRET = bytes(range(100, 132))
IV = bytes(16)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def mode(block_cipher_mode: BlockCipherMode, **more: object) -> Parameters:
    return Parameters(block_cipher_mode=block_cipher_mode, **more)


def test_an_aes_key_wraps_by_rfc_3394_unless_told() -> None:
    expected = wrap(KEY, mode(BlockCipherMode.NISTKEYWRAP), SECRET)
    assert wrap(KEY, None, SECRET) == wrap(KEY, Parameters(), SECRET) == expected
    assert unwrap(KEY, None, expected.data) == SECRET


def test_an_rsa_key_wraps_by_oaep_unless_told() -> None:
    wrapped = wrap(rsa_key().public_key(), None, SECRET).data
    assert len(wrapped) == 256
    explicit = Parameters(
        padding_method=PaddingMethod.OAEP,
        hashing_algorithm=HashingAlgorithm.SHA_1,
        mask_generator_hashing_algorithm=HashingAlgorithm.SHA_1,
    )
    assert unwrap(rsa_key(), explicit, wrapped) == SECRET


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(padding_method=PaddingMethod.PKCS1_V1_5),
        Parameters(hashing_algorithm=HashingAlgorithm.SHA_256),
        Parameters(
            hashing_algorithm=HashingAlgorithm.SHA_512,
            mask_generator_hashing_algorithm=HashingAlgorithm.SHA_224,
            p_source=b"label",
        ),
    ],
)
def test_rsa_round_trip(parameters: Parameters) -> None:
    wrapped = wrap(rsa_key().public_key(), parameters, SECRET).data
    assert unwrap(rsa_key(), parameters, wrapped) == SECRET


@pytest.mark.parametrize(
    ("parameters", "iv_length"),
    [
        (mode(BlockCipherMode.GCM), 12),
        (mode(BlockCipherMode.GCM, tag_length=12), 12),
        (mode(BlockCipherMode.CCM), 12),
        (mode(BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5), 16),
        (mode(BlockCipherMode.CTR), 16),
        (mode(BlockCipherMode.ECB), 0),
        (mode(BlockCipherMode.CBC, cryptographic_algorithm=CryptographicAlgorithm.CAMELLIA), 16),
    ],
)
def test_other_modes_with_an_iv_made_here(parameters: Parameters, iv_length: int) -> None:
    result = wrap(KEY, parameters, SECRET, random=lambda count: b"\7" * count)
    assert result.iv == (b"\7" * iv_length or None)
    assert unwrap(KEY, parameters, result.data, iv=result.iv) == SECRET


def test_a_given_iv_is_used() -> None:
    result = wrap(KEY, mode(BlockCipherMode.GCM), SECRET, iv=IV, random=bytes)
    assert result.iv == IV
    assert len(result.data) == len(SECRET) + 16


WRAP_ERRORS = {
    "key too short": (KEY[:15], None, SECRET, ResultReason.INVALID_FIELD),
    "not a multiple of 8": (KEY, None, SECRET[:-1], ResultReason.INVALID_FIELD),
    "one block": (KEY, None, SECRET[:8], ResultReason.INVALID_FIELD),
    "nothing to wrap": (
        KEY,
        mode(BlockCipherMode.AESKEYWRAPPADDING),
        b"",
        ResultReason.INVALID_FIELD,
    ),
    "missing IV": (KEY, mode(BlockCipherMode.GCM), SECRET, ResultReason.INVALID_MESSAGE),
    "mode that wraps nothing": (
        KEY,
        mode(BlockCipherMode.CMAC),
        SECRET,
        ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
    ),
    "AES mode, another algorithm": (
        KEY,
        mode(BlockCipherMode.NISTKEYWRAP, cryptographic_algorithm=CryptographicAlgorithm.CAMELLIA),
        SECRET,
        ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
    ),
    "randomness that is not there": (
        KEY,
        mode(BlockCipherMode.ECB, padding_method=PaddingMethod.ISO_10126),
        SECRET,
        ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
    ),
}


@pytest.mark.parametrize("name", WRAP_ERRORS)
def test_what_cannot_be_wrapped(name: str) -> None:
    key, parameters, plaintext, reason = WRAP_ERRORS[name]
    with pytest.raises(OperationError) as caught:
        wrap(key, parameters, plaintext)
    assert caught.value.reason == reason


def test_more_than_rsa_takes() -> None:
    with pytest.raises(OperationError, match="at most 214") as caught:
        wrap(rsa_key().public_key(), None, bytes(215))
    assert caught.value.reason == ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    "padding_method", [PaddingMethod.NONE, PaddingMethod.PSS, PaddingMethod.PKCS5]
)
def test_padding_that_rsa_does_not_encrypt_with(padding_method: PaddingMethod) -> None:
    with pytest.raises(OperationError) as caught:
        wrap(rsa_key().public_key(), Parameters(padding_method=padding_method), SECRET)
    assert caught.value.reason == ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS


@pytest.mark.parametrize("algorithm", [HashingAlgorithm.WHIRLPOOL, HashingAlgorithm.SHA3_256])
def test_hashes_that_oaep_has_not(algorithm: HashingAlgorithm) -> None:
    with pytest.raises(OperationError) as caught:
        wrap(rsa_key().public_key(), Parameters(hashing_algorithm=algorithm), SECRET)
    assert caught.value.reason == ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS


@pytest.mark.parametrize(
    ("parameters", "iv"),
    [
        (mode(BlockCipherMode.NISTKEYWRAP), None),
        (mode(BlockCipherMode.AESKEYWRAPPADDING), None),
        (mode(BlockCipherMode.GCM), IV),
        (mode(BlockCipherMode.CCM), IV[:12]),
    ],
)
def test_errors_of_unwrapping_name_no_bytes(parameters: Parameters, iv: bytes | None) -> None:
    wrapped = wrap(KEY, parameters, SECRET, iv=iv).data
    for key, data, reason in (
        (OTHER, wrapped, ResultReason.CRYPTOGRAPHIC_FAILURE),
        (KEY, bytes(len(wrapped)), ResultReason.CRYPTOGRAPHIC_FAILURE),
        (KEY, wrapped[:7], ResultReason.INVALID_FIELD),
        (KEY[:5], wrapped, ResultReason.INVALID_FIELD),
    ):
        with pytest.raises(OperationError) as caught:
            unwrap(key, parameters, data, iv=iv)
        assert caught.value.reason == reason
        for value in (key, data, SECRET):
            assert value.hex() not in str(caught.value)
            assert repr(value) not in repr(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
