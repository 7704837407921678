"""No search reads for long, or reads for one account what others wait for."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import old_stores
import pytest
import trio
from kmipkit_client import OperationFailed, calls
from kmipkit_server.store import index
from kmipkit_server.store.base import LocateQuery
from kmipkit_server.store.errors import SearchTooLong
from kmipkit_server.store.sqlite import connection, event_loop
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.store import READING_THREADS
from kmipkit_server.store.sqlite.views import SQLiteReader
from laboratory import Laboratory
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

from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.spec.enums import CryptographicAlgorithm, Operation, State
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag

MANY = 5000


@pytest.fixture(scope="module")
def many_objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteReader]:
    """Objects of one owner: half of them are destroyed and have had the same name."""
    directory = DataDirectory(tmp_path_factory.mktemp("many"))
    with directory.opened() as store:
        fill(store)
        reader = store.open_reader()
        yield reader
        reader.connection.close()


def fill(store: SQLiteDatabase) -> None:
    common = (Tag.CRYPTOGRAPHIC_LENGTH, 256)
    insert(
        store,
        record("live", numbered((Tag.NAME, name("rotated")), common)),
        *(
            record(
                f"destroyed-{number}",
                numbered((Tag.NAME, name("rotated")), common),
                None,
                stored_state=State.DESTROYED,
            )
            for number in range(MANY)
        ),
        *(record(f"other-{number}", numbered(common)) for number in range(MANY)),
    )


def steps(reader: SQLiteReader, work: object) -> int:
    """Steps of the virtual machine, about."""
    count = 0

    def on_progress() -> int:
        nonlocal count
        count += 1
        return 0

    reader.connection.set_progress_handler(on_progress, 10)
    try:
        assert callable(work)
        work()
    finally:
        reader.connection.set_progress_handler(reader.sql.on_tick, connection.STEPS_PER_TICK)
    return count * 10


# --- names ---------------------------------------------------------------------------------------


def test_destroyed_objects_do_not_delay_a_name(many_objects: SQLiteReader) -> None:
    """Each new object looks its name up, in the transaction: keys that are replaced every hour under
    the same name would make that slower from year to year."""
    assert many_objects.find_by_name(OWNER, "rotated") == ("live",)
    assert steps(many_objects, lambda: many_objects.find_by_name(OWNER, "rotated")) < 200


@pytest.mark.parametrize("unique", [True, False])
def test_a_name_belongs_to_objects_that_are_not_destroyed(tmp_path: Path, unique: bool) -> None:
    """What the look-up finds follows every change of names and states."""
    laboratory = Laboratory(tmp_path, unique_names=unique)
    create = calls.create(
        CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, "a", None
    )

    def named(text: str) -> set[str]:
        reader = laboratory.store._database.open_reader()
        try:
            return set(reader.find_by_name("me", text))
        finally:
            reader.connection.close()

    try:
        first = laboratory.ask(create)
        assert named("a") == {first}
        laboratory.ask(calls.modify_attribute(first, "Name", "b", None, name("a")))
        assert (named("a"), named("b")) == (set(), {first})
        second = laboratory.ask(create)
        laboratory.ask(calls.add_attribute(second, "Name", "c"))
        assert named("a") == named("c") == {second}
        laboratory.ask(calls.destroy(second))
        assert named("a") == named("c") == set()
        assert named("a") != {laboratory.ask(create)} == named("a")
    finally:
        laboratory.close()


def test_the_names_of_an_older_store(tmp_path: Path) -> None:
    """The migration makes the index of names; three destroyed keys have had the name, too."""
    key = old_stores.restore(old_stores.SECOND, tmp_path / "data")
    laboratory = Laboratory(tmp_path / "data")
    try:
        reader = laboratory.store._database.open_reader()
        assert reader.find_by_name("me", "first") == (key,)
        sql = "SELECT count(*) FROM attribute_index WHERE attribute = 'live name'"
        rows = reader.connection.execute(sql).fetchone()
        assert rows == (1,)
        reader.connection.close()
        taken = calls.create(
            CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, "first", None
        )
        with pytest.raises(OperationFailed, match="first"):
            laboratory.ask(taken)
    finally:
        laboratory.close()


# --- the objects that a Locate looks at ----------------------------------------------------------


def everything(limit: int | None, maximum: int | None = None, offset: int = 0) -> LocateQuery:
    return LocateQuery(OWNER, (), NOW, offset, maximum, limit=limit)


def test_a_search_finds_a_number_of_objects(many_objects: SQLiteReader) -> None:
    """The memory of the server is not the client's."""
    assert len(many_objects.locate(everything(MANY + 1)).ids) == MANY + 1
    with pytest.raises(SearchTooLong, match=rf"more than {MANY} objects meet .*Maximum Items"):
        many_objects.locate(everything(MANY))


