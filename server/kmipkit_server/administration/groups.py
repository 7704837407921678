"""Routes for groups, to which users and objects may be linked (KMIP 3.0)."""

from typing import Any

import msgspec

from kmipkit.model.payloads.accounts import CreateGroupRequest
from kmipkit.model.payloads.lifecycle import DestroyRequest
from kmipkit.spec.enums import ObjectType, Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.administration import kmip
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import Text
from kmipkit_server.administration.problems import conflict
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.administration.users import (
    every,
    find,
    in_scope,
    link,
    name_of,
    of_system,
    require_free,
    unlink,
)
from kmipkit_server.store.base import Criterion, Record
from kmipkit_server.store.inventory import Inventory
from kmipkit_server.store.slices import Steps


class Group(msgspec.Struct, frozen=True):
    """A group."""

    id: str
    """The Unique Identifier."""
    name: str
    members: tuple[str, ...]
    """The names of its users."""


class GroupList(msgspec.Struct, frozen=True):
    """All groups."""

    groups: tuple[Group, ...]


class ShowGroup(Request, frozen=True):
    """Which group is meant."""

    name: Text


class ChangeMembers(Request, frozen=True):
    """Which users are to be members, and which are not."""

    name: Text
    add: tuple[Text, ...] = ()
    """Names of users."""
    remove: tuple[Text, ...] = ()


async def list_groups(context: Context, _request: Empty) -> GroupList:
    """The groups that were not removed."""
    query = of_system(context, ObjectType.GROUP)

    def work(reader: Inventory) -> Steps[GroupList]:
        groups: tuple[Group, ...] = ()
        for record in (yield from every(reader, query)):
            if not record.is_destroyed:
                groups += ((yield from _group(context, reader, in_scope(context, record))),)
        return GroupList(groups)

    return await context.read(work)


def _group(context: Context, reader: Inventory, record: Record) -> Steps[Group]:
    members = yield from _members(context, reader, record)
    return Group(
        context.scope.identifier(record.id), name_of(record), tuple(sorted(map(name_of, members)))
    )


def _members(context: Context, reader: Inventory, group: Record) -> Steps[list[Record]]:
    item = Item(Tag.GROUP_LINK, ItemType.REFERENCE, group.id)
    query = of_system(context, ObjectType.USER, Criterion(Tag.GROUP_LINK, item))
    users = yield from every(reader, query)
    return [in_scope(context, user) for user in users if not user.is_destroyed]


async def show_group(context: Context, request: ShowGroup) -> Group:
    """One group."""
    context.request.subject = request.name

    def work(reader: Inventory) -> Steps[Group]:
        record = find(context, reader, ObjectType.GROUP, request.name)
        return (yield from _group(context, reader, record))

    group = await context.read(work)
    context.request.objects.append(group.id)
    return group


async def add_group(context: Context, request: ShowGroup) -> Group:
    """Create a group."""
    context.request.subject = request.name
    await require_free(context, request.name)
    payload = CreateGroupRequest(attributes=kmip.named(request.name))
    await kmip.carry_out(context, (Operation.CREATE_GROUP, payload))
    return await show_group(context, request)


async def change_members(context: Context, request: ChangeMembers) -> Group:
    """Add users to a group, and remove others, all or none."""
    context.request.subject = request.name
    both = set(request.add) & set(request.remove)
    if both:
        raise conflict("a user cannot be added and removed at the same time")

    def work(reader: Inventory) -> Steps[list[kmip.Call]]:
        group = find(context, reader, ObjectType.GROUP, request.name)
        members = {each.id for each in (yield from _members(context, reader, group))}
        added = [
            find(context, reader, ObjectType.USER, name).id for name in dict.fromkeys(request.add)
        ]
        removed = [
            find(context, reader, ObjectType.USER, name).id
            for name in dict.fromkeys(request.remove)
        ]
        return [
            *(link(user, Tag.GROUP_LINK, group.id) for user in added if user not in members),
            *(unlink(user, Tag.GROUP_LINK, group.id) for user in removed if user in members),
        ]

    calls = await context.read(work)
    if calls:
        await kmip.carry_out(context, *calls)
    return await show_group(context, ShowGroup(name=request.name))


async def remove_group(context: Context, request: ShowGroup) -> Group:
    """Destroy a group, and remove its members from it."""
    context.request.subject = request.name

    def work(reader: Inventory) -> Steps[tuple[Group, list[kmip.Call]]]:
        record = find(context, reader, ObjectType.GROUP, request.name)
        members = yield from _members(context, reader, record)
        calls = [unlink(each.id, Tag.GROUP_LINK, record.id) for each in members]
        calls.append((Operation.DESTROY, DestroyRequest(unique_identifier=record.id)))
        return (yield from _group(context, reader, record)), calls

    group, calls = await context.read(work)
    context.request.objects.append(group.id)
    await kmip.carry_out(context, *calls)
    return group


def _route(method: str, path: str, name: str, summary: str, request: Any, handler: Any) -> Any:
    answer = GroupList if request is Empty else Group
    return Route(method, path, name, summary, Who.TENANT, request, answer, handler)


ROUTES = (
    _route("GET", "/groups", "groups list", "List groups.", Empty, list_groups),
    _route("POST", "/groups", "groups add", "Add a group.", ShowGroup, add_group),
    _route("GET", "/groups/{name}", "groups show", "Show a group.", ShowGroup, show_group),
    _route("DELETE", "/groups/{name}", "groups remove", "Remove a group.", ShowGroup, remove_group),
    _route(
        "PATCH",
        "/groups/{name}/members",
        "groups members",
        "Add users to a group, and remove others.",
        ChangeMembers,
        change_members,
    ),
)
