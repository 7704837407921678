"""Objects and queries for the tests of Locate, small enough that queries often find something."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from kmipkit_server.store.base import Criterion, LocateQuery
from object_histories import History

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

dates = seconds.map(lambda number: EPOCH + timedelta(seconds=number))

numbers = st.sampled_from([-(2**31), -1, 0, 1, 2, 255, 256, 2**31 - 1])

long_numbers = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**32, 2**63 - 1])

big_numbers = st.sampled_from(
    [-(1 << 200), -1, 0, 1, 1 << 63, 1 << 200, (1 << 2000) + 1, 1 << 2000]
)

bits = st.lists(st.integers(0, 5), max_size=4).map(
    lambda positions: sum(1 << n for n in {*positions})
)
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
"""Attributes of which an object may have several instances."""

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
    """Attributes of an object, with indexes as the server sets them, and gaps after deletions."""
    instances = draw(st.sets(st.tuples(st.sampled_from(list(MULTIPLE)), st.integers(0, 4))))
    single = draw(st.sets(st.sampled_from(list(SINGLE))))
    items = [
        Attribute(key, draw(MULTIPLE[key]), number) for key, number in sorted(instances, key=repr)
    ]
    items += [Attribute(key, draw(SINGLE[key]), 0) for key in single]
    return Attributes(tuple(items))


_versions = st.tuples(st.sampled_from(State), attribute_lists())

histories = st.builds(
    History, st.sampled_from(OWNERS), st.sampled_from(TYPES), _versions, st.none() | _versions
)


def fields(**strategies: st.SearchStrategy[Item]) -> st.SearchStrategy[tuple[Item, ...]]:
    """Some of the fields of a structure."""
    return st.fixed_dictionaries({}, optional=strategies).map(lambda items: tuple(items.values()))


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

requested_seconds = st.one_of(seconds, st.sampled_from([UNDEFINED, UNDEFINED - 1, -(1 << 63)]))


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
    ).map(lambda value: (Criterion(key, value),))


def ranges(key: AttributeKey) -> st.SearchStrategy[tuple[Criterion, ...]]:
    """Two dates, in either order."""
    tag = key if isinstance(key, Tag) else Tag.ATTRIBUTE_VALUE
    date = requested_seconds.map(item(tag, ItemType.DATE_TIME))
    return st.tuples(date, date).map(lambda pair: tuple(Criterion(key, value) for value in pair))


def mask_values(tag: Tag) -> st.SearchStrategy[tuple[Criterion, ...]]:
    nonzero = st.integers(1, 63)
    return nonzero.map(lambda value: (Criterion(tag, Item(tag, ItemType.INTEGER, value)),))


_text, _enum = ItemType.TEXT_STRING, ItemType.ENUMERATION

criteria: st.SearchStrategy[tuple[Criterion, ...]] = st.one_of(
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
    st.sampled_from(DATES).flatmap(plain(ItemType.DATE_TIME, requested_seconds)),
    st.sampled_from(DATED).flatmap(ranges),
    st.sampled_from(VENDORS).flatmap(vendor_criteria),
)

random_queries = st.builds(
    LocateQuery,
    owner=st.sampled_from((*OWNERS, "nobody")),
    criteria=st.lists(criteria, max_size=2).map(lambda groups: sum(groups, ())),
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


def matching_criteria(draw: st.DrawFn, key: AttributeKey, value: Any) -> tuple[Criterion, ...]:
    """Criteria that this value of an attribute satisfies."""
    tag = key if isinstance(key, Tag) else Tag.ATTRIBUTE_VALUE
    if isinstance(value, Structure):
        children = [
            wire(Tag[field.upper()], getattr(value, field))
            for field in draw(st.sets(st.sampled_from(FIELDS[type(value)])))
        ]
        return (Criterion(key, Item(tag, ItemType.STRUCTURE, tuple(children))),)
    if key in MASKS:
        bit = draw(st.sampled_from([1 << n for n in range(6) if int(value) >> n & 1] or [1]))
        mask = int(value) or 1
        return (Criterion(key, wire(tag, draw(st.sampled_from([bit, mask])))),)
    if isinstance(value, datetime) and draw(st.booleans()):
        shift = draw(st.sampled_from([-86_400, 0, 1, 86_400]))
        pair = [value, value + timedelta(seconds=shift)]
        return tuple(Criterion(key, wire(tag, date)) for date in draw(st.permutations(pair)))
    return (Criterion(key, wire(tag, value)),)


@st.composite
def matching_queries(draw: st.DrawFn, history: History) -> LocateQuery:
    """A query that finds an object, unless the object has changed or a criterion differs."""
    state, attributes = draw(st.sampled_from([history.created, history.changed or history.created]))
    sample = draw(st.lists(st.sampled_from(attributes.items), max_size=3)) if attributes else []
    groups = {
        attribute.key: matching_criteria(draw, attribute.key, attribute.value)
        for attribute in sample
    }
    if draw(st.integers(0, 3)) == 0:
        groups[Tag.STATE] = (Criterion(Tag.STATE, wire(Tag.STATE, state)),)
    if draw(st.integers(0, 3)) == 0:
        groups |= {criterion.key: (criterion,) for criterion in draw(criteria)[:1]}
    paged = draw(st.booleans())
    return LocateQuery(
        owner=history.owner,
        criteria=sum(groups.values(), ()),
        now=NOW,
        offset=draw(st.integers(0, 2)) if paged else 0,
        maximum=draw(st.integers(0, 3)) if paged else None,
        storage_status_mask=draw(st.sampled_from([None, None, StorageStatusMask(5)])),
        object_group_member=draw(
            st.sampled_from([None, None, None, ObjectGroupMember.GROUP_MEMBER_FRESH])
        ),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[list[History], list[LocateQuery]]:
    """Objects, and queries of which many find something."""
    objects = draw(st.lists(histories, min_size=1, max_size=8))
    queries = [draw(matching_queries(draw(st.sampled_from(objects)))) for _ in range(10)]
    return objects, queries + draw(st.lists(random_queries, max_size=4))
