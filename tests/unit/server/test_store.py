"""The embedded store: what was committed is there after a restart, sealed, and found by index."""

import base64
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_server.store import packing, sealing
from kmipkit_server.store.base import (
    Criterion,
    LocateQuery,
    Record,
    StoreError,
    Transaction,
)
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.views import SQLiteReader
from kmipkit_server.vault.file import FileVault

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName, attribute_name
from kmipkit.model.attributes import CertificateSubject, Name
from kmipkit.spec.enums import CryptographicAlgorithm, NameType, ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
OWNER = "böse & gut"
SECRET = bytes.fromhex("d00dfeedcafebabe8badf00dfee1deadd15ea5edba5eba11c0ffee00facade99")
OWNER_KEY = VendorName("x", "Inhaber")


@dataclass(frozen=True)
class Place:
    """A data directory: the database and its root key."""

    directory: Path

    @property
    def database(self) -> Path:
        return self.directory / "objects.sqlite3"

    @property
    def root_key(self) -> Path:
        return self.directory / "root.key"

    def open(self) -> SQLiteDatabase:
        return SQLiteDatabase.open(self.database, FileVault.open(self.root_key))

    @contextmanager
    def opened(self) -> Iterator[SQLiteDatabase]:
        with closing(self.open()) as store:
            yield store

    def get(self, identifier: str) -> Record | None:
        """What a server that starts now would find, read completely."""
        with self.opened() as store:
            record = store.reader.get(identifier)
            if record is not None:
                assert record.attributes is not None
                assert record.material != b""
            return record

    def sql(self, statement: str, *values: object) -> list[Any]:
        """Do something to the closed database that the server would not do."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def name(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def numbered(*pairs: tuple[AttributeKey, Any]) -> Attributes:
    """Attributes with the indexes that the server gives them."""
    counts: dict[AttributeKey, int] = {}
    items = []
    for key, value in pairs:
        items.append(Attribute(key, value, counts.setdefault(key, 0)))
        counts[key] += 1
    return Attributes(tuple(items))


RICH = numbered(
    (Tag.NAME, name("Schlüssel 鍵 🔑")),
    (Tag.NAME, name("second")),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
    (Tag.CRYPTOGRAPHIC_LENGTH, 256),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT),
    (Tag.ACTIVATION_DATE, NOW - timedelta(days=1)),
    (Tag.DEACTIVATION_DATE, NOW + timedelta(days=1)),
    (OWNER_KEY, "Jürgen"),
    (OWNER_KEY, "Зоя"),
)


def record(
    identifier: str = "id-1",
    attributes: Attributes = RICH,
    material: bytes | None = SECRET,
    owner: str = OWNER,
    stored_state: State = State.PRE_ACTIVE,
) -> Record:
    return Record(identifier, owner, ObjectType.SYMMETRIC_KEY, stored_state, attributes, material)


def insert(store: SQLiteDatabase, *records: Record) -> None:
    """One transaction, durable on return."""
    transaction = store.begin()
    for one in records:
        transaction.insert(one)
    store.commit()


def change(store: SQLiteDatabase, old: Record, new: Record) -> None:
    """One transaction, durable on return."""
    store.begin().update(old, new)
    store.commit()


def failing_part(transaction: Transaction, one: Record) -> None:
    """A request that fails after it has written."""
    with suppress(ZeroDivisionError), transaction.savepoint():
        transaction.insert(one)
        raise ZeroDivisionError


def by_name(text: str, owner: str = OWNER) -> LocateQuery:
    value = Item(Tag.NAME, ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, text),))
    return LocateQuery(owner, (Criterion(Tag.NAME, value),), NOW)


def by_text(key: VendorName, text: str) -> LocateQuery:
    item = Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, text)
    return LocateQuery(OWNER, (Criterion(key, item),), NOW)


def in_order(attributes: Attributes) -> list[Attribute]:
    """By name: the store keeps the order of instances, but not that of attributes."""
    return sorted(attributes, key=lambda one: attribute_name(one.key))


def same(found: Record | None, expected: Record) -> bool:
    return (
        found is not None
        and in_order(found.attributes) == in_order(expected.attributes)
        and all(
            getattr(found, field) == getattr(expected, field)
            for field in ("id", "owner", "object_type", "stored_state", "material")
        )
    )


def kinds(place: Place) -> int:
    """How many kinds of objects the database keeps, each with its rows of the index."""
    (with_rows,) = place.sql("SELECT count(DISTINCT kind) FROM kind_index")[0]
    (all_,) = place.sql("SELECT count(*) FROM kinds")[0]
    assert with_rows == all_
    return int(all_)


# What was written is there afterwards.


def test_an_object_survives_a_restart(place: Place) -> None:
    with place.opened() as store:
        insert(store, record())
    found = place.get("id-1")
    assert same(found, record())
    assert found is not None
    assert found.activation == NOW - timedelta(days=1)
    assert found.deactivation == NOW + timedelta(days=1)
    assert not found.is_destroyed


def test_every_kind_of_object_survives_a_restart(place: Place) -> None:
    objects = [
        Record(kind.name, OWNER, kind, state, numbered(), bytes([kind]) * size)
        for kind, state, size in zip(
            ObjectType, [*State, *State], [1, 100_000, *[16] * 20], strict=False
        )
    ]
    with place.opened() as store:
        insert(store, *objects)
    for one in objects:
        assert same(place.get(one.id), one)


def test_a_crash_after_the_commit_loses_nothing(place: Place, tmp_path: Path) -> None:
    """A copy of the files, taken while the server runs, is what a power cut leaves behind."""
    after = tmp_path / "after the crash"
    after.mkdir()
    with place.opened() as store:
        insert(store, record())
        store.begin().insert(record("id-2"))
        for file in (*tmp_path.glob("objects.sqlite3*"), place.root_key):
            copy = after / file.name
            copy.touch(0o600)
            copy.write_bytes(file.read_bytes())
        store.rollback()
    assert same(Place(after).get("id-1"), record())
    assert Place(after).get("id-2") is None


def test_a_commit_waits_for_the_disk(place: Place) -> None:
    """With less than FULL an acknowledged key could be gone after a power cut."""
    with place.opened() as store:
        connection = store.begin().connection  # type: ignore[attr-defined]
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        store.rollback()


def test_what_was_not_committed_is_not_there(place: Place) -> None:
    with place.opened() as store:
        store.begin().insert(record())
        assert store.reader.get("id-1") is None, "nobody sees what may still be undone"
        assert store.reader.locate(by_name("second")).ids == ()
        store.rollback()
        assert store.reader.get("id-1") is None
        insert(store, record())
    assert same(place.get("id-1"), record())


def test_a_transaction_sees_what_it_has_written(place: Place) -> None:
    """Otherwise a batch that makes a key and then uses it would fail."""
    with place.opened() as store:
        transaction = store.begin()
        transaction.insert(record())
        assert same(transaction.get("id-1"), record())
        assert transaction.locate(by_name("second")).ids == ("id-1",)
        store.rollback()


def test_an_object_that_was_never_there(place: Place) -> None:
    with place.opened() as store:
        assert store.reader.get("id-1") is None
        assert store.reader.locate(by_name("second")).total == 0


def test_an_identifier_is_given_once(place: Place) -> None:
    """The second object must not take the place of the first."""
    with place.opened() as store:
        insert(store, record())
        with pytest.raises(StoreError, match="id"):
            store.begin().insert(record(material=b"another"))
        store.rollback()
    assert same(place.get("id-1"), record())


def test_changed_attributes_survive_a_restart(place: Place) -> None:
    changed = record(
        attributes=RICH.without(Tag.NAME, Tag.DEACTIVATION_DATE).plus(
            Attribute(Tag.NAME, name("third"), 0)
        ),
        stored_state=State.ACTIVE,
    )
    with place.opened() as store:
        insert(store, record())
        change(store, record(), changed)
    found = place.get("id-1")
    assert same(found, changed)
    assert found is not None
    assert found.deactivation is None
    with place.opened() as store:
        assert store.reader.locate(by_name("third")).ids == ("id-1",)
        assert store.reader.locate(by_name("second")).ids == (), "nobody finds it by its old name"
        assert store.reader.locate(by_text(OWNER_KEY, "Зоя")).ids == ("id-1",)


def test_new_material_survives_a_restart(place: Place) -> None:
    new = record(material=b"new material")
    with place.opened() as store:
        insert(store, record())
        change(store, record(), new)
    assert same(place.get("id-1"), new)


def test_a_change_of_attributes_leaves_the_material_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing again at each change would cost time, and wear out the data key."""
    sealed: list[str] = []
    real = Sealer.seal

    def counted(self: Sealer, data: bytes, identifier: str) -> tuple[int, bytes]:
        sealed.append(identifier)
        return real(self, data, identifier)

    monkeypatch.setattr(Sealer, "seal", counted)
    with place.opened() as store:
        insert(store, record())
        for _ in range(2):
            old = store.reader.get("id-1")
            assert old is not None
            new = old.replace(
                stored_state=State.ACTIVE, attributes=old.attributes.without(Tag.NAME)
            )
            change(store, old, new)
    assert sealed == ["id-1"]
    found = place.get("id-1")
    assert found is not None
    assert (found.material, found.stored_state) == (SECRET, State.ACTIVE)


