"""The stores: committed objects survive a restart, and Locate finds them."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from kmipkit_server.store import packing
from kmipkit_server.store.base import REVISION, LocateQuery, Record
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.sealing import Sealer
from stored_objects import (
    ATTRIBUTES,
    NOW,
    OWNER,
    OWNER_KEY,
    SECRET,
    DataDirectory,
    by_name,
    by_text,
    change,
    insert,
    is_same,
    name,
    numbered,
    record,
)

from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.model.attributes import CertificateSubject
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item


def test_an_object_survives_a_restart(any_directory: DataDirectory) -> None:
    with any_directory.opened() as store:
        insert(store, record())
    stored = any_directory.get("id-1")
    assert is_same(stored, record())
    assert stored is not None
    assert stored.activation == NOW - timedelta(days=1)
    assert stored.deactivation == NOW + timedelta(days=1)
    assert not stored.is_destroyed


def test_every_kind_of_object_survives_a_restart(any_directory: DataDirectory) -> None:
    objects = [
        Record(kind.name, OWNER, kind, state, numbered(), bytes([kind]) * size)
        for kind, state, size in zip(
            ObjectType, [*State, *State], [1, 100_000, *[16] * 20], strict=False
        )
    ]
    with any_directory.opened() as store:
        insert(store, *objects)
    for written in objects:
        assert is_same(any_directory.get(written.id), written)


def test_a_crash_after_the_commit_loses_nothing(directory: DataDirectory, tmp_path: Path) -> None:
    """A copy of the files, taken while the server runs, is what a power cut leaves behind."""
    after = tmp_path / "after the crash"
    after.mkdir()
    with directory.opened() as store:
        insert(store, record())
        store.begin().insert(record("id-2"))
        for file in (*tmp_path.glob("objects.sqlite3*"), directory.root_key):
            copy = after / file.name
            copy.touch(0o600)
            copy.write_bytes(file.read_bytes())
        store.rollback()
    assert is_same(DataDirectory(after).get("id-1"), record())
    assert DataDirectory(after).get("id-2") is None


def test_a_commit_waits_for_the_disk(directory: DataDirectory) -> None:
    """With less than FULL an acknowledged key could be gone after a power cut."""
    with directory.opened() as store:
        connection = store.begin().connection  # type: ignore[attr-defined]  # the transaction is that of SQLite
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        store.rollback()


def test_an_object_that_is_not_committed_is_not_visible(any_directory: DataDirectory) -> None:
    with any_directory.opened() as store:
        store.begin().insert(record())
        assert store.reader.get("id-1") is None, "nobody sees what can still be rolled back"
        assert store.reader.locate(by_name("second")).ids == ()
        store.rollback()
        assert store.reader.get("id-1") is None
        insert(store, record())
    assert is_same(any_directory.get("id-1"), record())


def test_a_transaction_sees_what_it_has_written(any_directory: DataDirectory) -> None:
    """Otherwise a batch that makes a key and then uses it would fail."""
    with any_directory.opened() as store:
        transaction = store.begin()
        transaction.insert(record())
        assert is_same(transaction.get("id-1"), record())
        assert transaction.locate(by_name("second")).ids == ("id-1",)
        store.rollback()


def test_an_object_that_does_not_exist(any_directory: DataDirectory) -> None:
    with any_directory.opened() as store:
        assert store.reader.get("id-1") is None
        assert store.reader.locate(by_name("second")).total == 0


def test_an_identifier_is_used_once(any_directory: DataDirectory) -> None:
    """The second object must not replace the first."""
    with any_directory.opened() as store:
        insert(store, record())
        with pytest.raises(StoreError, match="id"):
            store.begin().insert(record(material=b"another"))
        store.rollback()
    assert is_same(any_directory.get("id-1"), record())


def test_changed_attributes_survive_a_restart(any_directory: DataDirectory) -> None:
    changed = record(
        attributes=ATTRIBUTES.without(Tag.NAME, Tag.DEACTIVATION_DATE).plus(
            Attribute(Tag.NAME, name("third"), 0)
        ),
        stored_state=State.ACTIVE,
    )
    with any_directory.opened() as store:
        insert(store, record())
        change(store, record(), changed)
    stored = any_directory.get("id-1")
    assert is_same(stored, changed)
    assert stored is not None
    assert stored.deactivation is None
    with any_directory.opened() as store:
        assert store.reader.locate(by_name("third")).ids == ("id-1",)
        assert store.reader.locate(by_name("second")).ids == (), "nobody finds it by its old name"
        assert store.reader.locate(by_text(OWNER_KEY, "Зоя")).ids == ("id-1",)


def test_new_material_survives_a_restart(any_directory: DataDirectory) -> None:
    new = record(material=b"new material")
    with any_directory.opened() as store:
        insert(store, record())
        change(store, record(), new)
    assert is_same(any_directory.get("id-1"), new)


def test_a_change_of_attributes_leaves_the_material_alone(
    any_directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing again at each change would cost time, and wear out the data key."""
    sealed: list[str] = []
    real = Sealer.seal

    def counted(self: Sealer, data: bytes, identifier: str) -> tuple[int, bytes]:
        sealed.append(identifier)
        return real(self, data, identifier)

    monkeypatch.setattr(Sealer, "seal", counted)
    with any_directory.opened() as store:
        insert(store, record())
        for _ in range(2):
            old = store.reader.get("id-1")
            assert old is not None
            new = old.replace(
                stored_state=State.ACTIVE, attributes=old.attributes.without(Tag.NAME)
            )
            change(store, old, new)
    assert sealed == ["id-1"]
    stored = any_directory.get("id-1")
    assert stored is not None
    assert (stored.material, stored.stored_state) == (SECRET, State.ACTIVE)


