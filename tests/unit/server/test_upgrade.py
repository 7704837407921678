"""Stores of every older schema open, are migrated, and keep what is in them."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from kmipkit_client import OperationFailed, calls
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite import inspection, schema
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault
from laboratory import Laboratory
from old_stores import ALL, FIRST, RICH, restore, version_of

from kmipkit.cli import main
from kmipkit.model.attribute import VendorName
from kmipkit.spec.enums import CryptographicAlgorithm, RevocationReasonCode, State
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag

KEY = bytes(range(32))
NEWEST = len(schema.STEPS)


pytestmark = pytest.mark.sqlite


def identify(path: Path) -> str:
    return path.stem


def located(laboratory: Laboratory, name: str, identity: str = "me") -> tuple[str, ...]:
    everything = StorageStatusMask.ON_LINE_STORAGE | StorageStatusMask.ARCHIVAL_STORAGE
    call = calls.locate(name, None, None, None, None, everything)
    return tuple(laboratory.ask(call, identity=identity).ids)


def key_of(laboratory: Laboratory, identifier: str, identity: str = "me") -> bytes:
    got = laboratory.ask(calls.get(identifier, None, None, None), identity=identity)
    return bytes(got.key_block.key_value.key_material)


@pytest.fixture(params=ALL, ids=identify)
def old(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_there_is_a_store_of_each_older_schema() -> None:
    """Whoever adds a step adds a store of the schema before it."""
    assert {version_of(path) for path in ALL} == set(range(1, NEWEST))


def test_an_older_store_keeps_its_key_and_can_be_used(old: Path, tmp_path: Path) -> None:
    identifier = restore(old, tmp_path / "data")
    for _ in range(2):  # the second time it is a store of the newest schema
        with closing(Laboratory(tmp_path / "data")) as laboratory:
            assert key_of(laboratory, identifier) == KEY
            assert located(laboratory, "first") == (identifier,)
            with pytest.raises(OperationFailed, match="first"):
                laboratory.ask(
                    calls.create(CryptographicAlgorithm.AES, 256, *AES_256, "first", None)
                )
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection:
        assert schema.version_of(connection) == NEWEST
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


AES_256 = (CryptographicUsageMask.ENCRYPT,)


def test_every_object_of_an_older_store_is_undamaged(old: Path, tmp_path: Path) -> None:
    """A read compares the MAC of each row, which a migration to schema 2 computes."""
    restore(old, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        sql = "SELECT id FROM objects"
        reader = laboratory.store._database.reader
        records = [reader.get(id_) for (id_,) in reader.connection.execute(sql).fetchall()]
        assert len(records) >= 4
        for record in records:
            assert record is not None
            assert record.attributes
            assert record.is_destroyed or record.material is not None


@pytest.mark.parametrize("source", RICH, ids=identify)
def test_attributes_states_and_owners_are_kept(source: Path, tmp_path: Path) -> None:
    restore(source, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as laboratory:

        def attributes(name: str) -> dict[object, object]:
            [identifier] = located(laboratory, name)
            record = laboratory.record(identifier)
            assert record is not None
            return {each.key: each.value for each in record.attributes} | {
                "state": record.stored_state
            }

        second = attributes("Schlüssel № 2")
        assert second[VendorName("x", "Inhaber")] == "böse & gut"
        assert second["state"] is State.ACTIVE
        assert attributes("archived")[Tag.ARCHIVE_DATE]
        assert attributes("compromised")["state"] is State.COMPROMISED
        reason = attributes("compromised")[Tag.REVOCATION_REASON]
        assert reason.revocation_reason_code is RevocationReasonCode.KEY_COMPROMISE  # type: ignore[attr-defined]
        assert attributes("rotating")[Tag.ROTATE_INTERVAL] == 3600
        [other] = located(laboratory, "first", "other")
        assert key_of(laboratory, other, "other") == bytes(range(16))
        [secret] = located(laboratory, "geheim")
        got = laboratory.ask(calls.get(secret, None, None, None))
        assert got.key_block.key_value.key_material == "päßwort".encode()


@pytest.mark.parametrize("source", RICH, ids=identify)
def test_indexes_of_an_older_store_answer(source: Path, tmp_path: Path) -> None:
    restore(source, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        owner = calls.locate(
            None, None, {VendorName("x", "Inhaber"): "böse & gut"}, None, None, None
        )
        assert len(laboratory.ask(owner).ids) == 1
        reader = laboratory.store._database.reader
        [(due, rotating)] = reader.connection.execute(
            "SELECT due, object FROM rotations"
        ).fetchall()
        assert due > 0
        assert rotating
        [(tables,)] = reader.connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'live_names'"
        ).fetchall()
        assert tables == 0


# --- refusals --------------------------------------------------------------------------------------


def test_a_newer_store_is_refused_by_the_server_and_by_the_check(tmp_path: Path) -> None:
    restore(ALL[-1], tmp_path / "data")
    database = tmp_path / "data" / "db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST + 1}")
    words = (
        rf"newer version of kmipkit \(schema {NEWEST + 1}; this version supports up to {NEWEST}\)"
    )
    with pytest.raises(StoreError, match=words):
        Laboratory(tmp_path / "data")
    vault = FileVault.open(tmp_path / "data" / "root.key")
    with pytest.raises(StoreError, match=words):
        list(inspection.examine(database, vault))


def test_a_store_from_before_the_first_schema_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """When schema 1 was still being changed, its tables had no kinds."""
    restore(FIRST, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection:
        connection.executescript(
            "DROP INDEX objects_of_kind; ALTER TABLE objects DROP COLUMN kind; DROP TABLE kinds"
        )
    with pytest.raises(StoreError, match="from before schema 1 was complete"):
        Laboratory(tmp_path / "data")


def test_the_check_advises_to_copy_and_changes_nothing(old: Path, tmp_path: Path) -> None:
    restore(old, tmp_path / "data")
    database = tmp_path / "data" / "db"
    before = {path: path.read_bytes() for path in database.parent.iterdir()}
    vault = FileVault.open(tmp_path / "data" / "root.key")
    [advice] = inspection.examine(database, vault)
    assert re.search(rf"schema {version_of(old)}; .* schema {NEWEST}, .*copy the data dir", advice)
    assert {path: path.read_bytes() for path in database.parent.iterdir()} == before


def test_another_root_key_changes_nothing(old: Path, tmp_path: Path) -> None:
    restore(old, tmp_path / "data")
    key = tmp_path / "data" / "root.key"
    right = key.read_text()
    key.write_text("00" * 32)
    with pytest.raises(StoreError, match="another root key"):
        Laboratory(tmp_path / "data")
    key.write_text(right)
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection:
        assert schema.version_of(connection) == version_of(old)
    Laboratory(tmp_path / "data").close()


WITHOUT_ROTATIONS = [path for path in ALL if version_of(path) < 7]


@pytest.mark.parametrize("old", WITHOUT_ROTATIONS, ids=lambda path: path.stem)
def test_the_keys_of_an_older_store_are_listed_after_a_start(tmp_path: Path, old: Path) -> None:
    """Before, the message says so, in words of this program and not of SQLite."""
    folder = tmp_path / "data"
    restore(old, folder, "objects.sqlite3")
    arguments = ["admin", "keys", "list", "--data-dir", str(folder)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "start its server once" in refused.output
    vault = FileVault.open(folder / "root.key")
    SQLiteDatabase.open(folder / "objects.sqlite3", vault).close()
    listed = CliRunner().invoke(main, arguments)
    assert listed.exit_code == 0, listed.output
    assert vault.identifier in listed.output


# --- interruptions ---------------------------------------------------------------------------------

_KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault

folder, number = Path(sys.argv[1]), int(sys.argv[2])
statements = schema._statements

def counted(script):
    global number
    for statement in statements(script):
        if not number:
            os.kill(os.getpid(), signal.SIGKILL)
        number -= 1
        yield statement

schema._statements = counted
SQLiteDatabase.open(folder / "db", FileVault.open(folder / "root.key")).close()
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "data"
    return folder, restore(FIRST, folder)


@pytest.mark.parametrize("statement", [0, 3, 9, 12, 14])
def test_a_migration_that_is_killed_is_rolled_back_and_repeated(
    interrupted: tuple[Path, str], statement: int
) -> None:
    """All steps are one transaction: a kill in the middle leaves the store of the older schema."""
    folder, identifier = interrupted
    process = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), str(statement)],
        capture_output=True,
        env=os.environ,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    with closing(sqlite3.connect(folder / "db")) as connection:
        assert schema.version_of(connection) == 1
        assert not connection.execute(
            "SELECT name FROM sqlite_master WHERE name = 'summary'"
        ).fetchall()
    with closing(Laboratory(folder)) as laboratory:
        assert key_of(laboratory, identifier) == KEY