def test_a_destroyed_object_keeps_its_attributes_and_loses_its_material(place: Place) -> None:
    gone = record(material=None, stored_state=State.DESTROYED)
    with place.opened() as store:
        insert(store, record())
        change(store, record(), gone)
    found = place.get("id-1")
    assert same(found, gone)
    assert found is not None
    assert found.is_destroyed
    assert place.sql("SELECT material, data_key FROM objects") == [(None, None)]


def test_a_part_that_fails_leaves_nothing_behind(place: Place) -> None:
    """One failing request of a batch must not drag the others along, nor stay itself."""
    with place.opened() as store:
        transaction = store.begin()
        for number in range(5):
            with suppress(ZeroDivisionError), transaction.savepoint():
                transaction.insert(record(f"id-{number}", owner=f"owner {number}"))
                assert 1 // (number % 2)
        store.commit()
    assert [
        same(place.get(f"id-{n}"), record(f"id-{n}", owner=f"owner {n}")) for n in range(5)
    ] == [
        False,
        True,
        False,
        True,
        False,
    ]
    with place.opened() as store:
        insert(store, *(record(f"id-{n}", owner=f"owner {n}") for n in (0, 2, 4)))
    for number in range(5):
        assert place.get(f"id-{number}") is not None


def test_other_owners_objects_are_not_found(place: Place) -> None:
    with place.opened() as store:
        insert(store, record("mine"), record("theirs", owner="them"))
        assert store.reader.locate(by_name("second")).ids == ("mine",)
        assert store.reader.locate(by_name("second", "them")).ids == ("theirs",)
        assert store.reader.locate(LocateQuery(OWNER, (), NOW)).ids == ("mine",)


