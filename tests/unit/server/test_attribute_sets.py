"""Attributes that many objects have in common are stored once."""

from stored_objects import (
    ATTRIBUTES,
    DataDirectory,
    change,
    insert,
    insert_and_fail,
    is_same,
    numbered,
    record,
)

from kmipkit.model.attribute import Attributes
from kmipkit.spec.tags import Tag


def attribute_sets(directory: DataDirectory) -> int:
    """How many attribute sets the database has, each with its rows in the index."""
    (with_rows,) = directory.sql("SELECT count(DISTINCT kind) FROM kind_index")[0]
    (total,) = directory.sql("SELECT count(*) FROM kinds")[0]
    assert with_rows == total
    return int(total)


SHORT = numbered(
    *(
        (attribute.key, attribute.value)
        for attribute in ATTRIBUTES
        if attribute.key != Tag.CRYPTOGRAPHIC_LENGTH
    ),
    (Tag.CRYPTOGRAPHIC_LENGTH, 128),
)
"""The attributes of a key that belongs to another attribute set."""


def test_objects_share_an_attribute_set(directory: DataDirectory) -> None:
    """Otherwise each key would store its algorithm, length and masks again."""
    with directory.opened() as store:
        insert(store, record("id-1"), record("id-2", owner="bob"), record("id-3", SHORT))
    with directory.opened() as store:
        insert(store, record("id-4"), record("id-5", Attributes(tuple(reversed(ATTRIBUTES.items)))))
    assert attribute_sets(directory) == 2


def test_an_attribute_set_is_deleted_with_its_last_object(directory: DataDirectory) -> None:
    """Otherwise a client that changes an attribute again and again would fill the disk."""
    with directory.opened() as store:
        insert(store, record("id-1"), record("id-2"))
        change(store, record("id-1"), record("id-1", SHORT))
        change(store, record("id-2"), record("id-2", SHORT))
        change(store, record("id-1", SHORT), record("id-1"))
    assert attribute_sets(directory) == 2
    with directory.opened() as store:
        change(store, record("id-1"), record("id-1", SHORT))
    assert attribute_sets(directory) == 1
    assert is_same(directory.get("id-1"), record("id-1", SHORT))


def test_an_attribute_set_is_written_again_after_a_rollback(directory: DataDirectory) -> None:
    with directory.opened() as store:
        transaction = store.begin()
        insert_and_fail(transaction, record("id-1"))
        transaction.insert(record("id-2"))
        store.rollback()
        insert(store, record("id-3"))
    assert attribute_sets(directory) == 1
    assert is_same(directory.get("id-3"), record("id-3"))


def test_an_attribute_set_stays_if_its_deletion_is_rolled_back(directory: DataDirectory) -> None:
    with directory.opened() as store:
        insert(store, record("id-1"))
        store.begin().update(record("id-1"), record("id-1", SHORT))
        store.rollback()
        insert(store, record("id-2"), record("id-3", SHORT))
    assert attribute_sets(directory) == 2
    assert is_same(directory.get("id-2"), record("id-2"))
    assert is_same(directory.get("id-3"), record("id-3", SHORT))
