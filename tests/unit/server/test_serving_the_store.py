"""The store's writer begins and ends in whatever order its tasks come to run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore.open(tmp_path / "db", FileVault.open(tmp_path / "root.key"))
    yield store
    store.close()


async def stop_before_it_begins(store: SQLiteStore) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.serve)
        await store.stop()


def test_a_store_that_is_stopped_before_it_begins_ends(store: SQLiteStore) -> None:
    """A server that fails right after its start would otherwise never end."""

    async def work() -> None:
        with trio.fail_after(1):  # of a clock that jumps when nothing runs
            await stop_before_it_begins(store)

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_stopped_store_can_be_served_again(store: SQLiteStore) -> None:
    async def work() -> None:
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                await nursery.start(store.serve)
                assert await store.run(lambda _: 7, writes=True) == 7
                await store.stop()

    trio.run(work)
