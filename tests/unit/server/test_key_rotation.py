"""Rotations of keys: nothing is lost wherever they are interrupted, and old keys open nothing."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_server.store.base import Entry
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.key_rotation import Rotation, RotationRefused
from kmipkit_server.store.key_rotator import KeyRotator
from kmipkit_server.store.sql import key_rotations, resealing
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.base import Vault
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.file import FileVault
from kmipkit_server.vault.kinds import create_root_key, open_vault, parse
from stored_objects import change, insert, record
from tokens import Token, needs_softhsm

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
COUNT = 40
PURPOSE = "a purpose"
PATIENCE = 300
"""Seconds until a test counts as hanging."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts, so that there are many places for an interruption."""
    monkeypatch.setattr(key_rotations, "KEYS_AT_ONCE", 3)
    monkeypatch.setattr(resealing, "MAX_OBJECTS", 7)


def material(number: int) -> bytes:
    return bytes([number]) * 32


def fill(store: SQLiteDatabase) -> None:
    """Objects under several data keys, and an entry of the server's own."""
    for number in range(COUNT):
        insert(store, record(f"id-{number}", material=material(number)))
        if number % 5 == 4:
            store._transaction.sealer.retire_current_key()
    store.begin().put_entry(
        Entry("kind", b"key", "me", NOW + timedelta(days=1), b"secret", is_secret=True)
    )
    store.commit()


def check(store: SQLiteDatabase) -> None:
    """Everything is there, and nothing looks changed."""
    for number in range(COUNT):
        stored = store.reader.get(f"id-{number}")
        assert stored is not None
        assert stored.material == material(number)
    entry = store.reader.entry("kind", b"key")
    assert entry is not None
    assert entry.content == b"secret"


def first_vault(folder: Path) -> FileVault:
    return FileVault.open(folder / "root.key")