@pytest.mark.parametrize(
    "attributes",
    [
        numbered(),
        numbered((Tag.OPERATION_POLICY_NAME, "default"), (Tag.NAME, name("kept in both forms"))),
        numbered((Tag.CERTIFICATE_SUBJECT, CertificateSubject(distinguished_name="CN=Ж"))),
        numbered(*((OWNER_KEY, value) for value in ("", "x", b"", b"\0\xff", True, 5, NOW))),
        numbered((OWNER_KEY, Item(Tag.ATTRIBUTE_VALUE, ItemType.BIG_INTEGER, -(1 << 200)))),
        numbered((VendorName("Acme", "Größe"), 5), (VendorName("y", "server"), "its own")),
        Attributes(
            (Attribute(OWNER_KEY, "first is gone", 3), Attribute(OWNER_KEY, "more", 70_000))
        ),
        Attributes((Attribute(Tag.NAME, name("b"), 1), Attribute(Tag.NAME, name("a"), 0))),
    ],
    ids=["none", "1.x", "1.x only", "types", "big", "vendors", "high indexes", "order"],
)
def test_attributes_come_back_as_they_were(attributes: Attributes) -> None:
    found = packing.unpack(packing.pack(attributes))
    assert sorted(map(repr, found)) == sorted(map(repr, attributes))
    modern = [one for one in found if one in attributes.items]
    assert len(modern) == len(attributes)


