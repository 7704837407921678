"""Padding methods: what each writes, and what each refuses to take off."""

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys.padding import PADDINGS, pad, unpad
from kmipkit.spec.enums import PaddingMethod, ResultReason


def sevens(count: int) -> bytes:
    return b"\7" * count


@pytest.mark.parametrize(
    ("method", "data", "padded"),
    [
        (PaddingMethod.NONE, b"", b""),
        (PaddingMethod.NONE, b"12345678", b"12345678"),
        (PaddingMethod.PKCS5, b"", b"\10" * 8),
        (PaddingMethod.PKCS5, b"123", b"123\5\5\5\5\5"),
        (PaddingMethod.PKCS5, b"12345678", b"12345678" + b"\10" * 8),
        (PaddingMethod.ZEROS, b"", b""),
        (PaddingMethod.ZEROS, b"123", b"123\0\0\0\0\0"),
        (PaddingMethod.ZEROS, b"12345678", b"12345678"),
        (PaddingMethod.ANSI_X9_23, b"123", b"123\0\0\0\0\5"),
        (PaddingMethod.ANSI_X9_23, b"12345678", b"12345678\0\0\0\0\0\0\0\10"),
        (PaddingMethod.ISO_10126, b"123", b"123\7\7\7\7\5"),
        (PaddingMethod.ISO_10126, b"1234567", b"1234567\1"),
    ],
)
def test_both_ways(method: PaddingMethod, data: bytes, padded: bytes) -> None:
    assert pad(method, data, 8, sevens) == padded
    assert unpad(method, padded, 8) == data


@pytest.mark.parametrize(
    ("method", "padded"),
    [
        (PaddingMethod.PKCS5, b""),
        (PaddingMethod.PKCS5, b"1234567\0"),
        (PaddingMethod.PKCS5, b"1234567\11"),
        (PaddingMethod.PKCS5, b"123\5\5\6\5\5"),
        (PaddingMethod.ANSI_X9_23, b""),
        (PaddingMethod.ANSI_X9_23, b"123\0\1\0\0\5"),
        (PaddingMethod.ANSI_X9_23, b"1234567\0"),
        (PaddingMethod.ISO_10126, b""),
        (PaddingMethod.ISO_10126, b"1234567\0"),
        (PaddingMethod.ISO_10126, b"1234567\11"),
    ],
)
def test_bad_padding_has_one_message(method: PaddingMethod, padded: bytes) -> None:
    with pytest.raises(OperationError, match="wrong key") as caught:
        unpad(method, padded, 8)
    assert caught.value.reason == ResultReason.CRYPTOGRAPHIC_FAILURE


def test_zeros_takes_less_than_a_block() -> None:
    assert unpad(PaddingMethod.ZEROS, bytes(16), 8) == bytes(9)


def test_without_padding_only_whole_blocks() -> None:
    with pytest.raises(OperationError, match="multiple of 8") as caught:
        pad(PaddingMethod.NONE, b"1234567", 8, sevens)
    assert caught.value.reason == ResultReason.INVALID_FIELD


@pytest.mark.parametrize("method", sorted(set(PaddingMethod) - PADDINGS.keys()))
def test_methods_of_other_ciphers(method: PaddingMethod) -> None:
    for call in (lambda: pad(method, b"", 8, sevens), lambda: unpad(method, b"", 8)):
        with pytest.raises(OperationError) as caught:
            call()
        assert caught.value.reason == ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS
