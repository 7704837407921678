"""New symmetric keys."""

import secrets

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys.describe import symmetric_length
from kmipkit.keys.generate import LENGTHS, generate_key
from kmipkit.keys.rules import RULES
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason

AES, DES3 = CryptographicAlgorithm.AES, CryptographicAlgorithm.DES3


@pytest.mark.parametrize(
    ("algorithm", "length", "size"),
    [
        (AES, 128, 16),
        (AES, 192, 24),
        (AES, 256, 32),
        (AES, 512, 64),
        (DES3, 112, 16),
        (DES3, 128, 16),
        (DES3, 168, 24),
        (DES3, 192, 24),
        (CryptographicAlgorithm.DES, 56, 8),
        (CryptographicAlgorithm.HMAC_SHA256, 256, 32),
        (CryptographicAlgorithm.HMAC_SHA1, 160, 20),
        (CryptographicAlgorithm.CHACHA20, 256, 32),
        (CryptographicAlgorithm.BLOWFISH, 448, 56),
        (CryptographicAlgorithm.RC4, 40, 5),
    ],
)
def test_sizes(algorithm: CryptographicAlgorithm, length: int, size: int) -> None:
    assert len(generate_key(algorithm, length, secrets.token_bytes)) == size


@pytest.mark.parametrize(
    ("algorithm", "length", "named"),
    [
        (AES, 0, "128, 192, 256, 512 bits"),
        (AES, 127, "128, 192, 256, 512 bits"),
        (AES, -128, "128, 192, 256, 512 bits"),
        (DES3, 64, "112, 128, 168, 192 bits"),
        (CryptographicAlgorithm.HMAC_SHA256, 257, "8 to 8192 in steps of 8 bits"),
        (CryptographicAlgorithm.HMAC_SHA256, 1 << 30, "8 to 8192 in steps of 8 bits"),
        (CryptographicAlgorithm.RSA, 2048, "RSA is not symmetric"),
        (CryptographicAlgorithm(0x80000001), 128, "is not symmetric"),
    ],
)
def test_lengths_that_are_not(algorithm: CryptographicAlgorithm, length: int, named: str) -> None:
    with pytest.raises(OperationError, match=named) as caught:
        generate_key(algorithm, length, secrets.token_bytes)
    assert caught.value.reason == ResultReason.INVALID_FIELD


def test_the_randomness_is_what_was_passed_in() -> None:
    assert generate_key(AES, 128, lambda count: bytes(range(count))) == bytes(range(16))


@pytest.mark.parametrize("length", [112, 168])
def test_des_keys_have_odd_parity(length: int) -> None:
    key = generate_key(DES3, length, lambda count: bytes(range(0, count * 7, 7)))
    assert all(byte.bit_count() % 2 == 1 for byte in key)
    assert [byte >> 1 for byte in key] == [n * 7 >> 1 for n in range(len(key))]
    assert symmetric_length(len(key), DES3) == length


@pytest.mark.parametrize(("algorithm", "mode"), RULES)
def test_what_can_encrypt_can_be_made(algorithm: CryptographicAlgorithm, mode: object) -> None:
    sizes = RULES[algorithm, mode].key_lengths
    generated = {len(generate_key(algorithm, length, bytes)) for length in LENGTHS[algorithm]}
    assert set(sizes) <= generated
