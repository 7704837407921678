"""Wrapping one key with another: bytes in, bytes out (KMIP 1.4 §2.1.5, §2.1.6; KMIP 2.1 §3.3).

This file wraps bytes without knowing their meaning: with Encoding Option No Encoding they are the
Key Material, with TTLV Encoding the encoded Key Value. The server wraps what Get returns, and the host
unwraps disk keys, with the same functions.

The type of the wrapping key and the Cryptographic Parameters select the method:

====================  =============================================  =============================
Block Cipher Mode     method                                         wrapped data
====================  =============================================  =============================
NIST Key Wrap         RFC 3394; the default for an AES key           8 bytes longer
AES Key Wrap Padding  RFC 5649, for data of any length               8 to 15 bytes longer
GCM                   SP 800-38D; needs a nonce of 12 bytes (IV)     ciphertext, then the tag
others                Encrypt with key and mode                      ciphertext (then the tag)
(none, RSA key)       OAEP by default, or Padding Method PKCS1 v1.5  as long as the modulus
====================  =============================================  =============================

Key Wrapping Data has a field for the IV but none for a tag, so the tag follows the ciphertext, as in
RFC 5116 §5.1; its length is Tag Length, 16 bytes if omitted. Modes without a tag or check value do not
detect alterations; use them only for peers that support nothing better.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, costs, rsa
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.padding import Random
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.rules import RULES
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    PaddingMethod,
    ResultReason,
)

UNWRAP_FAILED = "the key cannot be unwrapped: wrong wrapping key, wrong parameters, or altered data"
"""The message for every failure: which check failed would help an attacker who alters data."""

DEFAULT_MODE = BlockCipherMode.NISTKEYWRAP
"""The mode of an AES key if neither the request nor the key has a Block Cipher Mode."""

DEFAULT_PADDING = PaddingMethod.OAEP
"""The padding of an RSA key if neither has a Padding Method."""


@dataclass(frozen=True, slots=True)
class WrapResult:
    """The result of wrapping."""

    data: bytes
    """The wrapped key."""
    iv: bytes | None = None
    """The IV/Counter/Nonce for the Key Wrapping Data, in modes that use one."""


class _Method(NamedTuple):
    """An AES key wrap. The two predicates are for the length of a key, and of wrapped data."""

    wrap: Callable[[bytes, bytes], bytes]
    unwrap: Callable[[bytes, bytes], bytes]
    accepts_key: Callable[[int], bool]
    accepts_wrapped: Callable[[int], bool]
    key_lengths: str


KEY_WRAPS: Mapping[BlockCipherMode, _Method] = MappingProxyType(
    {
        BlockCipherMode.NISTKEYWRAP: _Method(
            keywrap.aes_key_wrap,
            keywrap.aes_key_unwrap,
            accepts_key=lambda length: length >= 16 and length % 8 == 0,
            accepts_wrapped=lambda length: length >= 24 and length % 8 == 0,
            key_lengths="a multiple of 8 bytes, at least 16 (else use AES Key Wrap Padding)",
        ),
        BlockCipherMode.AESKEYWRAPPADDING: _Method(
            keywrap.aes_key_wrap_with_padding,
            keywrap.aes_key_unwrap_with_padding,
            accepts_key=lambda length: 1 <= length < 1 << 32,
            accepts_wrapped=lambda length: length >= 16 and length % 8 == 0,
            key_lengths="at least one byte",
        ),
    }
)
"""The modes for wrapping only; they use neither IV nor randomness."""


def wrap(
    key: bytes | RSAPublicKey,
    parameters: Parameters | None,
    plaintext: bytes,
    *,
    iv: bytes | None = None,
    random: Random | None = None,
) -> WrapResult:
    """Wrap ``plaintext`` with ``key``: a symmetric key's bytes, or an RSA public key.

    The defaults of ``parameters`` are :data:`DEFAULT_MODE` and :data:`DEFAULT_PADDING`. A symmetric
    key is assumed to be an AES key unless they have another Cryptographic Algorithm, so the caller
    must set that of the key. The modes not in :data:`KEY_WRAPS` need an IV: ``iv``, or one that is
    generated with ``random``.

    Raises:
        OperationError: Invalid Field for a key or plaintext whose length the method does not permit;
            Bad or Unsupported Cryptographic Parameters for a method that is not supported;
            Invalid Message if an IV is missing.
    """
    if isinstance(key, RSAPublicKey):
        return WrapResult(rsa.encrypt(key, _rsa(parameters), plaintext))
    effective = _symmetric(parameters)
    method = _key_wrap(effective)
    if method is None:
        return _encrypt(key, effective, plaintext, iv, random)
    _check_key(key)
    if not method.accepts_key(len(plaintext)):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"a key of {len(plaintext)} bytes cannot be wrapped by this method, which needs "
            f"{method.key_lengths}",
        )
    with foreign_errors("the key cannot be wrapped"):
        return WrapResult(method.wrap(key, plaintext))


def unwrap(
    key: bytes | RSAPrivateKey,
    parameters: Parameters | None,
    wrapped: bytes,
    *,
    iv: bytes | None = None,
) -> bytes:
    """Unwrap the result of :func:`wrap` with the same key (for RSA, the private key) and parameters.

    Raises:
        OperationError: Cryptographic Failure for a wrong key or altered data, if the method detects
            it; Invalid Field for data of an impossible length; else as :func:`wrap`.
    """
    if isinstance(key, RSAPrivateKey):
        return rsa.decrypt(key, _rsa(parameters), wrapped)
    effective = _symmetric(parameters)
    method = _key_wrap(effective)
    if method is None:
        return _decrypt(key, effective, wrapped, iv)
    _check_key(key)
    if not method.accepts_wrapped(len(wrapped)):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the wrapped key has {len(wrapped)} bytes, a length that the method cannot produce: it "
            "is truncated, or was wrapped by another method",
        )
    with foreign_errors(UNWRAP_FAILED):
        return method.unwrap(key, wrapped)


def wrapping_cost(parameters: Parameters | None, size: int) -> float:
    """About how many milliseconds it takes to wrap or unwrap ``size`` bytes with a symmetric key."""
    effective = _symmetric(parameters)
    if effective.block_cipher_mode in KEY_WRAPS:
        return costs.key_wrap(size)
    return costs.encryption(effective.cryptographic_algorithm, size)


def _symmetric(parameters: Parameters | None) -> Parameters:
    parameters = parameters or Parameters()
    algorithm = parameters.cryptographic_algorithm or CryptographicAlgorithm.AES
    mode = parameters.block_cipher_mode
    if mode is None and algorithm == CryptographicAlgorithm.AES:
        # Other ciphers have no key wrap of their own: for them the mode must be specified.
        mode = DEFAULT_MODE
    return replace(parameters, cryptographic_algorithm=algorithm, block_cipher_mode=mode)


def _rsa(parameters: Parameters | None) -> Parameters:
    parameters = parameters or Parameters()
    return replace(parameters, padding_method=parameters.padding_method or DEFAULT_PADDING)


def _key_wrap(parameters: Parameters) -> _Method | None:
    """The row of :data:`KEY_WRAPS`; ``None`` for a mode of Encrypt."""
    mode = parameters.block_cipher_mode
    method = None if mode is None else KEY_WRAPS.get(mode)
    algorithm = parameters.cryptographic_algorithm
    if mode is not None and method is not None and algorithm != CryptographicAlgorithm.AES:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            f"bad Cryptographic Parameters: {mode.name} is for AES keys",
        )
    return method


def _check_key(key: bytes) -> None:
    if len(key) not in {16, 24, 32}:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"an AES wrapping key cannot have {len(key) * 8} bits"
        )


def _algorithm(parameters: Parameters) -> CryptographicAlgorithm:
    return parameters.cryptographic_algorithm or CryptographicAlgorithm.AES


def _encrypt(
    key: bytes, parameters: Parameters, plaintext: bytes, iv: bytes | None, random: Random | None
) -> WrapResult:
    with_iv = replace(parameters, random_iv=random is not None)
    result = cipher.encrypt(
        key, _algorithm(parameters), with_iv, plaintext, iv=iv, random=random or _no_random
    )
    return WrapResult(result.data + (result.tag or b""), result.iv if iv is None else iv)


def _decrypt(key: bytes, parameters: Parameters, wrapped: bytes, iv: bytes | None) -> bytes:
    algorithm = _algorithm(parameters)
    rule = RULES.get((algorithm, parameters.block_cipher_mode))
    if rule is None or not rule.tag_lengths:
        return cipher.decrypt(key, algorithm, parameters, wrapped, iv=iv)
    length = parameters.tag_length or max(rule.tag_lengths)
    if len(wrapped) <= length:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the wrapped key has {len(wrapped)} bytes, which is not more than the tag of {length}",
        )
    # The wrapped key of an authenticated mode ends with the tag; see the head of this file.
    data, tag = wrapped[:-length], wrapped[-length:]
    return cipher.decrypt(key, algorithm, parameters, data, iv=iv, tag=tag)


def _no_random(_count: int) -> bytes:
    # Only ISO 10126 padding calls this: without randomness, no IV is generated either.
    raise OperationError(
        ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
        "bad Cryptographic Parameters: this padding needs randomness, which wrapping does not have",
    )
