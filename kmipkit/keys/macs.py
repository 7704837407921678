"""Message authentication codes (KMIP 1.4 §4.33): HMAC, CMAC and Poly1305, in one go or in parts.

Which one is said by the Cryptographic Algorithm of the parameters, or of the key where that is
omitted: an HMAC or Poly1305 by its own name, CMAC by a block cipher, for which it is the only one
(NIST SP 800-38B; Block Cipher Mode may say CMAC).
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
        """The result; nothing may follow."""


_ALGORITHM = CryptographicAlgorithm


def _hmac(make: Callable[[], hashes.HashAlgorithm]) -> Callable[[bytes], Context]:
    return lambda key: hmac.HMAC(key, make())


def _cmac(make: Callable[[bytes], Any]) -> Callable[[bytes], Context]:
    return lambda key: cmac.CMAC(make(key))


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
"""Cryptographic Algorithm -> what makes the code, begun with a key."""

_MODES = frozenset({None, BlockCipherMode.CMAC})


def begin(key: bytes, algorithm: CryptographicAlgorithm | None, parameters: Parameters) -> Context:
    """Begin a code; ``algorithm`` is that of the key, used where the parameters name none.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for an algorithm or mode that makes no
            code here; Bad Cryptographic Parameters where none is named; Cryptographic Failure for a
            key of a length that the algorithm does not take.
    """
    named = parameters.cryptographic_algorithm or algorithm
    if named is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: neither they nor the key name a Cryptographic Algorithm",
        )
    make = MACS.get(named)
    if make is None or parameters.block_cipher_mode not in _MODES:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"a message authentication code by {named.name} is not supported in this mode",
        )
    with foreign_errors(f"the key has a length that {named.name} does not take"):
        return make(key)
