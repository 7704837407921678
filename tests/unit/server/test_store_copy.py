"""A store moves to PostgreSQL and back with every object, and a copy that is not the same is none."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import nodes
import pytest
import stores
import trio
from click.testing import CliRunner, Result
from kmipkit_server.admin.store_commands import store as store_group
from kmipkit_server.audit import anchor
from kmipkit_server.store.base import Record
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.key_rotator import KeyRotator
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault
from postgresql_server import PostgreSQLServer
from stored_objects import NOW, PostgreSQLDirectory, insert, is_same, name, numbered, record

from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag

pytestmark = stores.needs_postgresql


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with objects of all sorts."""
    monkeypatch.setenv("KMIPKIT_STORE_NODE", "test")
    folder = tmp_path / "kms"
    folder.mkdir()
    with closing(_sqlite(folder)) as store:
        insert(
            store,
            record(),
            record("zero \0 and one \1", numbered((Tag.NAME, name("a\0b\1c")))),
            record("destroyed", material=None, stored_state=State.DESTROYED),
            record("large", material=b"x" * 100_000),
        )
        transaction = store.begin()
        transaction.set_setting("a setting", b"its value")
        transaction.note_time(NOW)
        store.commit()
    return folder


def _sqlite(folder: Path) -> SQLiteDatabase:
    return SQLiteDatabase.open(folder / "objects.sqlite3", FileVault.open(folder / "root.key"))


def _url(folder: Path) -> str:
    return stores.url_of(folder).replace(f"{stores.ROLE}@", "owner@")


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(store_group, [str(each) for each in arguments])


