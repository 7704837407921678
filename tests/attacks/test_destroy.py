"""Destroy destroys: no file of the server contains the key any more, not even sealed.

Otherwise whoever gets at the disk and, later, at the root key, could still read keys that were destroyed
to keep data from ever being decrypted again.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from kmipkit_client import Client, calls, material, messages, opaque_object
from kmipkit_client.calls import Call
from kmipkit_server.engine.deferred_work import DeferredWork
from kmipkit_server.store import sealing
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from laboratory import Laboratory
from servers import RunningServer
from stored_objects import DataDirectory, change, insert, insert_and_fail, record

from kmipkit.model.attribute import Attributes
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.asynchronous import PollRequest, QueryAsynchronousRequestsRequest
from kmipkit.model.payloads.lifecycle import ObliterateRequest
from kmipkit.model.payloads.register import ExportRequest, ImportRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V3_0


class Stored(NamedTuple):
    """What the database has of an object: sealed bytes, and the wrapped data key."""

    material: bytes
    data_key: bytes


def stored(database: Path, identifier: str) -> Stored:
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(
            "SELECT o.material, k.wrapped FROM objects o JOIN data_keys k ON k.number = o.data_key"
            " WHERE o.id = ?",
            (identifier,),
        ).fetchone()
    return Stored(*row)


def files_with(folder: Path, secret: bytes) -> list[str]:
    """The files that contain the first or the last bytes of something."""
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(part in path.read_bytes() for part in (secret[:24], secret[-24:]))
    )


def destroy(client: Client, key: str) -> None:
    client.destroy(key)


def obliterate(client: Client, key: str) -> None:
    client.request(Operation.OBLITERATE, ObliterateRequest(unique_identifier=key))


def replacement(key: str) -> ImportRequest:
    return ImportRequest(
        unique_identifier=key,
        object_type=ObjectType.OPAQUE_OBJECT,
        replace_existing=True,
        attributes=Attributes(),
        object=opaque_object(b"another"),
    )


def replace(client: Client, key: str) -> None:
    client.request(Operation.IMPORT, replacement(key))


CREATE = calls.create(CryptographicAlgorithm.AES, 256, CryptographicUsageMask.ENCRYPT, None, None)

QUERY = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest())


def poll(value: bytes) -> Call[Any]:
    return calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))


@pytest.mark.parametrize(
    "remove", [destroy, obliterate, replace], ids=lambda remove: remove.__name__
)
@pytest.mark.parametrize("size", [32, 100_000])
def test_no_file_contains_a_destroyed_object(
    own_server: RunningServer, remove: Callable[[Client, str], None], size: int
) -> None:
    version = V3_0 if remove is obliterate else None
    own_server.start()
    database = own_server.folder / "objects.sqlite3"
    with own_server.client(version=version) as client:
        key = client.register(opaque_object(bytes(range(250)) * (size // 250 + 1)))
        material(client.get(key))
        sealed = stored(database, key)
        assert files_with(own_server.folder, sealed.material), "the search finds what is there"
        assert files_with(own_server.folder, sealed.data_key)
        remove(client, key)
        client.create()  # a group begins when the files of the group before are clean
        assert files_with(own_server.folder, sealed.material) == []
        assert files_with(own_server.folder, sealed.data_key) == []
    own_server.stop()
    assert files_with(own_server.folder, sealed.material) == []
    assert files_with(own_server.folder, sealed.data_key) == []


def test_a_crash_after_destroy_leaves_nothing_after_the_next_start(
    directory: DataDirectory,
) -> None:
    with directory.opened() as store:
        insert(store, record())
        sealed = stored(directory.database, "id-1")
        change(store, record(), record(material=None))
        for path in directory.path.glob("objects.sqlite3-wal"):
            log = path.read_bytes()
        database = directory.database.read_bytes()
    assert sealed.material in log
    directory.database.write_bytes(database)
    directory.database.with_name("objects.sqlite3-wal").write_bytes(log)
    with directory.opened():
        assert files_with(directory.path, sealed.material) == []
        assert files_with(directory.path, sealed.data_key) == []


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path)


@pytest.fixture
def two_per_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "OBJECTS_PER_KEY", 2)


def data_keys(directory: DataDirectory) -> list[int]:
    return [number for (number,) in directory.sql("SELECT number FROM data_keys")]


def destroy_record(store: SQLiteDatabase, identifier: str) -> None:
    old = store.reader.get(identifier)
    assert old is not None
    change(store, old, old.replace(material=None))


@pytest.mark.usefixtures("two_per_key")
def test_a_data_key_is_deleted_with_its_last_object(directory: DataDirectory) -> None:
    with directory.opened() as store:
        insert(store, *(record(f"id-{number}", owner=f"o-{number}") for number in range(5)))
        assert data_keys(directory) == [1, 2, 3]
        destroy_record(store, "id-0")
        assert data_keys(directory) == [1, 2, 3]
        destroy_record(store, "id-1")
        assert data_keys(directory) == [2, 3]
        destroy_record(store, "id-4")
        assert data_keys(directory) == [2], "also the current one"
        insert(store, record("id-5", owner="o-5"))
        assert data_keys(directory) == [2, 4], "no number is used again"
        for identifier in ("id-2", "id-3", "id-5"):
            stored = store.reader.get(identifier)
            assert stored is not None
            assert stored.material == record().material


@pytest.mark.usefixtures("two_per_key")
def test_a_deletion_that_is_rolled_back_deletes_no_data_key(directory: DataDirectory) -> None:
    """Or the other object would be lost, or all new ones, sealed with a key that nobody has."""
    with directory.opened() as store:
        insert(store, record("id-1"))
        transaction = store.begin()
        with suppress(ZeroDivisionError), transaction.savepoint():
            transaction.update(record("id-1"), record("id-1", material=None))
            raise ZeroDivisionError
        transaction.insert(record("id-2", owner="b"))
        store.commit()
        store.begin().update(record("id-2", owner="b"), record("id-2", owner="b", material=None))
        store.rollback()
        insert(store, record("id-3", owner="c"))
        transaction = store.begin()
        transaction.remove(record("id-1"))
        visible = store.reader.get("id-1")
        assert visible is not None
        assert visible.material, "readers see what is committed, and can open it"
        store.commit()
    for identifier in ("id-2", "id-3"):
        stored = directory.get(identifier)
        assert stored is not None
        assert stored.material == record().material


def test_a_failed_write_leaves_no_data_key_behind(directory: DataDirectory) -> None:
    """Nor does a client that fails again and again make the server use a data key per object."""
    with directory.opened() as store:
        transaction = store.begin()
        insert_and_fail(transaction, record("bad"))
        store.commit()
        assert data_keys(directory) == []
        for number in range(5):
            transaction = store.begin()
            insert_and_fail(transaction, record("bad"))
            transaction.insert(record(f"id-{number}", owner=f"o-{number}"))
            insert_and_fail(transaction, record("bad"))
            store.commit()
            with pytest.raises(StoreError):
                store.begin().insert(record("id-0"))
            store.rollback()
        assert len(data_keys(directory)) == 1


def test_a_busy_log_is_emptied_later(directory: DataDirectory) -> None:
    """A reader needs the old pages until it ends."""
    with directory.opened() as store:
        insert(store, record())
        with closing(sqlite3.connect(directory.database, isolation_level=None)) as reading:
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM objects").fetchone()
            store.begin().connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]  # the transaction is that of SQLite
            store.rollback()
            destroy_record(store, "id-1")
            assert store.needs_cleaning
            store.clean()
            assert store.needs_cleaning
        store.clean()
        assert not store.needs_cleaning


# --- results of asynchronous requests that have the key ------------------------------------------


def send(laboratory: Laboratory, call: Call[Any], **header: Any) -> ResponseBatchItem:
    request = messages.request(V3_0, [call])
    changed = request.request_header.replace(**header)
    response = laboratory.send(request.replace(request_header=changed), V3_0)
    return response.batch_items[0]


def fetched_later(laboratory: Laboratory, call: Call[Any]) -> bytes:
    """The Asynchronous Correlation Value of a request that has been carried out."""
    pending = send(laboratory, call, asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    laboratory.pass_time(seconds=2)
    laboratory.ask(QUERY)  # which carries out what is due
    assert pending.asynchronous_correlation_value is not None
    return pending.asynchronous_correlation_value


def sealed_results(folder: Path) -> list[bytes]:
    with closing(sqlite3.connect(folder / "db")) as connection:
        rows = connection.execute("SELECT content FROM entries WHERE kind = 'asynchronous result'")
        return [content for (content,) in rows]


FETCHES = {
    "Get": lambda key: calls.get(key, None, None, None),
    "Export": lambda key: calls.raw(Operation.EXPORT, ExportRequest(unique_identifier=key)),
}
REMOVALS = {
    "Destroy": calls.destroy,
    "Obliterate": lambda key: calls.raw(
        Operation.OBLITERATE, ObliterateRequest(unique_identifier=key)
    ),
    "Import": lambda key: calls.raw(Operation.IMPORT, replacement(key)),
}


@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("remove", REMOVALS)
def test_no_result_of_an_earlier_request_has_a_destroyed_key(
    tmp_path: Path, fetch: str, remove: str
) -> None:
    """Whoever destroys a key relies on it that nobody gets it any more: also not by a Poll, for which
    the result would wait ten minutes, and in the database for longer."""
    laboratory = Laboratory(tmp_path, delay=1)
    key, other = laboratory.ask(CREATE), laboratory.ask(CREATE)
    value = fetched_later(laboratory, FETCHES[fetch](key))
    [sealed] = sealed_results(tmp_path)
    value_of_other = fetched_later(laboratory, FETCHES[fetch](other))
    assert files_with(tmp_path, sealed), "the search finds what is there"
    send(laboratory, REMOVALS[remove](key))
    laboratory.ask(CREATE)
    assert files_with(tmp_path, sealed) == []
    polled = send(laboratory, poll(value))
    assert polled.result_reason is ResultReason.OBJECT_DESTROYED
    assert polled.operation is Operation[fetch.upper()]
    assert send(laboratory, poll(value_of_other)).result_status is ResultStatus.SUCCESS
    laboratory.close()


def test_results_that_nobody_can_fetch_any_longer_leave_the_files(tmp_path: Path) -> None:
    """A server to which nobody sends asynchronous requests again would keep the last keys for ever."""
    laboratory = Laboratory(tmp_path, delay=1)
    fetched_later(laboratory, FETCHES["Get"](laboratory.ask(CREATE)))
    [sealed] = sealed_results(tmp_path)
    work = DeferredWork(laboratory.dispatcher)

    async def remove() -> None:
        async with laboratory.serving():
            await work.remove_expired()

    trio.run(remove)
    assert sealed_results(tmp_path) == [sealed]
    laboratory.pass_time(minutes=11)
    trio.run(remove)
    laboratory.ask(CREATE)
    assert files_with(tmp_path, sealed) == []
    laboratory.close()
