"""Laws of the key work: what is wrapped comes back, what is altered does not."""

from contextlib import suppress
from secrets import token_bytes

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from kmipkit.errors import OperationError
from kmipkit.keys import cipher
from kmipkit.keys.certificates import describe_certificate
from kmipkit.keys.formats import load_private_key, load_public_key
from kmipkit.keys.padding import PADDINGS, pad, unpad
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES
from kmipkit.keys.wrap import unwrap, wrap
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, KeyFormatType, PaddingMethod

NONCE = bytes(12)
RSA_KEY = rsa.generate_private_key(65537, 2048)
CHECKED = [
    Parameters(block_cipher_mode=BlockCipherMode.NISTKEYWRAP),
    Parameters(block_cipher_mode=BlockCipherMode.AESKEYWRAPPADDING),
    Parameters(block_cipher_mode=BlockCipherMode.GCM),
    Parameters(block_cipher_mode=BlockCipherMode.CCM),
]
"""The methods that notice an alteration."""

aes_keys = st.sampled_from([16, 24, 32]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)
secrets = st.integers(2, 16).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))


@given(st.sampled_from(CHECKED), aes_keys, secrets)
def test_unwrapping_undoes_wrapping(parameters: Parameters, key: bytes, secret: bytes) -> None:
    wrapped = wrap(key, parameters, secret, iv=NONCE).data
    assert unwrap(key, parameters, wrapped, iv=NONCE) == secret


@given(aes_keys, st.binary(min_size=1, max_size=200))
def test_padding_wraps_any_length(key: bytes, secret: bytes) -> None:
    wrapped = wrap(key, CHECKED[1], secret).data
    assert len(wrapped) == (len(secret) + 7) // 8 * 8 + 8
    assert unwrap(key, CHECKED[1], wrapped) == secret


@given(st.sampled_from(CHECKED), aes_keys, secrets, st.data())
def test_any_altered_byte_is_noticed(
    parameters: Parameters, key: bytes, secret: bytes, data: st.DataObject
) -> None:
    wrapped = bytearray(wrap(key, parameters, secret, iv=NONCE).data)
    wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(OperationError):
        unwrap(key, parameters, bytes(wrapped), iv=NONCE)


@given(st.integers(0, 255), st.integers(1, 255))
def test_any_altered_byte_is_noticed_by_oaep(at: int, mask: int) -> None:
    wrapped = bytearray(wrap(RSA_KEY.public_key(), None, b"a secret").data)
    wrapped[at] ^= mask
    with pytest.raises(OperationError):
        unwrap(RSA_KEY, None, bytes(wrapped))


@given(
    st.sampled_from([*BlockCipherMode, None]),
    st.sampled_from([*PaddingMethod, None]),
    st.none() | st.integers(-1, 40),
    st.binary(max_size=40),
    st.binary(max_size=60),
    st.none() | st.binary(max_size=20),
)
def test_unwrapping_anything_gives_bytes_or_our_error(
    mode: BlockCipherMode | None,
    padding: PaddingMethod | None,
    tag_length: int | None,
    key: bytes,
    wrapped: bytes,
    iv: bytes | None,
) -> None:
    parameters = Parameters(block_cipher_mode=mode, padding_method=padding, tag_length=tag_length)
    for wrapping_key in (key, bytes(16), bytes(range(32)), RSA_KEY):
        with suppress(OperationError):
            assert isinstance(unwrap(wrapping_key, parameters, wrapped, iv=iv), bytes)


@given(st.sampled_from(sorted(PADDINGS)), st.sampled_from([8, 16]), st.binary(max_size=50))
def test_unpadding_undoes_padding(method: PaddingMethod, block: int, data: bytes) -> None:
    if method == PaddingMethod.NONE:
        data = data[: len(data) // block * block]
    if method == PaddingMethod.ZEROS:
        data = data.rstrip(b"\0")
    padded = pad(method, data, block, lambda count: b"\xa5" * count)
    assert len(padded) % block == 0
    assert unpad(method, padded, block) == data


@given(st.sampled_from(list(RULES)), st.data())
def test_decrypting_undoes_encrypting(rule_key: tuple, data: st.DataObject) -> None:
    algorithm, mode = rule_key
    rule = RULES[algorithm, mode]
    size = data.draw(st.sampled_from(sorted(rule.key_lengths)))
    key = bytes(1 + n % 250 for n in range(size))
    parameters = Parameters(
        block_cipher_mode=mode,
        random_iv=True,
        padding_method=PaddingMethod.PKCS5 if rule.pads else None,
    )
    longest = size if algorithm is CryptographicAlgorithm.ONE_TIME_PAD else 100
    plain = data.draw(st.binary(min_size=rule.minimum, max_size=longest))
    sealed = cipher.encrypt(
        key, algorithm, parameters, plain, random=lambda count: bytes(range(count))
    )
    opened = cipher.decrypt(key, algorithm, parameters, sealed.data, iv=sealed.iv, tag=sealed.tag)
    assert opened == plain


small = st.none() | st.integers(-9, 40) | st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.sampled_from(list(RULES)), small, small, small, small, st.none() | st.binary(max_size=20))
def test_encrypting_with_any_numbers_gives_a_result_or_our_error(
    rule_key: tuple,
    iv_length: int | None,
    tag_length: int | None,
    counter_length: int | None,
    initial_counter_value: int | None,
    iv: bytes | None,
) -> None:
    algorithm, mode = rule_key
    parameters = Parameters(
        block_cipher_mode=mode,
        random_iv=True,
        iv_length=iv_length,
        tag_length=tag_length,
        counter_length=counter_length,
        initial_counter_value=initial_counter_value,
    )
    key = bytes(n % 251 for n in range(max(RULES[rule_key].key_lengths)))
    try:
        sealed = cipher.encrypt(key, algorithm, parameters, bytes(32), iv=iv, random=token_bytes)
    except OperationError:
        return
    used = iv if sealed.iv is None else sealed.iv
    opened = cipher.decrypt(key, algorithm, parameters, sealed.data, iv=used, tag=sealed.tag)
    assert opened == bytes(32)


@given(st.sampled_from(KeyFormatType), st.binary(max_size=80))
def test_reading_any_bytes_gives_a_key_or_our_error(format_: KeyFormatType, data: bytes) -> None:
    for read in (
        lambda: load_private_key(data, format_),
        lambda: load_public_key(data, format_),
        lambda: describe_certificate(data),
        lambda: describe_certificate(b"\x30" + bytes([len(data)]) + data),
    ):
        with suppress(OperationError):
            assert read() is not None
