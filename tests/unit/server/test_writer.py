"""Group commit: jobs that wait together share a commit, and are answered when it is on disk."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from group_commit import (
    PATIENCE,
    Clients,
    ControlledStore,
    Refused,
    insert_job,
    record,
    stored,
    waiting_clients,
)
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.writer import (
    GROUPS_WITH_SAVEPOINTS,
    MAX_GROUP_SIZE,
    MAX_QUEUE_LENGTH,
    GroupCommit,
)


def test_the_answer_of_a_job_is_its_result(store: ControlledStore, tmp_path: Path) -> None:
    async def test() -> None:
        async with waiting_clients(store) as clients:
            clients.send("a", insert_job("id-1"))
            clients.send("b", lambda transaction: transaction.get("nothing"))
        assert clients.answers == {"a": "id-1", "b": None}

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "id-1") == ["id-1"]


@pytest.mark.parametrize("jobs", [1, 2, MAX_GROUP_SIZE - 1, MAX_GROUP_SIZE])
def test_jobs_that_wait_together_share_a_commit(
    store: ControlledStore, tmp_path: Path, jobs: int
) -> None:
    """With a commit for each job, many clients would wait for the disk one after the other."""
    names = [f"id-{number}" for number in range(jobs)]

    async def test() -> None:
        async with waiting_clients(store) as clients:
            for name in names:
                clients.send(name, insert_job(name))
        assert clients.answers == dict(zip(names, names, strict=True))

    with closing(store):
        trio.run(test)
    assert store.commits == 1
    assert stored(tmp_path, *names) == names


def test_a_group_has_a_maximum_size(store: ControlledStore, tmp_path: Path) -> None:
    """The first clients must not wait for an endless stream of others."""
    names = [f"id-{number}" for number in range(2 * MAX_GROUP_SIZE + 1)]

    async def test() -> None:
        async with waiting_clients(store) as clients:
            for name in names:
                clients.send(name, insert_job(name))
        assert len(clients.answers) == len(names)

    with closing(store):
        trio.run(test)
    assert store.commits == 3
    assert stored(tmp_path, *names) == names


def test_more_jobs_than_the_queue_holds_are_all_done(store: ControlledStore) -> None:
    """Too many clients wait; none is refused or forgotten."""
    ran: set[int] = set()

    async def test() -> None:
        async with waiting_clients(store) as clients:
            for number in range(MAX_QUEUE_LENGTH + MAX_GROUP_SIZE):
                clients.send(str(number), lambda transaction, number=number: ran.add(number))  # type: ignore[misc]  # the default binds the loop variable
        assert len(clients.answers) == MAX_QUEUE_LENGTH + MAX_GROUP_SIZE

    with closing(store):
        trio.run(test)
    assert ran == set(range(MAX_QUEUE_LENGTH + MAX_GROUP_SIZE))


def test_a_job_is_answered_after_its_commit(store: ControlledStore, tmp_path: Path) -> None:
    """Jobs that arrive during a commit form the next group."""
    gate = store.gate = threading.Event()
    names = [f"id-{number}" for number in range(20)]

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(writer.run)
                clients = Clients(writer, nursery)
                for name in ["first", *names]:
                    clients.send(name, insert_job(name))
                    if name == "first":
                        await trio.testing.wait_all_tasks_blocked()
                await trio.testing.wait_all_tasks_blocked()
                assert clients.answers == {}
                assert store.reader.get("first") is None
                assert store.transactions == 1
                gate.set()
                await writer.submit(lambda transaction: None)
                await writer.stop()
            assert set(clients.answers) == {"first", *names}

    with closing(store):
        trio.run(test)
    assert store.commits == 2, "one for the first job, one for all that arrived during its commit"
    assert threading.get_ident() not in store.threads, "the event loop never waits for the disk"
    assert stored(tmp_path, "first", *names) == ["first", *names]


def test_jobs_run_in_the_order_of_arrival_and_see_earlier_changes(
    store: ControlledStore,
) -> None:
    """If clients ask for the same name at the same time, exactly one of them gets it."""
    log: list[str] = []

    def once(who: str) -> Callable[[Transaction], str]:
        def job(transaction: Transaction) -> str:
            log.append(who)
            if transaction.get("the one") is not None:
                raise Refused(who)
            return insert_job("the one")(transaction)

        return job

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                clients = Clients(writer, nursery)
                for who in "abc":
                    clients.send(who, once(who))
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(writer.run)
                await writer.submit(lambda transaction: None)
                await writer.stop()
        assert log[-3:] == ["a", "b", "c"]
        assert clients.answers["a"] == "the one"
        assert isinstance(clients.answers["b"], Refused)
        assert isinstance(clients.answers["c"], Refused)

    with closing(store):
        trio.run(test)


def test_refused_jobs_make_others_run_twice_only_now_and_then(
    store: ControlledStore, tmp_path: Path
) -> None:
    """A client whose requests are always refused must not halve the speed of all others."""
    names = [f"id-{number}" for number in range(GROUPS_WITH_SAVEPOINTS)]
    runs: Counter[str] = Counter()

    def job(name: str) -> Callable[[Transaction], str]:
        def run(transaction: Transaction) -> str:
            runs[name] += 1
            return insert_job(name)(transaction)

        return run

    def refused(transaction: Transaction) -> None:
        insert_job("leftover")(transaction)
        raise Refused("leftover")

    def nothing(transaction: Transaction) -> None:
        pass

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                clients = Clients(writer, nursery)
                await nursery.start(writer.run)
                for name in names:
                    gate = store.gate = threading.Event()
                    for who, work in (
                        ("first", nothing),
                        (name, job(name)),
                        (f"no {name}", refused),
                    ):
                        clients.send(who, work)
                        await trio.testing.wait_all_tasks_blocked()
                    store.gate = None
                    gate.set()
                    await writer.submit(nothing)
                await writer.stop()
        assert all(clients.answers[name] == name for name in names)
        assert all(isinstance(clients.answers[f"no {name}"], Refused) for name in names)

    with closing(store):
        trio.run(test)
    assert 1 <= runs.total() - len(names) <= store.transactions / GROUPS_WITH_SAVEPOINTS
    assert stored(tmp_path, *names, "leftover") == names


def test_a_slow_job_does_not_stop_the_event_loop(store: ControlledStore, tmp_path: Path) -> None:
    """A new RSA key takes a second, and other clients must be able to read meanwhile."""
    going, may_end = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> int:
        going.set()
        assert may_end.wait(PATIENCE)
        transaction.insert(record("id-slow"))
        return threading.get_ident()

    async def test() -> None:
        writer = GroupCommit(store)
        threads: list[int] = []

        async def submit() -> None:
            threads.append(await writer.submit(slow, slow=True))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as running:
                running.start_soon(writer.run)
                running.start_soon(submit)
                await trio.to_thread.run_sync(going.wait)
                assert store.reader.get("id-slow") is None  # the loop is not blocked
                may_end.set()
                while not threads:
                    await trio.testing.wait_all_tasks_blocked()
                await writer.stop()
        assert threads != [threading.get_ident()]

    with closing(store):
        trio.run(test)
    assert stored(tmp_path, "id-slow") == ["id-slow"]
