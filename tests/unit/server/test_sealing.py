"""The files of the store: nobody reads or alters keys through them."""

import base64
import logging
import os
import stat
from contextlib import closing

import pytest
from kmipkit_server.store import sealing
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault
from stored_objects import (
    ATTRIBUTES,
    SECRET,
    DataDirectory,
    change,
    insert,
    insert_and_fail,
    is_same,
    record,
    sorted_attributes,
)

from kmipkit.spec.enums import State


def spellings(secret: bytes) -> list[bytes]:
    """A secret in the forms in which a careless program would write it; base64 at all three offsets."""
    forms = [secret, repr(secret)[2:-1].encode()]
    for text in (secret.hex(), secret.hex(" "), secret.hex(":")):
        forms += [text.encode(), text.upper().encode()]
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text64 = encode(bytes(shift) + secret)
            forms.append(text64[4 : len(text64) - 4])
    return forms


def leaks(secret: bytes, data: bytes) -> bool:
    """Whether the data contains half of a secret, or more."""
    half = len(secret) // 2
    return any(form in data for part in (secret[:half], secret[half:]) for form in spellings(part))


def test_the_search_for_leaks_finds_them() -> None:
    for leak in spellings(SECRET):
        assert leaks(SECRET, b"something " + leak + b" something")
    assert not leaks(SECRET, os.urandom(10_000))


