"""Commits of several processes: one flush for all, and no answer about what is not on the disk yet."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from group_commit import insert_job
from kmipkit_server.store.errors import NotDurable
from kmipkit_server.store.sqlite.durability import Durability
from kmipkit_server.store.sqlite.turns import Turns
from processes import Processes, processes

PATIENCE = 60


class Disk:
    """The disk, which a test can delay or make fail; it counts how often somebody waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushes = 0
        self.may_flush = threading.Event()
        self.may_flush.set()
        self.is_broken = False
        flush = os.fdatasync

        def fdatasync(descriptor: int) -> None:
            if not os.readlink(f"/proc/self/fd/{descriptor}").endswith("-wal"):
                flush(descriptor)
                return
            self.flushes += 1
            assert self.may_flush.wait(PATIENCE)
            if self.is_broken:
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fdatasync)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The disk does not answer for a while."""
        self.may_flush.clear()
        try:
            yield
        finally:
            self.may_flush.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def three(tmp_path: Path) -> Any:
    with processes(tmp_path / "data", 3) as opened:
        yield opened


def write(three: Processes, number: int, name: str) -> Callable[[], Any]:
    store = three.all[number - 1].store

    async def work() -> Any:
        return await store.run(insert_job(name), writes=True)

    return work


def finds(three: Processes, number: int, name: str) -> Callable[[], Any]:
    store = three.all[number - 1].store

    async def work() -> bool:
        return await store.run(lambda reader: reader.get(name)) is not None

    return work


async def blocked() -> None:
    """Wait until all tasks wait, and threads have had time to get as far as they can."""
    for _ in range(5):
        await trio.testing.wait_all_tasks_blocked(0.02)


def test_the_next_process_writes_while_the_disk_is_busy(three: Processes, disk: Disk) -> None:
    """And one flush makes all of it durable: four workers must not wait for the disk four times."""

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            with disk.busy():
                nursery.start_soon(write(three, 1, "a"))
                await blocked()
                before = disk.flushes
                for number, name in ((2, "b"), (3, "c")):
                    nursery.start_soon(write(three, number, name))
                await blocked()
                database = three.all[0].store._database  # type: ignore[attr-defined]
                names = [name for name in "abc" if database.reader.get(name) is not None]
                assert names == ["a", "b", "c"], "all are committed, although the disk is busy"
        assert disk.flushes == before + 1, "b and c share a flush"

    three.run(run)


def test_nobody_is_answered_before_the_disk_has_it(three: Processes, disk: Disk) -> None:
    """Who reads a new key may encrypt with it: then no failure of the machine may take it back."""
    seen: list[str] = []

    async def note(what: str, work: Callable[[], Any]) -> None:
        assert await work()
        seen.append(what)

    async def run() -> None:
        disk.may_flush.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, "written", write(three, 1, "a"))
            await blocked()
            nursery.start_soon(note, "read here", finds(three, 1, "a"))
            nursery.start_soon(note, "read there", finds(three, 2, "a"))
            await blocked()
            assert seen == []
            disk.may_flush.set()
        assert sorted(seen) == ["read here", "read there", "written"]

    three.run(run)


def test_a_refusal_waits_as_well(three: Processes, disk: Disk) -> None:
    """That a name is taken says that somebody has created it."""
    refused: list[str] = []

    def job(transaction: Any) -> None:
        raise ValueError(transaction.get("a") is not None)

    async def refuse() -> None:
        with pytest.raises(ValueError, match="True"):
            await three.all[1].store.run(job, writes=True)
        refused.append("refused")

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            with disk.busy():
                nursery.start_soon(write(three, 1, "a"))
                await blocked()
                nursery.start_soon(refuse)
                await blocked()
                assert refused == []

    three.run(run)
    assert refused


def test_a_disk_that_fails_is_not_believed_afterwards(three: Processes, disk: Disk) -> None:
    """The system may drop what it could not write, and report the next flush as a success."""

    async def run() -> None:
        await write(three, 1, "before")()
        disk.is_broken = True
        with pytest.raises(NotDurable, match="Input/output error"):
            await write(three, 1, "a")()
        disk.is_broken = False
        assert await finds(three, 2, "before")(), "readers go on"
        before = disk.flushes
        database = three.all[1].store._database  # type: ignore[attr-defined]
        statements: list[str] = []
        database._writing.set_trace_callback(statements.append)
        await write(three, 2, "b")()
        database._writing.set_trace_callback(None)
        assert any("wal_checkpoint" in each for each in statements), "all is written again"
        assert disk.flushes == before
        await write(three, 3, "c")()
        assert disk.flushes == before + 1, "from then on, the disk is believed again"

    three.run(run)


def test_a_commit_in_progress_is_waited_for_and_a_dead_one_is_not(tmp_path: Path) -> None:
    """A process that is killed during its commit must not stop the others from reading."""
    database = tmp_path / "db"
    (tmp_path / "db-wal").touch()
    committing, reading = Durability(database, is_first=True), Durability(database, is_first=False)
    turns = Turns(database)
    has_read = trio.Event()

    async def read() -> None:
        await reading.reached()
        has_read.set()

    async def run() -> None:
        await reading.reached()
        assert not reading.is_behind
        await turns.take()
        commit = committing.commit()
        commit.__enter__()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            with trio.move_on_after(0.05):
                await has_read.wait()
            assert not has_read.is_set()
            turns.release()  # as the system does when the process is killed
            with trio.fail_after(PATIENCE):
                await has_read.wait()

    trio.run(run)
    for each in (committing, reading, turns):
        each.close()


def test_what_a_killed_server_has_left_is_flushed_first(tmp_path: Path, disk: Disk) -> None:
    """It is in the log, but perhaps only in the memory of the system."""
    with processes(tmp_path / "data", 2) as both:
        both.run(write(both, 1, "a"))
        before = disk.flushes
        both.kill(1)
        both.kill(2)
        both.restart(1)
        both.restart(2)
        assert both.run(finds(both, 2, "a"))
        assert disk.flushes > before


def test_one_flush_at_a_time(tmp_path: Path) -> None:
    """Two threads of one process as well: the lock of a file does not tell them apart."""
    database = tmp_path / "db"
    (tmp_path / "db-wal").touch()
    durability = Durability(database, is_first=True)
    with (tmp_path / "db.flushed").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threads = [threading.Thread(target=durability.flush) for _ in range(2)]
        for each in threads:
            each.start()
        assert durability.is_behind
        fcntl.flock(other, fcntl.LOCK_UN)
        for each in threads:
            each.join(PATIENCE)
    assert not durability.is_behind
    durability.close()
