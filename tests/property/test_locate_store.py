"""Laws of Locate: the index gives the same result as a filter over every object."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import Criterion, Located, LocateQuery
from kmipkit_server.store.sql import locate
from kmipkit_server.vault.file import FileVault
from lengths import examples
from locate_reference import located_by_filter
from locate_strategies import EPOCH, NOW, VENDORS, dates, histories, scenarios, seconds
from object_histories import History, fill_store

from kmipkit.lifecycle import effective_state
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.attributes import Name
from kmipkit.spec.enums import (
    NameType,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item


@settings(max_examples=examples(150), phases=set(Phase) - {Phase.explain})
@given(scenario=scenarios())
def test_the_index_gives_the_result_of_a_filter_over_all_objects(
    tmp_path_factory: pytest.TempPathFactory,
    vault: FileVault,
    scenario: tuple[list[History], list[LocateQuery]],
) -> None:
    """A key that Locate does not find is lost; a key that it finds by mistake may be destroyed."""
    histories, queries = scenario
    store, records = fill_store(tmp_path_factory.mktemp("store"), vault, histories)
    with closing(store):
        for query in queries:
            expected = located_by_filter(records, query)
            if query.criteria:
                event(f"a query finds {min(expected.total, 2)} objects (2: or more)")
            assert store.reader.locate(query) == expected, (query, records)


@settings(max_examples=examples(100))
@given(
    history=histories, key=st.sampled_from([Tag.NAME, Tag.OBJECT_GROUP, *VENDORS]), data=st.data()
)
def test_an_object_is_found_by_each_of_its_own_attributes(
    tmp_path_factory: pytest.TempPathFactory,
    vault: FileVault,
    history: History,
    key: AttributeKey,
    data: st.DataObject,
) -> None:
    """A client finds an object by every text that it can store, in any script."""
    text = st.text(st.characters(codec="utf-8"), max_size=300)
    uris: Any = text.map(lambda value: Name(name_value=value, name_type=NameType.URI))
    value = data.draw(uris if key == Tag.NAME else text)
    states = (
        State.ACTIVE,
        Attributes((Attribute(key, value, 2), *history.created[1].without(key, Tag.ARCHIVE_DATE))),
    )
    store, records = fill_store(
        tmp_path_factory.mktemp("store"), vault, [History("anna", history.object_type, states)]
    )
    kind = ItemType.TEXT_STRING
    requested = Item(Tag.ATTRIBUTE_VALUE, kind, value)
    if key == Tag.NAME:
        requested = Item(
            Tag.NAME, ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, kind, value.name_value),)
        )
    query = LocateQuery("anna", (Criterion(key, requested),), NOW)
    with closing(store):
        assert (
            store.reader.locate(query) == Located(("id-0",), 1) == located_by_filter(records, query)
        )


@given(
    state=st.sampled_from(State),
    activation=st.none() | dates,
    deactivation=st.none() | dates,
    moment=seconds,
)
def test_the_state_in_sql_is_the_effective_state(
    state: State, activation: datetime | None, deactivation: datetime | None, moment: int
) -> None:
    """A key must not be active for Locate and deactivated for Encrypt."""

    def column(date: datetime | None) -> int | None:
        return None if date is None else int(date.timestamp())

    values = {
        "state": int(state),
        "activation": column(activation),
        "deactivation": column(deactivation),
        "now": moment,
    }
    with closing(sqlite3.connect(":memory:")) as connection:
        columns = ":state AS state, :activation AS activation, :deactivation AS deactivation"
        statement = f"SELECT {locate.STATE_NOW} FROM (SELECT {columns})"
        (computed,) = connection.execute(statement, values).fetchone()
    now = EPOCH + timedelta(seconds=moment)
    assert computed == effective_state(state, activation, deactivation, now)
