"""Hashing Algorithms of KMIP (KMIP 1.4 §9.1.3.2.16): one table to the library's, and digests."""

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
"""The algorithms that can be computed here. MD5 and SHA-1 are there for old data, not for new."""


def hash_of(algorithm: HashingAlgorithm) -> hashes.HashAlgorithm:
    """The library's object for ``algorithm``.

    Raises:
        OperationError: Unsupported Cryptographic Parameters, where it is not in :data:`HASHES`.
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

    SHA-256 is the one that a server has to keep for every object.

    Raises:
        OperationError: Unsupported Cryptographic Parameters, for an algorithm not supported.
    """
    context = hashes.Hash(hash_of(algorithm))
    context.update(data)
    return context.finalize()
