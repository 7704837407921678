"""Pages of a search that are far from its beginning begin where another page has ended."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from kmipkit_server.store.base import LocateQuery
from kmipkit_server.store.sql import positions, search
from kmipkit_server.store.sql.positions import Positions
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.views import SQLiteReader
from stored_objects import (
    NOW,
    OWNER,
    OWNER_KEY,
    DataDirectory,
    by_text,
    insert,
    numbered,
    record,
)

NUMBER, PAGE = 300, 20
GROUP = by_text(OWNER_KEY, "all")


@pytest.fixture
def directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> DataDirectory:
    """A store in which places are kept from the hundredth object on, and 10 objects are many."""
    monkeypatch.setattr(positions, "COUNTED", 100)
    monkeypatch.setattr(search, "FEW", 10)
    monkeypatch.setattr(search, "VERY_FEW", 10)
    directory = DataDirectory(tmp_path_factory.mktemp("pages"))
    with directory.opened() as store:
        insert(
            store,
            *(record(f"id-{n}", numbered((OWNER_KEY, "all"))) for n in range(NUMBER)),
        )
    return directory


@contextmanager
def opened(directory: DataDirectory) -> Iterator[tuple[SQLiteDatabase, SQLiteReader]]:
    """The store, and a reader that takes its time, as that of the event loop does not."""
    with directory.opened() as store:
        reader = store.open_reader()
        with closing(reader.connection):
            yield store, reader


def page(reader: SQLiteReader, query: LocateQuery, offset: int) -> tuple[str, ...]:
    return reader.locate(replace(query, offset=offset, maximum=PAGE)).ids


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("query", [GROUP, LocateQuery(OWNER, (), NOW)], ids=["group", "all"])
def test_all_pages_have_each_object_once(
    directory: DataDirectory, query: LocateQuery, oldest_first: bool
) -> None:
    asked = replace(query, oldest_first=oldest_first)
    numbers = range(NUMBER) if oldest_first else reversed(range(NUMBER))
    with opened(directory) as (_, reader):
        found: list[str] = []
        while ids := page(reader, asked, len(found)):
            found += ids
        assert found == [f"id-{n}" for n in numbers]
        assert reader.locate(replace(asked, offset=NUMBER - 5, maximum=PAGE)).total == NUMBER


def test_what_is_created_and_removed_meanwhile_neither_repeats_nor_skips_others(
    directory: DataDirectory,
) -> None:
    """Counted from the newest object, the next page would repeat one for each new one."""
    with opened(directory) as (store, reader):
        found: list[str] = []
        for turn in range(NUMBER // PAGE):
            ids = page(reader, GROUP, len(found))
            assert not set(ids) & set(found)
            found += ids
            if len(found) > 100:
                insert(store, record(f"new-{turn}", numbered((OWNER_KEY, "all"))))
                removed = reader.get(found[turn])
                assert removed is not None
                store.begin().remove(removed)
                store.commit()
        assert set(found) == {f"id-{n}" for n in range(NUMBER)}


def test_the_first_objects_are_counted(directory: DataDirectory) -> None:
    """A client that looks at the beginning again sees what is new."""
    with opened(directory) as (store, reader):
        page(reader, GROUP, 0)
        insert(store, record("new", numbered((OWNER_KEY, "all"))))
        assert page(reader, GROUP, 20)[0] == f"id-{NUMBER - 20}"


def test_places_are_those_of_one_search_and_of_some_minutes() -> None:
    kept = Positions()
    query = replace(GROUP, offset=5000)
    kept.note(query, 4000, 17)
    kept.note(query, 3000, 16)
    assert kept.nearest(query) == positions.Place(4000, 17, NOW)
    assert kept.nearest(replace(query, offset=3500)) == positions.Place(3000, 16, NOW)
    assert kept.nearest(replace(query, offset=2000)) is None
    assert kept.nearest(replace(query, owner="another")) is None
    assert kept.nearest(replace(query, criteria=())) is None
    assert kept.nearest(replace(query, now=NOW + timedelta(minutes=6))) is None


def test_the_number_of_places_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "MAX_SEARCHES", 2)
    kept = Positions()
    for owner in ("a", "b", "c"):
        kept.note(replace(GROUP, owner=owner), 4000, 17)
    found = [kept.nearest(replace(GROUP, owner=owner, offset=4000)) for owner in "abc"]
    assert [each is None for each in found] == [True, False, False]
