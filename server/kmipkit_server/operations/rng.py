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

MOST = 1 << 16
"""Bytes that one request gets."""


def rng_retrieve(call: Call, request: RNGRetrieveRequest) -> RNGRetrieveResponse:
    """Give out random bytes."""
    if not 1 <= request.data_length <= MOST:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Data Length is {request.data_length}; 1 to {MOST} bytes can be had at once",
        )
    data = call.random(request.data_length)
    call.returns_data(data)
    return RNGRetrieveResponse(data=data)


def rng_seed(call: Call, request: RNGSeedRequest) -> RNGSeedResponse:
    """Stir the seed into the system's pool, which trusts it with nothing; none where it cannot."""
    return RNGSeedResponse(data_length=_stirred(call.data(request.data)))


def _stirred(seed: bytes) -> int:
    try:
        pool = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return os.write(pool, seed)
    finally:
        os.close(pool)