def test_a_search_looks_at_a_number_of_objects(many_objects: SQLiteReader) -> None:
    """Criteria that no object meets, but each must be compared with, cost as much."""
    query = LocateQuery(OWNER, by_name("no such name").criteria, NOW + timedelta(1), limit=10)
    assert many_objects.locate(query).ids == ()
    offset = everything(10, maximum=1, offset=MANY)
    with pytest.raises(SearchTooLong, match=r"look at more than 10 objects.* such as a Name"):
        many_objects.locate(offset)


def test_a_page_does_without_the_count(many_objects: SQLiteReader) -> None:
    """The client gets its page; the server "MAY elect to omit" Located Items (KMIP 1.4 §4.9)."""
    located = many_objects.locate(everything(10, maximum=2))
    assert len(located.ids) == 2
    assert located.total is None
    assert many_objects.locate(everything(MANY, maximum=2)).total is None
    last = many_objects.locate(everything(MANY, maximum=9, offset=MANY - 1))
    assert last.total == MANY + 1, "known on the last page"


def test_the_limit_is_for_one_search(many_objects: SQLiteReader) -> None:
    """A search that was refused leaves nothing behind for the next one."""
    for _ in range(3):
        with pytest.raises(SearchTooLong):
            many_objects.locate(everything(10))
        assert many_objects.get("live") is not None
        assert len(many_objects.locate(everything(None)).ids) == MANY + 1


def test_the_client_is_told(tmp_path: Path) -> None:
    """The refusal says what to do; paging goes on, without the number of all objects."""
    laboratory = Laboratory(tmp_path, max_located=2)
    create = calls.create(
        CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None
    )
    try:
        keys = laboratory.batch(*[create] * 4)
        with pytest.raises(OperationFailed, match="more than 2 objects meet the criteria") as error:
            laboratory.ask(calls.locate(None, None, None, None, None, None))
        assert error.value.reason is not None
        assert error.value.reason.name == "SERVER_LIMIT_EXCEEDED"
        request = LocateRequest(maximum_items=2, offset_items=1, attributes=Attributes())
        response = laboratory.ask(calls.raw(Operation.LOCATE, request))
        assert response.unique_identifiers == (keys[2], keys[1])
        assert response.located_items == 4
    finally:
        laboratory.close()


# --- what is found is checked --------------------------------------------------------------------


@pytest.mark.parametrize("count", [event_loop.MAX_CHECKED + 1, 200])
def test_a_long_list_is_checked_as_well(tmp_path: Path, count: int) -> None:
    """Who can write the database, but has not the root key, puts a key on the list of a group."""
    directory = DataDirectory(tmp_path)
    with directory.opened() as store:
        insert(
            store,
            record("victim", numbered((OWNER_KEY, "elsewhere"))),
            *(record(f"id-{number}", numbered((OWNER_KEY, "here"))) for number in range(count)),
        )
    directory.sql(
        "INSERT INTO attribute_index SELECT owner, ?, 0, ?, seq, 1 FROM objects WHERE id = 'victim'",
        index.name_of(OWNER_KEY),
        index.text("here"),
    )
    with directory.opened() as store:
        reader = store.open_reader()
        assert "victim" in reader.search(by_text(OWNER_KEY, "here")).ids
        located = reader.locate(by_text(OWNER_KEY, "here"))
        assert "victim" not in located.ids
        assert located.total == len(located.ids) == count
        reader.connection.close()


# --- threads -------------------------------------------------------------------------------------


def test_no_account_has_all_threads_that_read(tmp_path: Path) -> None:
    """The Locates of one account wait for each other, and those of others for none of them."""
    laboratory = Laboratory(tmp_path)
    may_end = threading.Event()
    greedy = 0

    def block(_: object) -> None:
        nonlocal greedy
        greedy += 1
        assert may_end.wait(60)

    async def run(account: str, work: object) -> None:
        await laboratory.store.run(work, slow=True, account=account)  # type: ignore[arg-type]  # either function

    async def work() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            for _ in range(3 * READING_THREADS):
                nursery.start_soon(run, "greedy", block)
            with trio.fail_after(60):
                await run("modest", lambda _: None)
            assert greedy <= READING_THREADS // 2
            may_end.set()

    try:
        trio.run(work)
        assert greedy == 3 * READING_THREADS
    finally:
        laboratory.close()
