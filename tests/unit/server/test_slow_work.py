"""An operation that computes for long leaves the event loop to the others, also if it only reads."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from kmipkit_client import calls, messages
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.table import STANDARD
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.get import GetRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    Operation,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V2_1

AES = calls.create(CryptographicAlgorithm.AES, 256, CryptographicUsageMask.ENCRYPT, "disk 7", None)
TIMEOUT = 60  # seconds for another thread to run, on however busy a machine


class SlowGet:
    """A Get that computes until another request has been answered."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.threads: set[int] = set()
        [self._get] = [row for row in STANDARD if row.operation == Operation.GET]
        self.row = replace(self._get, slow=True, handler=self)

    def __call__(self, call: Call, request: Any) -> Any:
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.may_end.wait(TIMEOUT), "no other request was answered meanwhile"
        return self._get.handler(call, request)


@pytest.fixture
def slow_get() -> SlowGet:
    return SlowGet()


@pytest.fixture
def laboratory(tmp_path: Path, slow_get: SlowGet) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path, rows=(*STANDARD, slow_get.row))
    yield laboratory
    laboratory.close()


def test_a_slow_read_does_not_stop_other_requests(
    laboratory: Laboratory, slow_get: SlowGet
) -> None:
    """One long computation would otherwise stop service for every client."""
    me = Identity("me")

    async def respond(call: calls.Call[Any]) -> ResultStatus:
        request = encode(messages.request(V2_1, [call]), V2_1)
        answer = await laboratory.dispatcher.respond(request, me)
        status: ResultStatus = decode_response(answer.data)[0].batch_items[0].result_status
        return status

    async def work() -> None:
        results: list[ResultStatus] = []

        async def read_slowly() -> None:
            results.append(await respond(get))

        async with laboratory.serving(), trio.open_nursery() as nursery:
            nursery.start_soon(read_slowly)
            assert await trio.to_thread.run_sync(slow_get.begun.wait, TIMEOUT)
            assert await respond(calls.get_attribute_list(identifier)) is ResultStatus.SUCCESS
            assert results == [], "the slow request is still at work"
            slow_get.may_end.set()
        assert results == [ResultStatus.SUCCESS]

    identifier = laboratory.ask(AES)
    get = calls.raw(Operation.GET, GetRequest(unique_identifier=identifier))
    trio.run(work)
    assert threading.get_ident() not in slow_get.threads
