"""What a server does without being asked, while its store fails."""

import logging
from datetime import UTC, datetime

import pytest
import trio
from kmipkit_server.engine.asynchronous import DeferredRequest
from kmipkit_server.running.background import run_deferred
from kmipkit_server.store.errors import StoreError
from trio.testing import MockClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FullStore:
    """A store that cannot write."""

    async def run(self, *_: object, **__: object) -> object:
        raise StoreError("the disk is full")


class FullDisk:
    """A dispatcher that finds requests that are due, and cannot write."""

    store = FullStore()
    clock = staticmethod(lambda: NOW)

    async def due(self) -> list[DeferredRequest]:
        return [DeferredRequest(b"key", "me")]

    async def run_deferred(self, _: list[DeferredRequest]) -> None:
        raise StoreError("the disk is full")


def test_a_store_that_cannot_write_is_no_defect_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operator reads what is wrong, and no traceback four times a second."""

    async def work() -> None:
        with trio.move_on_after(1):
            await run_deferred(FullDisk(), 0.0)  # type: ignore[arg-type]  # what is needed of it

    trio.run(work, clock=MockClock(autojump_threshold=0))
    assert {record.getMessage() for record in caplog.records} == {
        "expired results of asynchronous requests stay: the disk is full",
        "me: an asynchronous request waits: the disk is full",
    }
    for record in caplog.records:
        assert record.levelno == logging.ERROR
        assert record.exc_info is None
        assert "the disk is full" in record.getMessage()
