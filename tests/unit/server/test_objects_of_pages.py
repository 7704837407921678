"""Objects of a page are read together: how many statements that takes, and that it finds what one does.

With PostgreSQL each statement is a round trip, so that a page of a thousand objects must not be a
thousand of them.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from administered import Administered
from kmipkit_server.identity.directory import Directory
from kmipkit_server.store.base import Located, LocateQuery, Record, Share
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.inventory import InventoryQuery
from kmipkit_server.store.key_rotation import Position
from kmipkit_server.store.slices import finish_in_thread
from kmipkit_server.store.sql import resealing, views
from kmipkit_server.store.sql.object_rows import PART
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from stored_objects import (
    ATTRIBUTES,
    NOW,
    OWNER,
    SECRET,
    Database,
    DataDirectory,
    insert,
    is_same,
    record,
)

from kmipkit.spec.enums import ObjectType, State

NUMBER = 250
IDENTIFIERS = [f"id-{number}" for number in range(NUMBER)]
ODD = ["zero\0character", "one\1", "'quoted\"", "%s ? :x", "鍵🔑", "", "id", "ID"]
"""Identifiers that a client may choose, with Import."""
QUERY = LocateQuery(OWNER, (), NOW)


class Counted:
    """A connection that counts what it is asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.statements: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in ("one", "all", "each", "run"):
            return method

        def asked(sql: str, *values: Any) -> Any:
            self.statements.append(sql)
            return method(sql, *values)

        return asked


@pytest.fixture
def store(any_directory: DataDirectory) -> Iterator[Database]:
    store = any_directory.open()
    insert(store, *(record(each) for each in (*IDENTIFIERS, *ODD)))
    yield store
    store.close()


def counted(view: Any) -> list[str]:
    """The statements of a view from now on."""
    view.sql = Counted(view.sql)
    statements: list[str] = view.sql.statements
    return statements


