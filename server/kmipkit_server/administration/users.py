"""Routes for users: accounts with credentials of their own, beside those of certificates (KMIP 3.0)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import msgspec
from kmipkit_certs.identity import USER_PREFIX

from kmipkit.lifecycle import describe_state
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateUserRequest,
    PasswordCredential,
)
from kmipkit.model.payloads.attributes import AddAttributeRequest, DeleteAttributeRequest
from kmipkit.model.payloads.lifecycle import DeactivateRequest, DestroyRequest
from kmipkit.spec.enums import CertificateType, CredentialType, ObjectType, Operation, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.ttlv.tree import Item
from kmipkit_server.administration import kmip
from kmipkit_server.administration.accounts import change_block, require_other
from kmipkit_server.administration.certificates import read_certificate
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import MAX_PAGE, POSITION, Text
from kmipkit_server.administration.problems import conflict, not_found, unprocessable
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.identity import blocks
from kmipkit_server.identity.blocks import Block, Blocks
from kmipkit_server.identity.directory import account_name, is_usable
from kmipkit_server.objects.links import EarlierIdentifier
from kmipkit_server.store.base import Criterion, Reader, Record
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.inventory import Inventory, InventoryQuery
from kmipkit_server.store.slices import Steps

MAX_PASSWORD = 1024
MAX_CERTIFICATE = 64 * 1024


class ListUsers(Request, frozen=True):
    """Which users to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] | None = None
    """The value of next in the page before."""


class UserCredential(msgspec.Struct, frozen=True):
    """A credential of a user, without what is secret in it."""

    id: str
    """The Unique Identifier."""
    type: str
    state: str
    usable: bool
    """Whether the user can log in with it now."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    id: str
    """The Unique Identifier."""
    name: str
    account: str
    """The account that owns the user's objects; empty if that is not known."""
    enabled: bool
    """Whether the user can log in."""
    blocked: bool
    """Whether the account is blocked."""
    created: datetime | None
    credentials: tuple[UserCredential, ...]
    groups: tuple[str, ...]
    """The names of its groups."""


class UserPage(msgspec.Struct, frozen=True):
    """A part of a list."""

    users: tuple[User, ...]
    next: int | None
    """The parameter after for the next page; null at the end of the list."""


class ShowUser(Request, frozen=True):
    """Which user is meant."""

    name: Text


