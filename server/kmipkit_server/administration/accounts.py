"""Routes for accounts: what each has, blocking one, and giving the objects of one to another."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from kmipkit_certs.identity import TENANT_PREFIX, USER_PREFIX

from kmipkit.spec.tags import Tag
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import MAX_PAGE, MAX_TEXT, Text
from kmipkit_server.administration.problems import (
    Refused,
    conflict,
    forbidden,
    not_found,
    unprocessable,
)
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.config import Config
from kmipkit_server.config.effective import administrators
from kmipkit_server.identity import blocks
from kmipkit_server.identity.blocks import Block, Blocks
from kmipkit_server.identity.sightings import Sighting
from kmipkit_server.store.base import Record, Usage
from kmipkit_server.store.inventory import Inventory, InventoryQuery, InventoryTransaction
from kmipkit_server.store.owners import account_in_tenant, is_system, tenant_of
from kmipkit_server.store.revision import set_shared
from kmipkit_server.store.slices import Steps
from kmipkit_server.tenants.book import Book

MAX_TRANSFERRED = 50
"""Objects that one transaction gives to another account: as many as a record of the audit has."""
MAX_BLOCKS = 10_000
MAX_BLOCKS_OF_TENANT = MAX_BLOCKS // 2
"""So that the administrators of a tenant leave room for others."""


class ListAccounts(Request, frozen=True):
    """Which accounts to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    """How many accounts to return, at most."""
    after: Text | None = None
    """The value of next in the page before."""


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a list."""

    name: str
    objects: int
    """Objects that are not destroyed."""
    bytes: int
    """Bytes of its objects, with those of the attributes of destroyed ones."""
    objects_quota: int | None
    """How many objects it may have; null for any number."""
    bytes_quota: int | None
    administrator: bool
    """Whether it administers the server, or its tenant."""
    blocked: bool
    connections: int
    """Its connections now."""
    last_seen: datetime | None
    """When it connected last; null if it has not since the server was started."""


class AccountPage(msgspec.Struct, frozen=True):
    """A part of a list, in the order of the names."""

    accounts: tuple[AccountSummary, ...]
    next: str | None
    """The parameter after for the next page; null at the end of the list."""


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
"""The name of an account."""


class ShowAccount(Request, frozen=True):
    """Which account is meant."""

    name: Name


class AccountCertificate(msgspec.Struct, frozen=True):
    """A certificate with which an account has connected since the server was started."""

    serial: str
    """The serial number, in hexadecimal digits."""
    fingerprint: str
    """The SHA-256 hash of its signed part, in hexadecimal digits."""
    expires: datetime | None
    last_seen: datetime


class AccountBlock(msgspec.Struct, frozen=True):
    """Why an account is blocked."""

    since: datetime
    by: str
    """The administrator."""
    reason: str


class AccountDetails(msgspec.Struct, frozen=True):
    """An account with what is known of its clients."""

    account: AccountSummary
    block: AccountBlock | None
    certificates: tuple[AccountCertificate, ...]


class BlockAccount(Request, frozen=True):
    """Which account to block."""

    name: Name
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Why, for other administrators."""


class BlockChanged(msgspec.Struct, frozen=True):
    """What has been done."""

    name: str
    blocked: bool
    changed: bool
    """False if it was so already."""
    connections: int
    """How many connections were ended."""


class TransferObjects(Request, frozen=True):
    """Whose objects another account is to have."""

    name: Name
    to: Name
    """The new owner."""


class TransferredObjects(msgspec.Struct, frozen=True):
    """A part of a transfer, which was one transaction."""

    objects: int
    """How many objects have a new owner."""
    remaining: bool
    """Whether there may be more: repeat the request until this is false."""


# --- list and show -----------------------------------------------------------------------------------


async def list_accounts(context: Context, request: ListAccounts) -> AccountPage:
    """A page of the accounts in the scope."""
    known = await _Known.read(context)
    after = None if request.after is None else context.scope.owner(request.after)
    rest = sorted(owner for owner in known.owners if after is None or owner > after)
    page = tuple(known.summary(owner) for owner in rest[: request.limit])
    return AccountPage(page, page[-1].name if len(rest) > len(page) else None)


async def show_account(context: Context, request: ShowAccount) -> AccountDetails:
    """One account in the scope."""
    context.request.subject = request.name
    known = await _Known.read(context)
    owner = context.scope.owner(request.name)
    if owner not in known.owners:
        raise not_found(f"there is no account {request.name!r}, as far as this server knows")
    block = known.blocked.get(owner)
    return AccountDetails(
        known.summary(owner),
        None if block is None else AccountBlock(block.since, block.by, block.reason),
        known.certificates(owner),
    )