def test_a_store_moves_to_postgresql_and_back(data: Path, tmp_path: Path) -> None:
    """The keys of a database, a tape library, a whole site are in it: not one may be missing."""
    moved = _run("copy", "--data-dir", data, "--to", _url(data), "--json")
    assert moved.exit_code == 0, moved.output
    there = json.loads(moved.output)
    # It is ready for searches: what autovacuum would do some time later is done.
    [(visible,)] = stores.sql_as_owner(
        data, "SELECT relallvisible FROM pg_class WHERE oid = 'objects'::regclass"
    )
    assert visible > 0
    directory = PostgreSQLDirectory(data)
    with closing(directory.open()) as store:
        assert is_same(store.reader.get("id-1"), record())
        large = store.reader.get("large")
        assert large is not None
        assert large.material == b"x" * 100_000
        assert store.reader.setting("a setting") == b"its value"
        assert store.newest_time == NOW
        store.check()
        insert(store, record("new"))
    (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
    (data / "objects.sqlite3.copy-wal").write_bytes(b"of a copy that was killed")
    back = _run("copy", "--data-dir", data, "--from", _url(data), "--json")
    assert back.exit_code == 0, back.output
    assert not [*data.glob("*.copy*")]
    rows, before = json.loads(back.output)["rows"], there["rows"]
    assert rows["objects"] == before["objects"] + 1
    with closing(_sqlite(data)) as store:
        assert is_same(store.reader.get("id-1"), record())
        assert is_same(store.reader.get("new"), record("new"))
        assert store.reader.get("zero \0 and one \1") is not None
        assert store.reader.find_by_name(record().owner, "a\0b\1c") == ("zero \0 and one \1",)


def test_a_copied_store_is_no_surprise_to_its_server(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing has been put back or removed: a warning would teach administrators to ignore it."""
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    with closing(PostgreSQLDirectory(data).open()) as store:
        store.check()
    assert not [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]


def test_an_object_that_was_changed_is_not_copied(data: Path) -> None:
    """A copy would make what an intruder has changed look like what the server has written."""
    import sqlite3

    with closing(sqlite3.connect(data / "objects.sqlite3")) as connection:
        connection.execute("UPDATE objects SET state = 2 WHERE id = 'destroyed'")
        connection.commit()
    result = _run("copy", "--data-dir", data, "--to", _url(data))
    assert result.exit_code == 1
    assert "destroyed was changed in the database" in str(result.exception or result.output)
    directory = PostgreSQLDirectory(data)
    assert directory.sql("SELECT count(*) FROM objects") == [(0,)], "there is no half of a copy"


def test_no_copy_overwrites_a_store(data: Path) -> None:
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    again = _run("copy", "--data-dir", data, "--to", _url(data))
    assert "is not empty" in str(again.exception or again.output)
    back = _run("copy", "--data-dir", data, "--from", _url(data))
    assert "exists already" in str(back.exception or back.output)


def test_a_directory_without_a_store_is_no_store_whose_root_key_is_lost(tmp_path: Path) -> None:
    result = _run("copy", "--data-dir", tmp_path, "--to", "postgresql://nowhere/kms")
    assert result.exit_code == 1
    assert "objects.sqlite3 does not exist; --data-dir or --config says" in result.output


def test_no_copy_while_a_server_runs(data: Path) -> None:
    """What the server writes meanwhile would be missing in the copy."""
    with closing(_sqlite(data)):
        result = _run("copy", "--data-dir", data, "--to", _url(data))
        assert "in use by another server" in str(result.exception or result.output)
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    with closing(PostgreSQLDirectory(data).open()):
        (data / "objects.sqlite3").unlink()
        result = _run("copy", "--data-dir", data, "--from", _url(data))
        assert "is in use by test; stop all servers" in str(result.exception or result.output)


def test_init_creates_what_it_prints(tmp_path: Path) -> None:
    """An administrator of databases may want to see each statement before."""
    database: PostgreSQLServer = stores.server()
    first, second = database.create("template0"), database.create("template0")
    printed = _run("init", database.url(first), "--role", stores.ROLE, "--sql")
    assert printed.exit_code == 0
    database.sql(f"BEGIN; {printed.output} COMMIT", first)
    done = _run("init", database.url(second), "--role", stores.ROLE, "--json")
    assert json.loads(done.output)["before"] == 0
    grants = (
        "SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges"
        f" WHERE grantee = '{stores.ROLE}' ORDER BY 1, 2, 3"
    )
    assert database.sql(grants, first) == database.sql(grants, second) != []
    again = _run("init", database.url(second), "--role", stores.ROLE)
    assert "unchanged" in again.output


def test_each_audit_log_has_its_name_on_a_database_and_back() -> None:
    """Each server on a database has a log of its own, so what the store knows of it has other names."""
    for setting, on_node in {
        "audit": "audit of kms1",
        "audit outbox 000027": "audit of kms1 outbox 000027",
        "audit of worker-2": "audit of kms1/worker-2",
        "audit of worker-2 outbox 000028": "audit of kms1/worker-2 outbox 000028",
        "blocked accounts": "blocked accounts",
    }.items():
        assert anchor.of_node(setting, "kms1") == on_node
        assert anchor.without_node(on_node, "kms1") == setting
        if setting != on_node:
            assert anchor.without_node(on_node, "kms") is None, "of another server"
    assert anchor.without_node("audit", "kms1") is None, "of no server on the database"


def test_a_server_finds_its_audit_log_after_a_move(data: Path, tmp_path: Path) -> None:
    """It called its own log that of another database, and after the way back it reported that records
    were removed."""
    with closing(_sqlite(data)) as store:
        transaction = store.begin()
        transaction.set_setting("audit", b"first")
        transaction.set_setting("audit of worker-2", b"second")
        store.commit()
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    with closing(PostgreSQLDirectory(data).open()) as store:
        assert sorted(store.reader.settings("audit").items()) == [
            ("audit of test", b"first"),
            ("audit of test/worker-2", b"second"),
        ]
        transaction = store.begin()
        transaction.set_setting("audit of another", b"third")
        store.commit()
        store.check()
    (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
    assert _run("copy", "--data-dir", data, "--from", _url(data)).exit_code == 0
    with closing(_sqlite(data)) as store:
        assert sorted(store.reader.settings("audit").items()) == [
            ("audit", b"first"),
            ("audit of worker-2", b"second"),
        ]


def test_the_way_back_is_no_older_database(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The processes of a server have one counter, and a copy had that of one process."""
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    for node in ("test", "test/worker-2", "test/worker-3"):
        store = nodes.open_node(data, node)
        trio.run(_insert, store, record(f"of {node}"))
    (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
    assert _run("copy", "--data-dir", data, "--from", _url(data)).exit_code == 0
    with closing(_sqlite(data)) as back:
        assert back.reader.get("of test/worker-3") is not None
    assert not [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]


async def _insert(store: Any, new: Record) -> None:
    async with nodes.serving(store):
        await nodes.write(store, lambda transaction: transaction.insert(new))


def test_a_rotation_goes_on_in_the_copy(data: Path) -> None:
    """Half of the data keys depend on the old root key, half on the new one: each opens the copy."""
    new = FileVault.open(data / "second.key")
    with closing(_sqlite(data)) as store:
        prepared = store.rotations.prepare(store.reader, new)
        transaction: Any = store.begin()
        store.rotations.begin_root(transaction, prepared, NOW, "admin")
        store.commit()
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0

    async def finish() -> None:
        moved = nodes.open_node(data, "test")
        async with nodes.serving(moved):
            await KeyRotator(moved).carry_out()
            figures = await moved.run(lambda reader: reader.key_figures(), slow=True)
            assert figures.rotation is None
            assert (await nodes.read(moved, "large")) is not None

    trio.run(finish)
    with pytest.raises(StoreError, match="another root key"):
        nodes.open_node(data, "test")


@pytest.mark.parametrize("is_back", [False, True])
def test_an_object_that_was_removed_is_missed(data: Path, tmp_path: Path, is_back: bool) -> None:
    """The copy has a sum of its own: what an intruder has removed could be seen nowhere any more."""
    import sqlite3

    if is_back:
        assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
        (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
        stores.sql_as_owner(data, "DELETE FROM objects WHERE id = 'large'")
        result = _run("copy", "--data-dir", data, "--from", _url(data))
        assert not (data / "objects.sqlite3").exists()
    else:
        with closing(sqlite3.connect(data / "objects.sqlite3")) as connection:
            connection.execute("DELETE FROM objects WHERE id = 'large'")
            connection.commit()
        result = _run("copy", "--data-dir", data, "--to", _url(data))
        assert PostgreSQLDirectory(data).sql("SELECT count(*) FROM objects") == [(0,)]
    assert result.exit_code == 1
    assert "objects were removed from" in str(result.exception)


def test_what_is_left_of_another_file_is_not_taken(data: Path, tmp_path: Path) -> None:
    """SQLite would put the pages of a server that was killed into the copy."""
    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
    (data / "objects.sqlite3-wal").write_bytes(b"pages")
    result = _run("copy", "--data-dir", data, "--from", _url(data))
    assert result.exit_code == 1
    assert "objects.sqlite3-wal belongs to the file that was here" in str(result.exception)


def test_a_server_that_starts_meanwhile_is_noticed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes would be in no copy."""
    from kmipkit_server.store.postgresql.copies import PostgreSQLCopy

    assert _run("copy", "--data-dir", data, "--to", _url(data)).exit_code == 0
    (data / "objects.sqlite3").rename(tmp_path / "old.sqlite3")
    started: list[Any] = []
    real = PostgreSQLCopy.stream

    def start_and_stream(self: Any, sql: str) -> Any:
        if not started:
            started.append(PostgreSQLDirectory(data).open())
        return real(self, sql)

    monkeypatch.setattr(PostgreSQLCopy, "stream", start_and_stream)
    result = _run("copy", "--data-dir", data, "--from", _url(data))
    [store] = started
    store.close()
    assert result.exit_code == 1
    assert "is in use by test; stop all servers" in str(result.exception)
    assert not (data / "objects.sqlite3").exists()


@pytest.mark.parametrize("direction", ["--to", "--from"])
def test_only_the_owner_copies(data: Path, direction: str) -> None:
    """The role of the servers may not write the numbers of rows: that was said at the end, and as if the
    role lacked something."""
    url = stores.url_of(data)
    result = _run("copy", "--data-dir", data, direction, url)
    assert result.exit_code == 1
    assert "belong to the role owner, and the URL has the role kmipkit" in str(result.exception)


def _refused(*arguments: object) -> str:
    result = _run("init", *arguments)
    assert result.exit_code == 1, result.output
    return str(result.exception)


def test_init_refuses_what_no_server_could_use() -> None:
    """A role that owns the tables lost its own privileges on them, and names that the encoding does not
    have were refused much later."""
    database: PostgreSQLServer = stores.server()
    plain = database.create("template0")
    database.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database.sql("CREATE ROLE kms_owner LOGIN")
    database.sql("CREATE ROLE deputy LOGIN IN ROLE kms_owner")
    database.sql("CREATE DATABASE owned OWNER kms_owner TEMPLATE template0")
    database.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    assert "encoding LATIN1" in _refused(database.url("latin"))
    assert "encoding SQL_ASCII" in _refused(database.url("ascii"))
    assert 'CREATE ROLE "nobody" LOGIN' in _refused(database.url(plain), "--role", "nobody")
    owned = database.url("owned", "kms_owner")
    for role in ("kms_owner", "deputy", "owner"):
        assert f"the role {role} could change the tables" in _refused(owned, "--role", role)
    assert "may not create a schema" in _refused(database.url("owned", stores.ROLE))
    assert _run("init", owned).exit_code == 0
    assert "belong to the role kms_owner" in _refused(database.url("owned", stores.ROLE))
    assert "belong to the role kms_owner" in _refused(database.url("owned", stores.ROLE), "--sql")
    database.sql("REVOKE CREATE ON DATABASE owned FROM kms_owner", "owned")
    assert "unchanged" in _run("init", owned).output


def test_several_migrations_begin_at_the_same_time() -> None:
    """Whoever waits for the other one must see what that has done, also where the snapshot of
    a transaction is the first one by default."""
    from kmipkit_server.store.postgresql.schema import STEPS

    database: PostgreSQLServer = stores.server()
    url = database.url(name := database.create("template0"))
    database.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: _migrated(url), range(4)))
    assert sorted(results) == [0, *[len(STEPS)] * 3]


def test_no_migration_while_servers_use_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers of the older version went on, and were refused one by one when they connected again."""
    from kmipkit_server.store.postgresql import schema

    newest = len(schema.STEPS)
    store = nodes.open_node(tmp_path, "kms1")
    assert "unchanged" in _run("init", _url(tmp_path)).output, "that changes nothing"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, "CREATE TABLE another (number BIGINT);"))
    with closing(store):
        assert "is in use by kms1; stop all servers" in _refused(_url(tmp_path))
    assert (
        f"schema {newest + 1} migrated from schema {newest}" in _run("init", _url(tmp_path)).output
    )
    monkeypatch.undo()
    with pytest.raises(StoreError, match="newer version"):
        nodes.open_node(tmp_path, "kms1")


def _migrated(url: str) -> int:
    from kmipkit_server.store.postgresql.schema import migrate
    from kmipkit_server.store.postgresql.target import Target

    sql = Target.parse(url, timeout=0.001).connect()  # an index takes longer than any statement may
    with closing(sql.raw):
        return migrate(sql, stores.ROLE)
