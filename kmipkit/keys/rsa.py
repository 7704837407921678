"""RSA encryption of short data: OAEP and PKCS #1 v1.5 (RFC 8017 §7), for Encrypt and for wrapping.

Padding Method selects one of them; the parameters of OAEP are Hashing Algorithm (SHA-1 if omitted,
RFC 8017 §A.2.1), Mask Generator Hashing Algorithm (SHA-1 if omitted, KMIP 2.1 §4.16) and P Source.
The library generates the random seed of the padding, and accepts no other.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kmipkit.errors import OperationError
from kmipkit.keys._border import foreign_errors
from kmipkit.keys.hashes import hash_of
from kmipkit.keys.padding import DECRYPTION_FAILED
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import HashingAlgorithm, MaskGenerator, PaddingMethod, ResultReason


def _oaep(parameters: Parameters) -> padding.AsymmetricPadding:
    if parameters.mask_generator not in {None, MaskGenerator.MFG1}:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            "Mask Generator must be MGF1",
        )
    mask_hash = parameters.mask_generator_hashing_algorithm or HashingAlgorithm.SHA_1
    return padding.OAEP(
        mgf=padding.MGF1(hash_of(mask_hash)),
        algorithm=hash_of(_oaep_hash(parameters)),
        label=parameters.p_source or None,
    )


def _oaep_hash(parameters: Parameters) -> HashingAlgorithm:
    return parameters.hashing_algorithm or HashingAlgorithm.SHA_1


def _oaep_overhead(parameters: Parameters) -> int:
    return 2 * hash_of(_oaep_hash(parameters)).digest_size + 2


PADDINGS: Mapping[
    PaddingMethod,
    tuple[Callable[[Parameters], padding.AsymmetricPadding], Callable[[Parameters], int]],
] = MappingProxyType(
    {
        PaddingMethod.OAEP: (_oaep, _oaep_overhead),
        PaddingMethod.PKCS1_V1_5: (lambda _parameters: padding.PKCS1v15(), lambda _parameters: 11),
    }
)
"""Padding Method -> (padding of the library, number of bytes that it occupies)."""


def encrypt(key: RSAPublicKey, parameters: Parameters, data: bytes) -> bytes:
    """Encrypt ``data``; the result is as long as the modulus.

    Raises:
        OperationError: Bad or Unsupported Cryptographic Parameters for a Padding Method or hash
            that is not supported; Invalid Field for data that are too long for key and padding.
    """
    make, overhead = _scheme(parameters)
    room = (key.key_size + 7) // 8 - overhead(parameters)
    if len(data) > room:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"{len(data)} bytes are too long: RSA with {key.key_size} bits and this padding "
            f"encrypts at most {max(room, 0)}",
        )
    with foreign_errors("RSA encryption failed: the parameters do not fit the key"):
        return key.encrypt(data, make(parameters))


def decrypt(key: RSAPrivateKey, parameters: Parameters, data: bytes) -> bytes:
    """Decrypt ``data``, which is as long as the modulus.

    PKCS #1 v1.5 does not authenticate: with implicit rejection, OpenSSL returns random bytes for
    altered data instead of an error.

    Raises:
        OperationError: Invalid Field for data of another length; Cryptographic Failure for a wrong
            key, wrong parameters or altered data; else as :func:`encrypt`.
    """
    make, _ = _scheme(parameters)
    size = (key.key_size + 7) // 8
    if len(data) != size:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the data has {len(data)} bytes; ciphertexts of RSA with {key.key_size} bits have {size}",
        )
    with foreign_errors(DECRYPTION_FAILED):
        return key.decrypt(data, make(parameters))


def _scheme(
    parameters: Parameters,
) -> tuple[Callable[[Parameters], padding.AsymmetricPadding], Callable[[Parameters], int]]:
    if parameters.padding_method is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: RSA needs a Padding Method, OAEP or PKCS1 v1.5",
        )
    try:
        return PADDINGS[parameters.padding_method]
    except KeyError:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"RSA encryption with Padding Method {parameters.padding_method.name} is not supported",
        ) from None