def _is_administrator(config: Config, tenants: Book, owner: str) -> bool:
    """Whether an account administers the server or its tenant."""
    tenant = tenants.find(tenant_of(owner))
    of_tenant = () if tenant is None else tenant.administrators
    return owner in administrators(config) or account_in_tenant(owner) in of_tenant


class _Known:
    """What is known of the accounts in a scope at a time, by their whole names."""

    def __init__(
        self,
        context: Context,
        owners: dict[str, int],
        blocked: Blocks,
        connections: Mapping[str, int],
        usages: Mapping[str, Usage],
    ) -> None:
        self._scope = context.scope
        self._config = context.parts.config()
        self._usages = usages
        self._live = context.parts.live
        self.blocked = blocked
        self._connections = connections
        self._tenants = Book() if self._live is None else self._live.dispatcher.server.state.tenants
        seen = () if self._live is None else self._live.dispatcher.server.state.sightings.accounts
        known = {*owners, *seen, *blocked, *administrators(self._config)}
        self.owners = {each for each in known if self._scope.has(each) and account_in_tenant(each)}

    @classmethod
    async def read(cls, context: Context) -> "_Known":
        def work(reader: Inventory) -> Steps[tuple[dict[str, int], Blocks]]:
            yield
            return reader.owner_numbers(), blocks.unpack(reader.setting(blocks.SETTING))

        owners, blocked = await context.read(work)
        live = context.parts.live
        connections: Mapping[str, int] = {}
        if live is not None:
            connections = await live.sessions.counts()
            await live.sightings.refresh()
        return cls(context, owners, blocked, connections, await context.parts.store.usages())

    def summary(self, owner: str) -> AccountSummary:
        usage = self._usages.get(owner, Usage())
        limits, own = self._config.limits, self._tenants.limits_of(tenant_of(owner))
        return AccountSummary(
            name=self._scope.account(owner),
            objects=usage.objects,
            bytes=usage.size,
            objects_quota=own.objects_per_account or limits.objects_per_account,
            bytes_quota=own.bytes_per_account or limits.bytes_per_account,
            administrator=_is_administrator(self._config, self._tenants, owner),
            blocked=owner in self.blocked,
            connections=self._connections.get(owner, 0),
            last_seen=self._last_seen(owner),
        )

    def _sighting(self, owner: str) -> Sighting | None:
        return (
            None if self._live is None else self._live.dispatcher.server.state.sightings.of(owner)
        )

    def certificates(self, owner: str) -> tuple[AccountCertificate, ...]:
        sighting = self._sighting(owner)
        if sighting is None:
            return ()
        return tuple(
            AccountCertificate(each.serial, each.fingerprint, each.expires, each.last)
            for each in reversed(sighting.certificates.values())
        )

    def _last_seen(self, owner: str) -> datetime | None:
        sighting = self._sighting(owner)
        return None if sighting is None else sighting.last


# --- block -------------------------------------------------------------------------------------------


async def block_account(context: Context, request: BlockAccount) -> BlockChanged:
    """Refuse all requests of an account from now on, and end its connections."""
    context.request.subject = request.name
    if not context.scope.is_server and request.name.startswith(TENANT_PREFIX):
        raise unprocessable("name the account as it is called in the tenant, such as db01")
    owner = context.scope.owner(request.name)
    require_other(context, owner)
    block = Block(context.now, context.identity.name, request.reason)
    changed = await change_block(context, owner, block)
    ended = await context.live.sessions.end_account(owner)
    return BlockChanged(request.name, blocked=True, changed=changed, connections=ended)


def require_other(context: Context, owner: str) -> None:
    """Refuse to lock oneself out: then nobody might be left who could undo it."""
    if owner == context.identity.name:
        raise conflict("this is your own account: another administrator can do that")


async def unblock_account(context: Context, request: ShowAccount) -> BlockChanged:
    """Permit the requests of an account again."""
    context.request.subject = request.name
    changed = await change_block(context, context.scope.owner(request.name), None)
    return BlockChanged(request.name, blocked=False, changed=changed, connections=0)


async def change_block(context: Context, owner: str, block: Block | None) -> bool:
    """Block or unblock an account by its whole name; False if it was so already."""

    def work(transaction: InventoryTransaction) -> bool:
        stored = blocks.read(transaction)
        if (owner in stored) == (block is not None):
            return False
        if block is None:
            del stored[owner]
        else:
            _require_room(stored, tenant_of(owner))
            stored[owner] = block
        set_shared(transaction, blocks.SETTING, blocks.pack(stored))
        return True

    return await context.change_state(work)