# Nobody reads or alters keys through the files.


def spellings(secret: bytes) -> list[bytes]:
    """A secret as a careless program would leave it somewhere; base64 at all three offsets."""
    found = [secret, repr(secret)[2:-1].encode()]
    for text in (secret.hex(), secret.hex(" "), secret.hex(":")):
        found += [text.encode(), text.upper().encode()]
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(shift) + secret)
            found.append(whole[4 : len(whole) - 4])
    return found


def leaks(secret: bytes, data: bytes) -> bool:
    """Whether half of a secret, or more, stands in the data."""
    half = len(secret) // 2
    return any(one in data for part in (secret[:half], secret[half:]) for one in spellings(part))


def test_the_search_for_leaks_finds_them() -> None:
    for leak in spellings(SECRET):
        assert leaks(SECRET, b"something " + leak + b" something")
    assert not leaks(SECRET, os.urandom(10_000))


def test_no_file_and_no_log_has_key_bytes(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever steals a backup of the database without the root key has no key."""
    caplog.set_level(logging.DEBUG)
    second = bytes(reversed(SECRET))
    files: set[str] = set()

    def look() -> None:
        for file in place.directory.iterdir():
            files.add(file.name)
            data = file.read_bytes()
            assert not leaks(SECRET, data), file
            assert not leaks(second, data), file

    with place.opened() as store:
        insert(store, *(record(f"id-{number}") for number in range(50)))
        look()
        change(store, record("id-0"), record("id-0", material=second))
        found = store.reader.get("id-0")
        assert found is not None
        assert found.material == second
        logging.getLogger("kmipkit").debug("%r %s", found, found)
        change(store, found, found.replace(material=None))
        with pytest.raises(StoreError) as caught:
            store.begin().insert(record("id-1"))
        logging.getLogger("kmipkit").error("%s %r", caught.value, caught.value)
        store.rollback()
        look()
    look()
    assert {"objects.sqlite3", "objects.sqlite3-wal", "root.key"} <= files
    printed = "".join(capfd.readouterr()).encode()
    for text in (caplog.text.encode(), printed):
        assert not leaks(SECRET, text)
        assert not leaks(second, text)


def test_the_files_hold_no_data_key_and_no_root_key(place: Place) -> None:
    """The keys that seal must not lie beside what they seal."""
    made: list[bytes] = []

    def watched(size: int) -> bytes:
        made.append(os.urandom(size))
        return made[-1]

    vault = FileVault.open(place.root_key, watched)
    with closing(SQLiteDatabase.open(place.database, vault, watched)) as store:
        insert(store, record())
        keys = [key for key in made if len(key) == 32]
        assert len(keys) == 2, "a root key and a data key"
        for file in place.directory.glob("objects.sqlite3*"):
            assert not any(leaks(key, file.read_bytes()) for key in keys), file


def test_equal_keys_do_not_look_equal(place: Place) -> None:
    """A reader of the database must not learn which objects hold the same key."""
    with place.opened() as store:
        insert(store, record("id-1"), record("id-2"))
    (first,), (second,) = place.sql("SELECT material FROM objects")
    assert first[:12] != second[:12], "a nonce that repeats breaks GCM"
    assert first != second


def test_all_files_are_for_the_owner_only(place: Place) -> None:
    before = os.umask(0)
    try:
        with place.opened() as store:
            insert(store, record())
            modes = {
                file.name: stat.S_IMODE(file.stat().st_mode) for file in place.directory.iterdir()
            }
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("at", [0, 11, 12, 20, -17, -1], ids=lambda at: f"byte {at}")
def test_altered_material_is_refused_and_its_object_named(place: Place, at: int) -> None:
    """Rather no key than a wrong one: data encrypted under it would be lost."""
    with place.opened() as store:
        insert(store, record("id-1"), record("id-2"))
    ((sealed,),) = place.sql("SELECT material FROM objects WHERE id = 'id-1'")
    altered = bytearray(sealed)
    altered[at] ^= 0x40
    place.sql("UPDATE objects SET material = ? WHERE id = 'id-1'", bytes(altered))
    with pytest.raises(StoreError, match="material of object id-1 was changed in the database"):
        place.get("id-1")
    assert same(place.get("id-2"), record("id-2")), "all others still work"


def test_the_attributes_of_an_object_with_altered_material_are_still_read(place: Place) -> None:
    """So that it can be found, told apart and destroyed."""
    with place.opened() as store:
        insert(store, record())
    place.sql("UPDATE objects SET material = zeroblob(60)")
    with place.opened() as store:
        found = store.reader.get("id-1")
        assert found is not None
        assert in_order(found.attributes) == in_order(RICH)
        gone = found.replace(material=None, stored_state=State.DESTROYED)
        change(store, found, gone)
    found = place.get("id-1")
    assert found is not None
    assert found.material is None


@pytest.mark.parametrize("size", [12, 13, 27, 28, 60])
def test_cut_material_is_refused(place: Place, size: int) -> None:
    with place.opened() as store:
        insert(store, record())
    place.sql("UPDATE objects SET material = substr(material, 1, ?)", min(size, 59))
    with pytest.raises(StoreError, match="id-1"):
        place.get("id-1")


def test_the_material_of_one_object_does_not_serve_another(place: Place) -> None:
    """An intruder with the file could otherwise make a weak key of his stand for a good one."""
    with place.opened() as store:
        insert(store, record("id-1"), record("id-2", material=b"intruder's"))
    place.sql(
        "UPDATE objects SET material = (SELECT material FROM objects WHERE id = 'id-2')"
        " WHERE id = 'id-1'"
    )
    with pytest.raises(StoreError, match="id-1 was changed"):
        place.get("id-1")


def test_the_wrong_root_key_is_refused_at_the_start(place: Place) -> None:
    """At once, not at the first key that somebody needs; and the right file mends it."""
    with place.opened() as store:
        insert(store, record())
    right = place.root_key.rename(place.directory / "right.key")
    with pytest.raises(StoreError, match=r"root\.key is not the root key .*put the right file"):
        place.open()
    right.replace(place.root_key)
    assert same(place.get("id-1"), record())


def test_an_altered_data_key_is_refused_at_the_start(place: Place) -> None:
    with place.opened() as store:
        insert(store, record())
    place.sql("UPDATE data_keys SET wrapped = zeroblob(40)")
    with pytest.raises(StoreError):
        place.open()


def test_a_lost_data_key_is_named(place: Place) -> None:
    with place.opened() as store:
        insert(store, record())
    place.sql("PRAGMA foreign_keys = OFF")
    place.sql("DELETE FROM data_keys")
    with pytest.raises(StoreError, match=r"objects\.sqlite3: data key 1 is missing"):
        place.get("id-1")


def test_objects_of_all_earlier_starts_can_be_opened(place: Place) -> None:
    """Each start seals under a data key of its own; none of them may be forgotten."""
    for number in range(4):
        with place.opened() as store:
            insert(store, record(f"id-{number}", material=bytes([number]) * 32))
    assert place.sql("SELECT count(*) FROM data_keys") == [(4,)]
    for number in range(4):
        found = place.get(f"id-{number}")
        assert found is not None
        assert found.material == bytes([number]) * 32


def test_no_data_key_seals_more_than_is_safe(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEALS_PER_KEY", 3)
    with place.opened() as store:
        insert(store, *(record(f"id-{number}") for number in range(8)))
    counts = place.sql("SELECT count(*) FROM objects GROUP BY data_key ORDER BY data_key")
    assert counts == [(3,), (3,), (2,)]
    for number in range(8):
        assert same(place.get(f"id-{number}"), record(f"id-{number}"))


SHORT = numbered(
    *((one.key, one.value) for one in RICH if one.key != Tag.CRYPTOGRAPHIC_LENGTH),
    (Tag.CRYPTOGRAPHIC_LENGTH, 128),
)
"""The attributes of a key of another kind."""


def test_objects_of_a_kind_share_it(place: Place) -> None:
    """Or each key would write its algorithm, length and masks once more."""
    with place.opened() as store:
        insert(store, record("id-1"), record("id-2", owner="bob"), record("id-3", SHORT))
    with place.opened() as store:
        insert(store, record("id-4"), record("id-5", Attributes(tuple(reversed(RICH.items)))))
    assert kinds(place) == 2


def test_the_last_object_of_a_kind_takes_it_along(place: Place) -> None:
    """Or a client that changes an attribute again and again would fill the disk."""
    with place.opened() as store:
        insert(store, record("id-1"), record("id-2"))
        change(store, record("id-1"), record("id-1", SHORT))
        change(store, record("id-2"), record("id-2", SHORT))
        change(store, record("id-1", SHORT), record("id-1"))
    assert kinds(place) == 2
    with place.opened() as store:
        change(store, record("id-1"), record("id-1", SHORT))
    assert kinds(place) == 1
    assert same(place.get("id-1"), record("id-1", SHORT))


def test_a_kind_that_was_rolled_back_is_written_again(place: Place) -> None:
    with place.opened() as store:
        transaction = store.begin()
        failing_part(transaction, record("id-1"))
        transaction.insert(record("id-2"))
        store.rollback()
        insert(store, record("id-3"))
    assert kinds(place) == 1
    assert same(place.get("id-3"), record("id-3"))


def test_a_kind_whose_end_was_rolled_back_stays(place: Place) -> None:
    with place.opened() as store:
        insert(store, record("id-1"))
        store.begin().update(record("id-1"), record("id-1", SHORT))
        store.rollback()
        insert(store, record("id-2"), record("id-3", SHORT))
    assert kinds(place) == 2
    assert same(place.get("id-2"), record("id-2"))
    assert same(place.get("id-3"), record("id-3", SHORT))


def test_a_data_key_that_was_rolled_back_seals_nothing_more(place: Place) -> None:
    """Or keys made after a failed request could never be opened again."""
    with place.opened() as store:
        transaction = store.begin()
        failing_part(transaction, record("id-1"))
        transaction.insert(record("id-2"))
        store.rollback()
        insert(store, record("id-3"))
    assert place.get("id-2") is None
    assert same(place.get("id-3"), record("id-3"))


def test_a_data_key_survives_the_failure_of_a_later_part(place: Place) -> None:
    with place.opened() as store:
        transaction = store.begin()
        transaction.insert(record("id-1"))
        failing_part(transaction, record("id-2"))
        transaction.insert(record("id-3"))
        store.commit()
        for identifier in ("id-1", "id-3"):
            assert same(store.reader.get(identifier), record(identifier))
    for identifier in ("id-1", "id-3"):
        assert same(place.get(identifier), record(identifier))


# One server, one schema.


def test_a_second_server_is_kept_off_the_data(place: Place) -> None:
    """Two writers would undo each other's work; the message says who is there."""
    with place.opened() as store:
        with pytest.raises(StoreError, match=f"in use by another server .process {os.getpid()}"):
            place.open()
        insert(store, record())
    assert same(place.get("id-1"), record()), "once the first has stopped, the next may start"


def test_a_failed_start_does_not_keep_the_lock(place: Place) -> None:
    """Whoever mends what was wrong can start at once."""
    with place.opened() as store:
        insert(store, record())
    place.sql("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(StoreError, match="newer"):
            place.open()
    place.sql(f"PRAGMA user_version = {len(schema.STEPS)}")
    assert same(place.get("id-1"), record())


def test_a_newer_database_is_refused_and_not_touched(place: Place) -> None:
    """An old program would not know what it destroys."""
    with place.opened() as store:
        insert(store, record())
    newer = len(schema.STEPS) + 1
    place.sql(f"PRAGMA user_version = {newer}")
    before = place.database.read_bytes()
    with pytest.raises(
        StoreError, match=rf"written by a newer kmipkit \(schema {newer}, .*; use that version"
    ):
        place.open()
    assert place.database.read_bytes() == before


def test_a_file_that_is_no_database_is_named_and_not_touched(place: Place) -> None:
    content = b"not a database " * 100
    place.database.write_bytes(content)
    with pytest.raises(StoreError, match=r"objects\.sqlite3"):
        place.open()
    assert place.database.read_bytes() == content


STEPS = (
    "CREATE TABLE a (n INTEGER) STRICT; INSERT INTO a VALUES (1);",
    "ALTER TABLE a ADD COLUMN m INTEGER; UPDATE a SET m = n + 1;",
    "CREATE TABLE b (n INTEGER) STRICT; INSERT INTO b SELECT m FROM a;",
)


@pytest.mark.parametrize("first", range(4))
def test_each_older_database_becomes_the_newest(first: int) -> None:
    """Nobody has to go through all versions of the program; no step is taken twice."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection, "db", STEPS[:first])
        schema.migrate(connection, "db", STEPS)
        schema.migrate(connection, "db", STEPS)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT n, m FROM a").fetchall() == [(1, 2)]
        assert connection.execute("SELECT n FROM b").fetchall() == [(2,)]


def test_steps_are_taken_all_or_none(tmp_path: Path) -> None:
    """A migration that fails half-way would leave what no version of the program can read."""
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


def test_a_database_of_today_keeps_its_objects_when_a_step_is_added(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.opened() as store:
        insert(store, record())
    more = "ALTER TABLE objects ADD COLUMN remark TEXT; UPDATE objects SET remark = 'moved';"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, more))
    monkeypatch.setattr(schema.migrate, "__defaults__", (schema.STEPS,))
    assert same(place.get("id-1"), record())
    assert place.sql("SELECT remark FROM objects") == [("moved",)]


# Ten thousand objects are found at once.


MANY = 10_000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteDatabase]:
    """A store of many objects of one owner."""
    with Place(tmp_path_factory.mktemp("crowd")).opened() as store:
        day = timedelta(days=1)
        insert(
            store,
            *(
                record(
                    f"id-{number}",
                    numbered(
                        (Tag.NAME, name(f"schlüssel-{number}")),
                        (OWNER_KEY, f"Abteilung {number % 100}"),
                        (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
                        (Tag.INITIAL_DATE, NOW + number * day),
                        (Tag.CRYPTOGRAPHIC_LENGTH, 192 if number == 4321 else 256),
                    ),
                    b"m",
                )
                for number in range(MANY)
            ),
        )
        yield store


def date_item(tag: Tag, moment: datetime) -> Criterion:
    return Criterion(tag, Item(tag, ItemType.DATE_TIME, int(moment.timestamp())))


def few(number: int) -> dict[str, LocateQuery]:
    """Queries that have few answers."""
    day = timedelta(days=1)
    department = by_text(OWNER_KEY, f"Abteilung {number % 100}")
    named = by_name(f"schlüssel-{number}")
    dates = (
        date_item(Tag.INITIAL_DATE, NOW + number * day),
        date_item(Tag.INITIAL_DATE, NOW + (number + 2) * day),
    )
    mask = Item(Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 4)
    state = Item(Tag.STATE, ItemType.ENUMERATION, int(State.PRE_ACTIVE))
    kind = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(ObjectType.SYMMETRIC_KEY))
    own = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, f"id-{number}")
    length = Item(Tag.CRYPTOGRAPHIC_LENGTH, ItemType.INTEGER, 192)
    columns = (Criterion(Tag.STATE, state), Criterion(Tag.OBJECT_TYPE, kind))
    return {
        "name": named,
        "name, as Create asks": LocateQuery(OWNER, named.criteria, NOW, maximum=2),
        "name and more": LocateQuery(
            OWNER,
            (*columns, Criterion(Tag.CRYPTOGRAPHIC_USAGE_MASK, mask), *named.criteria),
            NOW,
        ),
        "own attribute": department,
        "dates": LocateQuery(OWNER, dates, NOW),
        "identifier": LocateQuery(OWNER, (Criterion(Tag.UNIQUE_IDENTIFIER, own),), NOW),
        "kind": LocateQuery(
            OWNER,
            (
                Criterion(Tag.CRYPTOGRAPHIC_LENGTH, length),
                Criterion(Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
            ),
            NOW,
        ),
    }


def executed(store: SQLiteDatabase, query: LocateQuery) -> tuple[list[str], int, tuple[str, ...]]:
    """The statements of a query, roughly how many rows SQLite looked at, and what it found."""
    reader = store.reader
    assert isinstance(reader, SQLiteReader)
    statements: list[str] = []
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    reader.connection.set_trace_callback(statements.append)
    reader.connection.set_progress_handler(count, 10)
    try:
        found = reader.locate(query)
    finally:
        reader.connection.set_trace_callback(None)
        reader.connection.set_progress_handler(None, 0)
    return statements, steps[0], found.ids


@pytest.mark.parametrize("kind", few(0))
def test_ten_thousand_objects_are_searched_by_index(crowd: SQLiteDatabase, kind: str) -> None:
    """A look at each object would make every Create slower than the last."""
    statements, _, found = executed(crowd, few(4321)[kind])
    assert "id-4321" in found
    reader = crowd.reader
    assert isinstance(reader, SQLiteReader)
    selects = [one for one in statements if "objects" in one]
    assert selects
    for select in selects:
        plan = [row[3] for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {select}")]
        assert any(step.startswith("SEARCH objects") for step in plan), plan
        assert not [step for step in plan if step.startswith("SCAN")], plan
        assert not [step for step in plan if "objects_of_owner" in step], plan


@pytest.mark.parametrize("kind", ["name", "name, as Create asks", "dates", "identifier", "kind"])
def test_what_a_search_costs_does_not_grow_with_the_crowd(crowd: SQLiteDatabase, kind: str) -> None:
    """Counted in steps of SQLite's machine, not in time."""
    _, steps, found = executed(crowd, few(4321)[kind])
    assert len(found) <= 3
    assert steps * 10 < 2000


def test_names_in_the_crowd_are_exact(crowd: SQLiteDatabase) -> None:
    for number in (0, 1, 999, 1000, MANY - 1):
        assert crowd.reader.locate(by_name(f"schlüssel-{number}")).ids == (f"id-{number}",)
    for text in (f"schlüssel-{MANY}", "schlüssel-", "SCHLÜSSEL-1", "schlussel-1", "schlüssel-%"):
        assert crowd.reader.locate(by_name(text)).ids == ()


def test_pages_of_the_crowd_join_without_gap_or_overlap(crowd: SQLiteDatabase) -> None:
    department = by_text(OWNER_KEY, "Abteilung 7").criteria
    whole = crowd.reader.locate(LocateQuery(OWNER, department, NOW))
    assert whole.ids == tuple(f"id-{n}" for n in reversed(range(7, MANY, 100))), "newest first"
    pages: list[str] = []
    for offset in range(0, 120, 30):
        page = crowd.reader.locate(LocateQuery(OWNER, department, NOW, offset=offset, maximum=30))
        assert page.total == 100
        pages += page.ids
    assert tuple(pages) == whole.ids
