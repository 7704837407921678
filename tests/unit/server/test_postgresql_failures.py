"""When the database fails: nothing that was acknowledged is lost, nothing is done twice, and the server
goes on by itself when the database is back."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nodes
import pytest
import stores
import trio
from kmipkit_server.engine.clock import SteadyClock
from kmipkit_server.metrics.readiness import StoreProbe
from kmipkit_server.store.errors import OutcomeUnknown, StoreError
from kmipkit_server.vault.file import FileVault
from postgresql_server import PostgreSQLServer, running
from stored_objects import NOW

pytestmark = stores.needs_postgresql


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQLServer]:
    """A server of these tests alone, which they kill."""
    with running() as server:
        stores.prepare(server)
        yield server


@pytest.fixture
def url(database: PostgreSQLServer) -> str:
    """A database with the tables."""
    return database.url(database.create("kmipkit_template"), stores.ROLE)


def _owner(url: str) -> Callable[[str], Any]:
    """Statements as the owner of the tables."""
    import psycopg

    def run(statement: str) -> Any:
        with psycopg.connect(url.replace(f"{stores.ROLE}@", "owner@"), autocommit=True) as owner:
            cursor = owner.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return run


def _end_sessions(url: str) -> None:
    _owner(url)(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE usename = '{stores.ROLE}' AND datname = current_database()"
    )


def test_a_killed_database_loses_no_acknowledged_object(
    database: PostgreSQLServer, url: str, tmp_path: Path
) -> None:
    """A client deletes its plain text when it has the answer to a Create."""
    acknowledged: list[str] = []
    failed: list[str] = []

    async def run() -> None:
        first, second = (nodes.open_node(tmp_path, name, url) for name in "ab")
        async with nodes.serving(first, second):
            enough, is_back = trio.Event(), trio.Event()

            async def client(store: Any, name: str) -> None:
                # One that has lost no commit would go on for ever.
                for number in itertools.takewhile(
                    lambda _: not is_back.is_set(), itertools.count()
                ):
                    identifier = f"{name}-{number}"
                    try:
                        await nodes.write(store, nodes.creates(identifier))
                    except StoreError:
                        failed.append(identifier)
                        return
                    acknowledged.append(identifier)
                    if len(acknowledged) > 40:
                        enough.set()

            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(client, first, f"a{number}")
                    nursery.start_soon(client, second, f"b{number}")
                await enough.wait()
                # In a thread: the commits go on until the last moment.
                await trio.to_thread.run_sync(database.kill)
                await trio.to_thread.run_sync(database.start)
                is_back.set()
        after = nodes.open_node(tmp_path, "a", url)
        async with nodes.serving(after):
            for identifier in acknowledged:
                assert (await nodes.read(after, identifier)) is not None, identifier

    from kmipkit_server.store.postgresql import database as module

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "SECONDS_FOR_OUTCOME", 60.0)
        trio.run(run)
    assert len(acknowledged) > 40


def test_a_server_goes_on_when_the_database_is_back(
    database: PostgreSQLServer, url: str, tmp_path: Path
) -> None:
    """Nobody has to restart the servers after an update of the database."""
    store = nodes.open_node(tmp_path, "a", url)
    probe = StoreProbe(store, SteadyClock(lambda: NOW, NOW))

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("before"))
            assert await probe() is None
            await trio.to_thread.run_sync(database.kill)
            with pytest.raises(StoreError):
                await nodes.write(store, nodes.creates("meanwhile"))
            with pytest.raises(StoreError):
                await nodes.read(store, "before")
            probe._until = 0.0
            assert "cannot write" in str(await probe())
            database.start()
            await nodes.write(store, nodes.creates("after"))
            assert (await nodes.read(store, "before")) is not None
            assert (await nodes.read(store, "meanwhile")) is None
            probe._until = 0.0
            assert await probe() is None

    trio.run(run)


def test_lost_connections_are_replaced(url: str, tmp_path: Path) -> None:
    """A fail-over ends all sessions at once: clients notice nothing of it but the time."""
    store = nodes.open_node(tmp_path, "a", url)

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("first"))
            for number in range(3):
                await trio.to_thread.run_sync(_end_sessions, url)
                assert (await nodes.read(store, "first")) is not None
                await nodes.write(store, nodes.creates(f"next-{number}"))
                await nodes.write(store, nodes.counts("first"))
            assert nodes.count_of(await nodes.read(store, "first")) == 3

    trio.run(run)


@pytest.mark.parametrize("is_sent", [True, False])
def test_an_error_of_the_socket_at_any_statement_is_no_end(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    """The client library notices it after it has sent a command, and takes the connection for a good one
    on which that command never ends: a server that kept it failed until somebody started it again."""
    import psycopg

    store = nodes.open_node(tmp_path, "a", url)
    real = psycopg.Connection.wait
    left = 0
    failed: list[int] = []

    def wait(self: Any, steps: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left != 0:
            return real(self, steps, *arguments, **named)
        failed.append(1)
        next(steps) if is_sent else None
        raise psycopg.OperationalError("connection socket closed")

    async def run() -> None:
        nonlocal left
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("counter"))
            monkeypatch.setattr(psycopg.Connection, "wait", wait)
            for number in itertools.count(1):
                left, before = number, len(failed)
                assert await nodes.write(store, nodes.counts("counter")) == number
                assert nodes.count_of(await nodes.read(store, "counter")) == number
                if len(failed) == before:
                    break
            assert number > 5, "each statement of both has failed once"

    trio.run(run)


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_connection_that_is_lost_during_a_commit(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    """The answer of the database is lost. A change that took place must be acknowledged, and not made
    again; one that did not must be made, or refused."""
    from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
    from kmipkit_server.store.postgresql.errors import ConnectionLost

    store = nodes.open_node(tmp_path, "a", url)
    real = PostgreSQLConnection.run
    lost: list[str] = []

    def run_and_lose(self: Any, sql: str, values: Any = ()) -> None:
        if sql != "COMMIT" or lost or self is not store._database._sql:
            real(self, sql, values)
            return
        lost.append(sql)
        if is_committed:
            real(self, sql, values)
        self.raw.close()
        raise ConnectionLost("the connection was lost")

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("counter"))
            monkeypatch.setattr(PostgreSQLConnection, "run", run_and_lose)
            assert await nodes.write(store, nodes.counts("counter")) == 1
            assert lost
            assert await nodes.write(store, nodes.counts("counter")) == 2
            assert nodes.count_of(await nodes.read(store, "counter")) == 2

    trio.run(run)


def test_an_unknown_outcome_is_not_acknowledged(
    database: PostgreSQLServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database cannot be asked, neither yes nor no would be true."""
    from kmipkit_server.store.postgresql import database as module
    from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
    from kmipkit_server.store.postgresql.errors import ConnectionLost

    monkeypatch.setattr(module, "SECONDS_FOR_OUTCOME", 0.0)
    store = nodes.open_node(tmp_path, "a", url)
    real = PostgreSQLConnection.run

    def run_and_lose(self: Any, sql: str, values: Any = ()) -> None:
        real(self, sql, values)
        if sql == "COMMIT" and self is store._database._sql:
            database.kill()
            self.raw.close()
            raise ConnectionLost("the connection was lost")

    class Journal:
        written = 0
        undone = 0

        def write(self, transaction: Any, results: Any) -> None:
            self.written += 1

        def rolled_back(self) -> None:
            self.undone += 1

    store.journal = journal = Journal()

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("counter"))
            monkeypatch.setattr(PostgreSQLConnection, "run", run_and_lose)
            with pytest.raises(OutcomeUnknown, match="is not known whether"):
                await nodes.write(store, nodes.counts("counter"))
            monkeypatch.setattr(PostgreSQLConnection, "run", real)
            assert journal.undone == 0, "the log must not say that it did not take place"
            database.start()
            assert await nodes.write(store, nodes.counts("counter")) == 2
            assert (journal.written, journal.undone) == (3, 0)

    trio.run(run)


