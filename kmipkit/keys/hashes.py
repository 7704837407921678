"""Digests: a table from Hashing Algorithm (KMIP 1.4 §9.1.3.2.16) to the classes of the library."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes

from kmipkit.errors import OperationError
from kmipkit.spec.enums import HashingAlgorithm, ResultReason

HASHES: Mapping[HashingAlgorithm, Callable[[], hashes.HashAlgorithm]] = MappingProxyType(
    {
        HashingAlgorithm.MD5: hashes.MD5,
        HashingAlgorithm.SHA_1: hashes.SHA1,
        HashingAlgorithm.SHA_224: hashes.SHA224,
        HashingAlgorithm.SHA_256: hashes.SHA256,
        HashingAlgorithm.SHA_384: hashes.SHA384,
        HashingAlgorithm.SHA_512: hashes.SHA512,
        HashingAlgorithm.SHA_512_224: hashes.SHA512_224,
        HashingAlgorithm.SHA_512_256: hashes.SHA512_256,
        HashingAlgorithm.SHA3_224: hashes.SHA3_224,
        HashingAlgorithm.SHA3_256: hashes.SHA3_256,
        HashingAlgorithm.SHA3_384: hashes.SHA3_384,
        HashingAlgorithm.SHA3_512: hashes.SHA3_512,
    }
)
"""The supported algorithms. MD5 and SHA-1 are for old data only."""


def hash_of(algorithm: HashingAlgorithm) -> hashes.HashAlgorithm:
    """The library's object for ``algorithm``.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for an algorithm not in :data:`HASHES`.
    """
    try:
        return HASHES[algorithm]()
    except KeyError:
        raise OperationError(
            ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            f"Hashing Algorithm {algorithm.name} is not supported",
        ) from None


def digest(data: bytes, algorithm: HashingAlgorithm = HashingAlgorithm.SHA_256) -> bytes:
    """The digest of ``data``, as the Digest attribute holds it (KMIP 1.4 §3.17).

    A server must have the SHA-256 digest of every object.

    Raises:
        OperationError: Unsupported Cryptographic Parameters for an algorithm not in :data:`HASHES`.
    """
    context = hashes.Hash(hash_of(algorithm))
    context.update(data)
    return context.finalize()
