"""Encrypt and decrypt: every rule both ways, published results, and the reason of each error.

The OASIS cases are in tests/vectors/test_oasis_ciphers.py.
"""

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys import cipher
from kmipkit.keys.cipher import Encrypted
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    PaddingMethod,
    ResultReason,
)

AES, DES3 = CryptographicAlgorithm.AES, CryptographicAlgorithm.DES3
CHACHA20 = CryptographicAlgorithm.CHACHA20
MODE = BlockCipherMode
KEY = bytes(range(16))
DATA = bytes(range(200, 232))


def no_random(count: int) -> bytes:
    raise AssertionError("nothing random is needed here")


def counting(count: int) -> bytes:
    return bytes(range(count))


def encrypt(
    parameters: Parameters,
    data: bytes = DATA,
    *,
    key: bytes = KEY,
    algorithm: CryptographicAlgorithm = AES,
    iv: bytes | None = None,
    additional_data: bytes = b"",
) -> Encrypted:
    return cipher.encrypt(
        key,
        algorithm,
        parameters,
        data,
        iv=iv,
        additional_data=additional_data,
        random=counting,
    )


@pytest.mark.parametrize(
    ("algorithm", "mode"), RULES, ids=lambda value: getattr(value, "name", "none")
)
def test_every_rule_both_ways(
    algorithm: CryptographicAlgorithm, mode: BlockCipherMode | None
) -> None:
    rule = RULES[algorithm, mode]
    key = bytes(n % 251 for n in range(max(rule.key_lengths)))
    parameters = Parameters(
        cryptographic_algorithm=algorithm, block_cipher_mode=mode, random_iv=True
    )
    sealed = encrypt(parameters, DATA, key=key, algorithm=algorithm)
    assert sealed.data != DATA
    assert (sealed.iv is not None) == bool(rule.iv_lengths)
    assert (sealed.tag is not None) == bool(rule.tag_lengths)
    opened = cipher.decrypt(key, algorithm, parameters, sealed.data, iv=sealed.iv, tag=sealed.tag)
    assert opened == DATA


# RFC 3686 §6, vector 3: IV and counter apart, and the block they make.
RFC3686 = {
    "key": bytes.fromhex("7691be035e5020a8ac6e618529f9a0dc"),
    "nonce": bytes.fromhex("00e0017b27777f3f4a1786f0"),
    "plain": bytes(range(36)),
    "sealed": bytes.fromhex(
        "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef310532 5b2072f".replace(" ", "")
    ),
}


@pytest.mark.parametrize(
    ("iv", "parameters"),
    [
        (RFC3686["nonce"] + b"\0\0\0\1", Parameters(block_cipher_mode=MODE.CTR)),
        (RFC3686["nonce"], Parameters(block_cipher_mode=MODE.CTR, initial_counter_value=1)),
        (
            RFC3686["nonce"],
            Parameters(block_cipher_mode=MODE.CTR, initial_counter_value=1, counter_length=32),
        ),
    ],
)
def test_ctr_with_a_whole_block_or_with_a_counter(iv: bytes, parameters: Parameters) -> None:
    sealed = encrypt(parameters, RFC3686["plain"], key=RFC3686["key"], iv=iv)
    assert sealed == Encrypted(data=RFC3686["sealed"])
    assert cipher.decrypt(RFC3686["key"], AES, parameters, sealed.data, iv=iv) == RFC3686["plain"]


def test_chacha20_counts_in_little_endian_from_the_initial_value() -> None:
    """RFC 8439 §2.4.2: counter 1, nonce of 12 bytes."""
    sealed = encrypt(
        Parameters(initial_counter_value=1),
        b"Ladies and Gentlemen of the clas",
        key=bytes(range(32)),
        algorithm=CHACHA20,
        iv=bytes.fromhex("000000000000004a00000000"),
    )
    assert sealed.data.hex() == "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"


GCM = Parameters(block_cipher_mode=MODE.GCM)
CBC = Parameters(block_cipher_mode=MODE.CBC, padding_method=PaddingMethod.PKCS5)