def test_no_file_and_no_log_has_key_bytes(
    directory: DataDirectory, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A stolen backup of the database contains no key, if the root key was not stolen with it."""
    caplog.set_level(logging.DEBUG)
    second = bytes(reversed(SECRET))
    files: set[str] = set()

    def search_files() -> None:
        for file in directory.path.iterdir():
            files.add(file.name)
            data = file.read_bytes()
            assert not leaks(SECRET, data), file
            assert not leaks(second, data), file

    with directory.opened() as store:
        insert(store, *(record(f"id-{number}") for number in range(50)))
        search_files()
        change(store, record("id-0"), record("id-0", material=second))
        stored = store.reader.get("id-0")
        assert stored is not None
        assert stored.material == second
        logging.getLogger("kmipkit").debug("%r %s", stored, stored)
        change(store, stored, stored.replace(material=None))
        with pytest.raises(StoreError) as caught:
            store.begin().insert(record("id-1"))
        logging.getLogger("kmipkit").error("%s %r", caught.value, caught.value)
        store.rollback()
        search_files()
    search_files()
    assert {"objects.sqlite3", "objects.sqlite3-wal", "root.key"} <= files
    printed = "".join(capfd.readouterr()).encode()
    for text in (caplog.text.encode(), printed):
        assert not leaks(SECRET, text)
        assert not leaks(second, text)


def test_the_files_hold_no_data_key_and_no_root_key(directory: DataDirectory) -> None:
    """A key must not be stored next to the data that it seals."""
    generated: list[bytes] = []

    def random(size: int) -> bytes:
        generated.append(os.urandom(size))
        return generated[-1]

    vault = FileVault.open(directory.root_key, random)
    with closing(SQLiteDatabase.open(directory.database, vault, random)) as store:
        insert(store, record())
        keys = [key for key in generated if len(key) == 32]
        assert len(keys) == 4, "a root key, an integrity key, a store key and a data key"
        for file in directory.path.glob("objects.sqlite3*"):
            assert not any(leaks(key, file.read_bytes()) for key in keys), file


def test_equal_keys_do_not_look_equal(directory: DataDirectory) -> None:
    """The database must not show which objects have the same key."""
    with directory.opened() as store:
        insert(store, record("id-1"), record("id-2"))
    (first,), (second,) = directory.sql("SELECT material FROM objects")
    assert first[:12] != second[:12], "a nonce that repeats breaks GCM"
    assert first != second


def test_all_files_are_for_the_owner_only(directory: DataDirectory) -> None:
    before = os.umask(0)
    try:
        with directory.opened() as store:
            insert(store, record())
            modes = {
                file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.path.iterdir()
            }
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("at", [0, 11, 12, 20, -17, -1], ids=lambda at: f"byte {at}")
def test_altered_material_is_refused_and_its_object_named(
    directory: DataDirectory, at: int
) -> None:
    """No key is better than a wrong key: data encrypted with a wrong key would be lost."""
    with directory.opened() as store:
        insert(store, record("id-1"), record("id-2"))
    ((sealed,),) = directory.sql("SELECT material FROM objects WHERE id = 'id-1'")
    altered = bytearray(sealed)
    altered[at] ^= 0x40
    directory.sql("UPDATE objects SET material = ? WHERE id = 'id-1'", bytes(altered))
    with pytest.raises(StoreError, match="material of object id-1 was changed in the database"):
        directory.get("id-1")
    assert is_same(directory.get("id-2"), record("id-2")), "all other objects are unharmed"


def test_the_attributes_of_an_object_with_altered_material_are_still_read(
    directory: DataDirectory,
) -> None:
    """So that a client can find the object, and destroy it."""
    with directory.opened() as store:
        insert(store, record())
    directory.sql("UPDATE objects SET material = zeroblob(60)")
    with directory.opened() as store:
        stored = store.reader.get("id-1")
        assert stored is not None
        assert sorted_attributes(stored.attributes) == sorted_attributes(ATTRIBUTES)
        destroyed = stored.replace(material=None, stored_state=State.DESTROYED)
        change(store, stored, destroyed)
    stored = directory.get("id-1")
    assert stored is not None
    assert stored.material is None


@pytest.mark.parametrize("size", [0, 1, 15, 16, 47])
def test_truncated_material_is_refused(directory: DataDirectory, size: int) -> None:
    with directory.opened() as store:
        insert(store, record())
    directory.sql("UPDATE objects SET material = substr(material, 1, ?)", size)
    with pytest.raises(StoreError, match="id-1"):
        directory.get("id-1")


def test_the_material_of_an_object_cannot_be_moved_to_another(directory: DataDirectory) -> None:
    """Otherwise an intruder with the file could replace a key by one that the intruder knows."""
    with directory.opened() as store:
        insert(store, record("id-1"), record("id-2", material=b"intruder's"))
    directory.sql(
        "UPDATE objects SET material = (SELECT material FROM objects WHERE id = 'id-2')"
        " WHERE id = 'id-1'"
    )
    with pytest.raises(StoreError, match="id-1 was changed"):
        directory.get("id-1")


def test_the_wrong_root_key_is_refused_at_the_start(directory: DataDirectory) -> None:
    """At the start, not at the first Get; with the right file, the server starts."""
    with directory.opened() as store:
        insert(store, record())
    right = directory.root_key.rename(directory.path / "right.key")
    with pytest.raises(
        StoreError, match=r"root\.key has another root key .*restore the right file"
    ):
        directory.open()
    right.replace(directory.root_key)
    assert is_same(directory.get("id-1"), record())


def test_an_altered_data_key_is_refused_at_the_start(directory: DataDirectory) -> None:
    with directory.opened() as store:
        insert(store, record())
    directory.sql("UPDATE data_keys SET wrapped = zeroblob(40)")
    with pytest.raises(StoreError):
        directory.open()


def test_a_lost_data_key_is_named(directory: DataDirectory) -> None:
    with directory.opened() as store:
        insert(store, record())
    directory.sql("PRAGMA foreign_keys = OFF")
    directory.sql("DELETE FROM data_keys")
    with pytest.raises(StoreError, match=r"objects\.sqlite3: data key 1 is missing"):
        directory.get("id-1")


def test_objects_of_all_earlier_starts_can_be_read(directory: DataDirectory) -> None:
    """Each start seals with its own data key; the server must keep all of them."""
    for number in range(4):
        with directory.opened() as store:
            insert(store, record(f"id-{number}", material=bytes([number]) * 32))
    assert directory.sql("SELECT count(*) FROM data_keys") == [(4,)]
    for number in range(4):
        stored = directory.get(f"id-{number}")
        assert stored is not None
        assert stored.material == bytes([number]) * 32


def test_no_data_key_seals_more_than_is_safe(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "OBJECTS_PER_KEY", 3)
    with directory.opened() as store:
        insert(store, *(record(f"id-{number}") for number in range(8)))
    counts = directory.sql("SELECT count(*) FROM objects GROUP BY data_key ORDER BY data_key")
    assert counts == [(3,), (3,), (2,)]
    for number in range(8):
        assert is_same(directory.get(f"id-{number}"), record(f"id-{number}"))


def test_a_data_key_that_was_rolled_back_seals_nothing_more(directory: DataDirectory) -> None:
    """Otherwise keys that are created after a failed request could never be read again."""
    with directory.opened() as store:
        transaction = store.begin()
        insert_and_fail(transaction, record("id-1"))
        transaction.insert(record("id-2"))
        store.rollback()
        insert(store, record("id-3"))
    assert directory.get("id-2") is None
    assert is_same(directory.get("id-3"), record("id-3"))


def test_a_data_key_survives_the_failure_of_a_later_part(directory: DataDirectory) -> None:
    with directory.opened() as store:
        transaction = store.begin()
        transaction.insert(record("id-1"))
        insert_and_fail(transaction, record("id-2"))
        transaction.insert(record("id-3"))
        store.commit()
        for identifier in ("id-1", "id-3"):
            assert is_same(store.reader.get(identifier), record(identifier))
    for identifier in ("id-1", "id-3"):
        assert is_same(directory.get(identifier), record(identifier))
