"""Digests, against the standard library."""

import hashlib

import pytest

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import HASHES, digest
from kmipkit.spec.enums import HashingAlgorithm, ResultReason

NAMES = {
    HashingAlgorithm.SHA_512_224: "sha512_224",
    HashingAlgorithm.SHA_512_256: "sha512_256",
}


@pytest.mark.parametrize("algorithm", HASHES)
def test_digests_are_those_of_hashlib(algorithm: HashingAlgorithm) -> None:
    name = NAMES.get(algorithm) or algorithm.name.lower().replace("sha_", "sha")
    assert digest(b"data", algorithm) == hashlib.new(name, b"data").digest()


def test_the_digest_that_every_object_has() -> None:
    assert digest(b"") == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("algorithm", [HashingAlgorithm.TIGER, HashingAlgorithm(0x80000001)])
def test_a_digest_that_is_not_supported(algorithm: HashingAlgorithm) -> None:
    with pytest.raises(OperationError, match=algorithm.name) as caught:
        digest(b"", algorithm)
    assert caught.value.reason == ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS
