"""Routes for objects: that they exist, and their attributes; never their material."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from kmipkit.lifecycle import describe_state
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.ttlv.tree import Item
from kmipkit_server.administration import values
from kmipkit_server.administration.context import Context, Scope
from kmipkit_server.administration.object_users import who_may_use
from kmipkit_server.administration.problems import not_found
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.objects.managed import Managed
from kmipkit_server.store.base import Criterion, Record
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.inventory import (
    Inventory,
    InventoryQuery,
    Listed,
    Total,
)
from kmipkit_server.store.slices import Steps

MAX_PAGE = 1000
MAX_TEXT = 1024
POSITION = "position"
"""The kind of number that says where a list goes on."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
"""Where ranges of dates begin and end that have no limit."""


class ListObjects(Request, frozen=True):
    """Which objects to list: those that meet all conditions."""

    state: Text | None = None
    """A state, such as Active."""
    type: Text | None = None
    """An Object Type, such as Symmetric Key."""
    owner: Text | None = None
    """The account of the owner; empty for objects of the server, such as users."""
    name: Text | None = None
    """A pattern for the Name: * stands for any characters, ? for one."""
    created_before: Moment | None = None
    """A time with its zone."""
    created_after: Moment | None = None
    attribute: tuple[Text, ...] = ()
    """Further attributes, each as NAME=VALUE; may be repeated."""
    order: Literal["newest", "oldest"] = "newest"
    """Which objects come first."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    """How many objects to return, at most."""
    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] | None = None
    """The value of next in the page before."""


class ObjectSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An object in a list."""

    id: str
    """The Unique Identifier."""
    type: str = ""
    """The Object Type."""
    state: str = ""
    """The state now, as it follows from the dates."""
    owner: str = ""
    """The account that owns it; empty for an object of the server."""
    names: tuple[str, ...] = ()
    algorithm: str = ""
    length: int = 0
    """The Cryptographic Length in bits; 0 if it has none."""
    created: datetime | None = None
    """The Initial Date."""
    activation: datetime | None = None
    deactivation: datetime | None = None
    archived: bool = False
    damaged: bool = False
    """Whether another program has changed it in the database, so that nothing else is known."""


class ObjectPage(msgspec.Struct, frozen=True):
    """A part of a list. It may have fewer objects than requested and not be the last one."""

    objects: tuple[ObjectSummary, ...]
    next: int | None
    """The parameter after for the next page; null at the end of the list."""


class ShowObject(Request, frozen=True):
    """Which object to show."""

    id: Text
    """The Unique Identifier."""


class ObjectLink(msgspec.Struct, frozen=True):
    """A link of an object to another one."""

    type: str
    id: str


class ObjectDetails(msgspec.Struct, frozen=True):
    """An object with all of its attributes."""

    object: ObjectSummary
    state_reason: str
    """Why it is in its state."""
    may_use: tuple[str, ...]
    """The accounts that may use it, its owner first; as far as their names decide that."""
    attributes: dict[str, tuple[Any, ...]]
    """The values of each attribute, by its name."""
    links: tuple[ObjectLink, ...]


class CountObjects(Request, frozen=True):
    """What to count."""

    owner: Text | None = None
    """Count only the objects of this account."""


class OwnerTotal(msgspec.Struct, frozen=True):
    """How many objects have these three in common."""

    owner: str
    type: str
    state: str
    objects: int


class AgeTotal(msgspec.Struct, frozen=True):
    """How many objects were created before a time, destroyed ones included."""

    days: int
    """The objects are older than this many days."""
    objects: int


class ObjectTotals(msgspec.Struct, frozen=True):
    """The numbers of objects."""

    objects: int
    by_state: dict[str, int]
    by_type: dict[str, int]
    by_owner: dict[str, int]
    by_age: tuple[AgeTotal, ...]
    details: tuple[OwnerTotal, ...]


AGES = (30, 90, 365, 730)
"""Days for which totals have the number of older objects."""


WITHHELD = frozenset({Tag.DIGEST})
"""Attributes that are not shown: with its digest, the password in a Secret Data could be guessed."""


# --- list ------------------------------------------------------------------------------------------


async def list_objects(context: Context, request: ListObjects) -> ObjectPage:
    """A page of the objects in the scope."""
    query = InventoryQuery(
        owners=owners(context.scope, request.owner),
        now=context.now,
        criteria=tuple(_criteria(request)),
        name=request.name,
        after=context.meant(request.after, POSITION),
        oldest_first=request.order == "oldest",
        maximum=request.limit,
    )

    def work(reader: Inventory) -> Steps[ObjectPage]:
        page = yield from reader.inventory(query)
        summaries = tuple(summary(context, each) for each in page.objects)
        return ObjectPage(summaries, context.shown(page.next, POSITION))

    return await context.read(work)


def _criteria(request: ListObjects) -> list[Criterion]:
    found = [values.criterion(text) for text in request.attribute]
    if request.state is not None:
        state = values.member(State, request.state, "state")
        found.append(Criterion(Tag.STATE, Item(Tag.STATE, ItemType.ENUMERATION, int(state))))
    if request.type is not None:
        kind = values.member(ObjectType, request.type, "type")
        item = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(kind))
        found.append(Criterion(Tag.OBJECT_TYPE, item))
    after, before = request.created_after, request.created_before
    if after is not None or before is not None:
        # Two values of a date are a range, in which both are included.
        last = LATEST if before is None else max(before, EARLIEST) - timedelta(seconds=1)
        found += [
            Criterion(Tag.INITIAL_DATE, values.date_item(Tag.INITIAL_DATE, date))
            for date in (after or EARLIEST, last)
        ]
    return found