def test_a_destroyed_object_keeps_its_attributes_and_loses_its_material(
    any_directory: DataDirectory,
) -> None:
    destroyed = record(material=None, stored_state=State.DESTROYED)
    with any_directory.opened() as store:
        insert(store, record())
        change(store, record(), destroyed)
    stored = any_directory.get("id-1")
    assert is_same(stored, destroyed)
    assert stored is not None
    assert stored.is_destroyed
    assert any_directory.sql("SELECT material, data_key FROM objects") == [(None, None)]


def test_a_part_that_fails_leaves_nothing_behind(any_directory: DataDirectory) -> None:
    """One failing request of a batch must not drag the others along, nor stay itself."""
    with any_directory.opened() as store:
        transaction = store.begin()
        for number in range(5):
            with suppress(ZeroDivisionError), transaction.savepoint():
                transaction.insert(record(f"id-{number}", owner=f"owner {number}"))
                assert 1 // (number % 2)
        store.commit()
    assert [
        is_same(any_directory.get(f"id-{n}"), record(f"id-{n}", owner=f"owner {n}"))
        for n in range(5)
    ] == [False, True, False, True, False]
    with any_directory.opened() as store:
        insert(store, *(record(f"id-{n}", owner=f"owner {n}") for n in (0, 2, 4)))
    for number in range(5):
        assert any_directory.get(f"id-{number}") is not None


def test_objects_of_other_owners_are_not_found(any_directory: DataDirectory) -> None:
    with any_directory.opened() as store:
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
    stored = packing.unpack(packing.pack(attributes))
    assert sorted(map(repr, stored)) == sorted(map(repr, attributes))
    unpacked = [attribute for attribute in stored if attribute in attributes.items]
    assert len(unpacked) == len(attributes)


def test_a_transaction_sees_the_revision_of_the_policies_as_it_is(
    any_directory: DataDirectory,
) -> None:
    """A new object would otherwise be judged by a policy that is no longer, or never was, in force."""
    with any_directory.opened() as store:
        transaction = store.begin()
        assert transaction.setting(REVISION) is None
        transaction.set_setting(REVISION, b"1")
        assert transaction.setting(REVISION) == b"1"
        with suppress(ZeroDivisionError), transaction.savepoint():
            transaction.set_setting(REVISION, b"2")
            assert transaction.setting(REVISION) == b"2"
            raise ZeroDivisionError
        assert transaction.setting(REVISION) == b"1"
        store.rollback()
        assert store.begin().setting(REVISION) is None
        store.rollback()