def _require_room(stored: Blocks, tenant: str) -> None:
    of_tenant = sum(tenant_of(owner) == tenant for owner in stored) if tenant else 0
    if of_tenant >= MAX_BLOCKS_OF_TENANT or len(stored) >= MAX_BLOCKS:
        most = MAX_BLOCKS_OF_TENANT if tenant else MAX_BLOCKS
        raise conflict(f"{most} accounts are blocked, which is the maximum; unblock others first")


# --- transfer ----------------------------------------------------------------------------------------


async def transfer_objects(context: Context, request: TransferObjects) -> TransferredObjects:
    """Give objects of one account to another one, with all of their attributes."""
    context.request.subject = f"{request.name} to {request.to}"
    old, new = context.scope.owner(request.name), context.scope.owner(request.to)
    _require_transfer(context, old, new)
    query = InventoryQuery(
        lambda name: name == old, context.now, oldest_first=True, maximum=MAX_TRANSFERRED
    )
    page = await context.read(lambda reader: reader.inventory(query))
    identifiers = [each.id for each in page.objects if each.record is not None]
    has_unique_names = context.live.dispatcher.server.settings.unique_names

    def work(transaction: InventoryTransaction) -> int:
        moved: list[str] = []
        for identifier in identifiers:
            record = transaction.get(identifier)
            if record is None or record.owner != old:
                continue  # changed meanwhile
            if has_unique_names:
                _require_free_names(transaction, record, new)
            transaction.change_owner(record, new)
            moved.append(identifier)
        context.request.objects[:] = moved
        return len(moved)

    moved = await context.change(work)
    return TransferredObjects(moved, remaining=moved > 0)


def _require_transfer(context: Context, old: str, new: str) -> None:
    if is_system(old) or is_system(new):
        raise unprocessable("the objects of the server, such as users, have no account")
    if old == new:
        raise unprocessable("both names are the same")
    if tenant_of(old) != tenant_of(new):
        # Their identifiers in the store change with the tenant.
        raise unprocessable("the accounts belong to different tenants")
    # Whoever sets the password of a user, or is an administrator, could get the keys then.
    if account_in_tenant(new).startswith(USER_PREFIX):
        raise forbidden("objects can be given to the account of a certificate, and not to a user")
    if _is_administrator(context.parts.config(), context.live.dispatcher.server.state.tenants, new):
        raise forbidden(
            "objects cannot be given to an administrator: administrators do not get key material"
        )


def _require_free_names(transaction: InventoryTransaction, record: Record, account: str) -> None:
    """Names are unique among the objects of an account that are not destroyed (KMIP 1.4 §3.2)."""
    if record.is_destroyed:
        return
    for name in record.attributes.all(Tag.NAME):
        if transaction.find_by_name(account, name.name_value):
            raise _taken(record.id, name.name_value, account)


def _taken(identifier: str, name: str, account: str) -> Refused:
    return conflict(
        f"the object {identifier} has the Name {name!r}, and so has an object of {account!r}: names are"
        " unique in an account, so rename one of them; nothing else of this step was changed"
    )


ROUTES = (
    Route(
        method="GET",
        path="/accounts",
        name="accounts list",
        summary="List accounts, with what they have.",
        who=Who.TENANT,
        request=ListAccounts,
        answer=AccountPage,
        handler=list_accounts,
    ),
    Route(
        method="GET",
        path="/accounts/{name}",
        name="accounts show",
        summary="Show an account, with the certificates of its clients.",
        who=Who.TENANT,
        request=ShowAccount,
        answer=AccountDetails,
        handler=show_account,
    ),
    Route(
        method="PUT",
        path="/accounts/{name}/block",
        name="accounts block",
        summary="Refuse the requests of an account, and end its connections.",
        who=Who.TENANT,
        request=BlockAccount,
        answer=BlockChanged,
        handler=block_account,
    ),
    Route(
        method="DELETE",
        path="/accounts/{name}/block",
        name="accounts unblock",
        summary="Permit the requests of an account again.",
        who=Who.TENANT,
        request=ShowAccount,
        answer=BlockChanged,
        handler=unblock_account,
    ),
    Route(
        method="POST",
        path="/accounts/{name}/transfer",
        name="accounts transfer",
        summary="Give objects of an account to another one, up to 50 in one transaction.",
        who=Who.SERVER,
        request=TransferObjects,
        answer=TransferredObjects,
        handler=transfer_objects,
    ),
)