def owners(scope: Scope, account: str | None) -> Callable[[str], bool]:
    """Which owners are meant: those of a scope, or only one of them."""
    only = None if account is None else scope.owner(account)
    return lambda owner: scope.has(owner) and only in (None, owner)


def summary(context: Context, listed: Listed) -> ObjectSummary:
    """What a list shows of an object."""
    record, now, scope = listed.record, context.now, context.scope
    if record is None:
        return ObjectSummary(id=scope.identifier(listed.id), damaged=True)
    attributes = record.attributes
    algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    return ObjectSummary(
        id=scope.identifier(record.id),
        type=title(record.object_type),
        state=describe_state(record.state_at(now)),
        owner=scope.account(record.owner),
        names=tuple(name.name_value for name in attributes.all(Tag.NAME)),
        algorithm=algorithm.name if isinstance(algorithm, CryptographicAlgorithm) else "",
        length=attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0,
        created=attributes.get(Tag.INITIAL_DATE),
        activation=record.activation,
        deactivation=record.deactivation,
        archived=record.is_archived,
    )


# --- show ------------------------------------------------------------------------------------------


async def show_object(context: Context, request: ShowObject) -> ObjectDetails:
    """One object in the scope."""
    context.request.objects.append(request.id)
    if context.parts.live is not None:
        await context.parts.live.sightings.refresh()

    def find(reader: Inventory) -> Steps[tuple[Record, tuple[str, ...]]]:
        yield
        record = reader.get(context.scope.stored(request.id))
        if record is None or not context.scope.has(record.owner):
            raise not_found(f"there is no object {request.id!r}")
        return record, who_may_use(context, reader, record)

    try:
        record, may_use = await context.read(find)
    except Damaged as error:
        raise not_found(str(error)) from None
    managed = Managed(record, context.now)
    return ObjectDetails(
        object=summary(context, Listed(record.id, record)),
        state_reason=state_reason(managed),
        may_use=may_use,
        attributes={
            name: tuple(instances)
            for name, instances in values.attribute_data(
                each for each in managed.all_attributes() if each.key not in WITHHELD
            ).items()
        },
        links=tuple(
            ObjectLink(title(link.link_type), str(link.linked_object_identifier))
            for link in record.attributes.all(Tag.LINK)
        ),
    )


def state_reason(managed: Managed) -> str:
    """Why an object is in its state (KMIP 1.4 §3.22)."""
    get = managed.get
    revocation = get(Tag.REVOCATION_REASON)
    if revocation is not None:
        message = revocation.revocation_message
        reason = f"revoked: {title(revocation.revocation_reason_code)}"
        revoked = f"{reason} ({message})" if message else reason
    else:
        revoked = ""
    dates = {
        State.PRE_ACTIVE: ("its Activation Date is", Tag.ACTIVATION_DATE),
        State.ACTIVE: ("activated", Tag.ACTIVATION_DATE),
        State.DEACTIVATED: ("deactivated", Tag.DEACTIVATION_DATE),
        State.COMPROMISED: ("compromised", Tag.COMPROMISE_DATE),
        State.DESTROYED: ("destroyed", Tag.DESTROY_DATE),
        State.DESTROYED_COMPROMISED: ("destroyed", Tag.DESTROY_DATE),
    }
    words, tag = dates.get(managed.state, ("", Tag.INITIAL_DATE))
    date = get(tag) if words else None
    if date is None and managed.state is State.PRE_ACTIVE:
        return "it has not been activated, and has no Activation Date"
    dated = f"{words} {date:%Y-%m-%d %H:%M:%S} UTC" if date is not None else ""
    return "; ".join(filter(None, (dated, revoked)))


# --- totals ----------------------------------------------------------------------------------------


async def count_objects(context: Context, request: CountObjects) -> ObjectTotals:
    """The numbers of the objects in the scope."""
    now, has = context.now, owners(context.scope, request.owner)
    limits = tuple(now - timedelta(days=days) for days in AGES)

    def work(reader: Inventory) -> Steps[tuple[tuple[Total, ...], tuple[int, ...]]]:
        rows = yield from reader.totals(has, now)
        older = yield from reader.ages(has, limits)
        return rows, older

    rows, older = await context.read(work)
    return totals(context.scope, rows, older)


def totals(scope: Scope, rows: tuple[Total, ...], older: tuple[int, ...]) -> ObjectTotals:
    """The numbers by each of what they are counted by."""
    details = tuple(
        OwnerTotal(
            scope.account(row.owner),
            title(ObjectType(row.object_type)),
            describe_state(State(row.state)),
            row.objects,
        )
        for row in rows
    )
    by: dict[str, dict[str, int]] = {"state": {}, "type": {}, "owner": {}}
    for each in details:
        for name, counts in by.items():
            value = getattr(each, name)
            counts[value] = counts.get(value, 0) + each.objects
    ages = tuple(AgeTotal(days, count) for days, count in zip(AGES, older, strict=True))
    return ObjectTotals(
        objects=sum(each.objects for each in details),
        by_state=by["state"],
        by_type=by["type"],
        by_owner=by["owner"],
        by_age=ages,
        details=details,
    )


ROUTES = (
    Route(
        method="GET",
        path="/objects",
        name="objects list",
        summary="List objects.",
        who=Who.TENANT,
        request=ListObjects,
        answer=ObjectPage,
        handler=list_objects,
    ),
    Route(
        method="GET",
        path="/objects/{id}",
        name="objects show",
        summary="Show an object with its attributes.",
        who=Who.TENANT,
        request=ShowObject,
        answer=ObjectDetails,
        handler=show_object,
    ),
    Route(
        method="GET",
        path="/totals",
        name="objects totals",
        summary="Count objects by state, type, owner and age.",
        who=Who.TENANT,
        request=CountObjects,
        answer=ObjectTotals,
        handler=count_objects,
    ),
)
