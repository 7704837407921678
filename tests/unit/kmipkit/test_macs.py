"""Message authentication codes against published values, and what makes none."""

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys import macs
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, ResultReason

A = CryptographicAlgorithm
NONE = Parameters()

PUBLISHED = [
    # RFC 4231 §4.2 and §4.3
    (
        A.HMAC_SHA256,
        "0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        A.HMAC_SHA224,
        b"Jefe".hex(),
        b"what do ya want for nothing?",
        "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    ),
    # RFC 2202 §2 and §3, the first of each
    (A.HMAC_MD5, "0b" * 16, b"Hi There", "9294727a3638bb1c13f48ef8158bfc9d"),
    (A.HMAC_SHA1, "0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    # NIST SP 800-38B §D.1, examples 1 and 2
    (A.AES, "2b7e151628aed2a6abf7158809cf4f3c", b"", "bb1d6929e95937287fa37d129b756746"),
    (
        A.AES,
        "2b7e151628aed2a6abf7158809cf4f3c",
        bytes.fromhex("6bc1bee22e409f96e93d7e117393172a"),
        "070a16b46b4d4144f79bdd9dd04a287c",
    ),
    # RFC 8439 §2.5.2
    (
        A.POLY1305,
        "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
        b"Cryptographic Forum Research Group",
        "a8061dc1305136c6c22b8baf0c0127a9",
    ),
]


@pytest.mark.parametrize(("algorithm", "key", "data", "code"), PUBLISHED)
def test_published_codes_in_one_part_and_in_many(
    algorithm: CryptographicAlgorithm, key: str, data: bytes, code: str
) -> None:
    for named, by_key in ((algorithm, None), (None, algorithm), (algorithm, A.AES)):
        context = macs.begin(bytes.fromhex(key), by_key, Parameters(cryptographic_algorithm=named))
        for byte in data:
            context.update(bytes([byte]))
        assert context.finalize().hex() == code


@pytest.mark.parametrize(
    ("key", "algorithm", "parameters", "reason"),
    [
        (bytes(16), None, NONE, ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS),
        (bytes(16), A.RSA, NONE, ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS),
        (
            bytes(16),
            A.AES,
            Parameters(block_cipher_mode=BlockCipherMode.CBC_MAC),
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
        (bytes(15), A.AES, NONE, ResultReason.CRYPTOGRAPHIC_FAILURE),
        (bytes(31), A.POLY1305, NONE, ResultReason.CRYPTOGRAPHIC_FAILURE),
    ],
)
def test_what_makes_no_code(
    key: bytes,
    algorithm: CryptographicAlgorithm | None,
    parameters: Parameters,
    reason: ResultReason,
) -> None:
    with pytest.raises(OperationError) as caught:
        macs.begin(key, algorithm, parameters)
    assert caught.value.reason is reason
