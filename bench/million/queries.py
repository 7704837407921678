"""The searches that are measured: by each attribute of the table, by ranges, and by combinations.

Each search is the same for all stores. Its values are those of objects that every store has, so that
where few objects meet the criteria, all stores give the same answer, and elsewhere pages of the same
size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kmipkit_client import calls
from kmipkit_client import messages as client_messages
from kmipkit_server.store.base import Record

from bench.million import population
from bench.million.population import DEPARTMENT, EXPIRY, SERIAL, Population
from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.codec import encode
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.spec.attributes import ATTRIBUTES
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    NameType,
    ObjectGroupMember,
    ObjectType,
    Operation,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0, Version
from kmipkit.ttlv.tree import Item

PAGE = 5
"""Maximum Items of the searches."""
SAMPLES = 1000
"""The objects whose values are used; all stores have at least so many."""
NOTHING = "no object has this"

Pairs = tuple[tuple[AttributeKey, Any], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A search, and the group of the table in which it is."""

    group: str
    name: str
    body: bytes

    @classmethod
    def of(
        cls,
        group: str,
        name: str,
        pairs: Pairs,
        version: Version = V2_1,
        **fields: Any,
    ) -> "Query":
        """A search for these attributes."""
        request = LocateRequest(
            **{"maximum_items": PAGE, "attributes": Attributes.of(*pairs), **fields}
        )
        call = calls.raw(Operation.LOCATE, request)
        return cls(group, name, encode(client_messages.request(version, [call]), version))


def queries(objects: Population) -> Iterator[Query]:
    """All searches."""
    samples = [objects.record(number) for number in range(SAMPLES) if population.is_main(number)]
    usual = [each for each in samples if _is_on_line(each)]
    yield from _by_attribute(usual, samples)
    yield from _by_range()
    yield from _combined(usual)
    yield from _in_storage()


def _is_on_line(record: Record) -> bool:
    return record.stored_state not in DESTROYED_STATES and not record.is_archived


def _by_attribute(usual: list[Record], samples: list[Record]) -> Iterator[Query]:
    """One search for each row of the table of attributes, and for those of vendors."""
    for spec in ATTRIBUTES:
        if spec.tag is Tag.CUSTOM_ATTRIBUTE:  # has rows of its own
            continue
        version = next((each for each in (V2_1, V3_0, V1_4) if spec.known_in(each)), V1_4)
        value = _value(spec.tag, usual[::-1]) or _value(spec.tag, samples[::-1])
        # What only destroyed or archived objects have is looked for where these are.
        mask = None if _value(spec.tag, usual) is not None else _EVERYWHERE
        if value is not None:
            yield Query.of(
                "attribute", spec.name, ((spec.tag, value),), version, storage_status_mask=mask
            )
    for key in (DEPARTMENT, SERIAL, EXPIRY):
        pairs = ((key, _value(key, usual[::-1])),)
        yield Query.of("attribute", f"{key.vendor}-{key.name}", pairs)


def _value(key: AttributeKey, records: list[Record]) -> Any:
    """The value of an attribute that one of the objects has."""
    columns: dict[AttributeKey, Callable[[Record], Any]] = {
        Tag.UNIQUE_IDENTIFIER: lambda record: record.id,
        Tag.OBJECT_TYPE: lambda record: record.object_type,
        Tag.STATE: lambda record: record.stored_state,
    }
    if key in columns:
        return columns[key](records[0])
    return next((found for each in records if (found := each.attributes.get(key))), None)


_EVERYWHERE = StorageStatusMask(7)
_DATES = (Tag.INITIAL_DATE, Tag.ORIGINAL_CREATION_DATE, Tag.LAST_CHANGE_DATE, Tag.ACTIVATION_DATE)


def _range(key: AttributeKey, first: datetime, last: datetime) -> Pairs:
    return ((key, first), (key, last))


