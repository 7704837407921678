"""Group commit: a failed job affects no other job, and a failed commit is reported to all."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio
from group_commit import (
    ControlledStore,
    Refused,
    failing_job,
    insert_job,
    open_store,
    stored,
    waiting_clients,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import Record, Transaction
from kmipkit_server.store.errors import StoreError
from lengths import examples

from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State


@pytest.mark.parametrize("bad", [{0}, {9}, {0, 9}, {4}, {1, 3, 5, 7}, set(range(9))], ids=str)
def test_a_failing_job_does_not_undo_other_jobs(
    store: ControlledStore, tmp_path: Path, bad: set[int]
) -> None:
    """A failed request must not undo the keys of other clients, and must leave nothing itself.

    The first job creates the data key and the owner that the other jobs use.
    """

    async def test() -> None:
        async with waiting_clients(store) as clients:
            for n in range(10):
                clients.send(
                    f"id-{n}", (failing_job if n in bad else insert_job)(f"id-{n}", f"o{n % 2}")
                )
        for n in range(10):
            answer = clients.answers[f"id-{n}"]
            if n in bad:
                assert isinstance(answer, Refused), answer
                assert answer.args == (f"id-{n}",), "each client gets its own error"
            else:
                assert answer == f"id-{n}"

    with closing(store):
        trio.run(test)
    assert store.commits == 1
    good = [f"id-{n}" for n in range(10) if n not in bad]
    assert stored(tmp_path, *(f"id-{n}" for n in range(10))) == good


def test_if_all_jobs_fail_nothing_is_committed(store: ControlledStore, tmp_path: Path) -> None:
    async def test() -> None:
        async with waiting_clients(store) as clients:
            clients.send("a", failing_job("id-1"))
            clients.send("b", failing_job("id-2"))
        assert all(isinstance(answer, Refused) for answer in clients.answers.values())

    with closing(store):
        trio.run(test)
    assert store.commits == 0
    assert stored(tmp_path, "id-1", "id-2") == []


def test_a_failed_commit_fails_the_whole_group_and_not_the_next(
    store: ControlledStore, tmp_path: Path
) -> None:
    """If the disk is full, no client gets a success, and the server continues."""
    store.failures = 1

    async def test() -> None:
        async with waiting_clients(store) as clients:
            for n in range(3):
                clients.send(f"id-{n}", insert_job(f"id-{n}"))
            clients.send("refused", failing_job("id-9"))
        assert [str(answer) for answer in clients.answers.values()] == ["the disk is full"] * 4
        async with waiting_clients(store) as clients:
            clients.send("again", insert_job("id-0"))
        assert clients.answers == {"again": "id-0"}

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "id-0", "id-1", "id-2", "id-9") == ["id-0"]


def fill_the_disk(store: ControlledStore) -> str:
    """The error that a client gets while the database cannot grow; afterwards it can grow again."""
    limited = store.begin().connection  # type: ignore[attr-defined]  # the transaction is that of SQLite
    store.rollback()
    (pages,) = limited.execute("PRAGMA page_count").fetchone()
    big = Record("big", "o", ObjectType.SECRET_DATA, State.ACTIVE, Attributes(), bytes(100_000))
    errors: list[object] = []

    async def test() -> None:
        limited.execute(f"PRAGMA max_page_count = {pages + 3}")
        async with waiting_clients(store) as clients:
            clients.send("big", lambda transaction: transaction.insert(big))
        errors.append(clients.answers["big"])
        limited.execute("PRAGMA max_page_count = 1000000")
        async with waiting_clients(store) as clients:
            clients.send("small", insert_job("id-1"))
        assert clients.answers == {"small": "id-1"}

    with closing(store):
        trio.run(test)
    (error,) = errors
    assert isinstance(error, StoreError)
    return str(error)


def test_a_full_disk_is_survived(store: ControlledStore, tmp_path: Path) -> None:
    """SQLite rolls the transaction back by itself; when there is space again, the server continues."""
    fill_the_disk(store)
    assert stored(tmp_path, "id-1") == ["id-1"]


def test_the_error_names_a_full_disk(store: ControlledStore) -> None:
    """The log must say that the disk is full, not that a savepoint is missing."""
    assert "disk is full" in fill_the_disk(store)


def test_a_locked_database_is_reported(store: ControlledStore, tmp_path: Path) -> None:
    """While another program locks the database there is an error; afterwards the server continues."""
    store.begin().connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]  # the transaction is that of SQLite
    store.rollback()

    async def test() -> None:
        with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            async with waiting_clients(store) as clients:
                clients.send("a", insert_job("id-1"))
            assert "locked" in str(clients.answers["a"])
        async with waiting_clients(store) as clients:
            clients.send("a", insert_job("id-1"))
        assert clients.answers == {"a": "id-1"}

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "id-1") == ["id-1"]


@pytest.mark.parametrize("trouble", ["altered material", "identifier in use"])
def test_a_damaged_object_does_not_fail_other_jobs(
    store: ControlledStore, tmp_path: Path, trouble: str
) -> None:
    """Otherwise an object with flipped bits would fail requests for other objects."""

    def job(transaction: Transaction) -> object:
        if trouble == "identifier in use":
            return insert_job("bad")(transaction)
        damaged = transaction.get("bad")
        assert damaged is not None
        return damaged.material

    async def test() -> None:
        async with waiting_clients(store) as clients:
            clients.send("bad", insert_job("bad"))
        with closing(sqlite3.connect(tmp_path / "db")) as connection, connection:
            connection.execute("UPDATE objects SET material = zeroblob(60)")
        async with waiting_clients(store) as clients:
            clients.send("mine", insert_job("mine"))
            clients.send("theirs", job)
        assert isinstance(clients.answers["theirs"], StoreError)
        assert clients.answers["mine"] == "mine"

    with closing(store):
        trio.run(test)


@settings(max_examples=examples(30))
@given(
    waves=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.booleans()), max_size=8),
        ),
        max_size=4,
    )
)
def test_exactly_the_acknowledged_objects_are_stored(
    tmp_path_factory: pytest.TempPathFactory,
    waves: list[tuple[bool, list[tuple[int, int, bool]]]],
) -> None:
    """Waves of jobs, some of which fail, and commits, some of which fail as well."""
    directory = tmp_path_factory.mktemp("mixture")
    acknowledged: set[str] = set()

    def make(identifier: str, owner: str, good: bool) -> Callable[[Transaction], str]:
        def job(transaction: Transaction) -> str:
            if transaction.get(identifier) is not None:
                raise Refused("exists")
            return (insert_job if good else failing_job)(identifier, owner)(transaction)

        return job

    async def test() -> None:
        for disk_works, jobs in waves:
            database.failures = 0 if disk_works else 1
            async with waiting_clients(database) as clients:
                for n, (number, owner, good) in enumerate(jobs):
                    clients.send(str(n), make(f"id-{number}", f"owner {owner}", good))
            done = {answer for answer in clients.answers.values() if isinstance(answer, str)}
            assert len(clients.answers) == len(jobs)
            assert disk_works or not done
            assert not done & acknowledged
            acknowledged.update(done)

    with closing(open_store(directory)) as database:
        trio.run(test)
    everything = [f"id-{number}" for number in range(13)]
    assert set(stored(directory, *everything)) == acknowledged
