"""Inventories: pages of all objects are what a filter in Python finds, whatever the windows are."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import Criterion, LocateQuery, Record
from kmipkit_server.store.inventory import InventoryQuery
from kmipkit_server.store.slices import finish_in_thread
from kmipkit_server.store.sql import inventory
from kmipkit_server.vault.file import FileVault
from lengths import examples
from locate_reference import located_by_filter
from locate_strategies import NOW, OWNERS, TEXTS, criteria, histories
from object_histories import fill_store

from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag

ANYWHERE = StorageStatusMask(7)

patterns = st.one_of(
    st.sampled_from(TEXTS),
    st.builds("{}*".format, st.sampled_from(["", "k", "key", "Sch", "鍵"])),
    st.builds("{}?{}".format, st.sampled_from(["", "k", "ke"]), st.sampled_from(["", "y", "*"])),
    st.sampled_from(["*", "**", "?", "*y", "[k]ey", "*[*", "\\*"]),
)


def pages(reader: Any, query: InventoryQuery) -> Iterator[list[str]]:
    """The identifiers on each page."""
    while True:
        page = finish_in_thread(reader.inventory(query))
        yield [each.id for each in page.objects]
        if page.next is None:
            return
        query = replace(query, after=page.next)


def expected(
    records: list[Record], owners: set[str], wanted: tuple[Criterion, ...], name: str | None
) -> set[str]:
    found: set[str] = set()
    for owner in owners:
        query = LocateQuery(owner, wanted, NOW, storage_status_mask=ANYWHERE)
        found |= set(located_by_filter(records, query).ids)
    if name is None:
        return found
    pattern = name.replace("[", "[[]")
    return {
        record.id
        for record in records
        if record.id in found
        and any(fnmatchcase(each.name_value, pattern) for each in record.attributes.all(Tag.NAME))
    }


@settings(max_examples=examples(60))
@given(
    objects=st.lists(histories, max_size=8),
    owners=st.sets(st.sampled_from(OWNERS)),
    wanted=st.lists(criteria, max_size=1).map(lambda groups: sum(groups, ())),
    name=st.none() | patterns,
    oldest_first=st.booleans(),
    maximum=st.integers(1, 4),
    window=st.integers(1, 4),
    windows=st.integers(1, 3),
)
def test_the_pages_of_an_inventory_have_each_object_once_and_in_order(
    vault: FileVault, objects: Any, owners: set[str], wanted: Any, name: str | None,
    oldest_first: bool, maximum: int, window: int, windows: int,
) -> None:  # fmt: skip
    """An administrator would miss objects, or count some twice."""
    query = InventoryQuery(
        owners.__contains__, NOW, wanted, name, oldest_first=oldest_first, maximum=maximum
    )
    with (
        TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(inventory, "WINDOW", window)
        patched.setattr(inventory, "MAX_WINDOWS", windows)
        store, records = fill_store(Path(folder), vault, objects)
        with closing(store):
            listed = list(pages(store.reader, query))
            totals = finish_in_thread(store.reader.totals(owners.__contains__, NOW))
    assert all(len(page) <= maximum for page in listed)
    found = [identifier for page in listed for identifier in page]
    numbers = [int(identifier.removeprefix("id-")) for identifier in found]
    assert numbers == sorted(numbers, reverse=not oldest_first)
    assert set(found) == expected(records, owners, wanted, name)
    counted = Counter(
        (each.owner, int(each.object_type), int(each.state_at(NOW)))
        for each in records
        if each.owner in owners
    )
    assert {each[:3]: each.objects for each in totals} == counted


@settings(max_examples=examples(40))
@given(objects=st.lists(histories, min_size=1, max_size=8), data=st.data())
def test_an_object_with_another_owner_is_found_as_if_it_had_always_been_there(
    vault: FileVault, objects: Any, data: st.DataObject
) -> None:
    """A transferred object could not be found, or counted for nobody."""
    with TemporaryDirectory() as folder:
        store, records = fill_store(Path(folder), vault, objects)
        with closing(store):
            moved = data.draw(st.sampled_from(records))
            transaction = store.begin()
            stored = transaction.get(moved.id)
            assert stored is not None
            transaction.change_owner(stored, "new")
            store.commit()
            records = [
                each.replace(owner="new") if each.id == moved.id else each for each in records
            ]
            for owner in (*OWNERS, "new"):
                wanted = data.draw(st.lists(criteria, max_size=1).map(lambda each: sum(each, ())))
                query = LocateQuery(owner, wanted, NOW, storage_status_mask=ANYWHERE)
                assert store.reader.locate(query) == located_by_filter(records, query)
            usages = {owner: transaction.usage(owner) for owner in (*OWNERS, "new")}
            transaction.usages.forget()
            assert usages == {owner: transaction.usage(owner) for owner in (*OWNERS, "new")}
        store = type(store).open(Path(folder) / "db", vault)
        with closing(store):  # the start has verified all MACs
            record = store.reader.get(moved.id)
            assert record is not None
            assert (record.owner, record.material) == ("new", moved.material)
