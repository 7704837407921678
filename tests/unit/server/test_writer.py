"""Group commit: what is acknowledged is on disk, and one request's failure is its own."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import Record, StoreError, Transaction
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.writer import GROUP, QUEUE, GroupCommit
from kmipkit_server.vault.file import FileVault

from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State

PATIENCE = 60
"""Seconds until a test counts as hanging; none takes that long."""


class Watched(SQLiteDatabase):
    """A store whose commits are counted, and can be held or made to fail."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.begun = 0
        self.commits = 0
        self.threads: set[int] = set()
        self.held: threading.Event | None = None
        self.failures = 0

    def begin(self) -> Transaction:
        self.begun += 1
        return super().begin()

    def commit(self) -> None:
        self.threads.add(threading.get_ident())
        if self.held is not None:
            assert self.held.wait(PATIENCE)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        super().commit()
        self.commits += 1


def open_store(directory: Path) -> Watched:
    return Watched.open(directory / "db", FileVault.open(directory / "root.key"))


def record(identifier: str, owner: str = "somebody") -> Record:
    material = f"material of {identifier}".encode()
    return Record(
        identifier, owner, ObjectType.SECRET_DATA, State.PRE_ACTIVE, Attributes(), material
    )


def inserting(identifier: str, owner: str = "somebody") -> Callable[[Transaction], str]:
    """A job that makes an object."""

    def run(transaction: Transaction) -> str:
        transaction.insert(record(identifier, owner))
        return identifier

    return run


class Refused(Exception):
    """What a job says that does not succeed."""


def failing(identifier: str, owner: str = "somebody") -> Callable[[Transaction], str]:
    """A job that fails after it has written."""

    def run(transaction: Transaction) -> str:
        transaction.insert(record(identifier, owner))
        raise Refused(identifier)

    return run


class Clients:
    """Tasks that submit one job each, and what they were answered."""

    def __init__(self, writer: GroupCommit, nursery: trio.Nursery) -> None:
        self.writer = writer
        self.nursery = nursery
        self.answers: dict[str, object] = {}

    def send(self, name: str, job: Callable[[Transaction], object]) -> None:
        self.nursery.start_soon(self._submit, name, job)

    async def _submit(self, name: str, job: Callable[[Transaction], object]) -> None:
        try:
            self.answers[name] = await self.writer.submit(job)
        except (Refused, StoreError) as error:
            self.answers[name] = error


@asynccontextmanager
async def clients(store: Watched) -> AsyncIterator[Clients]:
    """Clients whose jobs are all there when the writer starts; at the end all are answered."""
    writer = GroupCommit(store)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as running:
            async with trio.open_nursery() as sending:
                yield Clients(writer, sending)
                await trio.testing.wait_all_tasks_blocked()
                running.start_soon(writer.run)
            await writer.stop()


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test)


def kept(directory: Path, *identifiers: str) -> list[str]:
    """Which of these objects a server that starts now would have, whole."""
    with closing(open_store(directory)) as store:
        found = []
        for identifier in identifiers:
            one = store.reader.get(identifier)
            if one is not None:
                assert one.material == f"material of {identifier}".encode()
                found.append(identifier)
        return found


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    return open_store(tmp_path)


def test_the_answer_of_a_job_is_its_result(store: Watched, tmp_path: Path) -> None:
    async def test() -> None:
        async with clients(store) as them:
            them.send("a", inserting("id-1"))
            them.send("b", lambda transaction: transaction.get("nothing"))
        assert them.answers == {"a": "id-1", "b": None}

    with closing(store):
        run(test)
    assert kept(tmp_path, "id-1") == ["id-1"]


@pytest.mark.parametrize("jobs", [1, 2, GROUP - 1, GROUP])
def test_many_tasks_wait_for_the_disk_once(store: Watched, tmp_path: Path, jobs: int) -> None:
    """Waiting once per key would make a crowd of clients wait in line for the disk."""
    names = [f"id-{number}" for number in range(jobs)]

    async def test() -> None:
        async with clients(store) as them:
            for name in names:
                them.send(name, inserting(name))
        assert them.answers == dict(zip(names, names, strict=True))

    with closing(store):
        run(test)
    assert store.commits == 1
    assert kept(tmp_path, *names) == names


def test_a_group_has_an_end(store: Watched, tmp_path: Path) -> None:
    """Those who came first must not wait for an endless stream of others."""
    names = [f"id-{number}" for number in range(2 * GROUP + 1)]

    async def test() -> None:
        async with clients(store) as them:
            for name in names:
                them.send(name, inserting(name))
        assert len(them.answers) == len(names)

    with closing(store):
        run(test)
    assert store.commits == 3
    assert kept(tmp_path, *names) == names


