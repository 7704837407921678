"""Message authentication codes (KMIP 1.4 §4.33): HMAC, CMAC and Poly1305, in one or several parts.

The Cryptographic Algorithm of the parameters selects the code, or that of the key if omitted: HMAC and
Poly1305 by their names, CMAC by the name of a block cipher, because it is the only code for block
ciphers (NIST SP 800-38B; Block Cipher Mode may be CMAC).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from cryptography.hazmat.primitives import cmac, hashes, hmac, poly1305
from cryptography.hazmat.primitives.ciphers import algorithms

from kmipkit.errors import OperationError
from kmipkit.keys import _library
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, ResultReason


class Context(Protocol):
    """A computation in parts."""

    def update(self, data: bytes) -> None:
        """Take the next part."""

    def finalize(self) -> bytes:
        """The code of all parts; no part may follow."""


_ALGORITHM = CryptographicAlgorithm


def _hmac(make: Callable[[], hashes.HashAlgorithm]) -> Callable[[bytes], Context]:
    return lambda key: hmac.HMAC(key, make())


class _CMAC:
    """A CMAC that lets other threads run between the pieces of its data.

    The library does not release the interpreter lock for CMAC, as it does for ciphers and hashes.
    """

    def __init__(self, context: cmac.CMAC) -> None:
        self._context = context

    def update(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            self._context.update(data[start : start + _PIECE])

    def finalize(self) -> bytes:
        return self._context.finalize()

    def copy(self) -> "_CMAC":
        return _CMAC(self._context.copy())


_PIECE = 8192


def _cmac(make: Callable[[bytes], Any]) -> Callable[[bytes], Context]:
    return lambda key: _CMAC(cmac.CMAC(make(key)))


MACS: Mapping[CryptographicAlgorithm, Callable[[bytes], Context]] = MappingProxyType(
    {
        _ALGORITHM.HMAC_MD5: _hmac(hashes.MD5),
        _ALGORITHM.HMAC_SHA1: _hmac(hashes.SHA1),
        _ALGORITHM.HMAC_SHA224: _hmac(hashes.SHA224),
        _ALGORITHM.HMAC_SHA256: _hmac(hashes.SHA256),
        _ALGORITHM.HMAC_SHA384: _hmac(hashes.SHA384),
        _ALGORITHM.HMAC_SHA512: _hmac(hashes.SHA512),
        _ALGORITHM.HMAC_SHA3_224: _hmac(hashes.SHA3_224),
        _ALGORITHM.HMAC_SHA3_256: _hmac(hashes.SHA3_256),
        _ALGORITHM.HMAC_SHA3_384: _hmac(hashes.SHA3_384),
        _ALGORITHM.HMAC_SHA3_512: _hmac(hashes.SHA3_512),
        _ALGORITHM.POLY1305: poly1305.Poly1305,
        _ALGORITHM.AES: _cmac(algorithms.AES),
        _ALGORITHM.DES3: _cmac(_library.TripleDES),
        _ALGORITHM.CAMELLIA: _cmac(_library.Camellia),
    }
)
"""Cryptographic Algorithm -> function that begins a code with a key."""

_MODES = frozenset({None, BlockCipherMode.CMAC})


def selected(
    algorithm: CryptographicAlgorithm | None, parameters: Parameters
) -> CryptographicAlgorithm | None:
    """The algorithm of the code; ``algorithm`` is that of the key."""
    return parameters.cryptographic_algorithm or algorithm


def compute(
    key: bytes, algorithm: CryptographicAlgorithm | None, parameters: Parameters, data: bytes
) -> bytes:
    """The code of all data; arguments and errors as of :func:`begin`."""
    context = begin(key, algorithm, parameters)
    context.update(data)
    return context.finalize()


def begin(key: bytes, algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Context:
    """Begin a code; ``algorithm`` is that of the key, for parameters without one.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for an algorithm or mode without code;
            Bad Cryptographic Parameters if there is no algorithm; Cryptographic Failure for a key
            of a length that the algorithm does not permit.
    """
    chosen = selected(algorithm, parameters)
    if chosen is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: neither they nor the key have a Cryptographic Algorithm",
        )
    make = MACS.get(chosen)
    if make is None or parameters.block_cipher_mode not in _MODES:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"a message authentication code with {chosen.name} is not supported in this mode",
        )
    with foreign_errors(f"{chosen.name} does not permit a key of this length"):
        return make(key)
