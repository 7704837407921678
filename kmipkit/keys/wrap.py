"""Wrapping one key with another: bytes in, bytes out (KMIP 1.4 §2.1.5, §2.1.6; KMIP 2.1 §3.3).

This file knows how bytes are wrapped, not what they are: with Encoding Option No Encoding they are
the Key Material, with TTLV Encoding the encoded Key Value. The server that wraps what Get returns
and the host that unwraps a disk key need the same work, hence no message appears here.

A method is chosen by the kind of the wrapping key and the Cryptographic Parameters:

====================  =============================================  =============================
Block Cipher Mode     what it is                                     wrapped data
====================  =============================================  =============================
NIST Key Wrap         RFC 3394; the default for an AES key           8 bytes longer
AES Key Wrap Padding  RFC 5649, for data of any length               8 to 15 bytes longer
GCM                   SP 800-38D; needs a nonce of 12 bytes (IV)     ciphertext, then the tag
others                what Encrypt can do with key and mode          ciphertext (then the tag)
(none, RSA key)       OAEP by default, or Padding Method PKCS1 v1.5  as long as the modulus
====================  =============================================  =============================

The Key Wrapping Data has a field for the IV and none for a tag, so the tag follows the ciphertext,
as in RFC 5116 §5.1; its length is Tag Length, 16 bytes when omitted. Modes without a tag or check
value do not notice alterations; wrap with them only for a peer that knows no better.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, rsa
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
"""The one message for whatever shows in an unwrapping."""

DEFAULT_MODE = BlockCipherMode.NISTKEYWRAP
"""How an AES key wraps when neither the request nor the key says a Block Cipher Mode."""

DEFAULT_PADDING = PaddingMethod.OAEP
"""How an RSA key wraps when neither says a Padding Method."""


@dataclass(frozen=True, slots=True)
class WrapResult:
    """What wrapping gives."""

    data: bytes
    """The wrapped key."""
    iv: bytes | None = None
    """The IV/Counter/Nonce to put beside it, of the modes that have one."""


class _Method(NamedTuple):
    """An AES key wrap; ``fits`` says whether wrapped data can have that length."""

    wrap: Callable[[bytes, bytes], bytes]
    unwrap: Callable[[bytes, bytes], bytes]
    plain_fits: Callable[[int], bool]
    fits: Callable[[int], bool]
    needs: str


KEY_WRAPS: Mapping[BlockCipherMode, _Method] = MappingProxyType(
    {
        BlockCipherMode.NISTKEYWRAP: _Method(
            keywrap.aes_key_wrap,
            keywrap.aes_key_unwrap,
            plain_fits=lambda length: length >= 16 and length % 8 == 0,
            fits=lambda length: length >= 24 and length % 8 == 0,
            needs="16 bytes or more and a multiple of 8 (other lengths: AES Key Wrap Padding)",
        ),
        BlockCipherMode.AESKEYWRAPPADDING: _Method(
            keywrap.aes_key_wrap_with_padding,
            keywrap.aes_key_unwrap_with_padding,
            plain_fits=lambda length: 1 <= length < 1 << 32,
            fits=lambda length: length >= 16 and length % 8 == 0,
            needs="one byte or more",
        ),
    }
)
"""The modes that are for wrapping only; they take neither IV nor randomness."""


def wrap(
    key: bytes | RSAPublicKey,
    parameters: Parameters | None,
    plaintext: bytes,
    *,
    iv: bytes | None = None,
    random: Random | None = None,
) -> WrapResult:
    """Wrap ``plaintext`` with ``key``: a symmetric key's bytes, or an RSA public key.

    What ``parameters`` leave out is :data:`DEFAULT_MODE` or :data:`DEFAULT_PADDING`. A symmetric
    key is taken for one of AES unless they say another Cryptographic Algorithm, so whoever knows
    the algorithm of the key has to put it there. The modes outside of
    :data:`KEY_WRAPS` need an IV: ``iv``, or one made with ``random``.

    Raises:
        OperationError: Invalid Field for a key or plaintext whose length the method does not take;
            Bad or Unsupported Cryptographic Parameters for a method that cannot be used;
            Invalid Message where an IV is missing.
    """
    if isinstance(key, RSAPublicKey):
        return WrapResult(rsa.encrypt(key, _rsa(parameters), plaintext))
    used = _symmetric(parameters)
    method = _key_wrap(used)
    if method is None:
        return _encrypt(key, used, plaintext, iv, random)
    _check_key(key)
    if not method.plain_fits(len(plaintext)):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"a key of {len(plaintext)} bytes cannot be wrapped so; the method takes "
            f"{method.needs}",
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
    """Unwrap what :func:`wrap` made with the same key (the private key of RSA) and parameters.

    Raises:
        OperationError: Cryptographic Failure for a wrong key or altered data, where the method can
            notice; Invalid Field for data of a length that cannot be; else as :func:`wrap`.
    """
    if isinstance(key, RSAPrivateKey):
        return rsa.decrypt(key, _rsa(parameters), wrapped)
    used = _symmetric(parameters)
    method = _key_wrap(used)
    if method is None:
        return _decrypt(key, used, wrapped, iv)
    _check_key(key)
    if not method.fits(len(wrapped)):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the wrapped key has {len(wrapped)} bytes, which the method cannot have made: it is "
            "cut off, or wrapped in another way",
        )
    with foreign_errors(UNWRAP_FAILED):
        return method.unwrap(key, wrapped)


def _symmetric(parameters: Parameters | None) -> Parameters:
    given = parameters or Parameters()
    algorithm = given.cryptographic_algorithm or CryptographicAlgorithm.AES
    mode = given.block_cipher_mode
    if mode is None and algorithm == CryptographicAlgorithm.AES:
        mode = DEFAULT_MODE
    return replace(given, cryptographic_algorithm=algorithm, block_cipher_mode=mode)


def _rsa(parameters: Parameters | None) -> Parameters:
    given = parameters or Parameters()
    return replace(given, padding_method=given.padding_method or DEFAULT_PADDING)


def _key_wrap(parameters: Parameters) -> _Method | None:
    """The row of :data:`KEY_WRAPS`, or ``None`` where Encrypt has to do."""
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
    asked = replace(parameters, random_iv=random is not None)
    done = cipher.encrypt(
        key, _algorithm(parameters), asked, plaintext, iv=iv, random=random or _no_random
    )
    return WrapResult(done.data + (done.tag or b""), done.iv if iv is None else iv)


def _decrypt(key: bytes, parameters: Parameters, wrapped: bytes, iv: bytes | None) -> bytes:
    algorithm = _algorithm(parameters)
    rule = RULES.get((algorithm, parameters.block_cipher_mode))
    if rule is None or not rule.tag_lengths:
        return cipher.decrypt(key, algorithm, parameters, wrapped, iv=iv)
    length = parameters.tag_length or max(rule.tag_lengths)
    if len(wrapped) <= length:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the wrapped key has {len(wrapped)} bytes, which leaves nothing before a tag of "
            f"{length}",
        )
    data, tag = wrapped[:-length], wrapped[-length:]
    return cipher.decrypt(key, algorithm, parameters, data, iv=iv, tag=tag)


def _no_random(_count: int) -> bytes:
    # Only ISO 10126 padding gets here: an IV is asked for only where there is randomness.
    raise OperationError(
        ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
        "bad Cryptographic Parameters: the padding needs randomness, which this wrapping has not",
    )