def test_more_jobs_than_the_queue_holds_are_all_done(store: Watched) -> None:
    """Too many clients wait; none is turned away or forgotten."""
    ran: set[int] = set()

    async def test() -> None:
        async with clients(store) as them:
            for number in range(QUEUE + GROUP):
                them.send(str(number), lambda transaction, number=number: ran.add(number))  # type: ignore[misc]
        assert len(them.answers) == QUEUE + GROUP

    with closing(store):
        run(test)
    assert ran == set(range(QUEUE + GROUP))


def test_nobody_is_answered_before_the_disk_has_it(store: Watched, tmp_path: Path) -> None:
    """An answer is a promise; meanwhile the server goes on with others, and they make a group."""
    held = store.held = threading.Event()
    names = [f"id-{number}" for number in range(20)]

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await nursery.start(writer.run)
                them = Clients(writer, nursery)
                for name in ["first", *names]:
                    them.send(name, inserting(name))
                    if name == "first":
                        await trio.testing.wait_all_tasks_blocked()
                await trio.testing.wait_all_tasks_blocked()
                assert them.answers == {}
                assert store.reader.get("first") is None
                assert store.begun == 1
                held.set()
                await writer.submit(lambda transaction: None)
                await writer.stop()
            assert set(them.answers) == {"first", *names}

    with closing(store):
        run(test)
    assert store.commits == 2, "one for the first, one for all that came while it waited"
    assert threading.get_ident() not in store.threads, "the event loop never waits for the disk"
    assert kept(tmp_path, "first", *names) == ["first", *names]


@pytest.mark.parametrize("bad", [{0}, {9}, {0, 9}, {4}, {1, 3, 5, 7}, set(range(9))], ids=str)
def test_a_failing_job_does_not_undo_its_neighbours(
    store: Watched, tmp_path: Path, bad: set[int]
) -> None:
    """Somebody else's mistake must not cost my key; nor may half of a failed request stay.

    The first job of all makes the data key and the owner that the others use.
    """

    async def test() -> None:
        async with clients(store) as them:
            for n in range(10):
                them.send(f"id-{n}", (failing if n in bad else inserting)(f"id-{n}", f"o{n % 2}"))
        for n in range(10):
            answer = them.answers[f"id-{n}"]
            if n in bad:
                assert isinstance(answer, Refused), answer
                assert answer.args == (f"id-{n}",), "each is told of its own failure"
            else:
                assert answer == f"id-{n}"

    with closing(store):
        run(test)
    assert store.commits == 1
    good = [f"id-{n}" for n in range(10) if n not in bad]
    assert kept(tmp_path, *(f"id-{n}" for n in range(10))) == good


def test_where_all_fail_nobody_waits_for_the_disk(store: Watched, tmp_path: Path) -> None:
    async def test() -> None:
        async with clients(store) as them:
            them.send("a", failing("id-1"))
            them.send("b", failing("id-2"))
        assert all(isinstance(answer, Refused) for answer in them.answers.values())

    with closing(store):
        run(test)
    assert store.commits == 0
    assert kept(tmp_path, "id-1", "id-2") == []


def test_jobs_run_in_the_order_of_their_arrival_and_see_what_came_before(store: Watched) -> None:
    """Two clients that ask for the same name at once: exactly one gets it."""
    log: list[str] = []

    def once(who: str) -> Callable[[Transaction], str]:
        def job(transaction: Transaction) -> str:
            log.append(who)
            if transaction.get("the one") is not None:
                raise Refused(who)
            return inserting("the one")(transaction)

        return job

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                them = Clients(writer, nursery)
                for who in "abc":
                    them.send(who, once(who))
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(writer.run)
                await writer.submit(lambda transaction: None)
                await writer.stop()
        assert log == ["a", "b", "c"]
        assert them.answers["a"] == "the one"
        assert isinstance(them.answers["b"], Refused)
        assert isinstance(them.answers["c"], Refused)

    with closing(store):
        run(test)