@pytest.mark.parametrize("length", [4, 8, 12, 13, 14, 15, 16])
def test_tags_are_cut_to_their_length(length: int) -> None:
    whole = encrypt(GCM, iv=KEY).tag or b""
    parameters = Parameters(block_cipher_mode=MODE.GCM, tag_length=length)
    sealed = encrypt(parameters, iv=KEY)
    assert sealed.tag == whole[:length]
    assert cipher.decrypt(KEY, AES, parameters, sealed.data, iv=KEY, tag=sealed.tag) == DATA
    assert cipher.decrypt(KEY, AES, GCM, sealed.data, iv=KEY, tag=sealed.tag) == DATA


def test_additional_data_is_authenticated() -> None:
    sealed = encrypt(GCM, iv=KEY, additional_data=b"header")
    opened = cipher.decrypt(
        KEY, AES, GCM, sealed.data, iv=KEY, additional_data=b"header", tag=sealed.tag
    )
    assert opened == DATA
    with pytest.raises(OperationError) as caught:
        cipher.decrypt(KEY, AES, GCM, sealed.data, iv=KEY, tag=sealed.tag)
    assert caught.value.reason == ResultReason.CRYPTOGRAPHIC_FAILURE


@pytest.mark.parametrize(
    ("parameters", "iv"),
    [
        (Parameters(block_cipher_mode=MODE.ECB, random_iv=True), None),
        (Parameters(block_cipher_mode=MODE.CBC, random_iv=True), counting(16)),
        (Parameters(block_cipher_mode=MODE.CTR, random_iv=True), counting(16)),
        (
            Parameters(block_cipher_mode=MODE.CTR, random_iv=True, initial_counter_value=1),
            counting(12),
        ),
        (
            Parameters(
                block_cipher_mode=MODE.CTR,
                random_iv=True,
                initial_counter_value=0,
                counter_length=64,
            ),
            counting(8),
        ),
        (Parameters(block_cipher_mode=MODE.GCM, random_iv=True), counting(12)),
        (Parameters(block_cipher_mode=MODE.GCM, random_iv=True, iv_length=128), counting(16)),
    ],
)
def test_random_iv_generates_an_iv(parameters: Parameters, iv: bytes | None) -> None:
    assert encrypt(parameters).iv == iv


def test_an_iv_takes_precedence_over_random_iv_and_is_not_returned() -> None:
    parameters = Parameters(block_cipher_mode=MODE.CBC, random_iv=True)
    sealed = cipher.encrypt(KEY, AES, parameters, DATA, iv=KEY, random=no_random)
    assert sealed == encrypt(Parameters(block_cipher_mode=MODE.CBC), iv=KEY)
    assert sealed.iv is None


def test_3des_takes_two_keys_or_three() -> None:
    ecb = Parameters(block_cipher_mode=MODE.ECB)
    two, three = KEY, KEY + KEY[:8]
    assert encrypt(ecb, key=two, algorithm=DES3) == encrypt(ecb, key=three, algorithm=DES3)


def test_a_chacha20_key_may_be_used_with_poly1305() -> None:
    key, nonce = bytes(32), bytes(12)
    explicit = Parameters(cryptographic_algorithm=CryptographicAlgorithm.CHACHA20POLY1305)
    aead = Parameters(block_cipher_mode=MODE.AEAD)
    sealed = encrypt(explicit, key=key, algorithm=CHACHA20, iv=nonce)
    assert sealed == encrypt(aead, key=key, algorithm=CHACHA20, iv=nonce)
    assert len(sealed.tag or b"") == 16


