"""No account can take all that the server keeps in memory for its clients."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kmipkit_client import OperationFailed, calls
from kmipkit_client.calls import Call
from kmipkit_server.engine.multipart import MAX_COMPUTATIONS_PER_ACCOUNT
from kmipkit_server.identity.tickets import MAX_TICKETS_PER_ACCOUNT
from laboratory import Laboratory

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import HashingAlgorithm, Operation


class Kept(NamedTuple):
    """Something that the server keeps for a client until later."""

    call: Call[Any]
    share: int


PART = calls.raw(
    Operation.HASH,
    HashRequest(
        cryptographic_parameters=CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        data=b"",
        init_indicator=True,
    ),
)
KEPT = {
    "a computation in parts": Kept(PART, MAX_COMPUTATIONS_PER_ACCOUNT),
    "a ticket": Kept(calls.raw(Operation.LOGIN, LoginRequest()), MAX_TICKETS_PER_ACCOUNT),
}


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


@pytest.mark.parametrize("name", KEPT)
def test_an_account_gets_its_share_and_others_theirs(laboratory: Laboratory, name: str) -> None:
    """One client would otherwise end multi-part work, or logins, for all others."""
    call, share = KEPT[name]
    results = laboratory.batch(*[call] * (share + 1), identity="greedy")
    failures = [result for result in results if isinstance(result, Exception)]
    assert len(failures) == 1
    assert isinstance(failures[0], OperationFailed)
    assert failures[0].reason.name == "SERVER_LIMIT_EXCEEDED"
    assert laboratory.ask(call, identity="modest")