class AddUser(Request, frozen=True):
    """A new user, with a password, a certificate, or both."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PASSWORD)] | None = None
    certificate: Annotated[str, msgspec.Meta(max_length=MAX_CERTIFICATE)] | None = None
    """A client certificate, PEM."""


class SetPassword(Request, frozen=True):
    """The new password of a user."""

    name: Text
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PASSWORD)]


class RemoveUser(Request, frozen=True):
    """Which user to remove."""

    name: Text
    force: bool = False
    """Whether to remove it also if its account has objects, which nobody can use then."""


# --- finding -----------------------------------------------------------------------------------------


def of_system(context: Context, object_type: ObjectType, *criteria: Criterion) -> InventoryQuery:
    """The query for objects of the server of a type."""
    item = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(object_type))
    return InventoryQuery(
        owners=lambda owner: owner == context.scope.system,
        now=context.now,
        criteria=(Criterion(Tag.OBJECT_TYPE, item), *criteria),
        maximum=MAX_PAGE,
    )


def every(reader: Inventory, query: InventoryQuery) -> Steps[list[Record]]:
    """All objects of a query that are not damaged, page by page."""
    found: list[Record] = []
    while True:
        page = yield from reader.inventory(query)
        found += [each.record for each in page.objects if each.record]
        if page.next is None:
            return found
        query = replace(query, after=page.next)


def in_scope(context: Context, record: Record) -> Record:
    """An object with the identifier that it has for those who ask."""
    return record.renamed(context.scope.identifier(record.id))


def name_of(record: Record) -> str:
    """The Name of an object of the server."""
    name = record.attributes.get(Tag.NAME)
    return "" if name is None else str(name.name_value)


def find(context: Context, reader: Reader, object_type: ObjectType, name: str) -> Record:
    """The object of the server with this Name that is not destroyed. Refused if there is none."""
    for identifier in reader.find_by_name(context.scope.system, name):
        record = reader.get(identifier)
        if record is not None and record.object_type is object_type:
            return in_scope(context, record)
    raise not_found(f"there is no {title(object_type).lower()} {name!r}")


def linked(
    context: Context, reader: Inventory, tag: Tag, record: Record, known: Mapping[str, Record]
) -> list[Record]:
    """The objects of the server to which links lead, by identifier or Name.

    Args:
        known: Those to which they lead by identifier; see :func:`targets`.
    """
    system, found = context.scope.system, []
    for link in map(str, record.attributes.all(tag)):
        target = known.get(context.scope.stored(link))
        if target is None:
            named = reader.look_up(reader.find_by_name(system, link))
            target = next((each.record for each in named if _is_of(each.record, system)), None)
        if target is not None:
            found.append(in_scope(context, target))
    return found


def targets(context: Context, reader: Inventory, *records: Record) -> dict[str, Record]:
    """The objects of the server to which links of others lead by identifier, read together."""
    scope = context.scope
    identifiers = {
        scope.stored(str(link)): None
        for record in records
        for tag in (Tag.CREDENTIAL_LINK, Tag.GROUP_LINK)
        for link in record.attributes.all(tag)
    }
    return {
        each.id: each.record
        for each in reader.look_up(identifiers)
        if each.record is not None and each.record.owner == scope.system
    }


def _is_of(record: Record | None, owner: str) -> bool:
    return record is not None and record.owner == owner


def _user(
    context: Context,
    reader: Inventory,
    record: Record,
    blocked: Blocks,
    known: Mapping[str, Record],
) -> User:
    scope, now = context.scope, context.now
    try:
        account = account_name(record)
    except StoreError:  # a command on the files of a server does not open what is sealed
        account = ""
    # The account has the name that the user had at first, which hardly ever changes.
    owner = scope.owner(account or f"{USER_PREFIX}{name_of(record)}")
    credentials = linked(context, reader, Tag.CREDENTIAL_LINK, record, known)
    groups = linked(context, reader, Tag.GROUP_LINK, record, known)
    return User(
        id=record.id,
        name=name_of(record),
        account=account,
        enabled=is_usable(record, now) and owner not in blocked,
        blocked=owner in blocked,
        created=record.attributes.get(Tag.INITIAL_DATE),
        credentials=tuple(
            UserCredential(
                each.id,
                title(each.object_type),
                describe_state(each.state_at(now)),
                is_usable(each, now),
            )
            for each in credentials
        ),
        groups=tuple(name_of(each) for each in groups if not each.is_destroyed),
    )


# --- list and show -----------------------------------------------------------------------------------


async def list_users(context: Context, request: ListUsers) -> UserPage:
    """A page of the users that were not removed."""
    query = replace(
        of_system(context, ObjectType.USER),
        maximum=request.limit,
        after=context.meant(request.after, POSITION),
    )

    def work(reader: Inventory) -> Steps[UserPage]:
        page = yield from reader.inventory(query)
        blocked = blocks.unpack(reader.setting(blocks.SETTING))
        records = [in_scope(context, each.record) for each in page.objects if each.record]
        known = targets(context, reader, *records)
        users = [
            _user(context, reader, record, blocked, known)
            for record in records
            if not record.is_destroyed
        ]
        return UserPage(tuple(users), context.shown(page.next, POSITION))

    return await context.read(work)


async def show_user(context: Context, request: ShowUser) -> User:
    """One user."""
    context.request.subject = request.name

    def work(reader: Inventory) -> User:
        record = find(context, reader, ObjectType.USER, request.name)
        blocked = blocks.unpack(reader.setting(blocks.SETTING))
        return _user(context, reader, record, blocked, targets(context, reader, record))

    user: User = await context.parts.store.run(work)
    context.request.objects.append(user.id)
    return user


# --- change ------------------------------------------------------------------------------------------


async def add_user(context: Context, request: AddUser) -> User:
    """Create credentials and a user who is linked to them, in one message: all of it or nothing."""
    context.request.subject = request.name
    if request.password is None and request.certificate is None:
        raise unprocessable("a user needs a password or a certificate")
    await require_free(context, request.name)
    calls = _credentials(request.password, request.certificate)
    links = [EarlierIdentifier(number) for number in range(len(calls))]
    attributes = kmip.named(request.name, (Tag.CREDENTIAL_LINK, links))
    user = (Operation.CREATE_USER, CreateUserRequest(attributes=attributes))
    await kmip.carry_out(context, *calls, user)
    return await show_user(context, ShowUser(name=request.name))


async def require_free(context: Context, name: str) -> None:
    """Refuse a Name that an object of the server has."""

    def work(reader: Reader) -> bool:
        return bool(reader.find_by_name(context.scope.system, name))

    if await context.parts.store.run(work):
        raise conflict(
            f"the Name {name!r} is taken: users, groups and credentials have names of their own"
        )


def _credentials(password: str | None, certificate: str | None) -> list[kmip.Call]:
    calls = []
    if password is not None:
        value: Any = PasswordCredential(password=password)
        calls.append(_create_credential(CredentialType.PASSWORD, value))
    if certificate is not None:
        value = Certificate(
            certificate_type=CertificateType.X_509, certificate_value=read_certificate(certificate)
        )
        calls.append(_create_credential(CredentialType.CERTIFICATE, value))
    return calls


def _create_credential(kind: CredentialType, value: Any) -> kmip.Call:
    payload = CreateCredentialRequest(
        credential_type=kind, attributes=Attributes(), credential=value
    )
    return Operation.CREATE_CREDENTIAL, payload


def _destroy(identifier: str) -> kmip.Call:
    return Operation.DESTROY, DestroyRequest(unique_identifier=identifier)


def _retire(record: Record, now: datetime) -> list[kmip.Call]:
    """Destroy an object; one that is active is deactivated before (KMIP 1.4 §4.21)."""
    if record.is_destroyed:
        return []
    calls = [_destroy(record.id)]
    if record.state_at(now) is State.ACTIVE:
        calls.insert(0, (Operation.DEACTIVATE, DeactivateRequest(unique_identifier=record.id)))
    return calls


async def set_password(context: Context, request: SetPassword) -> User:
    """Give a user a new password; those that the user had are destroyed."""
    context.request.subject = request.name

    def work(reader: Inventory) -> tuple[Record, list[Record]]:
        user = find(context, reader, ObjectType.USER, request.name)
        known = targets(context, reader, user)
        records = linked(context, reader, Tag.CREDENTIAL_LINK, user, known)
        return user, [
            each for each in records if each.object_type is ObjectType.PASSWORD_CREDENTIAL
        ]

    user, old = await context.parts.store.run(work)
    calls = _credentials(request.password, None)
    calls.append(link(user.id, Tag.CREDENTIAL_LINK, EarlierIdentifier(0)))
    for each in old:
        calls += [unlink(user.id, Tag.CREDENTIAL_LINK, each.id), *_retire(each, context.now)]
    await kmip.carry_out(context, *calls)
    return await show_user(context, ShowUser(name=request.name))


def link(identifier: str, tag: Tag, target: str) -> kmip.Call:
    """Add a link to an object."""
    payload = AddAttributeRequest(unique_identifier=identifier, attribute=Attribute(tag, target))
    return Operation.ADD_ATTRIBUTE, payload


def unlink(identifier: str, tag: Tag, target: str) -> kmip.Call:
    """Remove a link from an object."""
    payload = DeleteAttributeRequest(
        unique_identifier=identifier, current_attribute=Attribute(tag, target)
    )
    return Operation.DELETE_ATTRIBUTE, payload


async def disable_user(context: Context, request: ShowUser) -> User:
    """Block the account of a user, and end its connections."""
    user = await show_user(context, request)
    require_other(context, context.scope.owner(user.account))
    block = Block(context.now, context.identity.name, "user disabled")
    await change_block(context, context.scope.owner(user.account), block)
    await context.live.sessions.end_account(context.scope.owner(user.account))
    return await show_user(context, request)


async def enable_user(context: Context, request: ShowUser) -> User:
    """Permit a user to log in again."""
    user = await show_user(context, request)
    await change_block(context, context.scope.owner(user.account), None)
    return await show_user(context, request)


async def remove_user(context: Context, request: RemoveUser) -> User:
    """Destroy a user and the credentials that no other user has."""
    user = await show_user(context, ShowUser(name=request.name))
    require_other(context, context.scope.owner(user.account))
    usage = (await context.parts.store.usages()).get(context.scope.owner(user.account))
    if usage is not None and usage.objects and not request.force:
        raise conflict(
            f"the account {user.account!r} has {usage.objects} objects: transfer them to another"
            " account first (accounts transfer), or use force"
        )

    def work(reader: Inventory) -> Steps[list[Record]]:
        record = find(context, reader, ObjectType.USER, request.name)
        own = [record]
        known = targets(context, reader, record)
        for credential in linked(context, reader, Tag.CREDENTIAL_LINK, record, known):
            item = Item(Tag.CREDENTIAL_LINK, ItemType.REFERENCE, credential.id)
            query = of_system(context, ObjectType.USER, Criterion(Tag.CREDENTIAL_LINK, item))
            users = yield from every(reader, query)
            others = [each for each in users if context.scope.identifier(each.id) != record.id]
            if all(each.is_destroyed for each in others):
                own.append(credential)
        return own

    records = await context.read(work)
    calls = [call for record in records for call in _retire(record, context.now)]
    await kmip.carry_out(context, *calls)
    await context.live.sessions.end_account(context.scope.owner(user.account))
    return user


def _route(
    method: str, path: str, name: str, summary: str, request: Any, answer: Any, handler: Any
) -> Route[Any, Any]:
    return Route(method, path, name, summary, Who.TENANT, request, answer, handler)


ROUTES = (
    _route("GET", "/users", "users list", "List users.", ListUsers, UserPage, list_users),
    _route("POST", "/users", "users add", "Add a user.", AddUser, User, add_user),
    _route("GET", "/users/{name}", "users show", "Show a user.", ShowUser, User, show_user),
    _route(
        "DELETE", "/users/{name}", "users remove", "Remove a user.", RemoveUser, User, remove_user
    ),
    _route(
        "PUT",
        "/users/{name}/password",
        "users password",
        "Give a user a new password.",
        SetPassword,
        User,
        set_password,
    ),
    _route(
        "PUT",
        "/users/{name}/disabled",
        "users disable",
        "Do not let a user log in.",
        ShowUser,
        User,
        disable_user,
    ),
    _route(
        "DELETE",
        "/users/{name}/disabled",
        "users enable",
        "Let a user log in again.",
        ShowUser,
        User,
        enable_user,
    ),
)