@pytest.mark.parametrize("size", range(12, 17))
def test_chacha20_poly1305_takes_the_first_bytes_of_a_tag(size: int) -> None:
    """The mandatory case CS-BC-M-CHACHA20POLY1305-1; RFC 8439 §2.8.2 has the whole tag."""
    algorithm = CryptographicAlgorithm.CHACHA20POLY1305
    key, nonce = bytes(range(0x80, 0xA0)), bytes.fromhex("070000004041424344454647")
    additional = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    data = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the"
        b" future, sunscreen would be it."
    )
    parameters = Parameters(block_cipher_mode=MODE.AEAD, tag_length=size)
    sealed = cipher.encrypt(
        key, algorithm, parameters, data,
        iv=nonce, additional_data=additional, random=no_random,
    )  # fmt: skip
    assert sealed.tag == bytes.fromhex("1ae10b594f09e26a7e902ecbd0600691")[:size]
    arguments = (key, algorithm, parameters, sealed.data)
    opened = cipher.decrypt(*arguments, iv=nonce, additional_data=additional, tag=sealed.tag)
    assert opened == data
    wrong = bytes([sealed.tag[0] ^ 1]) + sealed.tag[1:]
    with pytest.raises(OperationError) as caught:
        cipher.decrypt(*arguments, iv=nonce, additional_data=additional, tag=wrong)
    assert caught.value.reason is ResultReason.CRYPTOGRAPHIC_FAILURE


BAD = ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS
UNSUPPORTED = ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS
FIELD = ResultReason.INVALID_FIELD

ENCRYPT_ERRORS = {
    "no mode": (BAD, "needs a Block Cipher Mode", {"parameters": Parameters()}),
    "a mode for a stream cipher": (
        BAD,
        "is not a block cipher",
        {"parameters": CBC, "algorithm": CHACHA20, "key": bytes(32)},
    ),
    "another algorithm": (
        BAD,
        "with a key of AES",
        {"parameters": Parameters(block_cipher_mode=MODE.ECB, cryptographic_algorithm=DES3)},
    ),
    "a mode that encrypts nothing": (
        UNSUPPORTED,
        "AES with CMAC",
        {"parameters": Parameters(block_cipher_mode=MODE.CMAC)},
    ),
    "an algorithm that is none": (
        UNSUPPORTED,
        "RSA is not supported",
        {"parameters": Parameters(), "algorithm": CryptographicAlgorithm.RSA},
    ),
    "an unknown mode": (
        UNSUPPORTED,
        "0x80000001",
        {"parameters": Parameters(block_cipher_mode=BlockCipherMode(0x80000001))},
    ),
    "key length": (FIELD, "136 bits", {"parameters": CBC, "key": bytes(17)}),
    "halves of an XTS key are equal": (
        ResultReason.CRYPTOGRAPHIC_FAILURE,
        "does not permit",
        {"parameters": Parameters(block_cipher_mode=MODE.XTS), "key": bytes(32), "iv": KEY},
    ),
    "less than a block for XTS": (
        FIELD,
        "needs at least 16",
        {
            "parameters": Parameters(block_cipher_mode=MODE.XTS),
            "key": bytes(range(32)),
            "iv": KEY,
            "data": b"short",
        },
    ),
    "missing IV": (ResultReason.INVALID_MESSAGE, "missing IV", {"parameters": CBC}),
    "empty IV": (ResultReason.INVALID_MESSAGE, "missing IV", {"parameters": CBC, "iv": b""}),
    "IV too short": (FIELD, "needs 16", {"parameters": CBC, "iv": bytes(15)}),
    "IV too long": (FIELD, "needs 8 to 128", {"parameters": GCM, "iv": bytes(129)}),
    "IV Length": (
        BAD,
        "IV Length 12",
        {"parameters": Parameters(block_cipher_mode=MODE.GCM, random_iv=True, iv_length=12)},
    ),
    "Counter Length below zero": (
        BAD,
        "Counter Length",
        {
            "parameters": Parameters(
                block_cipher_mode=MODE.CTR,
                random_iv=True,
                initial_counter_value=1,
                counter_length=-8,
            )
        },
    ),
    "part of a block": (
        FIELD,
        "multiple of 16",
        {"parameters": Parameters(block_cipher_mode=MODE.ECB), "data": b"12345"},
    ),
    "padding without blocks": (
        BAD,
        "without padding",
        {
            "parameters": Parameters(
                block_cipher_mode=MODE.CTR, padding_method=PaddingMethod.PKCS5
            ),
            "iv": KEY,
        },
    ),
    "tag length": (
        ResultReason.GENERAL_FAILURE,
        "invalid tag length 17",
        {"parameters": Parameters(block_cipher_mode=MODE.GCM, tag_length=17), "iv": KEY},
    ),
    "additional data without a tag": (
        BAD,
        "without tag",
        {"parameters": CBC, "iv": KEY, "additional_data": b"x"},
    ),
    "CTR without a counter": (
        BAD,
        "Initial Counter Value",
        {"parameters": Parameters(block_cipher_mode=MODE.CTR), "iv": bytes(12)},
    ),
    "CTR with a counter of another length": (
        BAD,
        "Counter Length of 32",
        {
            "parameters": Parameters(
                block_cipher_mode=MODE.CTR, initial_counter_value=1, counter_length=64
            ),
            "iv": bytes(12),
        },
    ),
    "a counter that runs over": (
        FIELD,
        "overflow a counter of 8 bits",
        {
            "parameters": Parameters(block_cipher_mode=MODE.CTR, initial_counter_value=255),
            "iv": bytes(15),
        },
    ),
    "a counter of ChaCha20 that runs over": (
        FIELD,
        "overflow the counter",
        {
            "parameters": Parameters(initial_counter_value=(1 << 32) - 1),
            "algorithm": CHACHA20,
            "key": bytes(32),
            "iv": bytes(12),
            "data": bytes(65),
        },
    ),
    "a counter of ChaCha20 without room": (
        FIELD,
        "overflow the counter",
        {
            "parameters": Parameters(initial_counter_value=1),
            "algorithm": CHACHA20,
            "key": bytes(32),
            "iv": bytes(16),
        },
    ),
}


