"""One server uses a database at a time, and migrates an older database to the newest schema."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite import schema
from stored_objects import (
    DataDirectory,
    insert,
    is_same,
    record,
)


def test_a_second_server_cannot_use_the_database(directory: DataDirectory) -> None:
    """Two servers would overwrite each other's work; the error names the process of the first."""
    with directory.opened() as store:
        with pytest.raises(StoreError, match=f"in use by another server .process {os.getpid()}"):
            directory.open()
        insert(store, record())
    assert is_same(directory.get("id-1"), record()), (
        "after the first has stopped, another can start"
    )


def test_a_failed_start_does_not_keep_the_lock(directory: DataDirectory) -> None:
    """After the problem is fixed, the server can start at once."""
    with directory.opened() as store:
        insert(store, record())
    directory.sql("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(StoreError, match="newer"):
            directory.open()
    directory.sql(f"PRAGMA user_version = {len(schema.STEPS)}")
    assert is_same(directory.get("id-1"), record())


def test_a_newer_database_is_refused_and_not_touched(directory: DataDirectory) -> None:
    """An old program could destroy data that it does not know."""
    with directory.opened() as store:
        insert(store, record())
    newer = len(schema.STEPS) + 1
    directory.sql(f"PRAGMA user_version = {newer}")
    before = directory.database.read_bytes()
    with pytest.raises(
        StoreError,
        match=rf"written by a newer version of kmipkit \(schema {newer}; .*use the newer version",
    ):
        directory.open()
    assert directory.database.read_bytes() == before


def test_a_file_that_is_not_a_database_is_named_and_not_touched(directory: DataDirectory) -> None:
    content = b"not a database " * 100
    directory.database.write_bytes(content)
    with pytest.raises(StoreError, match=r"objects\.sqlite3"):
        directory.open()
    assert directory.database.read_bytes() == content


STEPS = (
    "CREATE TABLE a (n INTEGER) STRICT; INSERT INTO a VALUES (1);",
    "ALTER TABLE a ADD COLUMN m INTEGER; UPDATE a SET m = n + 1;",
    "CREATE TABLE b (n INTEGER) STRICT; INSERT INTO b SELECT m FROM a;",
)


@pytest.mark.parametrize("first", range(4))
def test_each_older_database_is_migrated_to_the_newest_schema(first: int) -> None:
    """A migration works from every older version, and runs no step twice."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection, "db", STEPS[:first])
        schema.migrate(connection, "db", STEPS)
        schema.migrate(connection, "db", STEPS)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT n, m FROM a").fetchall() == [(1, 2)]
        assert connection.execute("SELECT n FROM b").fetchall() == [(2,)]


def test_a_migration_runs_all_steps_or_none(tmp_path: Path) -> None:
    """No version of the program could read a database whose migration stopped halfway."""
    path = tmp_path / "db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection, "db", STEPS[:1])
        with pytest.raises(sqlite3.Error):
            schema.migrate(connection, "db", (*STEPS[:2], "INSERT INTO nothing VALUES (1);"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]
        schema.migrate(connection, "db", STEPS)
        assert connection.execute("SELECT n FROM b").fetchall() == [(2,)]


def test_the_current_database_keeps_its_objects_when_a_step_is_added(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with directory.opened() as store:
        insert(store, record())
    more = "ALTER TABLE objects ADD COLUMN remark TEXT; UPDATE objects SET remark = 'moved';"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, more))
    monkeypatch.setattr(schema.migrate, "__defaults__", (schema.STEPS,))
    assert is_same(directory.get("id-1"), record())
    assert directory.sql("SELECT remark FROM objects") == [("moved",)]
