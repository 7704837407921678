"""The same history in both stores gives the same answers: what holds for a file holds for PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import stores
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import LocateQuery, Record, Usage
from kmipkit_server.store.inventory import InventoryQuery
from kmipkit_server.store.slices import finish_in_thread
from lengths import examples
from locate_strategies import NOW, histories, scenarios
from object_histories import History
from stored_objects import DataDirectory, PostgreSQLDirectory, insert_and_fail

pytestmark = stores.needs_postgresql

ACTIONS = ("insert", "update", "remove", "setting", "give away", "rolled back part")


@contextmanager
def pair() -> Iterator[tuple[Any, Any]]:
    """An empty store of each kind."""
    with TemporaryDirectory() as folder, ExitStack() as cleanup:
        opened = []
        for kind in (DataDirectory, PostgreSQLDirectory):
            path = Path(folder) / kind.__name__
            path.mkdir()
            opened.append(cleanup.enter_context(closing(kind(path).open())))
        yield opened[0], opened[1]


@st.composite
def actions(draw: st.DrawFn) -> list[tuple[str, int, History]]:
    """What happens to a handful of objects, one after the other."""
    return draw(
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 4), histories), max_size=12)
    )


def _apply(transaction: Any, action: str, number: int, history: History) -> None:
    identifier = f"id-{number}"
    old: Record | None = transaction.get(identifier)
    created, changed = history.records(identifier)
    if action == "setting":
        transaction.set_setting(f"name {number}", None if number % 2 else b"value")
    elif action == "rolled back part":
        insert_and_fail(transaction, history.records(f"undone-{number}")[0])
    elif action == "insert" and old is None:
        transaction.insert(created)
    elif old is None:
        return
    elif action == "update":
        transaction.update(old, old.replace(
            stored_state=changed.stored_state,
            attributes=changed.attributes,
            material=changed.material,
        ))  # fmt: skip
    elif action == "remove":
        transaction.remove(old)
    elif action == "give away":
        transaction.change_owner(old, history.owner)


def _content(record: Record | None) -> Any:
    if record is None:
        return None
    return record.id, record.owner, record.stored_state, record.attributes, record.material


def _answers(store: Any) -> dict[str, Any]:
    """Whatever a server may ask."""
    view = store.reader
    owners = sorted(view.owner_numbers())
    page = finish_in_thread(view.inventory(InventoryQuery(lambda _: True, NOW)))
    transaction = store.begin()
    usages = {owner: transaction.usage(owner) for owner in owners}
    store.rollback()
    return {
        "objects": [_content(view.get(f"id-{number}")) for number in range(5)],
        "undone": [view.get(f"undone-{number}") for number in range(5)],
        "settings": view.settings(""),
        "owners": {owner for owner in owners if view.objects_of(owner)},
        "objects of": {owner: sorted(view.objects_of(owner)) for owner in owners},
        "inventory": sorted(listed.id for listed in page.objects),
        "totals": sorted(finish_in_thread(view.totals(lambda _: True, NOW))),
        "ages": finish_in_thread(view.ages(lambda _: True, (NOW,))),
        "usages": {owner: usage for owner, usage in usages.items() if usage != Usage()},
    }


@given(history=actions())
@settings(max_examples=examples(25))
def test_a_history_gives_the_same_store(history: list[tuple[str, int, History]]) -> None:
    with pair() as (first, second):
        for store in (first, second):
            for action in history:
                _apply(store.begin(), *action)
                store.commit()
        assert _answers(first) == _answers(second)
        second.check()


@given(scenario=scenarios())
@settings(max_examples=examples(40))
def test_a_search_finds_the_same_objects(
    scenario: tuple[list[History], list[LocateQuery]],
) -> None:
    """The index, the conditions and the pages are the same."""
    objects, queries = scenario
    with pair() as (first, second):
        for store in (first, second):
            transaction = store.begin()
            for number, history in enumerate(objects):
                created, changed = history.records(f"id-{number}")
                transaction.insert(created)
                if changed is not created:
                    transaction.update(transaction.get(created.id), changed)
            store.commit()
        for query in queries:
            assert first.reader.locate(query) == second.reader.locate(query)