def second_vault(folder: Path) -> FileVault:
    return FileVault.open(folder / "second.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    with closing(SQLiteDatabase.open(path / "db", first_vault(path))) as store:
        fill(store)
    return path


def in_transaction(store: SQLiteDatabase, work: Callable[[Any], Any]) -> Any:
    transaction = store.begin()
    result = work(transaction)
    store.commit()
    return result


def begin_root(store: SQLiteDatabase, vault: Vault) -> None:
    prepared = store.rotations.prepare(store.reader, vault)
    in_transaction(
        store, lambda transaction: store.rotations.begin_root(transaction, prepared, NOW, "admin")
    )
    store.rotations.root_began(prepared)


def begin_data(store: SQLiteDatabase) -> None:
    in_transaction(store, lambda transaction: store.rotations.begin_data(transaction, NOW, "admin"))


def parts(store: SQLiteDatabase) -> Iterator[None]:
    """Carry a rotation out, with a stop after each commit."""
    rotations = store.rotations
    while True:
        step = in_transaction(store, rotations.step)
        rotations.stepped(step)
        if step.rotation is None:
            return
        yield
        if step.is_last:
            rotations.require_target(store.reader, step.rotation)
            if in_transaction(
                store, lambda transaction, of=step.rotation: rotations.finish(transaction, of)
            ):
                rotations.finished(step.rotation)
                if store.needs_cleaning:
                    store.clean()
                yield
                return


def carry_out(store: SQLiteDatabase) -> int:
    return sum(1 for _ in parts(store))


def root_keys(store: SQLiteDatabase) -> set[int]:
    rows = store.reader.connection.execute("SELECT DISTINCT root_key FROM data_keys").fetchall()
    return {number for (number,) in rows}


def copies(folder: Path, target: Path) -> Path:
    """What a kill would leave: the files as they are while the store is open."""
    shutil.copytree(folder, target)
    return target


# --- the root key ----------------------------------------------------------------------------------


def test_the_new_root_key_opens_everything_and_the_old_one_nothing(folder: Path) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        before = store.derive_key(PURPOSE)
        begin_root(store, second_vault(folder))
        assert carry_out(store) > 3
        check(store)
        assert root_keys(store) == {2}
    with pytest.raises(StoreError, match=r"root\.key has another root key") as caught:
        SQLiteDatabase.open(folder / "db", first_vault(folder))
    assert f"which was last at file:{folder / 'second.key'}: set store.root_key" in str(
        caught.value
    )
    with closing(SQLiteDatabase.open(folder / "db", second_vault(folder))) as store:
        check(store)
        assert store.derive_key(PURPOSE) == before, "the key of the audit log, for example"


def test_nothing_of_the_old_root_key_is_left_in_the_files(folder: Path) -> None:
    """Whoever has the old root key, and a later copy of the database, has nothing."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        ring = store.keys.ring
        wrapped = [
            row[0] for row in store.reader.connection.execute("SELECT wrapped FROM data_keys")
        ]
        rows = [row[0] for row in store.reader.connection.execute("SELECT entry FROM root_keys")]
        old = ring.keys[1]
        begin_root(store, second_vault(folder))
        carry_out(store)
        assert ring.keys.keys() == {2}
        assert ring.keys[2] != old
        for path in (folder / "db", folder / "db-wal"):
            content = path.read_bytes()
            assert not any(key in content for key in (*wrapped, *rows))


def test_a_kill_after_any_commit_loses_nothing(folder: Path, tmp_path: Path) -> None:
    """Either root key opens what is left, the rotation goes on, and then only the new one does."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
        left = [copies(folder, tmp_path / "begun")]
        for number, _ in enumerate(parts(store)):
            left.append(copies(folder, tmp_path / f"part-{number}"))
    assert len(left) > 4
    for number, copy in enumerate(left):
        is_last = number == len(left) - 1
        for which, vault in (("old", first_vault(copy)), ("new", second_vault(copy))):
            again = copies(copy, copy.with_name(f"{copy.name}-{which}"))
            if which == "old" and is_last:
                with pytest.raises(StoreError):
                    SQLiteDatabase.open(again / "db", vault)
                continue
            with closing(SQLiteDatabase.open(again / "db", vault)) as store:
                check(store)
                insert(store, record("new"))
                carry_out(store)
                check(store)
                assert root_keys(store) == {2}
            with closing(SQLiteDatabase.open(again / "db", second_vault(again))) as store:
                check(store)


def test_new_objects_depend_on_the_new_root_key_from_the_beginning(folder: Path) -> None:
    """Otherwise a busy server would never end the rotation."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
        store._transaction.sealer.retire_current_key()
        insert(store, record("new"))
        [(number,)] = store.reader.connection.execute(
            "SELECT k.root_key FROM objects o JOIN data_keys k ON k.number = o.data_key"
            " WHERE o.id = 'new'"
        ).fetchall()
        assert number == 2


def test_a_rotation_is_turned_round_by_naming_the_old_root_key(folder: Path) -> None:
    """The way out if the new token turns out to be the wrong one."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
        next(parts(store))
        assert root_keys(store) == {1, 2}
        begin_root(store, first_vault(folder))
        carry_out(store)
        assert root_keys(store) == {1}
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        check(store)
    with pytest.raises(StoreError):
        SQLiteDatabase.open(folder / "db", second_vault(folder))


def test_a_rotation_does_not_end_if_the_new_root_key_is_gone(folder: Path) -> None:
    """The old one would be given up for a key that nobody has."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
    (folder / "second.key").rename(folder / "hidden")
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        with pytest.raises(StoreError, match=r"cannot end, since the new one, .* cannot be opened"):
            carry_out(store)
        check(store)
        (folder / "hidden").rename(folder / "second.key")
        carry_out(store)
    SQLiteDatabase.open(folder / "db", second_vault(folder)).close()


def rotate_to_the_same(store: SQLiteDatabase, folder: Path) -> None:
    begin_root(store, first_vault(folder))


def rotate_to_a_third(store: SQLiteDatabase, folder: Path) -> None:
    begin_root(store, second_vault(folder))
    begin_root(store, FileVault.open(folder / "third.key"))


def rotate_data_meanwhile(store: SQLiteDatabase, folder: Path) -> None:
    begin_root(store, second_vault(folder))
    begin_data(store)


def rotate_root_meanwhile(store: SQLiteDatabase, folder: Path) -> None:
    begin_data(store)
    begin_root(store, second_vault(folder))


REFUSED = (
    (rotate_to_the_same, "has the root key that is in use; name another"),
    (rotate_to_a_third, "being rotated to another one already"),
    (rotate_data_meanwhile, "keys are being rotated already; wait"),
    (rotate_root_meanwhile, "the data keys are being rotated; wait"),
)


@pytest.mark.parametrize(("act", "message"), REFUSED, ids=[act.__name__ for act, _ in REFUSED])
def test_a_rotation_that_cannot_begin(
    folder: Path, act: Callable[[SQLiteDatabase, Path], None], message: str
) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        with pytest.raises(RotationRefused, match=message):
            act(store, folder)
        store.rollback()
        carry_out(store)
        check(store)


def test_two_rotations_that_are_prepared_at_once(folder: Path) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        late = store.rotations.prepare(store.reader, FileVault.open(folder / "third.key"))
        begin_root(store, second_vault(folder))
        carry_out(store)
        with pytest.raises(RotationRefused, match="begun or ended meanwhile"):
            store.rotations.begin_root(store.begin(), late, NOW, "admin")
        store.rollback()
        check(store)


def test_a_changed_entry_is_noticed(folder: Path) -> None:
    """Its place could name a module to load."""
    with closing(sqlite3.connect(folder / "db")) as connection:
        connection.execute(
            "UPDATE root_keys"
            " SET entry = CAST(replace(CAST(entry AS TEXT), 'root.key', 'evil.key') AS BLOB)"
        )
        connection.commit()
    with pytest.raises(StoreError, match="entry of the root key was changed by another program"):
        SQLiteDatabase.open(folder / "db", first_vault(folder))


def test_another_process_finds_the_new_root_key_by_itself(folder: Path) -> None:
    """One of several processes rotates; the others read keys that depend on the new root key."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        before = dict(store.keys.ring.keys)
        vaults = dict(store.keys.vaults)
        begin_root(store, second_vault(folder))
        carry_out(store)
        # The other process has what was there before.
        store.keys.ring.replace(before, 1)
        store.keys.vaults = vaults
        store._sealer._keys.clear()
        check(store)
        assert store.keys.ring.current == 2
        assert store.keys.vaults.keys() == {2}


@needs_softhsm
def test_the_root_key_moves_into_a_token(folder: Path, token: Token) -> None:
    uri = parse(token.uri(), folder)
    create_root_key(uri)
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, open_vault(uri, folder / "counter"))
        carry_out(store)
        check(store)
    with closing(SQLiteDatabase.open(folder / "db", open_vault(uri, folder / "counter"))) as store:
        check(store)
    with pytest.raises(StoreError, match="which was last at pkcs11:token="):
        SQLiteDatabase.open(folder / "db", first_vault(folder))


