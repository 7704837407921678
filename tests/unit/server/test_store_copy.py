"""A store moves to PostgreSQL and back with every object, and a copy that is not the same is none."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import stores
from click.testing import CliRunner, Result
from kmipkit_server.admin.store_commands import store as store_group
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
    back = _run("copy", "--data-dir", data, "--from", _url(data), "--json")
    assert back.exit_code == 0, back.output
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
        assert "is in use by 1 servers" in str(result.exception or result.output)


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