def test_a_failed_commit_is_told_to_all_and_the_next_group_is_served(
    store: Watched, tmp_path: Path
) -> None:
    """Nobody is promised what a full disk did not take, and the server lives on."""
    store.failures = 1

    async def test() -> None:
        async with clients(store) as them:
            for n in range(3):
                them.send(f"id-{n}", inserting(f"id-{n}"))
            them.send("refused", failing("id-9"))
        assert [str(answer) for answer in them.answers.values()] == ["the disk is full"] * 4
        async with clients(store) as them:
            them.send("again", inserting("id-0"))
        assert them.answers == {"again": "id-0"}

    with closing(store):
        run(test)
    assert kept(tmp_path, "id-0", "id-1", "id-2", "id-9") == ["id-0"]


def fill_the_disk(store: Watched) -> str:
    """What a client is told while the database cannot grow; afterwards it can again."""
    limited = store.begin().connection  # type: ignore[attr-defined]
    store.rollback()
    (pages,) = limited.execute("PRAGMA page_count").fetchone()
    big = Record("big", "o", ObjectType.SECRET_DATA, State.ACTIVE, Attributes(), bytes(100_000))
    told: list[object] = []

    async def test() -> None:
        limited.execute(f"PRAGMA max_page_count = {pages + 3}")
        async with clients(store) as them:
            them.send("big", lambda transaction: transaction.insert(big))
        told.append(them.answers["big"])
        limited.execute("PRAGMA max_page_count = 1000000")
        async with clients(store) as them:
            them.send("small", inserting("id-1"))
        assert them.answers == {"small": "id-1"}

    with closing(store):
        run(test)
    (error,) = told
    assert isinstance(error, StoreError)
    return str(error)


def test_a_full_disk_is_survived(store: Watched, tmp_path: Path) -> None:
    """SQLite gives up the whole transaction by itself; once there is room, work goes on."""
    fill_the_disk(store)
    assert kept(tmp_path, "id-1") == ["id-1"]


def test_a_full_disk_is_called_so(store: Watched) -> None:
    """Whoever reads the log must learn that the disk is full, not that a savepoint is missing."""
    assert "disk is full" in fill_the_disk(store)


def test_a_database_that_cannot_begin_is_told(store: Watched, tmp_path: Path) -> None:
    """Another program holds the database: an error in words, and service once it has let go."""
    store.begin().connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]
    store.rollback()

    async def test() -> None:
        with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            async with clients(store) as them:
                them.send("a", inserting("id-1"))
            assert "locked" in str(them.answers["a"])
        async with clients(store) as them:
            them.send("a", inserting("id-1"))
        assert them.answers == {"a": "id-1"}

    with closing(store):
        run(test)
    assert kept(tmp_path, "id-1") == ["id-1"]


def test_a_client_that_has_gone_before_its_turn_changes_nothing(
    store: Watched, tmp_path: Path
) -> None:
    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(PATIENCE) as patience:
                    nursery.start_soon(cancel_when_blocked, patience)
                    await writer.submit(inserting("gone"))
                nursery.start_soon(writer.run)
                assert await writer.submit(inserting("here")) == "here"
                await writer.stop()

    async def cancel_when_blocked(scope: trio.CancelScope) -> None:
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()

    with closing(store):
        run(test)
    assert kept(tmp_path, "gone", "here") == ["here"]


@pytest.mark.parametrize("who", ["client", "writer"])
def test_a_commit_that_has_begun_is_finished(store: Watched, tmp_path: Path, who: str) -> None:
    """Whoever leaves, or whatever stops the server, does not take the neighbours' keys along."""
    held = store.held = threading.Event()
    answers: dict[str, object] = {}

    async def test() -> None:
        writer = GroupCommit(store)
        running, waiting = trio.CancelScope(), trio.CancelScope()

        async def serve() -> None:
            with running:
                await writer.run()

        async def submit(name: str, scope: trio.CancelScope) -> None:
            with scope:
                answers[name] = await writer.submit(inserting(name))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit, "leaving", waiting)
                nursery.start_soon(submit, "staying", trio.CancelScope())
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(serve)
                await trio.testing.wait_all_tasks_blocked()
                (waiting if who == "client" else running).cancel()
                await trio.testing.wait_all_tasks_blocked()
                held.set()
                await writer.stop()

    with closing(store):
        run(test)
    assert answers["staying"] == "staying"
    assert ("leaving" in answers) == (who == "writer")
    assert kept(tmp_path, "leaving", "staying") == ["leaving", "staying"]


def test_a_group_that_has_begun_is_answered_though_the_writer_is_stopped(
    store: Watched, tmp_path: Path
) -> None:
    """A stop between the work and the commit would leave clients waiting for ever."""

    async def test() -> None:
        writer = GroupCommit(store)
        running = trio.CancelScope()

        async def serve() -> None:
            with running:
                await writer.run()

        def last(transaction: Transaction) -> str:
            running.cancel()
            return inserting("last")(transaction)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                assert await writer.submit(last) == "last"

    with closing(store):
        run(test)
    assert kept(tmp_path, "last") == ["last"]