def test_a_root_key_that_does_not_unwrap_is_never_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token may be able to wrap, and not permit to unwrap."""
    broken = second_vault(folder)
    monkeypatch.setattr(broken, "unwrap", lambda _: os.urandom(32))
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        with pytest.raises(RotationRefused, match="does not unwrap what it has wrapped"):
            store.rotations.prepare(store.reader, broken)

        def refuse(_: bytes) -> bytes:
            raise VaultError("the token does not permit it")

        monkeypatch.setattr(broken, "unwrap", refuse)
        with pytest.raises(VaultError, match="does not permit"):
            store.rotations.prepare(store.reader, broken)
        assert root_keys(store) == {1}


# --- the data keys ---------------------------------------------------------------------------------


def data_keys(store: SQLiteDatabase) -> set[int]:
    return {row[0] for row in store.reader.connection.execute("SELECT number FROM data_keys")}


def test_everything_is_sealed_with_new_data_keys_and_the_old_ones_are_destroyed(
    folder: Path,
) -> None:
    """Whoever has an old data key, and a copy of the database from after the rotation, has nothing."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        old = data_keys(store)
        sealed = [
            row[0]
            for row in store.reader.connection.execute(
                "SELECT material FROM objects UNION ALL SELECT content FROM entries"
            )
        ]
        wrapped = [
            row[0] for row in store.reader.connection.execute("SELECT wrapped FROM data_keys")
        ]
        begin_data(store)
        assert carry_out(store) > 5
        check(store)
        assert min(data_keys(store)) > max(old)
        assert not store._sealer._keys.keys() & old
        for path in (folder / "db", folder / "db-wal"):
            content = path.read_bytes()
            assert not any(each in content for each in (*sealed, *wrapped))
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        check(store)


def test_the_database_is_as_if_nobody_had_changed_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sums of the MACs, and the totals of the owners, are those of the rows."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        usage = store.usage
        begin_data(store)
        carry_out(store)
        assert store.usage == usage
    SQLiteDatabase.open(folder / "db", first_vault(folder)).close()
    assert "was changed" not in caplog.text


def test_a_kill_after_any_part_of_a_data_key_rotation(folder: Path, tmp_path: Path) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        old = data_keys(store)
        begin_data(store)
        left = [copies(folder, tmp_path / "begun")]
        for number, _ in enumerate(parts(store)):
            left.append(copies(folder, tmp_path / f"part-{number}"))
    for copy in left:
        with closing(SQLiteDatabase.open(copy / "db", first_vault(copy))) as store:
            check(store)
            carry_out(store)
            check(store)
            assert not data_keys(store) & old


