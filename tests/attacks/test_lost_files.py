"""A lost file is an error that says what to do, and not an empty store.

Otherwise a server whose disk was not mounted would start without any keys, accept new ones, and leave
two databases behind; or make a new root key, with which nobody can tell that the old one is missing.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kmipkit_client import calls
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite import database
from laboratory import Laboratory
from old_stores import FIRST, restore
from servers import RunningServer

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask

CREATE = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None)

Loss = Callable[[Path], None]


def remove_database(folder: Path) -> None:
    for path in folder.glob("objects.sqlite3*"):
        path.unlink()


def empty_database(folder: Path) -> None:
    remove_database(folder)
    (folder / "objects.sqlite3").touch()


def new_database(folder: Path) -> None:
    remove_database(folder)
    with closing(sqlite3.connect(folder / "objects.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def refused(server: RunningServer) -> str:
    """Why the server does not start."""
    server.port = 0
    server.log.unlink(missing_ok=True)
    with pytest.raises(AssertionError):
        server.start()
    assert server.exit_code == 1
    text = server.log.read_text()
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("lose", [remove_database, empty_database, new_database])
def test_a_lost_database_is_an_error_with_a_way_out(own_server: RunningServer, lose: Loss) -> None:
    with own_server.start().client() as client:
        client.create()
    own_server.stop()
    lose(own_server.folder)
    for _ in range(2):
        message = refused(own_server)
        assert "objects.sqlite3 is missing or empty, but there is a root key for it" in message
        assert "restore the database from a backup" in message
    for name in ("objects.sqlite3", "root.key", "root.key.counter"):
        assert str(own_server.folder / name) in message
        (own_server.folder / name).unlink(missing_ok=True)
    with own_server.start().client() as client:
        assert client.locate().ids == ()


def test_a_database_without_objects_is_not_a_lost_one(own_server: RunningServer) -> None:
    own_server.start()
    own_server.stop()
    own_server.start()


def test_a_lost_root_key_is_not_replaced(own_server: RunningServer) -> None:
    with own_server.start().client() as client:
        key = client.create()
    own_server.stop()
    root_key = own_server.folder / "root.key"
    backup = root_key.rename(own_server.folder / "backup")
    before = set(own_server.folder.iterdir())
    message = refused(own_server)
    assert f"the root key {root_key} is missing" in message
    assert "restore the file" in message
    assert "remove" not in message, "nobody is told to give up the database"
    assert set(own_server.folder.iterdir()) == before, "no new root key is left behind"
    backup.rename(root_key)
    with own_server.start().client() as client:
        assert client.get(key)


# --- a database from an earlier time -------------------------------------------------------------


def copy_of(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


def put_back(copy: Path, folder: Path) -> None:
    for path in folder.glob("db*"):
        path.unlink()
    shutil.copy(copy / "db", folder / "db")


def test_an_older_database_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A revoked key would be active in it, and a destroyed one would be there again."""
    folder = tmp_path / "data"
    with closing(Laboratory(folder)) as server:
        server.ask(CREATE)
    copy = copy_of(folder, "copy")
    with closing(Laboratory(folder)) as server:
        server.ask(CREATE)
        server.ask(CREATE)
    assert not caplog.text
    put_back(copy, folder)
    with closing(Laboratory(folder)) as server:
        assert server.ask(CREATE), "a restored backup is served"
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "is older than the database that was last used with this root key, by 2" in (
        warning.message
    )
    caplog.clear()
    with closing(Laboratory(folder)):
        assert not caplog.text


def test_the_counter_is_stored_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a server that never ends, or only by a crash, would notice nothing."""
    monkeypatch.setattr(database, "SECONDS_BETWEEN_COUNTERS", 0.0)
    counter = tmp_path / "data" / "root.key.counter"
    with closing(Laboratory(tmp_path / "data")) as server:
        before = int(counter.read_text())
        server.ask(CREATE)
        assert int(counter.read_text()) == before + 1


def test_a_counter_that_cannot_be_stored_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Laboratory(tmp_path / "data")) as server:
        (tmp_path / "data" / f"root.key.counter.{os.getpid()}.new").mkdir()
        assert server.ask(CREATE)
    assert "the counter of transactions is not stored: " in caplog.text


def test_a_damaged_counter_is_named(tmp_path: Path) -> None:
    with closing(Laboratory(tmp_path / "data")):
        pass
    (tmp_path / "data" / "root.key.counter").write_text("many")
    with pytest.raises(StoreError, match=r"root\.key\.counter does not contain a number"):
        Laboratory(tmp_path / "data")


def test_nobody_makes_a_database_look_older_than_it_is(tmp_path: Path) -> None:
    """The migration computes MACs for the rows of an older version, whatever is in them."""
    restore(FIRST, tmp_path / "data")
    old = (tmp_path / "data" / "db").read_bytes()
    with closing(Laboratory(tmp_path / "data")):
        pass
    remove = [path for path in (tmp_path / "data").glob("db*") if path.name != "db.lock"]
    for path in remove:
        path.unlink()
    (tmp_path / "data" / "db").write_bytes(old)
    with pytest.raises(StoreError, match=r"an older version of kmipkit .*counter"):
        Laboratory(tmp_path / "data")
    (tmp_path / "data" / "root.key.counter").unlink()
    with closing(Laboratory(tmp_path / "data")) as server:
        assert server.ask(
            calls.create(
                CryptographicAlgorithm.AES, 256, CryptographicUsageMask.ENCRYPT, None, None
            )
        )
