"""Cases of Locate that are easily wrong in an index."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kmipkit_server.store.base import Criterion, Located, LocateQuery
from kmipkit_server.vault.file import FileVault
from locate_reference import located_by_filter
from locate_strategies import NOW, TYPES
from object_histories import History, fill_store

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name, UsageLimits
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import (
    NameType,
    State,
    UsageLimitsUnit,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item


def criteria(tag: Tag, kind: ItemType, value: Any, count: int = 1) -> tuple[Criterion, ...]:
    return (Criterion(tag, Item(tag, kind, value)),) * count


INVALID: dict[str, tuple[Criterion, ...]] = {
    "state: a structure": criteria(Tag.STATE, ItemType.STRUCTURE, ()),
    "type: a structure": criteria(Tag.OBJECT_TYPE, ItemType.STRUCTURE, ()),
    "identifier: a structure": criteria(Tag.UNIQUE_IDENTIFIER, ItemType.STRUCTURE, ()),
    "state: a big number": criteria(Tag.STATE, ItemType.BIG_INTEGER, 1 << 70),
    "type: a big number": criteria(Tag.OBJECT_TYPE, ItemType.BIG_INTEGER, 1 << 70),
    "70 fields": criteria(
        Tag.NAME, ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, "a"),) * 70
    ),
    "1100 groups": criteria(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "a", 1100),
    "1280 bits": criteria(Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, -1, 40),
}


@pytest.mark.parametrize("kind", INVALID)
def test_no_criteria_cause_an_error_in_the_store(
    tmp_path_factory: pytest.TempPathFactory, vault: FileVault, kind: str
) -> None:
    """In a batch that writes, a StoreError also fails the requests of all others in the group."""
    history = History("anna", TYPES[0], (State.ACTIVE, Attributes()))
    store, _ = fill_store(tmp_path_factory.mktemp("store"), vault, [history])
    with closing(store):
        assert store.reader.locate(LocateQuery("anna", INVALID[kind], NOW)).ids == ()


FORMS: dict[str, tuple[tuple[ItemType, Any], ...]] = {
    "fields of Usage Limits": (
        (
            ItemType.STRUCTURE,
            (
                Item(Tag.USAGE_LIMITS_UNIT, ItemType.ENUMERATION, UsageLimitsUnit.BYTE),
                Item(Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, 1000),
                Item(Tag.USAGE_LIMITS_COUNT, ItemType.LONG_INTEGER, 1000),
            ),
        ),
    ),
    "fields of a Name": ((ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, "a"),)),),
    "a range of dates": ((ItemType.DATE_TIME, 0), (ItemType.DATE_TIME, 1 << 40)),
    "a text": ((ItemType.TEXT_STRING, "a"),),
    "a truth": ((ItemType.BOOLEAN, True),),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_attribute_can_be_asked_for_in_the_form_of_another_one(
    tmp_path_factory: pytest.TempPathFactory, vault: FileVault, form: str
) -> None:
    """There is no index for that, which must not be an error of the server."""
    history = History("anna", TYPES[0], (State.ACTIVE, Attributes()))
    store, records = fill_store(tmp_path_factory.mktemp("store"), vault, [history])
    with closing(store):
        for tag in BY_TAG:
            requested = tuple(Criterion(tag, Item(tag, *each)) for each in FORMS[form])
            query = LocateQuery("anna", requested, NOW)
            assert store.reader.locate(query) == located_by_filter(records, query), tag


def is_located(
    directory: Path, vault: FileVault, attributes: Attributes, requested: tuple[Criterion, ...]
) -> bool:
    """Whether Locate finds an object with these attributes."""
    store, records = fill_store(
        directory, vault, [History("anna", TYPES[0], (State.ACTIVE, attributes))]
    )
    query = LocateQuery("anna", requested, NOW)
    with closing(store):
        located = store.reader.locate(query)
    assert located == located_by_filter(records, query)
    return located.total == 1


@pytest.mark.parametrize("text", ["a", "b"])
@pytest.mark.parametrize("kind", NameType)
def test_a_name_must_match_in_all_fields(
    tmp_path: Path, vault: FileVault, text: str, kind: NameType
) -> None:
    """The value of a name and the type of another do not match."""
    pairs = {"a": NameType.UNINTERPRETED_TEXT_STRING, "b": NameType.URI}
    attributes = Attributes(
        tuple(
            Attribute(Tag.NAME, Name(name_value=value, name_type=type_), number)
            for number, (value, type_) in enumerate(pairs.items())
        )
    )
    children = (
        Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, text),
        Item(Tag.NAME_TYPE, ItemType.ENUMERATION, kind),
    )
    requested = criteria(Tag.NAME, ItemType.STRUCTURE, children)
    assert is_located(tmp_path, vault, attributes, requested) == (pairs[text] is kind)


@pytest.mark.parametrize(("value", "expected"), [(-1, True), (4, True), (5, True), (6, False)])
def test_keys_with_enough_remaining_uses_are_located(
    tmp_path: Path, vault: FileVault, value: int, expected: bool
) -> None:
    usage = UsageLimits(
        usage_limits_total=9, usage_limits_count=5, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    attributes = Attributes((Attribute(Tag.USAGE_LIMITS, usage, 0),))
    child = Item(Tag.USAGE_LIMITS_COUNT, ItemType.LONG_INTEGER, value)
    requested = criteria(Tag.USAGE_LIMITS, ItemType.STRUCTURE, (child,))
    assert is_located(tmp_path, vault, attributes, requested) is expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [(ItemType.BYTE_STRING, b""), (ItemType.DATE_TIME, 0), (ItemType.TEXT_STRING, "")],
)
def test_a_count_is_compared_only_with_numbers(
    tmp_path: Path, vault: FileVault, kind: ItemType, value: Any
) -> None:
    """The index stores all values as bytes; their order must not mix dates and numbers."""
    usage = UsageLimits(
        usage_limits_total=9, usage_limits_count=5, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    state = State.ACTIVE, Attributes((Attribute(Tag.USAGE_LIMITS, usage, 0),))
    child = Item(Tag.USAGE_LIMITS_COUNT, kind, value)
    requested = criteria(Tag.USAGE_LIMITS, ItemType.STRUCTURE, (child,))
    store, _ = fill_store(tmp_path, vault, [History("anna", TYPES[0], state)])
    with closing(store):
        assert store.reader.locate(LocateQuery("anna", requested, NOW)) == Located((), 0)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"id-0", ItemType.BYTE_STRING),
        ("id-0 ", ItemType.TEXT_STRING),
        ("ID-0", ItemType.TEXT_STRING),
        (0, ItemType.INTEGER),
    ],
)
def test_a_value_that_resembles_an_identifier_finds_nothing(
    tmp_path_factory: pytest.TempPathFactory, vault: FileVault, value: Any, kind: ItemType
) -> None:
    history = History("anna", TYPES[0], (State.ACTIVE, Attributes()))
    store, _ = fill_store(tmp_path_factory.mktemp("store"), vault, [history])
    with closing(store):
        located = store.reader.locate(
            LocateQuery("anna", criteria(Tag.UNIQUE_IDENTIFIER, kind, value), NOW)
        )
    assert located == Located((), 0)