def test_objects_that_come_and_go_meanwhile(folder: Path) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        old = data_keys(store)
        begin_data(store)
        for number, _ in enumerate(parts(store)):
            insert(store, record(f"new-{number}"))
            if number:
                before = store.reader.get(f"new-{number - 1}")
                assert before is not None
                change(store, before, before.replace(material=None))
        check(store)
        assert not data_keys(store) & old


def test_a_damaged_object_keeps_its_data_key_and_stays_damaged(folder: Path) -> None:
    """Sealing it again would make it look right."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        connection = store._writing
        connection.execute("UPDATE objects SET material = zeroblob(48) WHERE id = 'id-3'")
        connection.execute("UPDATE objects SET state = 4 WHERE id = 'id-9'")
        old = data_keys(store)
        begin_data(store)
        carry_out(store)
        assert len(data_keys(store) & old) == 2
        with pytest.raises(StoreError, match="id-3 was changed"):
            _ = store.reader.get("id-3").material  # type: ignore[union-attr]  # it is there
        with pytest.raises(StoreError, match="id-9 was changed"):
            store.reader.get("id-9")
        for number in set(range(COUNT)) - {3, 9}:
            stored = store.reader.get(f"id-{number}")
            assert stored is not None
            assert stored.material == material(number)


def test_a_part_that_is_not_committed_is_done_again(folder: Path) -> None:
    """A full disk in the middle, for example."""
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        old = data_keys(store)
        begin_data(store)
        store.rotations.step(store.begin())
        store.rollback()
        carry_out(store)
        check(store)
        assert not data_keys(store) & old


def test_large_objects_are_sealed_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction must not keep others waiting for long."""
    monkeypatch.setattr(resealing, "MAX_BYTES", 100)
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_data(store)
        assert carry_out(store) >= COUNT / 2
        check(store)


def test_an_empty_store_is_rotated_at_once(tmp_path: Path) -> None:
    with closing(SQLiteDatabase.open(tmp_path / "db", first_vault(tmp_path))) as store:
        begin_data(store)
        carry_out(store)
        begin_root(store, second_vault(tmp_path))
        carry_out(store)
        insert(store, record())
    with closing(SQLiteDatabase.open(tmp_path / "db", second_vault(tmp_path))) as store:
        assert store.reader.get("id-1") is not None


# --- beside the service ----------------------------------------------------------------------------


class Ended:
    """Notes the rotation that has ended."""

    def __init__(self) -> None:
        self.kind = ""
        self.event = trio.Event()

    def note(self, rotation: Rotation) -> None:
        self.kind = rotation.kind
        self.event.set()


async def rotate(store: SQLiteStore) -> str:
    """Serve until a rotation has ended; its kind."""
    ended = Ended()
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        nursery.start_soon(KeyRotator(store, ended.note).run)
        await ended.event.wait()
        nursery.cancel_scope.cancel()
    return ended.kind


def test_the_rotator_goes_on_with_what_an_earlier_run_has_left(folder: Path) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
    with closing(SQLiteStore.open(folder / "db", first_vault(folder))) as served:
        assert trio.run(rotate, served) == "root"
    with closing(SQLiteDatabase.open(folder / "db", second_vault(folder))) as store:
        check(store)


def test_the_rotator_says_what_prevents_it_and_tries_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SQLiteDatabase.open(folder / "db", first_vault(folder))) as store:
        begin_root(store, second_vault(folder))
    (folder / "second.key").rename(folder / "hidden")

    async def scene(store: SQLiteStore) -> None:
        ended = Ended()
        rotator = KeyRotator(store, ended.note)
        async with trio.open_nursery() as nursery:
            await nursery.start(store.serve)
            with pytest.raises(StoreError, match="cannot be opened"):
                await rotator.carry_out()
            nursery.start_soon(rotator.run)
            with trio.fail_after(PATIENCE):
                await rotator.waiting.wait()
            assert "cannot be opened" in rotator.problem
            (folder / "hidden").rename(folder / "second.key")
            rotator.wake()
            await ended.event.wait()
            nursery.cancel_scope.cancel()
        assert not rotator.problem

    with closing(SQLiteStore.open(folder / "db", first_vault(folder))) as served:
        trio.run(scene, served)
    assert caplog.text.count("cannot be opened") == 1, "once, and not every half minute"
