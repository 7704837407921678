"""Laws of Locate: the indexes answer as if somebody had looked at every single object.

The reference is a filter in plain Python over the objects as they were given to the store. It knows
no SQL, no index and no stored form.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st
from kmipkit_server.store.base import Criterion, Located, LocateQuery, Record
from kmipkit_server.store.sqlite import locate
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault

from kmipkit.lifecycle import DESTROYED_STATES, effective_state
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName
from kmipkit.model.attributes import CryptographicParameters, Name, UsageLimits
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    BlockCipherMode,
    NameType,
    ObjectGroupMember,
    ObjectType,
    PaddingMethod,
    State,
    UsageLimitsUnit,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNDEFINED = (1 << 63) - 1
MASKS = (Tag.CRYPTOGRAPHIC_USAGE_MASK, Tag.PROTECTION_STORAGE_MASK)

# A small world, so that questions often have answers.

OWNERS = ("anna", "Ännchen")
LONG = "ü" * 120
TEXTS = (
    "",
    "key",
    "Key",
    "key ",
    "key\0",
    "k%y",
    "Schlüssel",
    "Schlu\u0308ssel",
    "SCHLÜSSEL",
    "straße",
    "strasse",
    "鍵",
    "🔑",
    "ключ",
    LONG,
    LONG + "a",
    LONG + "b",
)
SECONDS = (
    -86_400 * 365 * 20,
    -1,
    0,
    1,
    *(int(NOW.timestamp()) + shift for shift in (-86_400, -1, 0, 1, 86_400)),
    4_102_444_800,
)
DATES = (Tag.INITIAL_DATE, Tag.ACTIVATION_DATE, Tag.DEACTIVATION_DATE)
VENDORS = (VendorName("x", "Inhaber"), VendorName("x", "INHABER"), VendorName("y", "Inhaber"))
DATED: tuple[AttributeKey, ...] = (*DATES, *VENDORS)
TYPES = (ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA, ObjectType.CERTIFICATE)
MODES = (BlockCipherMode.CBC, BlockCipherMode.CTR, BlockCipherMode.GCM)
PADDINGS = (PaddingMethod.NONE, PaddingMethod.PKCS5)
TREE = Item(
    Tag.ATTRIBUTE_VALUE, ItemType.STRUCTURE, (Item(0x540001, ItemType.TEXT_STRING, "innen"),)
)

texts = st.sampled_from(TEXTS)
seconds = st.sampled_from(SECONDS)
dates = seconds.map(lambda found: EPOCH + timedelta(seconds=found))
numbers = st.sampled_from([-(2**31), -1, 0, 1, 2, 255, 256, 2**31 - 1])
long_numbers = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**32, 2**63 - 1])
big_numbers = st.sampled_from(
    [-(1 << 200), -1, 0, 1, 1 << 63, 1 << 200, (1 << 2000) + 1, 1 << 2000]
)
bits = st.lists(st.integers(0, 5), max_size=4).map(lambda found: sum(1 << n for n in {*found}))
"""Masks of a few bits."""


def item(tag: int, kind: ItemType) -> Callable[[Any], Item]:
    return lambda value: Item(tag, kind, value)


names = st.builds(Name, name_value=texts, name_type=st.sampled_from(NameType))
parameters = st.builds(
    CryptographicParameters,
    block_cipher_mode=st.sampled_from(MODES),
    padding_method=st.sampled_from(PADDINGS),
)
limits = st.builds(
    UsageLimits,
    usage_limits_total=long_numbers,
    usage_limits_count=long_numbers,
    usage_limits_unit=st.sampled_from(UsageLimitsUnit),
)
vendor_values = st.one_of(
    texts,
    texts.map(str.encode),
    st.booleans(),
    numbers,
    dates,
    st.just(TREE),
    long_numbers.map(item(Tag.ATTRIBUTE_VALUE, ItemType.LONG_INTEGER)),
    big_numbers.map(item(Tag.ATTRIBUTE_VALUE, ItemType.BIG_INTEGER)),
    st.sampled_from([0, 1, 2]).map(item(Tag.ATTRIBUTE_VALUE, ItemType.ENUMERATION)),
)

MULTIPLE: dict[AttributeKey, st.SearchStrategy[Any]] = {
    Tag.NAME: names,
    Tag.OBJECT_GROUP: texts,
    Tag.CRYPTOGRAPHIC_PARAMETERS: parameters,
    **dict.fromkeys(VENDORS, vendor_values),
}
"""Attributes that an object may have several of."""

SINGLE: dict[AttributeKey, st.SearchStrategy[Any]] = {
    **dict.fromkeys(DATES, dates),
    Tag.CRYPTOGRAPHIC_USAGE_MASK: bits.map(CryptographicUsageMask),
    Tag.PROTECTION_STORAGE_MASK: bits.map(ProtectionStorageMask),
    Tag.CRYPTOGRAPHIC_LENGTH: numbers,
    Tag.FRESH: st.booleans(),
    Tag.ARCHIVE_DATE: dates,
    Tag.USAGE_LIMITS: limits,
}


@st.composite
def attribute_lists(draw: st.DrawFn) -> Attributes:
    """Attributes of one object, numbered as the server does it, with gaps after deletions."""
    several = draw(st.sets(st.tuples(st.sampled_from(list(MULTIPLE)), st.integers(0, 4))))
    single = draw(st.sets(st.sampled_from(list(SINGLE))))
    items = [
        Attribute(key, draw(MULTIPLE[key]), number) for key, number in sorted(several, key=repr)
    ]
    items += [Attribute(key, draw(SINGLE[key]), 0) for key in single]
    return Attributes(tuple(items))


@dataclass(frozen=True)
class Life:
    """An object as it was made, and what it became, if it was changed."""

    owner: str
    object_type: ObjectType
    first: tuple[State, Attributes]
    then: tuple[State, Attributes] | None

    def records(self, identifier: str) -> tuple[Record, Record]:
        """The object at first and in the end."""
        state, attributes = self.first
        made = Record(identifier, self.owner, self.object_type, state, attributes, b"material")
        if self.then is None:
            return made, made
        state, attributes = self.then
        gone = state in DESTROYED_STATES
        return made, made.replace(
            stored_state=state, attributes=attributes, material=None if gone else b"material"
        )


_versions = st.tuples(st.sampled_from(State), attribute_lists())
lives = st.builds(
    Life, st.sampled_from(OWNERS), st.sampled_from(TYPES), _versions, st.none() | _versions
)


# Questions.


def fields(**strategies: st.SearchStrategy[Item]) -> st.SearchStrategy[tuple[Item, ...]]:
    """Some of the fields of a structure."""
    return st.fixed_dictionaries({}, optional=strategies).map(lambda found: tuple(found.values()))


name_fields = fields(
    value=texts.map(item(Tag.NAME_VALUE, ItemType.TEXT_STRING)),
    type=st.sampled_from(NameType).map(item(Tag.NAME_TYPE, ItemType.ENUMERATION)),
)
limit_fields = fields(
    total=long_numbers.map(item(Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER)),
    count=long_numbers.map(item(Tag.USAGE_LIMITS_COUNT, ItemType.LONG_INTEGER)),
    unit=st.sampled_from(UsageLimitsUnit).map(item(Tag.USAGE_LIMITS_UNIT, ItemType.ENUMERATION)),
)
parameter_fields = fields(
    mode=st.sampled_from(MODES).map(item(Tag.BLOCK_CIPHER_MODE, ItemType.ENUMERATION)),
    padding=st.sampled_from(PADDINGS).map(item(Tag.PADDING_METHOD, ItemType.ENUMERATION)),
)
asked_seconds = st.one_of(seconds, st.sampled_from([UNDEFINED, UNDEFINED - 1, -(1 << 63)]))


def plain(kind: ItemType, values: st.SearchStrategy[Any]) -> Callable[[Tag], Any]:
    """Criteria of one attribute from its values."""
    return lambda tag: values.map(lambda value: (Criterion(tag, Item(tag, kind, value)),))


def vendor_criteria(key: VendorName) -> st.SearchStrategy[tuple[Criterion, ...]]:
    tag = Tag.ATTRIBUTE_VALUE
    return st.one_of(
        texts.map(item(tag, ItemType.TEXT_STRING)),
        texts.map(str.encode).map(item(tag, ItemType.BYTE_STRING)),
        st.booleans().map(item(tag, ItemType.BOOLEAN)),
        numbers.map(item(tag, ItemType.INTEGER)),
        big_numbers.map(item(tag, ItemType.BIG_INTEGER)),
        seconds.map(item(tag, ItemType.DATE_TIME)),
        st.just(TREE),
    ).map(lambda found: (Criterion(key, found),))


def ranges(key: AttributeKey) -> st.SearchStrategy[tuple[Criterion, ...]]:
    """Two dates, in either order."""
    tag = key if isinstance(key, Tag) else Tag.ATTRIBUTE_VALUE
    one = asked_seconds.map(item(tag, ItemType.DATE_TIME))
    return st.tuples(one, one).map(lambda pair: tuple(Criterion(key, found) for found in pair))


def mask_values(tag: Tag) -> st.SearchStrategy[tuple[Criterion, ...]]:
    nonzero = st.integers(1, 63)
    return nonzero.map(lambda value: (Criterion(tag, Item(tag, ItemType.INTEGER, value)),))


_text, _enum = ItemType.TEXT_STRING, ItemType.ENUMERATION
questions: st.SearchStrategy[tuple[Criterion, ...]] = st.one_of(
    plain(ItemType.STRUCTURE, name_fields)(Tag.NAME),
    plain(ItemType.STRUCTURE, parameter_fields)(Tag.CRYPTOGRAPHIC_PARAMETERS),
    plain(_text, texts)(Tag.OBJECT_GROUP),
    plain(_text, st.integers(0, 8).map("id-{}".format))(Tag.UNIQUE_IDENTIFIER),
    plain(_enum, st.sampled_from(TYPES))(Tag.OBJECT_TYPE),
    plain(_enum, st.sampled_from(State))(Tag.STATE),
    plain(ItemType.INTEGER, numbers)(Tag.CRYPTOGRAPHIC_LENGTH),
    plain(ItemType.BOOLEAN, st.booleans())(Tag.FRESH),
    plain(ItemType.STRUCTURE, limit_fields)(Tag.USAGE_LIMITS),
    st.sampled_from(MASKS).flatmap(mask_values),
    st.sampled_from(DATES).flatmap(plain(ItemType.DATE_TIME, asked_seconds)),
    st.sampled_from(DATED).flatmap(ranges),
    st.sampled_from(VENDORS).flatmap(vendor_criteria),
)

random_queries = st.builds(
    LocateQuery,
    owner=st.sampled_from((*OWNERS, "nobody")),
    criteria=st.lists(questions, max_size=2).map(lambda found: sum(found, ())),
    now=st.just(NOW),
    offset=st.integers(0, 4),
    maximum=st.none() | st.integers(0, 5),
    storage_status_mask=st.none() | st.integers(0, 7).map(StorageStatusMask),
    object_group_member=st.none() | st.sampled_from(ObjectGroupMember),
)


def wire(tag: Tag, value: Any) -> Item:
    """A value as an item of a request."""
    if isinstance(value, datetime):
        return Item(tag, ItemType.DATE_TIME, (value - EPOCH) // timedelta(seconds=1))
    for sort, kind in (
        (str, ItemType.TEXT_STRING),
        (bytes, ItemType.BYTE_STRING),
        (bool, ItemType.BOOLEAN),
    ):
        if isinstance(value, sort):
            return Item(tag, kind, value)
    return value if isinstance(value, Item) else Item(tag, ItemType.INTEGER, int(value))


FIELDS: dict[type[Structure], tuple[str, ...]] = {
    CryptographicParameters: ("block_cipher_mode", "padding_method"),
    Name: ("name_value", "name_type"),
    UsageLimits: ("usage_limits_total", "usage_limits_count", "usage_limits_unit"),
}


def about(draw: st.DrawFn, key: AttributeKey, value: Any) -> tuple[Criterion, ...]:
    """Criteria that this value of an attribute satisfies, in one of several ways."""
    tag = key if isinstance(key, Tag) else Tag.ATTRIBUTE_VALUE
    if isinstance(value, Structure):
        children = [
            wire(Tag[field.upper()], getattr(value, field))
            for field in draw(st.sets(st.sampled_from(FIELDS[type(value)])))
        ]
        return (Criterion(key, Item(tag, ItemType.STRUCTURE, tuple(children))),)
    if key in MASKS:
        part = draw(st.sampled_from([1 << n for n in range(6) if int(value) >> n & 1] or [1]))
        whole = int(value) or 1
        return (Criterion(key, wire(tag, draw(st.sampled_from([part, whole])))),)
    if isinstance(value, datetime) and draw(st.booleans()):
        shift = draw(st.sampled_from([-86_400, 0, 1, 86_400]))
        pair = [value, value + timedelta(seconds=shift)]
        return tuple(Criterion(key, wire(tag, one)) for one in draw(st.permutations(pair)))
    return (Criterion(key, wire(tag, value)),)


@st.composite
def aimed_queries(draw: st.DrawFn, life: Life) -> LocateQuery:
    """A question that an object answers, unless it has changed, is gone or one thing differs."""
    state, attributes = draw(st.sampled_from([life.first, life.then or life.first]))
    chosen = draw(st.lists(st.sampled_from(attributes.items), max_size=3)) if attributes else []
    found = {one.key: about(draw, one.key, one.value) for one in chosen}
    if draw(st.integers(0, 3)) == 0:
        found[Tag.STATE] = (Criterion(Tag.STATE, wire(Tag.STATE, state)),)
    if draw(st.integers(0, 3)) == 0:
        found |= {one.key: (one,) for one in draw(questions)[:1]}
    paged = draw(st.booleans())
    return LocateQuery(
        owner=life.owner,
        criteria=sum(found.values(), ()),
        now=NOW,
        offset=draw(st.integers(0, 2)) if paged else 0,
        maximum=draw(st.integers(0, 3)) if paged else None,
        storage_status_mask=draw(st.sampled_from([None, None, StorageStatusMask(5)])),
        object_group_member=draw(
            st.sampled_from([None, None, None, ObjectGroupMember.GROUP_MEMBER_FRESH])
        ),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Life], list[LocateQuery]]:
    """Objects, and questions of which many have answers."""
    made = draw(st.lists(lives, min_size=1, max_size=8))
    asked = [draw(aimed_queries(draw(st.sampled_from(made)))) for _ in range(10)]
    return made, asked + draw(st.lists(random_queries, max_size=4))


# The naive filter.


def comparable(value: Any) -> tuple[str, Any]:
    """A value with its sort: texts equal texts only, but integers of all types are numbers."""
    if isinstance(value, Item):
        if value.type is ItemType.DATE_TIME:
            return "date", value.value
        return ("tree", value.value) if isinstance(value.value, tuple) else comparable(value.value)
    if isinstance(value, datetime):
        return "date", (value - EPOCH) // timedelta(seconds=1)
    for sort in (str, bytes):
        if isinstance(value, sort):
            return sort.__name__, value
    return "number", int(value)


def field_matches(value: Structure, asked: Item) -> bool:
    found = getattr(value, Tag(asked.tag).name.lower())
    if asked.tag in (Tag.USAGE_LIMITS_TOTAL, Tag.USAGE_LIMITS_COUNT):
        assert isinstance(asked.value, int)
        return bool(found >= asked.value)
    return comparable(found) == comparable(asked)


def value_matches(key: AttributeKey, value: Any, asked: Item) -> bool:
    """Whether one instance of an attribute is what is asked for."""
    if key in MASKS:
        assert isinstance(asked.value, int)
        return int(value) & asked.value == asked.value
    if isinstance(value, Structure):
        assert isinstance(asked.value, tuple)
        return all(field_matches(value, child) for child in asked.value)
    return comparable(value) == comparable(asked)


def group_matches(record: Record, key: AttributeKey, asked: list[Item], now: datetime) -> bool:
    """Whether an object satisfies all criteria of one attribute."""
    state = effective_state(record.stored_state, record.activation, record.deactivation, now)
    columns = {
        Tag.UNIQUE_IDENTIFIER: record.id,
        Tag.OBJECT_TYPE: record.object_type,
        Tag.STATE: state,
    }
    values = [columns[key]] if key in columns else record.attributes.all(key)
    if len(asked) == 2 and all(one.type is ItemType.DATE_TIME for one in asked):
        first, last = sorted(comparable(one)[1] for one in asked)
        found = [comparable(value) for value in values]
        return any(sort == "date" and first <= value <= last for sort, value in found)
    return all(
        (one.type is ItemType.DATE_TIME and one.value == UNDEFINED)
        or any(value_matches(key, value, one) for value in values)
        for one in asked
    )


def is_stored_as_asked(record: Record, query: LocateQuery) -> bool:
    mask = query.storage_status_mask
    gone, away = record.stored_state in DESTROYED_STATES, Tag.ARCHIVE_DATE in record.attributes
    if mask is not None:
        places = {
            StorageStatusMask.ON_LINE_STORAGE: not gone and not away,
            StorageStatusMask.ARCHIVAL_STORAGE: away,
            StorageStatusMask.DESTROYED_STORAGE: gone,
        }
        return any(there for place, there in places.items() if place in mask)
    states = [one.value.value for one in query.criteria if one.key == Tag.STATE]
    return not away and (not gone or any(state in DESTROYED_STATES for state in states))


def naive(records: list[Record], query: LocateQuery) -> Located:
    """The answer of somebody who looks at every object."""
    keys = dict.fromkeys(one.key for one in query.criteria)
    found = [
        record.id
        for record in reversed(records)
        if record.owner == query.owner
        and is_stored_as_asked(record, query)
        and (
            query.object_group_member != ObjectGroupMember.GROUP_MEMBER_FRESH
            or record.attributes.get(Tag.FRESH) is True
        )
        and all(
            group_matches(
                record, key, [one.value for one in query.criteria if one.key == key], query.now
            )
            for key in keys
        )
    ]
    end = None if query.maximum is None else query.offset + query.maximum
    return Located(tuple(found[query.offset : end]), len(found))


# The laws.


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> FileVault:
    return FileVault.open(tmp_path_factory.mktemp("vault") / "root.key")


def filled(
    directory: Path, vault: FileVault, made: list[Life]
) -> tuple[SQLiteDatabase, list[Record]]:
    """A store in which these objects were made, and then changed; and what they are now."""
    store = SQLiteDatabase.open(directory / "db", vault)
    pairs = [life.records(f"id-{number}") for number, life in enumerate(made)]
    transaction = store.begin()
    for first, _ in pairs:
        transaction.insert(first)
    store.commit()
    transaction = store.begin()
    for first, last in pairs:
        if last is not first:
            old = transaction.get(first.id)
            assert old is not None
            transaction.update(old, last)
    store.commit()
    return store, [last for _, last in pairs]


@settings(max_examples=150, phases=set(Phase) - {Phase.explain})
@given(world=worlds())
def test_the_indexes_answer_as_if_all_objects_had_been_looked_at(
    tmp_path_factory: pytest.TempPathFactory,
    vault: FileVault,
    world: tuple[list[Life], list[LocateQuery]],
) -> None:
    """A key that Locate does not find is lost to its owner, one found wrongly may be destroyed."""
    made, asked = world
    store, records = filled(tmp_path_factory.mktemp("store"), vault, made)
    with closing(store):
        for query in asked:
            expected = naive(records, query)
            if query.criteria:
                event(f"some question has {min(expected.total, 2)} answers (2: or more)")
            assert store.reader.locate(query) == expected, (query, records)


@settings(max_examples=100)
@given(life=lives, key=st.sampled_from([Tag.NAME, Tag.OBJECT_GROUP, *VENDORS]), data=st.data())
def test_an_object_is_found_by_each_of_its_own_attributes(
    tmp_path_factory: pytest.TempPathFactory,
    vault: FileVault,
    life: Life,
    key: AttributeKey,
    data: st.DataObject,
) -> None:
    """Whatever a client may store in any script, it can ask for again."""
    text = st.text(st.characters(codec="utf-8"), max_size=300)
    made: Any = text.map(lambda found: Name(name_value=found, name_type=NameType.URI))
    value = data.draw(made if key == Tag.NAME else text)
    states = (
        State.ACTIVE,
        Attributes((Attribute(key, value, 2), *life.first[1].without(key, Tag.ARCHIVE_DATE))),
    )
    store, records = filled(
        tmp_path_factory.mktemp("store"), vault, [Life("anna", life.object_type, states, None)]
    )
    kind = ItemType.TEXT_STRING
    asked = Item(Tag.ATTRIBUTE_VALUE, kind, value)
    if key == Tag.NAME:
        asked = Item(Tag.NAME, ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, kind, value.name_value),))
    query = LocateQuery("anna", (Criterion(key, asked),), NOW)
    with closing(store):
        assert store.reader.locate(query) == Located(("id-0",), 1) == naive(records, query)


@given(
    state=st.sampled_from(State),
    activation=st.none() | dates,
    deactivation=st.none() | dates,
    moment=seconds,
)
def test_the_state_in_sql_is_the_state_of_the_life_cycle(
    state: State, activation: datetime | None, deactivation: datetime | None, moment: int
) -> None:
    """A key must not count as active for Locate and as deactivated for Encrypt."""

    def stored(date: datetime | None) -> int | None:
        return None if date is None else int(date.timestamp())

    values = {
        "state": int(state),
        "activation": stored(activation),
        "deactivation": stored(deactivation),
        "now": moment,
    }
    with closing(sqlite3.connect(":memory:")) as connection:
        columns = ":state AS state, :activation AS activation, :deactivation AS deactivation"
        statement = f"SELECT {locate.STATE_NOW} FROM (SELECT {columns})"
        (found,) = connection.execute(statement, values).fetchone()
    now = EPOCH + timedelta(seconds=moment)
    assert found == effective_state(state, activation, deactivation, now)


def criteria(tag: Tag, kind: ItemType, value: Any, count: int = 1) -> tuple[Criterion, ...]:
    return (Criterion(tag, Item(tag, kind, value)),) * count


ODD: dict[str, tuple[Criterion, ...]] = {
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


@pytest.mark.parametrize("kind", ODD)
def test_no_question_of_a_client_is_a_failure_of_the_store(
    tmp_path_factory: pytest.TempPathFactory, vault: FileVault, kind: str
) -> None:
    """In a batch that writes, a StoreError fails the requests of all others in the group too."""
    life = Life("anna", TYPES[0], (State.ACTIVE, Attributes()), None)
    store, _ = filled(tmp_path_factory.mktemp("store"), vault, [life])
    with closing(store):
        assert store.reader.locate(LocateQuery("anna", ODD[kind], NOW)).ids == ()


def only_answer(
    directory: Path, vault: FileVault, attributes: Attributes, asked: tuple[Criterion, ...]
) -> bool:
    """Whether an object with these attributes is found."""
    store, records = filled(
        directory, vault, [Life("anna", TYPES[0], (State.ACTIVE, attributes), None)]
    )
    query = LocateQuery("anna", asked, NOW)
    with closing(store):
        found = store.reader.locate(query)
    assert found == naive(records, query)
    return found.total == 1


@pytest.mark.parametrize("text", ["a", "b"])
@pytest.mark.parametrize("kind", NameType)
def test_one_name_must_have_all_that_is_asked_for(
    tmp_path: Path, vault: FileVault, text: str, kind: NameType
) -> None:
    """Half of one name and half of another are not the name of the object."""
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
    asked = criteria(Tag.NAME, ItemType.STRUCTURE, children)
    assert only_answer(tmp_path, vault, attributes, asked) == (pairs[text] is kind)


@pytest.mark.parametrize(("value", "found"), [(-1, True), (4, True), (5, True), (6, False)])
def test_keys_with_enough_uses_left_are_found(
    tmp_path: Path, vault: FileVault, value: int, found: bool
) -> None:
    usage = UsageLimits(
        usage_limits_total=9, usage_limits_count=5, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    attributes = Attributes((Attribute(Tag.USAGE_LIMITS, usage, 0),))
    child = Item(Tag.USAGE_LIMITS_COUNT, ItemType.LONG_INTEGER, value)
    asked = criteria(Tag.USAGE_LIMITS, ItemType.STRUCTURE, (child,))
    assert only_answer(tmp_path, vault, attributes, asked) is found


@pytest.mark.parametrize(
    ("kind", "value"),
    [(ItemType.BYTE_STRING, b""), (ItemType.DATE_TIME, 0), (ItemType.TEXT_STRING, "")],
)
def test_a_count_is_not_compared_with_what_is_no_number(
    tmp_path: Path, vault: FileVault, kind: ItemType, value: Any
) -> None:
    """In the index all values are bytes; their order must not mix dates and numbers."""
    usage = UsageLimits(
        usage_limits_total=9, usage_limits_count=5, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    state = State.ACTIVE, Attributes((Attribute(Tag.USAGE_LIMITS, usage, 0),))
    child = Item(Tag.USAGE_LIMITS_COUNT, kind, value)
    asked = criteria(Tag.USAGE_LIMITS, ItemType.STRUCTURE, (child,))
    store, _ = filled(tmp_path, vault, [Life("anna", TYPES[0], state, None)])
    with closing(store):
        assert store.reader.locate(LocateQuery("anna", asked, NOW)) == Located((), 0)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"id-0", ItemType.BYTE_STRING),
        ("id-0 ", ItemType.TEXT_STRING),
        ("ID-0", ItemType.TEXT_STRING),
        (0, ItemType.INTEGER),
    ],
)
def test_what_only_resembles_an_identifier_finds_nothing(
    tmp_path_factory: pytest.TempPathFactory, vault: FileVault, value: Any, kind: ItemType
) -> None:
    life = Life("anna", TYPES[0], (State.ACTIVE, Attributes()), None)
    store, _ = filled(tmp_path_factory.mktemp("store"), vault, [life])
    with closing(store):
        found = store.reader.locate(
            LocateQuery("anna", criteria(Tag.UNIQUE_IDENTIFIER, kind, value), NOW)
        )
    assert found == Located((), 0)