@pytest.mark.parametrize("name", ENCRYPT_ERRORS)
def test_what_cannot_be_encrypted(name: str) -> None:
    reason, text, arguments = ENCRYPT_ERRORS[name]
    with pytest.raises(OperationError, match=text) as caught:
        encrypt(**arguments)
    assert caught.value.reason == reason


SEALED = encrypt(GCM, iv=KEY)
BLOCKS = encrypt(CBC, iv=KEY).data
DECRYPT_ERRORS = {
    "missing tag": (ResultReason.INVALID_MESSAGE, GCM, SEALED.data, None),
    "tag of no length": (ResultReason.GENERAL_FAILURE, GCM, SEALED.data, b""),
    "tag too short": (ResultReason.GENERAL_FAILURE, GCM, SEALED.data, bytes(3)),
    "tag of another length": (
        FIELD,
        Parameters(block_cipher_mode=MODE.GCM, tag_length=12),
        SEALED.data,
        SEALED.tag,
    ),
    "Tag Length 0": (
        ResultReason.GENERAL_FAILURE,
        Parameters(block_cipher_mode=MODE.GCM, tag_length=0),
        SEALED.data,
        SEALED.tag,
    ),
    "wrong tag": (ResultReason.CRYPTOGRAPHIC_FAILURE, GCM, SEALED.data, bytes(16)),
    "tag without use": (BAD, CBC, BLOCKS, bytes(16)),
    "part of a block": (FIELD, CBC, BLOCKS[:-1], None),
    "padding cut off": (ResultReason.CRYPTOGRAPHIC_FAILURE, CBC, BLOCKS[:-16], None),
    "nothing": (ResultReason.CRYPTOGRAPHIC_FAILURE, CBC, b"", None),
}


@pytest.mark.parametrize("name", DECRYPT_ERRORS)
def test_what_cannot_be_decrypted(name: str) -> None:
    reason, parameters, data, tag = DECRYPT_ERRORS[name]
    with pytest.raises(OperationError) as caught:
        cipher.decrypt(KEY, AES, parameters, data, iv=KEY, tag=tag)
    assert caught.value.reason == reason
    assert KEY.hex() not in str(caught.value)


def test_decryption_generates_no_iv() -> None:
    parameters = Parameters(block_cipher_mode=MODE.CBC, random_iv=True)
    with pytest.raises(OperationError, match="missing IV") as caught:
        cipher.decrypt(KEY, AES, parameters, bytes(16))
    assert caught.value.reason == ResultReason.INVALID_MESSAGE