def parts(number: int) -> int:
    return -(-number // PART)


def test_a_page_of_locate_is_checked_with_few_statements(store: Database) -> None:
    located = store.reader.search(QUERY)
    statements = counted(store.reader)
    assert store.reader.checked(QUERY, located) == located
    assert located.ids == tuple(reversed((*IDENTIFIERS, *ODD)))
    assert len(statements) == parts(NUMBER + len(ODD))


@pytest.mark.parametrize("maximum", [1, 5, 150, None])
def test_a_page_of_permitted_objects_is_read_with_few_statements(
    store: Database, maximum: int | None
) -> None:
    query = LocateQuery(OWNER, (), NOW, maximum=maximum)
    share = Share(("nobody",))
    statements = counted(store.reader)
    asked: list[str] = []

    def permits(each: Record) -> bool:
        asked.append(each.id)
        return each.id in IDENTIFIERS

    located = store.reader.search_permitted(query, [share], permits, views.MAX_PERMITTED)
    assert located.ids == tuple(reversed(IDENTIFIERS))[:maximum]
    # Of those that are denied, the first statement read some.
    assert len(asked) <= (maximum or NUMBER) + 1 + len(ODD)
    of_objects = [each for each in statements if "o.mac" in each]
    assert len(of_objects) <= {1: 4, 5: 2, 150: 3, None: 4}[maximum]


def test_a_page_of_an_inventory_is_read_with_few_statements(store: Database) -> None:
    statements = counted(store.reader)
    query = InventoryQuery(lambda _: True, NOW, oldest_first=True, maximum=NUMBER)
    page = finish_in_thread(store.reader.inventory(query), lambda: False)
    assert [each.id for each in page.objects] == IDENTIFIERS
    assert all(is_same(each.record, record(each.id)) for each in page.objects)
    assert len([each for each in statements if "o.mac" in each]) == parts(NUMBER)


def test_a_part_of_a_rotation_reads_its_objects_with_one_statement(store: Database) -> None:
    transaction = store.begin()
    statements = counted(transaction)
    part = resealing.reseal(transaction, 1 << 60, Position(0, 0))
    store.commit()
    assert part.sealed == resealing.MAX_OBJECTS
    assert len([each for each in statements if "o.mac" in each]) == 1
    for identifier in IDENTIFIERS[: resealing.MAX_OBJECTS]:
        assert is_same(store.reader.get(identifier), record(identifier))


@pytest.mark.parametrize("with_material", [False, True])
@pytest.mark.parametrize("first", [1, 3, PART])
def test_the_same_objects_are_found_as_one_by_one(
    store: Database, with_material: bool, first: int
) -> None:
    asked = [*ODD, "nothing", *IDENTIFIERS[:150], "nothing", ODD[0]]
    found = list(store.reader.look_up(asked, first=first, with_material=with_material))
    assert [each.id for each in found] == asked
    for each in found:
        alone = store.reader.get(each.id)
        assert not each.is_damaged
        assert (each.record is None) == (alone is None)
        assert alone is None or is_same(each.record, alone)
        assert alone is None or each.record.version == alone.version


def test_material_of_a_destroyed_object_is_none(store: Database) -> None:
    transaction = store.begin()
    old = transaction.get("id-1")
    transaction.update(old, old.replace(material=None))
    store.commit()
    [found] = store.reader.look_up(["id-1"])
    assert found.record.material is None


CHANGES = {
    "attributes": "UPDATE objects SET attributes = mac WHERE id = 'id-7'",
    "mac": "UPDATE objects SET mac = (SELECT mac FROM objects WHERE id = 'id-8') WHERE id = 'id-7'",
    "state": "UPDATE objects SET state = 2 WHERE id = 'id-7'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_damaged_object_is_found_among_others(
    store: Database, any_directory: DataDirectory, change: str
) -> None:
    """Who uses it learns that it is damaged; nobody knows whether it is permitted."""
    located = store.reader.search(QUERY)
    any_directory.sql(CHANGES[change])
    with pytest.raises(Damaged):
        store.reader.get("id-7")
    found = {each.id: each for each in store.reader.look_up(IDENTIFIERS)}
    assert [each.id for each in found.values() if each.is_damaged] == ["id-7"]
    assert found["id-7"].record is None
    assert store.reader.checked(QUERY, located) == located
    permitted = store.reader.search_permitted(QUERY, [], lambda _: True, views.MAX_PERMITTED)
    assert permitted.ids == tuple(each for each in located.ids if each != "id-7")


@pytest.mark.parametrize("column", ["owner", "kind"])
def test_what_was_removed_in_another_table_makes_damaged_objects(
    directory: DataDirectory, column: str
) -> None:
    with directory.opened() as store:
        insert(store, record("id-7"), record("id-8"))
        directory.sql(f"UPDATE objects SET {column} = 4711 WHERE id = 'id-7'")
        found = list(store.reader.look_up(["id-7", "id-8"]))
    assert [each.is_damaged for each in found] == [True, False]


def test_objects_that_another_row_of_the_index_claims_are_left_out(store: Database) -> None:
    """What the index finds is compared with the object itself, which has a MAC."""
    located = store.reader.search(QUERY)
    other = LocateQuery("somebody else", (), NOW)
    assert store.reader.checked(other, located) == Located((), 0)


def test_the_objects_to_which_users_are_linked_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred users have a credential and some groups each."""
    server = Administered(tmp_path / "data")
    asked: list[str] = []

    def counted_all(self: SQLiteConnection, sql: str, *values: Any) -> list[Any]:
        asked.append(sql)
        return all_rows(self, sql, *values)

    def counted_one(self: SQLiteConnection, sql: str, *values: Any) -> Any:
        asked.append(sql)
        return one_row(self, sql, *values)

    async def work() -> list[list[Any]]:
        await server.ask("POST", "/groups", {"name": "operators"})
        pages = []
        for names in (["a"], ["b", "c", "d", "e", "f"]):
            for name in names:
                await server.ask("POST", "/users", {"name": name, "password": "a long password"})
            await server.ask("PATCH", "/groups/operators/members", {"add": names})
            asked.clear()
            pages.append((await server.ask("GET", "/users")).body["users"])
            numbers.append(len([each for each in asked if "o.mac" in each]))
        return pages

    numbers: list[int] = []
    all_rows, one_row = SQLiteConnection.all, SQLiteConnection.one
    monkeypatch.setattr(SQLiteConnection, "all", counted_all)
    monkeypatch.setattr(SQLiteConnection, "one", counted_one)
    one, several = server.administer(work)
    server.close()
    assert [len(one), len(several)] == [1, 6]
    assert all(each["groups"] == ["operators"] and each["credentials"] for each in several)
    assert numbers[0] == numbers[1] <= 3


def test_whether_there_are_users_is_found_with_the_first_one(store: Database) -> None:
    """Each request asks that whose credentials may be ignored."""
    directory = Directory(store.reader, NOW, OWNER)
    assert not directory.has_users()
    users = [f"user-{number}" for number in range(200)]
    insert(
        store,
        *(Record(each, OWNER, ObjectType.USER, State.ACTIVE, ATTRIBUTES, SECRET) for each in users),
    )
    statements = counted(store.reader)
    assert directory.has_users()
    assert len([each for each in statements if "o.mac" in each]) == 2


def test_a_damaged_user_does_not_hide_another_one(any_directory: DataDirectory) -> None:
    with closing(any_directory.open()) as store:
        for each in ("first", "last"):
            insert(store, Record(each, OWNER, ObjectType.USER, State.ACTIVE, ATTRIBUTES, SECRET))
        directory = Directory(store.reader, NOW, OWNER)
        any_directory.sql("UPDATE objects SET attributes = mac WHERE id = 'last'")
        assert directory.has_users()
        any_directory.sql("UPDATE objects SET attributes = mac WHERE id = 'first'")
        assert not directory.has_users()
