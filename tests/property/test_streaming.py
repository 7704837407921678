"""Encryption in parts is encryption: however the data are cut, the result is that of one part."""

import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengths import examples

from kmipkit.errors import OperationError
from kmipkit.keys import cipher
from kmipkit.keys.padding import PADDINGS
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES
from kmipkit.keys.streaming import Decryption, Encryption
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    PaddingMethod,
    ResultReason,
)

IN_PARTS = [pair for pair, rule in RULES.items() if rule.in_parts is not None]
AES = CryptographicAlgorithm.AES
CBC = BlockCipherMode.CBC


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def in_parts(running: Encryption | Decryption, parts: list[bytes]) -> tuple[bytes, bytes | None]:
    output, tag = b"", None
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        result = running.finish(part) if last else running.update(part)
        if isinstance(result, bytes):
            output += result
        else:
            output += result.data
            tag = result.tag
    return output, tag


@settings(max_examples=examples(300))
@given(
    pair=st.sampled_from(IN_PARTS),
    padding=st.sampled_from(list(PADDINGS)),
    data=st.binary(max_size=80),
    places=st.lists(st.integers(0, 100), max_size=6),
)
def test_the_parts_are_the_whole(
    pair: tuple[CryptographicAlgorithm, BlockCipherMode | None],
    padding: PaddingMethod,
    data: bytes,
    places: list[int],
) -> None:
    algorithm, mode = pair
    rule = RULES[pair]
    if padding == PaddingMethod.NONE:
        data = data[: len(data) // rule.block * rule.block]
    parameters = Parameters(block_cipher_mode=mode, padding_method=padding if rule.pads else None)
    key = os.urandom(max(rule.key_lengths))
    iv = os.urandom(rule.default_iv_length(parameters)) if rule.iv_lengths else None
    additional = b"bound" if rule.tag_lengths else b""
    zeros = bytes  # as random bytes of a padding
    whole = cipher.encrypt(
        key, algorithm, parameters, data, iv=iv, additional_data=additional, random=zeros
    )
    running = Encryption(
        key, algorithm, parameters, iv=iv, additional_data=additional, random=zeros
    )
    assert in_parts(running, cut(data, places)) == (whole.data, whole.tag)
    back = Decryption(key, algorithm, parameters, iv=iv, additional_data=additional, tag=whole.tag)
    expected = cipher.decrypt(
        key, algorithm, parameters, whole.data, iv=iv, additional_data=additional, tag=whole.tag
    )
    assert in_parts(back, cut(whole.data, places))[0] == expected
    if not rule.pads or padding != PaddingMethod.ZEROS:
        assert expected == data


def test_data_are_given_out_as_soon_as_a_block_is_complete() -> None:
    """Or a client would have to keep everything that it sends."""
    parameters = Parameters(block_cipher_mode=CBC, padding_method=PaddingMethod.PKCS5)
    running = Encryption(
        bytes(16), AES, parameters, iv=bytes(16), additional_data=b"", random=os.urandom
    )
    assert [len(running.update(bytes(size)).data) for size in (15, 1, 33)] == [0, 16, 32]
    back = Decryption(bytes(16), AES, parameters, iv=bytes(16), additional_data=b"", tag=None)
    # The last block may be padding, and waits.
    assert [len(back.update(bytes(size))) for size in (16, 1, 31)] == [0, 16, 16]


def test_an_iv_that_was_made_comes_with_the_first_part_only() -> None:
    parameters = Parameters(block_cipher_mode=CBC, random_iv=True)
    running = Encryption(
        bytes(16), AES, parameters, iv=None, additional_data=b"", random=os.urandom
    )
    assert len(running.update(bytes(16)).iv or b"") == 16
    assert running.update(bytes(16)).iv is None
    assert running.finish(b"").iv is None


def failure(running: Encryption | Decryption, data: bytes) -> ResultReason:
    with pytest.raises(OperationError) as caught:
        running.finish(data)
    return caught.value.reason


def test_what_is_wrong_at_the_end() -> None:
    cbc = Parameters(block_cipher_mode=CBC, padding_method=PaddingMethod.PKCS5)
    plain = Parameters(block_cipher_mode=CBC)
    gcm = Parameters(block_cipher_mode=BlockCipherMode.GCM)
    key, iv = bytes(16), bytes(16)

    def decryption(parameters: Parameters, tag: bytes | None = None) -> Decryption:
        return Decryption(
            key, AES, parameters, iv=iv[:12] if tag else iv, additional_data=b"", tag=tag
        )

    assert failure(decryption(cbc), bytes(16)) is ResultReason.CRYPTOGRAPHIC_FAILURE
    assert failure(decryption(cbc), bytes(17)) is ResultReason.INVALID_FIELD
    assert failure(decryption(gcm, bytes(16)), b"x") is ResultReason.CRYPTOGRAPHIC_FAILURE
    unfinished = Encryption(key, AES, plain, iv=iv, additional_data=b"", random=os.urandom)
    assert failure(unfinished, b"half a block") is ResultReason.INVALID_FIELD


def test_a_counter_does_not_run_over_from_one_part_to_the_next() -> None:
    parameters = Parameters(
        block_cipher_mode=BlockCipherMode.CTR, initial_counter_value=(1 << 32) - 2
    )
    running = Encryption(
        bytes(16), AES, parameters, iv=bytes(12), additional_data=b"", random=os.urandom
    )
    running.update(bytes(32))
    assert failure(running, b"!") is ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    ("algorithm", "mode"),
    [
        (AES, BlockCipherMode.CCM),
        (AES, BlockCipherMode.XTS),
    ],
)
def test_modes_that_need_all_data_say_so(
    algorithm: CryptographicAlgorithm, mode: BlockCipherMode | None
) -> None:
    rule = RULES[algorithm, mode]
    with pytest.raises(OperationError) as caught:
        Encryption(
            bytes(max(rule.key_lengths)),
            algorithm,
            Parameters(block_cipher_mode=mode),
            iv=bytes(max(rule.iv_lengths)),
            additional_data=b"",
            random=os.urandom,
        )
    assert caught.value.reason is ResultReason.FEATURE_NOT_SUPPORTED
