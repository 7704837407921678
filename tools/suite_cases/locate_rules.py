"""Cases of Locate: which objects match, how many are returned, and in which order (KMIP 1.4 §4.9,
KMIP 2.1 §6.1.28)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from kmipkit.model.attribute import AttributeKey, Attributes, custom
from kmipkit.model.attributes import Link, Name, UsageLimits
from kmipkit.model.payloads.locate import LocateRequest, LocateResponse
from kmipkit.spec.enums import (
    LinkType,
    NameType,
    ObjectType,
    Operation,
    State,
    UsageLimitsUnit,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version
from kmipkit.ttlv.tree import Item
from suite_cases.building import create_key, rule, simple
from suite_cases.objects import register
from suite_cases.steps import Case, Step, uid

_LOCATE = "KMIP 1.4 §4.9, KMIP 2.1 §6.1.28"
_Mask = CryptographicUsageMask
Pair = tuple[AttributeKey, Any]


def _group(version: Version, name: str) -> Pair:
    """A group that only the objects of this case have."""
    return Tag.OBJECT_GROUP, f"KIT-LOCATE-{name}-{version}"


def locate(*pairs: Pair, found: Iterable[int | str], claim: str = "", **fields: Any) -> Step:
    """Locate by some attributes; texts are placeholders for any object."""
    return Step(
        Operation.LOCATE,
        LocateRequest(attributes=Attributes.of(*pairs), **fields),
        LocateResponse(
            unique_identifiers=tuple(each if isinstance(each, str) else uid(each) for each in found)
        ),
    ).claiming(f"{claim} ({_LOCATE})" if claim else "")


def _name(version: Version) -> Iterator[Step]:
    names = [
        Name(
            name_value=f"KIT-LOCATE-NAME-{letter}-{version}",
            name_type=NameType.UNINTERPRETED_TEXT_STRING,
        )
        for letter in "ab"
    ]
    yield create_key(0, (Tag.NAME, names[0]))
    yield create_key(1, (Tag.NAME, names[1]))
    yield locate((Tag.NAME, names[0]), found=[0], claim="Locate finds the object with a Name")


def _all_attributes(version: Version) -> Iterator[Step]:
    group = _group(version, "ALL")
    yield create_key(0, group, (Tag.CONTACT_INFORMATION, "Alice"))
    yield create_key(1, group, (Tag.CONTACT_INFORMATION, "Bob"))
    claim = "the objects found have all attributes of the request"
    yield locate(group, (Tag.CONTACT_INFORMATION, "Bob"), found=[1], claim=claim)
    yield locate(group, (Tag.CONTACT_INFORMATION, "Carol"), found=[], claim=claim)


def _type(version: Version) -> Iterator[Step]:
    group = _group(version, "TYPE")
    yield create_key(0, group)
    yield register(ObjectType.SECRET_DATA, 1, group)
    claim = "Locate finds objects of an Object Type"
    yield locate(group, (Tag.OBJECT_TYPE, ObjectType.SECRET_DATA), found=[1], claim=claim)


def _none(version: Version) -> Iterator[Step]:
    yield locate(
        _group(version, "NONE"),
        found=[],
        claim="a Locate without a match succeeds with an empty response",
    )


def _mask(version: Version) -> Iterator[Step]:
    group = _group(version, "MASK")
    yield create_key(0, group, mask=_Mask.ENCRYPT | _Mask.DECRYPT | _Mask.WRAP_KEY)
    yield create_key(1, group, mask=_Mask.ENCRYPT)
    claim = "an object matches a Cryptographic Usage Mask if it has all of its bits"
    pair = (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT | _Mask.DECRYPT)
    yield locate(group, pair, found=[0], claim=claim)
    yield locate(group, (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT), found=[0, 1], claim=claim)


def _day(number: int) -> datetime:
    return datetime(2098, 1, number, tzinfo=UTC)


def _dated(version: Version, name: str) -> Iterator[Step]:
    for number in range(3):
        yield create_key(number, _group(version, name), (Tag.ACTIVATION_DATE, _day(number + 1)))


def _date(version: Version) -> Iterator[Step]:
    yield from _dated(version, "DATE")
    yield locate(
        _group(version, "DATE"),
        (Tag.ACTIVATION_DATE, _day(2)),
        found=[1],
        claim="one date finds the objects with exactly that date",
    )


def _date_range(version: Version) -> Iterator[Step]:
    yield from _dated(version, "RANGE")
    dates = [_day(2), datetime(2098, 2, 1, tzinfo=UTC)]
    yield locate(
        _group(version, "RANGE"),
        (Tag.ACTIVATION_DATE, dates),
        found=[1, 2],
        claim="two dates find the objects in the range between them",
    )


def _date_limits(version: Version) -> Iterator[Step]:
    yield from _dated(version, "LIMITS")
    yield locate(
        _group(version, "LIMITS"),
        (Tag.ACTIVATION_DATE, [_day(1), _day(2)]),
        found=[0, 1],
        claim="a range of dates includes its limits",
    )


def _state(version: Version) -> Iterator[Step]:
    group = _group(version, "STATE")
    yield create_key(0, group)
    yield create_key(1, group)
    yield simple(Operation.ACTIVATE, 1)
    claim = "Locate finds objects in a State"
    yield locate(group, (Tag.STATE, State.ACTIVE), found=[1], claim=claim)


def _custom(version: Version) -> Iterator[Step]:
    group = _group(version, "VENDOR")
    key = custom("x-KIT")
    yield create_key(0, group, (key, "a"))
    yield create_key(1, group, (key, "b"))
    yield locate(group, (key, "b"), found=[1], claim="Locate finds objects by a vendor's attribute")


def _link(version: Version) -> Iterator[Step]:
    group = _group(version, "LINK")
    links = [
        Link(link_type=LinkType.PARENT_LINK, linked_object_identifier=f"KIT-{letter}-{version}")
        for letter in "ab"
    ]
    yield create_key(0, group, (Tag.LINK, links[0]))
    yield create_key(1, group, (Tag.LINK, links[1]))
    claim = "a structure matches by the fields that the request has"
    yield locate(group, (Tag.LINK, links[1]), found=[1], claim=claim).edited(_without_link_type)


def _without_link_type(item: Item) -> Item:
    if not isinstance(item.value, tuple):
        return item
    children = (child for child in item.value if child.tag != Tag.LINK_TYPE)
    return Item(item.tag, item.type, tuple(map(_without_link_type, children)))


def _limits(version: Version) -> Iterator[Step]:
    group = _group(version, "USAGE")

    def limits(total: int, count: int | None = None) -> Pair:
        value = UsageLimits(
            usage_limits_total=total,
            usage_limits_count=count,
            usage_limits_unit=UsageLimitsUnit.BYTE,
        )
        return Tag.USAGE_LIMITS, value

    yield create_key(0, group, limits(1000))
    yield create_key(1, group, limits(3000))
    claim = "an object matches Usage Limits if its own are equal or larger"
    yield locate(group, limits(1000, 1000), found=[0, 1], claim=claim)
    yield locate(group, limits(2000, 2000), found=[1], claim=claim)


def _several(version: Version, name: str, count: int = 3) -> Iterator[Step]:
    for number in range(count):
        yield create_key(number, _group(version, name))


def _maximum(version: Version) -> Iterator[Step]:
    yield from _several(version, "MAXIMUM")
    claim = "no more objects are returned than Maximum Items"
    found = ["$ANY_0", "$ANY_1"]
    yield locate(_group(version, "MAXIMUM"), found=found, maximum_items=2, claim=claim)


def _offset(version: Version) -> Iterator[Step]:
    yield from _several(version, "OFFSET")
    claim = "Offset Items objects are skipped"
    yield locate(_group(version, "OFFSET"), found=["$ANY_0"], offset_items=2, claim=claim)
    yield locate(_group(version, "OFFSET"), found=[], offset_items=3, claim=claim)


def _offset_zero(version: Version) -> Iterator[Step]:
    yield from _several(version, "OFFSET-0", 2)
    claim = "an Offset Items of 0 is as none"
    found = ["$ANY_0", "$ANY_1"]
    yield locate(_group(version, "OFFSET-0"), found=found, offset_items=0, claim=claim)


def _order(version: Version) -> Iterator[Step]:
    yield from _several(version, "ORDER")
    claim = "the most recently created object is the first"
    yield locate(_group(version, "ORDER"), found=[2], maximum_items=1, claim=claim)
    yield locate(_group(version, "ORDER"), found=[1], maximum_items=1, offset_items=1, claim=claim)
    yield locate(_group(version, "ORDER"), found=[0], maximum_items=1, offset_items=2, claim=claim)


def _archived(version: Version) -> Iterator[Step]:
    group = _group(version, "ARCHIVED")
    yield create_key(0, group)
    yield create_key(1, group)
    yield simple(Operation.ARCHIVE, 1)
    yield locate(
        group, found=[0], claim="without a Storage Status Mask, archived objects are not found"
    )
    yield locate(
        group,
        found=[1],
        storage_status_mask=StorageStatusMask.ARCHIVAL_STORAGE,
        claim="with the mask for archived objects, these are found",
    )
    yield locate(
        group,
        found=[0, 1],
        storage_status_mask=StorageStatusMask.ARCHIVAL_STORAGE | StorageStatusMask.ON_LINE_STORAGE,
        claim="with both bits of the Storage Status Mask, all are found",
    )


def _destroyed(version: Version) -> Iterator[Step]:
    group = _group(version, "DESTROYED")
    yield create_key(0, group)
    yield create_key(1, group)
    yield simple(Operation.DESTROY, 1)
    yield locate(
        group, found=[0], claim="without a Storage Status Mask, destroyed objects are not found"
    )


def _index(version: Version) -> Iterator[Step]:
    group = _group(version, "INDEX")
    yield create_key(0, group)
    claim = "an Attribute Index in a Locate request is ignored"

    def edit(item: Item) -> Item:
        if not isinstance(item.value, tuple):
            return item
        children = [edit(child) for child in item.value]
        if item.tag == Tag.ATTRIBUTE:
            children.insert(1, Item(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER, 7))
        return Item(item.tag, item.type, tuple(children))

    yield locate(group, found=[0], claim=claim).edited(edit)


def _no_attribute(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0)
    claim = "without attributes, any object matches"
    yield locate(found=["$ANY_0"], maximum_items=1, claim=claim)


_CASES = (
    ("NAME", "Locate by Name", _name),
    ("ALL-ATTRIBUTES", "Locate by several attributes", _all_attributes),
    ("TYPE", "Locate by Object Type", _type),
    ("NONE", "Locate without a match", _none),
    ("MASK", "Locate by Cryptographic Usage Mask", _mask),
    ("DATE", "Locate by a date", _date),
    ("DATE-RANGE", "Locate by a range of dates", _date_range),
    ("DATE-LIMITS", "The limits of a range of dates", _date_limits),
    ("STATE", "Locate by State", _state),
    ("VENDOR", "Locate by an attribute of a vendor", _custom),
    ("LINK", "Locate by a part of a Link", _link),
    ("USAGE-LIMITS", "Locate by Usage Limits", _limits),
    ("MAXIMUM", "Maximum Items of Locate", _maximum),
    ("OFFSET", "Offset Items of Locate", _offset),
    ("OFFSET-ZERO", "Offset Items of 0", _offset_zero),
    ("ARCHIVED", "Locate with a Storage Status Mask", _archived),
    ("NO-ATTRIBUTE", "Locate without attributes", _no_attribute),
)

CASES: tuple[Case, ...] = (
    *(rule(f"LOCATE-{name}", f"{about} ({_LOCATE}).", steps) for name, about, steps in _CASES),
    # 1.x does not say whether a destroyed object is on-line.
    rule("LOCATE-DESTROYED", "Locate after Destroy (KMIP 2.1 §6.1.28).", _destroyed, (V2_1,)),
    rule("LOCATE-INDEX", "Locate with an Attribute Index (KMIP 1.4 §4.9).", _index, (V1_4,)),
    rule("LOCATE-ORDER", "The order of the objects found (KMIP 2.1 §6.1.28).", _order, (V2_1,)),
)
