"""Padding Methods of block ciphers (KMIP 1.4 §9.1.3.2.15), as a table of two functions each.

Only the modes that work on whole blocks, ECB and CBC, pad. All padding errors have the same message,
and the library checks padding of more than one byte in constant time. But the response does show that
the padding is wrong, so use an authenticated mode if an attacker may choose ciphertexts.

The methods of RSA (OAEP, PKCS1 v1.5, PSS, X9.31) are not here. SSL3 is not supported.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from cryptography.hazmat.primitives import padding

from kmipkit.errors import OperationError
from kmipkit.spec.enums import PaddingMethod, ResultReason

Random = Callable[[int], bytes]
"""Returns that many random bytes; ``secrets.token_bytes`` except in tests."""


DECRYPTION_FAILED = "decryption failed: wrong key, wrong parameters, or the data was altered"
"""The message for every failure of a decryption: it must not say which check failed."""


class Padding(NamedTuple):
    """The two directions of a method.

    ``pad`` takes data, block size in bytes and a source of randomness; ``unpad`` takes whole
    blocks and raises ``ValueError`` if the padding is wrong.
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
    # Zeros at the end of the data look like padding; at most one byte less than a block is removed.
    minimum = max(len(data) - block + 1, 0)
    return data[:minimum] + data[minimum:].rstrip(b"\0")


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
        raise ValueError("the last byte is not the length of the padding")
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


def _padding(method: PaddingMethod) -> Padding:
    try:
        return PADDINGS[method]
    except KeyError:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"Padding Method {method.name} is not supported for block ciphers",
        ) from None


def pad(method: PaddingMethod, data: bytes, block: int, random: Random) -> bytes:
    """``data`` padded to whole blocks of ``block`` bytes.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for a method not in
            :data:`PADDINGS`; Invalid Field for a partial block with Padding Method None.
    """
    return _padding(method).pad(data, block, random)


def unpad(method: PaddingMethod, data: bytes, block: int) -> bytes:
    """``data``, which is whole blocks, without its padding.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for a method not in
            :data:`PADDINGS`; Cryptographic Failure if the padding is wrong.
    """
    functions = _padding(method)
    try:
        return functions.unpad(data, block)
    except ValueError:
        raise OperationError(ResultReason.CRYPTOGRAPHIC_FAILURE, DECRYPTION_FAILED) from None