def test_a_primary_that_was_demoted_is_not_used(
    database: PostgreSQLServer, url: str, tmp_path: Path
) -> None:
    """It does not know what was revoked since."""
    store = nodes.open_node(tmp_path, "a", url)
    [(name,)] = _owner(url)("SELECT current_database()")

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("before"))
            database.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            _end_sessions(url)
            with pytest.raises(StoreError):
                await nodes.write(store, nodes.creates("meanwhile"))
            with pytest.raises(StoreError):
                await nodes.read(store, "before")
            database.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            await nodes.write(store, nodes.creates("after"))
            assert (await nodes.read(store, "before")) is not None

    trio.run(run)


def test_a_statement_that_takes_too_long_fails(url: str, tmp_path: Path) -> None:
    """Whoever locks a table must not have the clients of the server wait for hours."""
    import psycopg

    store = nodes.open_node(tmp_path, "a", url, timeout=0.3)

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("before"))
            with psycopg.connect(url.replace(f"{stores.ROLE}@", "owner@")) as other:
                other.execute("LOCK TABLE kmipkit.objects IN ACCESS EXCLUSIVE MODE")
                with pytest.raises(StoreError):
                    await nodes.read(store, "before")
                with pytest.raises(StoreError):
                    await nodes.write(store, nodes.creates("meanwhile"))
            await nodes.write(store, nodes.creates("after"))
            assert (await nodes.read(store, "before")) is not None

    trio.run(run)