def _by_range() -> Iterator[Query]:
    begin, end = population.BEGIN, population.date(1 << 31)
    middle = population.date(SAMPLES // 2)
    for key in (*_DATES, EXPIRY):
        name = key.name.replace("_", " ").title() if isinstance(key, Tag) else f"x-{key.name}"
        shift = timedelta(days=730) if key is EXPIRY else timedelta()
        few = _range(key, middle + shift, middle + shift + timedelta(seconds=30))
        yield Query.of("range", f"{name}, half a minute", few)
        yield Query.of("range", f"{name}, all of the time", _range(key, begin, end))
        yield Query.of("range", f"{name}, all but the first", _range(key, middle + shift, end))
        yield Query.of("range", f"{name}, before all objects", _range(key, _LONG_AGO, begin - _DAY))


_DAY = timedelta(days=1)
_LONG_AGO = population.BEGIN - 365 * _DAY


def _combined(usual: list[Record]) -> Iterator[Query]:
    """Combinations of criteria that few objects meet (rare), and of those that many meet (common)."""
    later = usual[len(usual) // 2 :]
    sample = next(each for each in later if each.attributes.get(Tag.KEY_FORMAT_TYPE))
    attributes = sample.attributes
    rare: dict[str, Pairs] = {
        "Name": ((Tag.NAME, attributes.get(Tag.NAME)),),
        "Digest": ((Tag.DIGEST, attributes.get(Tag.DIGEST)),),
        "Initial Date": _range(Tag.INITIAL_DATE, *[attributes.get(Tag.INITIAL_DATE)] * 2),
    }
    common: dict[str, Pairs] = {
        "State": ((Tag.STATE, sample.stored_state),),
        "Object Type": ((Tag.OBJECT_TYPE, sample.object_type),),
        "Object Group": ((Tag.OBJECT_GROUP, attributes.get(Tag.OBJECT_GROUP)),),
        "Key Format Type": ((Tag.KEY_FORMAT_TYPE, attributes.get(Tag.KEY_FORMAT_TYPE)),),
        "x-Abteilung": ((DEPARTMENT, attributes.get(DEPARTMENT)),),
        "Last Change Date": _range(
            Tag.LAST_CHANGE_DATE, population.BEGIN, population.date(1 << 31)
        ),
    }
    nothing: Pairs = ((Tag.CONTACT_INFORMATION, NOTHING),)
    for one, first in rare.items():
        for two, second in common.items():
            yield Query.of("rare and common", f"{one}, {two}", first + second)
            yield Query.of("rare and common", f"{two}, {one}", second + first)
    names = list(common)
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            yield Query.of("common and common", f"{one}, {two}", common[one] + common[two])
        three = [names[(place + step) % len(names)] for step in range(3)]
        pairs = sum((common[each] for each in three), ())
        yield Query.of("three common", ", ".join(three), pairs)
        yield Query.of("nothing", f"{one}, an unknown text", common[one] + nothing)
    yield from _found_nowhere()


def _found_nowhere() -> Iterator[Query]:
    unknown = Name(name_value=NOTHING, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    certificate = ((Tag.OBJECT_TYPE, ObjectType.CERTIFICATE),)
    triple = ((Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.DES3),)
    yield Query.of("nothing", "an unknown Name", ((Tag.NAME, unknown),))
    yield Query.of(
        "nothing",
        "Algorithm and Length that do not go together",
        (*triple, (Tag.CRYPTOGRAPHIC_LENGTH, 4096)),
    )
    yield Query.of(
        "each many, together none", "Object Type, Cryptographic Algorithm", certificate + triple
    )
    uri = Item(Tag.NAME_TYPE, ItemType.ENUMERATION, int(NameType.URI))
    parent = Item(Tag.LINK_TYPE, ItemType.ENUMERATION, int(LinkType.PARENT_LINK))
    yield Query.of(
        "each many, together none",
        "Name Type, Link Type",
        (
            (Tag.NAME, Item(Tag.NAME, ItemType.STRUCTURE, (uri,))),
            (Tag.LINK, Item(Tag.LINK, ItemType.STRUCTURE, (parent,))),
        ),
    )


def _in_storage() -> Iterator[Query]:
    """Without criteria, by storage, and fresh members of groups."""
    for bit in (1, 2, 4, 7):
        mask = StorageStatusMask(bit)
        name = ", ".join(each.replace("_", " ").title() for each in mask.names())
        yield Query.of("storage", name, (), storage_status_mask=mask)
    group = ((Tag.OBJECT_GROUP, "group-3"),)
    fresh = ObjectGroupMember.GROUP_MEMBER_FRESH
    yield Query.of("storage", "fresh members of a group", group, object_group_member=fresh)
    for state in State:
        mask = StorageStatusMask(5)
        yield Query.of(
            "storage",
            f"State {state.name.replace('_', ' ').title()}",
            ((Tag.STATE, state),),
            storage_status_mask=mask,
        )
    yield Query.of("storage", "a page that is not the first", (), offset_items=SAMPLES // 3)


def page(offset: int, maximum: int) -> bytes:
    """A page of all objects."""
    return Query.of("pages", "", (), maximum_items=maximum, offset_items=offset).body
