"""Locate searches ten thousand objects by index."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from kmipkit_server.store.base import Criterion, LocateQuery
from kmipkit_server.store.sqlite.views import SQLiteReader
from stored_objects import (
    NOW,
    OWNER,
    OWNER_KEY,
    DataDirectory,
    by_name,
    by_text,
    insert,
    name,
    numbered,
    record,
)

from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

MANY = 10_000


@pytest.fixture(scope="module")
def many_objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteReader]:
    """A store of many objects of one owner."""
    with DataDirectory(tmp_path_factory.mktemp("many_objects")).opened() as store:
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
        reader = store.open_reader()  # that of the event loop gives up what takes long
        yield reader
        reader.connection.close()


def date_item(tag: Tag, moment: datetime) -> Criterion:
    return Criterion(tag, Item(tag, ItemType.DATE_TIME, int(moment.timestamp())))


def few(number: int) -> dict[str, LocateQuery]:
    """Queries that find few objects."""
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


def executed(reader: SQLiteReader, query: LocateQuery) -> tuple[list[str], int, tuple[str, ...]]:
    """The statements of a query, roughly how many rows SQLite read, and the identifiers."""
    statements: list[str] = []
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    reader.connection.set_trace_callback(statements.append)
    reader.connection.set_progress_handler(count, 10)
    try:
        located = reader.locate(query)
    finally:
        reader.connection.set_trace_callback(None)
        reader.connection.set_progress_handler(None, 0)
    return statements, steps[0], located.ids


@pytest.mark.parametrize("kind", few(0))
def test_ten_thousand_objects_are_searched_by_index(many_objects: SQLiteReader, kind: str) -> None:
    """Reading each object would make every Create slower than the one before."""
    statements, _, identifiers = executed(many_objects, few(4321)[kind])
    assert "id-4321" in identifiers
    pages = ("SELECT d.object", "SELECT objects.seq", "SELECT x.position")
    selects = [statement for statement in statements if statement.startswith(pages)]
    assert selects
    for select in selects:
        plan = [row[3] for row in many_objects.connection.execute(f"EXPLAIN QUERY PLAN {select}")]
        assert any(step.startswith("SEARCH objects") for step in plan), plan
        # "k" are the few attribute sets that the statement itself finds.
        assert not [step for step in plan if step.startswith("SCAN") and step != "SCAN k"], plan
        assert not [step for step in plan if "objects_of_owner" in step], plan


@pytest.mark.parametrize("kind", ["name", "name, as Create asks", "dates", "identifier", "kind"])
def test_the_cost_of_a_search_does_not_grow_with_the_number_of_objects(
    many_objects: SQLiteReader, kind: str
) -> None:
    """Measured in steps of SQLite's virtual machine, not in time."""
    _, steps, identifiers = executed(many_objects, few(4321)[kind])
    assert len(identifiers) <= 3
    assert steps * 10 < 2000


def test_names_are_compared_exactly(many_objects: SQLiteReader) -> None:
    for number in (0, 1, 999, 1000, MANY - 1):
        assert many_objects.locate(by_name(f"schlüssel-{number}")).ids == (f"id-{number}",)
    for text in (f"schlüssel-{MANY}", "schlüssel-", "SCHLÜSSEL-1", "schlussel-1", "schlüssel-%"):
        assert many_objects.locate(by_name(text)).ids == ()


def test_pages_join_without_gap_or_overlap(many_objects: SQLiteReader) -> None:
    department = by_text(OWNER_KEY, "Abteilung 7").criteria
    everything = many_objects.locate(LocateQuery(OWNER, department, NOW))
    assert everything.ids == tuple(f"id-{n}" for n in reversed(range(7, MANY, 100))), "newest first"
    pages: list[str] = []
    for offset in range(0, 120, 30):
        page = many_objects.locate(LocateQuery(OWNER, department, NOW, offset=offset, maximum=30))
        assert page.total == 100
        pages += page.ids
    assert tuple(pages) == everything.ids