def test_a_stop_waits_for_all_jobs_that_were_taken(store: Watched, tmp_path: Path) -> None:
    """A restart for an update loses nobody's request."""
    names = [f"id-{number}" for number in range(GROUP + 5)]

    async def test() -> None:
        writer = GroupCommit(store)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                them = Clients(writer, nursery)
                for name in names:
                    them.send(name, inserting(name))
                await trio.testing.wait_all_tasks_blocked()
                await writer.stop()
                await writer.run()
        assert len(them.answers) == len(names)

    with closing(store):
        run(test)
    assert kept(tmp_path, *names) == names


@pytest.mark.parametrize("trouble", ["altered material", "identifier in use"])
def test_one_damaged_object_does_not_fail_the_neighbours(
    store: Watched, tmp_path: Path, trouble: str
) -> None:
    """One object with flipped bits would otherwise fail requests of clients that never saw it."""

    def job(transaction: Transaction) -> object:
        if trouble == "identifier in use":
            return inserting("bad")(transaction)
        found = transaction.get("bad")
        assert found is not None
        return found.material

    async def test() -> None:
        async with clients(store) as them:
            them.send("bad", inserting("bad"))
        with closing(sqlite3.connect(tmp_path / "db")) as other, other:
            other.execute("UPDATE objects SET material = zeroblob(60)")
        async with clients(store) as them:
            them.send("mine", inserting("mine"))
            them.send("theirs", job)
        assert isinstance(them.answers["theirs"], StoreError)
        assert them.answers["mine"] == "mine"

    with closing(store):
        run(test)


@settings(max_examples=30)
@given(
    waves=st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.booleans()), max_size=8),
        ),
        max_size=4,
    )
)
def test_any_mixture_of_jobs_keeps_exactly_what_was_acknowledged(
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
            return (inserting if good else failing)(identifier, owner)(transaction)

        return job

    async def test() -> None:
        for disk_works, jobs in waves:
            database.failures = 0 if disk_works else 1
            async with clients(database) as them:
                for n, (number, owner, good) in enumerate(jobs):
                    them.send(str(n), make(f"id-{number}", f"owner {owner}", good))
            done = {answer for answer in them.answers.values() if isinstance(answer, str)}
            assert len(them.answers) == len(jobs)
            assert disk_works or not done
            assert not done & acknowledged
            acknowledged.update(done)

    with closing(open_store(directory)) as database:
        run(test)
    everything = [f"id-{number}" for number in range(13)]
    assert set(kept(directory, *everything)) == acknowledged


CHILD = """
    import sys
    import trio
    from pathlib import Path
    from kmipkit.model.attribute import Attributes
    from kmipkit.spec.enums import ObjectType, State
    from kmipkit_server.store.base import Record
    from kmipkit_server.store.sqlite.database import SQLiteDatabase
    from kmipkit_server.store.writer import GroupCommit
    from kmipkit_server.vault.file import FileVault

    directory = Path(sys.argv[1])
    store = SQLiteDatabase.open(directory / "db", FileVault.open(directory / "root.key"))
    writer = GroupCommit(store)

    async def client(who):
        number = 0
        while True:
            name = f"{who}-{number}"
            record = Record(name, f"owner {who}", ObjectType.SECRET_DATA, State.PRE_ACTIVE,
                            Attributes(), f"material of {name}".encode())
            await writer.submit(lambda transaction: transaction.insert(record))
            print(name, flush=True)
            number += 1

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            for who in range(20):
                nursery.start_soon(client, who)

    trio.run(main)
"""


def test_all_that_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """The server is killed in the middle of its work; every key it has promised is there."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(300)]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().split("\n")[:-1]
    assert child.returncode == -signal.SIGKILL
    assert all(acknowledged)
    assert kept(tmp_path, *acknowledged) == acknowledged


def test_a_slow_job_does_not_stop_the_event_loop(store: Watched, tmp_path: Path) -> None:
    """A new RSA key takes a second, in which others must be able to read."""
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
                assert store.reader.get("id-slow") is None  # the loop goes on
                may_end.set()
                while not threads:
                    await trio.testing.wait_all_tasks_blocked()
                await writer.stop()
        assert threads != [threading.get_ident()]

    with closing(store):
        run(test)
    assert kept(tmp_path, "id-slow") == ["id-slow"]
