"""Padding Methods of block ciphers (KMIP 1.4 §9.1.3.2.15), as a table of two functions each.

Only the modes that work on whole blocks, ECB and CBC, pad. Whatever is wrong with a padding, the
message is the same, and the methods that check more than one byte do so by the library, in constant
time; that padding failed at all is told by the standard's own answer, so whoever must reckon with
chosen ciphertexts needs an authenticated mode.

The methods of RSA (OAEP, PKCS1 v1.5, PSS, X9.31) are not here. SSL3 is not supported.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cryptography.hazmat.primitives import padding

from kmipkit.errors import OperationError
from kmipkit.spec.enums import PaddingMethod, ResultReason

Random = Callable[[int], bytes]
"""Gives so many random bytes; ``secrets.token_bytes`` outside of tests."""


DECRYPTION_FAILED = "decryption failed: wrong key, wrong parameters, or the data was altered"
"""The one message for whatever fails in a decryption."""


class Padding(NamedTuple):
    """The two directions of a method.

    ``pad`` takes data, block size in bytes and a source of randomness; ``unpad`` takes whole
    blocks and raises ``ValueError`` where the padding is not as it must be.
    """

    pad: Callable[[bytes, int, Random], bytes]
    unpad: Callable[[bytes, int], bytes]


def _pad_none(data: bytes, block: int, _random: Random) -> bytes:
    if len(data) % block:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data has {len(data)} bytes; without padding it must be a multiple of {block}",
        )
    return data


def _unpad_none(data: bytes, _block: int) -> bytes:
    return data


def _pad_pkcs5(data: bytes, block: int, _random: Random) -> bytes:
    padder = padding.PKCS7(block * 8).padder()
    return padder.update(data) + padder.finalize()


def _unpad_pkcs5(data: bytes, block: int) -> bytes:
    unpadder = padding.PKCS7(block * 8).unpadder()
    return unpadder.update(data) + unpadder.finalize()


def _pad_zeros(data: bytes, block: int, _random: Random) -> bytes:
    return data + bytes(-len(data) % block)


def _unpad_zeros(data: bytes, block: int) -> bytes:
    # Data that itself ends in zeros cannot be told from padding; at most a block less one is cut.
    keep = max(len(data) - block + 1, 0)
    return data[:keep] + data[keep:].rstrip(b"\0")


def _pad_x923(data: bytes, block: int, _random: Random) -> bytes:
    padder = padding.ANSIX923(block * 8).padder()
    return padder.update(data) + padder.finalize()


def _unpad_x923(data: bytes, block: int) -> bytes:
    unpadder = padding.ANSIX923(block * 8).unpadder()
    return unpadder.update(data) + unpadder.finalize()


def _pad_iso10126(data: bytes, block: int, random: Random) -> bytes:
    count = block - len(data) % block
    return data + random(count - 1) + bytes([count])


def _unpad_iso10126(data: bytes, block: int) -> bytes:
    if not data or not 1 <= data[-1] <= block:
        raise ValueError("the last byte does not count the padding")
    return data[: -data[-1]]


PADDINGS: Mapping[PaddingMethod, Padding] = MappingProxyType(
    {
        PaddingMethod.NONE: Padding(_pad_none, _unpad_none),
        PaddingMethod.PKCS5: Padding(_pad_pkcs5, _unpad_pkcs5),
        PaddingMethod.ZEROS: Padding(_pad_zeros, _unpad_zeros),
        PaddingMethod.ANSI_X9_23: Padding(_pad_x923, _unpad_x923),
        PaddingMethod.ISO_10126: Padding(_pad_iso10126, _unpad_iso10126),
    }
)


def _find(method: PaddingMethod) -> Padding:
    try:
        return PADDINGS[method]
    except KeyError:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"Padding Method {method.name} is not supported for block ciphers",
        ) from None


def pad(method: PaddingMethod, data: bytes, block: int, random: Random) -> bytes:
    """``data`` filled up to whole blocks of ``block`` bytes.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for a method not in
            :data:`PADDINGS`; Invalid Field where Padding Method None meets a part of a block.
    """
    return _find(method).pad(data, block, random)


def unpad(method: PaddingMethod, data: bytes, block: int) -> bytes:
    """``data``, which is whole blocks, without its padding.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for a method not in
            :data:`PADDINGS`; Cryptographic Failure where the padding is not right.
    """
    method_used = _find(method)
    try:
        return method_used.unpad(data, block)
    except ValueError:
        raise OperationError(ResultReason.CRYPTOGRAPHIC_FAILURE, DECRYPTION_FAILED) from None
