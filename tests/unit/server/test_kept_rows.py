"""Rows of objects that the event loop keeps: never longer than they are those of the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kmipkit_server.store.base import REVISION
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.sqlite import event_loop
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from stored_objects import DataDirectory, change, insert, record

from kmipkit.spec.enums import State

pytestmark = pytest.mark.sqlite


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path)


@pytest.fixture
def store(directory: DataDirectory) -> Iterator[SQLiteDatabase]:
    with directory.opened() as opened:
        insert(opened, record())
        yield opened


@contextmanager
def reads(store: SQLiteDatabase) -> Iterator[list[str]]:
    """The queries of rows meanwhile."""
    statements: list[str] = []
    store.reader.connection.set_trace_callback(
        lambda statement: statements.append(statement) if "FROM objects" in statement else None
    )
    yield statements
    store.reader.connection.set_trace_callback(None)


def test_a_row_is_read_once(store: SQLiteDatabase) -> None:
    with reads(store) as queries:
        first, second = store.reader.get("id-1"), store.reader.get("id-1")
    assert len(queries) == 1
    assert first is not None
    assert second is not None
    assert first.version == second.version
    assert first.material == second.material


def revoke(store: SQLiteDatabase) -> None:
    found = store.reader.get("id-1")
    assert found is not None
    change(store, found, found.replace(stored_state=State.COMPROMISED))


def test_a_change_is_seen_at_once(store: SQLiteDatabase) -> None:
    revoke(store)
    found = store.reader.get("id-1")
    assert found is not None
    assert found.stored_state is State.COMPROMISED


def test_a_destroyed_object_has_no_material_at_once(store: SQLiteDatabase) -> None:
    found = store.reader.get("id-1")
    assert found is not None
    assert found.material is not None
    change(store, found, found.replace(stored_state=State.DESTROYED, material=None))
    after = store.reader.get("id-1")
    assert after is not None
    assert after.material is None


def test_a_removed_object_is_not_found_any_longer(store: SQLiteDatabase) -> None:
    found = store.reader.get("id-1")
    assert found is not None
    transaction = store.begin()
    transaction.remove(found)
    store.commit()
    assert store.reader.get("id-1") is None


def test_an_object_that_was_not_found_is_found_once_it_is_there(store: SQLiteDatabase) -> None:
    assert store.reader.get("id-2") is None
    insert(store, record("id-2"))
    assert store.reader.get("id-2") is not None


def test_another_revision_of_the_policies_is_seen_at_once(store: SQLiteDatabase) -> None:
    first = store.reader.get("id-1")
    store.begin().set_setting(REVISION, b"another")
    store.commit()
    second = store.reader.get("id-1")
    assert first is not None
    assert second is not None
    assert second.revision == b"another" != first.revision


def test_what_is_not_committed_is_not_seen(store: SQLiteDatabase) -> None:
    found = store.reader.get("id-1")
    assert found is not None
    transaction = store.begin()
    transaction.update(found, found.replace(stored_state=State.COMPROMISED))
    before = store.reader.get("id-1")
    store.rollback()
    after = store.reader.get("id-1")
    assert before is not None
    assert after is not None
    assert before.stored_state is after.stored_state is found.stored_state


def test_what_another_program_changes_is_noticed(
    store: SQLiteDatabase, directory: DataDirectory
) -> None:
    assert store.reader.get("id-1")
    directory.sql("UPDATE objects SET state = 2 WHERE id = 'id-1'")
    with pytest.raises(Damaged):
        store.reader.get("id-1")


def test_commits_in_the_middle_of_a_look_up_are_seen_by_the_next_one(
    store: SQLiteDatabase, directory: DataDirectory
) -> None:
    """Another program commits before each query of a look-up."""
    states = [State.ACTIVE, State.DEACTIVATED, State.COMPROMISED, State.DESTROYED]
    with closing(sqlite3.connect(directory.database, isolation_level=None)) as other:

        def commit(_: str) -> None:
            states.append(states.pop(0))
            other.execute("UPDATE objects SET state = ? WHERE id = 'id-1'", (states[-1],))

        for _ in range(2):
            store.reader.connection.set_trace_callback(commit)
            assert store.reader.object_row("id-1")
            store.reader.connection.set_trace_callback(None)
            row = store.reader.object_row("id-1")
            assert row is not None
            assert row[3] == states[-1]


def test_only_so_many_rows_are_kept(store: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "MAX_KEPT", 2)
    insert(store, *(record(f"id-{number}") for number in range(2, 5)))
    for _ in range(2):
        for number in range(1, 5):
            assert store.reader.get(f"id-{number}")
    with reads(store) as queries:
        store.reader.get("id-4")
        store.reader.get("id-1")
    assert len(queries) == 1, "the last two are kept, and no others"


def test_a_large_object_is_not_kept(store: SQLiteDatabase) -> None:
    insert(store, record("large", material=bytes(event_loop.MAX_ROW)))
    with reads(store) as queries:
        store.reader.get("large")
        store.reader.get("large")
    assert len(queries) == 2