def test_a_node_that_is_gone_does_not_stop_the_others(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction stays until the database notices, and nobody can be alone meanwhile."""
    import psycopg
    from kmipkit_server.store.postgresql import database as module
    from kmipkit_server.store.postgresql.errors import Conflict

    monkeypatch.setattr(module, "MILLISECONDS_FOR_TURN", 50)
    store = nodes.open_node(tmp_path, "a", url)
    create, runs = nodes.creates("after a conflict"), 0

    def conflicting(transaction: Any) -> str:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise Conflict("another node was faster")
        return create(transaction)

    async def run() -> None:
        async with nodes.serving(store):
            with psycopg.connect(url) as gone:
                gone.execute("LOCK TABLE kmipkit.turns IN ROW SHARE MODE")
                await nodes.write(store, conflicting)
            assert (await nodes.read(store, "after a conflict")) is not None

    trio.run(run)
    assert runs == 3


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE kmipkit.version SET number = 99", "newer version of kmipkit.*schema 99"),
        ("DROP SCHEMA kmipkit CASCADE", "no tables of kmipkit.*kmipkit admin store init"),
        ("REVOKE ALL ON kmipkit.objects FROM kmipkit", "privilege on objects.*store init"),
        ("REVOKE ALL ON SCHEMA kmipkit FROM kmipkit", "kmipkit admin store init"),
    ],
)
def test_a_database_that_is_not_usable_is_refused(
    url: str, tmp_path: Path, statement: str, text: str
) -> None:
    """The message says what mends it."""
    _owner(url)(statement)

    async def run() -> None:
        store = nodes.open_node(tmp_path, "a", url)
        error: StoreError | None = None
        async with nodes.serving(store):
            try:
                await nodes.write(store, nodes.creates("first"))
            except StoreError as refusal:
                error = refusal
        if error is not None:
            raise error

    with pytest.raises(StoreError, match=f"(?s){text}"):
        trio.run(run)


def test_the_role_of_the_servers_cannot_change_tables(url: str, tmp_path: Path) -> None:
    """Whoever gets hold of a server may read and write rows, but not take their protection away."""
    import psycopg

    nodes.open_node(tmp_path, "a", url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "DROP TABLE kmipkit.objects",
            "TRUNCATE kmipkit.objects",
            "ALTER TABLE kmipkit.objects DISABLE TRIGGER ALL",
            "CREATE TABLE kmipkit.another (number BIGINT)",
            "UPDATE kmipkit.version SET number = 0",
            "DELETE FROM kmipkit.summaries",
            "UPDATE kmipkit.settings SET value = ''",
            "UPDATE kmipkit.entries SET expires = 0",
            "UPDATE kmipkit.root_keys SET number = 2",
            "UPDATE kmipkit.objects SET id = 'another'",
            "UPDATE kmipkit.objects SET type = 1",
            "UPDATE kmipkit.summaries SET node = 'another'",
            "UPDATE kmipkit.usages SET owner = 1",
            "DELETE FROM kmipkit.usages",
            "DELETE FROM kmipkit.owners",
            "INSERT INTO kmipkit.version VALUES (1)",
            "SELECT setval('kmipkit.objects_seq_seq', 1)",
            "ALTER SCHEMA kmipkit OWNER TO CURRENT_USER",
            "CREATE FUNCTION kmipkit.f() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_errors_say_what_mends_them(database: PostgreSQLServer) -> None:
    """Those of PostgreSQL say what it was, those of several hosts only what the last one said, as
    psycopg before 3.3 does."""
    import psycopg
    from kmipkit_server.store.postgresql.target import Target

    first = r"/no/a/.*; .*" if psycopg.__version__ >= "3.3" else ""
    place = f"host={database.directory}"
    for url, text in {
        f"postgresql://owner@/nothing?{place}": 'database "nothing" does not exist; create it with',
        f"postgresql://nobody@/postgres?{place}": 'role "nobody" does not exist; create it with',
        "postgresql://owner@/postgres?host=/no/a,/no/b": rf"{first}/no/b/.*; start the database",
    }.items():
        with pytest.raises(StoreError, match=text) as error:
            Target.parse(url).connect()
        assert "connection is bad" not in str(error.value)


def test_the_encoding_of_the_environment_does_not_matter(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names in other scripts were refused."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    store = nodes.open_node(tmp_path, "a", url)

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("鍵", owner="Зоя"))
            assert (await nodes.read(store, "鍵")) is not None

    trio.run(run)


def test_what_is_acknowledged_is_on_a_disk(url: str) -> None:
    """Also on a database whose other users do not need that."""
    from kmipkit_server.store.postgresql.target import Target

    for setting, used in {"off": "local", "on": "on", "remote_apply": "remote_apply"}.items():
        sql = Target.parse(f"{url}&options=-csynchronous_commit%3D{setting}").connect()
        assert sql.one("SHOW synchronous_commit") == (used,)
        sql.raw.close()


def test_a_node_that_hangs_does_not_stop_the_others_for_long(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is paused keeps its connection, and with it what its transaction has locked."""
    from kmipkit_server.store.postgresql import database as module

    monkeypatch.setattr(module, "SECONDS_IDLE", 1)
    first, second = (nodes.open_node(tmp_path, name, url) for name in "ab")

    async def run() -> None:
        async with nodes.serving(first, second):
            await nodes.write(first, nodes.creates("counter"))
            hanging = first._database.begin()
            hanging.set_setting("a setting", b"first")
            await nodes.write(
                second, lambda transaction: transaction.set_setting("a setting", b"x")
            )
            first._database._sql.raw.close()
            assert await nodes.write(first, nodes.counts("counter")) == 1

    trio.run(run)


def test_a_replica_that_was_behind_is_reported(
    database: PostgreSQLServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a fail-over to it, revoked keys are active again. The numbers of lost data keys are given
    again, and a server must not open objects with those that it remembers."""
    name = database.create("kmipkit_template")
    url = database.url(name, stores.ROLE)
    behind = f"{name}_behind"
    first, second = (nodes.open_node(tmp_path, node, url) for node in "ab")

    def fail_over() -> None:
        for each in (name, behind):
            _disconnect(database, each)
        database.sql(f"ALTER DATABASE {name} RENAME TO {name}_lost")
        database.sql(f"ALTER DATABASE {behind} RENAME TO {name}")
        database.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def run() -> None:
        async with nodes.serving(first, second):
            await nodes.write(first, nodes.creates("kept"))
            await trio.to_thread.run_sync(_copy, database, name, behind)
            await nodes.write(first, nodes.creates("lost"))
            assert (await nodes.read(second, "lost")) is not None
            await trio.to_thread.run_sync(fail_over)
            await nodes.write(first, nodes.creates("other", material=b"o" * 32))
            found = await nodes.read(second, "other")
            assert found is not None
            assert found.material == b"o" * 32
            assert (await nodes.read(first, "lost")) is None

    trio.run(run)
    [error] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert "has lost 1 transactions of this server" in error


def _copy(database: PostgreSQLServer, name: str, copy: str) -> None:
    """What a replica has at a moment."""
    _disconnect(database, name)
    database.sql(f"CREATE DATABASE {copy} TEMPLATE {name}")
    database.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _disconnect(database: PostgreSQLServer, name: str) -> None:
    """End all sessions, so that no server which looks whether the database is back is in the way."""
    database.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    database.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_role_that_can_change_tables_is_reported(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its server works, and so nobody would notice that it may do too much."""
    from kmipkit_server.store.postgresql.inspection import examine
    from kmipkit_server.store.postgresql.target import Target

    nodes.open_node(tmp_path, "a", url).close()
    assert not caplog.records
    nodes.open_node(tmp_path, "a", url.replace(f"{stores.ROLE}@", "owner@")).close()
    [warning] = caplog.records
    assert "the role owner can change the tables of" in warning.getMessage()
    target = Target.parse(url.replace(f"{stores.ROLE}@", "owner@"))
    assert [*examine(target, FileVault.open(tmp_path / "root.key"))] == [warning.getMessage()]


def test_a_wrong_clock_of_one_server_has_a_way_out(url: str, tmp_path: Path) -> None:
    """The newest time that one of several servers has seen counts for all."""

    def newest(name: str, noted: datetime | None = None) -> datetime:
        store = nodes.open_node(tmp_path, name, url)

        async def run() -> None:
            async with nodes.serving(store):
                if noted is not None:
                    await nodes.write(store, lambda transaction: transaction.note_time(noted))

        try:
            return store.newest_time  # type: ignore[no-any-return]  # of a store
        finally:
            trio.run(run)

    newest("a", NOW)
    newest("b", NOW + timedelta(days=3650))
    assert newest("a") == newest("c") == NOW + timedelta(days=3650)
    (tmp_path / "root.key.counter").unlink()
    assert newest("a").year == 1970
    assert newest("b").year == newest("c").year == 1970
