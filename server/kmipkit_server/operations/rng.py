"""RNG Retrieve and RNG Seed (KMIP 1.4 §4.35, §4.36): the operating system's generator."""

import os

from kmipkit.errors import OperationError
from kmipkit.model.payloads.crypto import (
    RNGRetrieveRequest,
    RNGRetrieveResponse,
    RNGSeedRequest,
    RNGSeedResponse,
)
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.call import Call

MAX_LENGTH = 1 << 16
"""Bytes that one request returns at most."""


def rng_retrieve(call: Call, request: RNGRetrieveRequest) -> RNGRetrieveResponse:
    """Return random bytes."""
    if not 1 <= request.data_length <= MAX_LENGTH:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data Length must be 1 to {MAX_LENGTH} bytes, not {request.data_length}",
        )
    data = call.draw(request.data_length)
    call.returns_data(data)
    return RNGRetrieveResponse(data=data)


def rng_seed(call: Call, request: RNGSeedRequest) -> RNGSeedResponse:
    """Add the seed to the system's entropy pool, and return how many bytes it took.

    The system mixes the seed in without counting it as entropy, so that a client cannot weaken the
    generator. Where the server may not write to the pool, it takes none.
    """
    return RNGSeedResponse(data_length=_add_to_pool(call.data(request.data)))


def _add_to_pool(seed: bytes) -> int:
    try:
        pool = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return os.write(pool, seed)
    finally:
        os.close(pool)
