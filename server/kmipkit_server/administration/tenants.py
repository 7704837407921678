"""Routes for tenants: which there are, which accounts belong to them, and their limits.

Administrators of the server change tenants; those of a tenant see their own. A change is a new version,
and takes effect for the next request of each client, also on open connections.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kmipkit_server.administration.certificates import read_certificate
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import Text
from kmipkit_server.administration.problems import conflict, not_found, unprocessable
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.config.effective import administrators
from kmipkit_server.engine.unfinished import end_unfinished
from kmipkit_server.identity import blocks, provisioned
from kmipkit_server.identity.provisioned import Provisioned
from kmipkit_server.net.sessions import Session
from kmipkit_server.policy import approvals, counts, versions
from kmipkit_server.store.base import Reader, Usage
from kmipkit_server.store.inventory import InventoryTransaction
from kmipkit_server.store.owners import (
    is_of_tenant,
    is_system,
    owner_name,
    system_owner,
    tenant_of,
)
from kmipkit_server.store.revision import set_shared
from kmipkit_server.tenants.book import Book, ClaimedTwice, read_book, read_versions, write_book
from kmipkit_server.tenants.claims import key_of
from kmipkit_server.tenants.moving import move_objects
from kmipkit_server.tenants.removal import clear
from kmipkit_server.tenants.tenant import Tenant, TenantError, TenantLimits

Names = Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)]
Certificates = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=64 * 1024)], ...], msgspec.Meta(max_length=100)
]


class TenantAuthority(msgspec.Struct, frozen=True):
    """An authority all of whose clients belong to a tenant."""

    subject: str
    certificate: str
    """PEM."""


class TenantDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant, with what it has."""

    name: str
    authorities: tuple[TenantAuthority, ...]
    units: tuple[str, ...]
    """Organizational units in the subjects of client certificates."""
    accounts: tuple[str, ...]
    """Names of accounts, or patterns for them."""
    administrators: tuple[str, ...]
    """The names of accounts inside the tenant."""
    limits: dict[str, int | None]
    objects: int
    """Objects that are not destroyed, those of the tenant itself included."""
    bytes: int
    connections: int
    to_move: tuple[str, ...] = ()
    """Accounts without a tenant that belong to it now, and whose objects were not moved."""


class TenantList(msgspec.Struct, frozen=True):
    """The tenants, at a version."""

    version: int | None
    """Null for the administrators of a tenant, since it counts the changes of all."""
    tenants: tuple[TenantDetails, ...]


class ShowTenant(Request, frozen=True):
    """Which tenant is meant."""

    name: Text


class AddTenant(Request, frozen=True):
    """A new tenant. Client certificates belong to it that meet any of the three kinds of conditions."""

    name: Text
    authorities: Certificates = ()
    """Certificates, PEM, of authorities: all clients with one of them in their chain belong to it."""
    units: Names = ()
    accounts: Names = ()
    administrators: Names = ()
    limits: TenantLimits = TenantLimits()


class ChangeTenant(Request, frozen=True):
    """What to change; what is not given stays as it is."""

    name: Text
    authorities: Certificates | None = None
    units: Names | None = None
    accounts: Names | None = None
    administrators: Names | None = None
    limits: dict[str, int | None] | None = None
    """Limits by their names; null removes one. Those that are not given stay."""
    force: bool = False
    """Whether to release an authority whose clients the server still accepts."""


class RemoveTenant(Request, frozen=True):
    """Which tenant to remove."""

    name: Text
    force: bool = False
    """Whether to remove it also if the server still accepts the clients of its authorities."""


class TenantRemoved(msgspec.Struct, frozen=True):
    """What was removed."""

    name: str
    objects: int
    """Users, groups, credentials and authorities of the tenant, and what was left of destroyed
    objects."""


class TenantVersion(msgspec.Struct, frozen=True):
    """A change of the tenants."""

    number: int
    time: datetime
    by: str
    change: str


class TenantVersions(msgspec.Struct, frozen=True):
    """The last changes, oldest first."""

    versions: tuple[TenantVersion, ...]


class MoveAccount(Request, frozen=True):
    """Whose objects belong where from now on."""

    account: Text
    """The name of the account, which stays the same."""
    source: Text = ""
    """The tenant that the objects leave; empty for none."""
    target: Text = ""
    """The tenant to which they belong then; empty for none."""


class AccountMoved(msgspec.Struct, frozen=True):
    """What was moved."""

    account: str
    """The new whole name of the owner."""
    objects: int


# --- show --------------------------------------------------------------------------------------------


async def list_tenants(context: Context, _request: Empty) -> TenantList:
    """The tenants in the scope."""
    book: Book = await context.parts.store.run(read_book)
    own = context.scope.tenant
    in_use = await _in_use(context)
    found = [each for each in book if own in (None, each.name)]
    version = book.version if context.scope.is_server else None
    return TenantList(version, tuple(_details(context, book, each, in_use) for each in found))


async def show_tenant(context: Context, request: ShowTenant) -> TenantDetails:
    """One tenant in the scope."""
    context.request.subject = request.name
    book: Book = await context.parts.store.run(read_book)
    tenant = book.find(request.name)
    if tenant is None or context.scope.tenant not in (None, tenant.name):
        raise not_found(f"there is no tenant {request.name!r}")
    return _details(context, book, tenant, await _in_use(context))


def _details(context: Context, book: Book, tenant: Tenant, in_use: "_InUse") -> TenantDetails:
    sessions, usages = in_use
    usage = [each for owner, each in usages.items() if tenant_of(owner) == tenant.name]
    return TenantDetails(
        name=tenant.name,
        authorities=tuple(map(_authority, tenant.authorities)),
        units=tenant.units,
        accounts=tenant.accounts,
        administrators=tenant.administrators,
        limits=msgspec.structs.asdict(tenant.limits),
        objects=sum(each.objects for each in usage),
        bytes=sum(each.size for each in usage),
        connections=sum(each.tenant == tenant.name for each in sessions),
        to_move=_to_move(book, tenant.name, usages, sessions) if context.scope.is_server else (),
    )


def _authority(der: bytes) -> TenantAuthority:
    certificate = x509.load_der_x509_certificate(der)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return TenantAuthority(certificate.subject.rfc4514_string(), pem)


class _InUse(NamedTuple):
    """What accounts have open, and what they have stored."""

    sessions: list[Session]
    usages: dict[str, Usage]


async def _in_use(context: Context) -> _InUse:
    live = context.parts.live
    sessions = [] if live is None else (await live.sessions.all())[0]
    return _InUse(sessions, await context.parts.store.usages())


def _to_move(
    book: Book, tenant: str, usages: dict[str, Usage], sessions: list[Session]
) -> tuple[str, ...]:
    """Accounts without a tenant that have objects, and whose clients belong to the tenant now.

    The names show that for patterns, and open connections for the rest.
    """
    presented: set[_Presented] = {
        (b"", owner, ()) for owner in usages if not tenant_of(owner) and not is_system(owner)
    }
    presented |= {each.presented for each in sessions if each.presented[1] in usages}
    return tuple(sorted({each[1] for each in presented if _tenant(book, *each) == tenant}))


_Presented = tuple[bytes, str, tuple[bytes, ...]]
"""A certificate, its account, and the keys of the authorities in its chain."""


def _tenant(
    book: Book, certificate: bytes, account: str, authorities: tuple[bytes, ...]
) -> str | None:
    try:
        return tenant_of(book.owner(certificate, account, authorities))
    except ClaimedTwice:
        return None


async def list_versions(context: Context, _request: Empty) -> TenantVersions:
    """The last changes."""
    versions = await context.parts.store.run(read_versions)
    return TenantVersions(
        tuple(TenantVersion(each.number, each.time, each.by, each.change) for each in versions)
    )


# --- change ------------------------------------------------------------------------------------------


async def add_tenant(context: Context, request: AddTenant) -> TenantDetails:
    """Make a tenant."""
    context.request.subject = request.name
    tenant = Tenant(
        request.name,
        authorities=tuple(map(read_certificate, request.authorities)),
        units=request.units,
        accounts=request.accounts,
        administrators=request.administrators,
        limits=request.limits,
    )

    def change(store: InventoryTransaction, book: Book) -> tuple[Tenant, ...]:
        if book.find(tenant.name) is not None:
            raise conflict(f"there is a tenant {tenant.name!r} already; tenants change changes it")
        _require_unused(context, store, tenant.name)
        return book.with_tenant(tenant)

    book = await _change(context, f"added {tenant.name}", change)
    return _details(context, book, tenant, await _in_use(context))


def _require_unused(context: Context, store: Reader, name: str) -> None:
    """Refuse a name under which there is something already, which would belong to the tenant."""
    rows = provisioned.read(store).values()
    has_objects = any(store.objects_of(owner, limit=1) for owner in store.owners(name))
    has_clients = any(tenant_of(row.account) == name and row.ends > context.now for row in rows)
    if has_objects or has_clients:
        raise conflict(
            f"accounts of a tenant {name!r} have objects or certificates of an earlier time; use another"
            " name"
        )


async def change_tenant(context: Context, request: ChangeTenant) -> TenantDetails:
    """Change what belongs to a tenant, or its limits."""
    context.request.subject = request.name
    values: dict[str, Any] = {
        name: value
        for name in ("units", "accounts", "administrators")
        if (value := getattr(request, name)) is not None
    }
    if request.authorities is not None:
        values["authorities"] = tuple(map(read_certificate, request.authorities))

    changed = sorted({*values, *(request.limits or ())})
    if not changed:
        raise unprocessable("nothing is to be changed: name authorities, units, accounts,"
                            " administrators or limits")  # fmt: skip

    def change(_store: InventoryTransaction, book: Book) -> tuple[Tenant, ...]:
        old = _require(book, request.name)
        new = old.changed(**values, limits=_limits(old.limits, request.limits or {}))
        released = set(old.authorities) - set(new.authorities)
        _require_not_accepted(context, released, force=request.force)
        return book.with_tenant(new)

    book = await _change(context, f"changed {request.name}: {', '.join(changed)}", change)
    return _details(context, book, book.require(request.name), await _in_use(context))


def _limits(old: TenantLimits, changes: dict[str, int | None]) -> TenantLimits:
    try:
        return msgspec.convert({**msgspec.structs.asdict(old), **changes}, TenantLimits)
    except msgspec.ValidationError as error:
        raise unprocessable(f"limits: {error}") from None


def _forget(store: InventoryTransaction, name: str, now: datetime) -> None:
    """Remove what the policy and administrators have stored about the accounts of a tenant: another one
    of the same name begins without."""
    versions.remove(store, name, now)
    approvals.forget_tenant(store, name)
    counts.forget_tenant(store, name)
    end_unfinished(store, lambda owner: tenant_of(owner) == name)
    blocked = blocks.read(store)
    left = {owner: block for owner, block in blocked.items() if tenant_of(owner) != name}
    if len(left) != len(blocked):
        set_shared(store, blocks.SETTING, blocks.pack(left))


async def remove_tenant(context: Context, request: RemoveTenant) -> TenantRemoved:
    """Remove a tenant whose accounts have no objects."""
    name = context.request.subject = request.name

    def work(store: InventoryTransaction) -> int:
        old = read_book(store)
        tenant = _require(old, name)
        _require_not_accepted(context, tenant.authorities, force=request.force)
        with _conflicts():
            removed = clear(store, name)
        _forget(store, name, context.now)
        # Nobody may take a certificate that Re-Provision has given for that of another account.
        ended = {
            key: row._replace(ends=context.now)
            for key, row in provisioned.read(store).items()
            if tenant_of(row.account) == name and row.ends > context.now
        }
        _store_provisioned(context, store, ended)
        _write(context, store, old.without_tenant(name), f"removed {name}")
        return removed

    number = await context.change_state(work, gone=system_owner(name))
    return TenantRemoved(name, number)


def _require(book: Book, name: str) -> Tenant:
    tenant = book.find(name)
    if tenant is None:
        raise not_found(f"there is no tenant {name!r}")
    return tenant


def _require_not_accepted(context: Context, authorities: Iterable[bytes], *, force: bool) -> None:
    """Refuse to release an authority of whose clients the server would make accounts without a tenant.

    They might have the names of other accounts.
    """
    if force:
        return
    accepted = set(map(key_of, context.live.dispatcher.server.settings.anchors))
    for der in authorities:
        if key_of(der) in accepted:
            raise conflict(
                f"the server accepts clients of {_authority(der).subject}, which would become accounts"
                " without a tenant: take the authority out of tls.ca and reload the server first, or use"
                " force"
            )


async def _change(
    context: Context,
    description: str,
    change: Callable[[InventoryTransaction, Book], tuple[Tenant, ...]],
) -> Book:
    """Store a new version, which applies to the next request of everybody."""

    def work(store: InventoryTransaction) -> Book:
        with _conflicts():
            tenants = change(store, read_book(store))
        return _write(context, store, tenants, description)

    return await context.change_state(work)


def _write(
    context: Context, store: InventoryTransaction, tenants: tuple[Tenant, ...], description: str
) -> Book:
    _require_administrators_stay(context, Book(tenants))
    by = context.identity.name
    return write_book(store, tenants, now=context.now, by=by, change=description)


@contextmanager
def _conflicts() -> Iterator[None]:
    """Refuse what the rules for tenants do not permit."""
    try:
        yield
    except TenantError as error:
        raise conflict(str(error)) from None


def _require_administrators_stay(context: Context, book: Book) -> None:
    """Refuse to make administrators of the server accounts of a tenant, as which they are none."""
    own = context.identity
    names: list[_Presented] = [(b"", name, ()) for name in administrators(context.parts.config())]
    for presented in (*names, (own.presented, own.name, own.authorities)):
        tenant, name = _tenant(book, *presented), presented[1]
        if tenant != "":
            where = "several tenants" if tenant is None else f"the tenant {tenant}"
            raise conflict(
                f"the account {name!r} would belong to {where}, and would no longer administer the"
                " server"
            )


# --- move --------------------------------------------------------------------------------------------


async def move_account(context: Context, request: MoveAccount) -> AccountMoved:
    """Move the objects of an account into a tenant, out of it, or to another one, in one transaction."""
    old = owner_name(request.source, request.account)
    new = owner_name(request.target, request.account)
    context.request.subject = f"{old} to {new}"
    live = context.live.dispatcher.server
    if is_system(old) or is_of_tenant(request.account):
        raise unprocessable("account must be the name of an account inside its tenant")

    def work(store: InventoryTransaction) -> int:
        book = read_book(store)
        for name in filter(None, (request.source, request.target)):
            _require(book, name)
        with _conflicts():
            moved = move_objects(store, old, new, unique_names=live.settings.unique_names)
        approvals.forget_account(store, old)
        counts.forget_account(store, old)
        end_unfinished(store, lambda owner: owner == old)
        rows = {
            key: row._replace(account=new)
            for key, row in provisioned.read(store).items()
            if row.account == old
        }
        _store_provisioned(context, store, rows)
        return moved

    number = await context.change_state(work, gone=old)
    return AccountMoved(new, number)


def _store_provisioned(
    context: Context, store: InventoryTransaction, changed: dict[bytes, Provisioned]
) -> None:
    if changed:
        table = provisioned.read(store) | changed
        set_shared(store, provisioned.SETTING, provisioned.pack(table, context.now))


def _route(
    method: str,
    path: str,
    name: str,
    summary: str,
    who: Who,
    request: Any,
    answer: Any,
    handler: Any,
) -> Route[Any, Any]:
    return Route(method, path, name, summary, who, request, answer, handler)


_S, _T = Who.SERVER, Who.TENANT

ROUTES = (
    _route("GET", "/tenants", "tenants list", "List tenants.", _T, Empty, TenantList, list_tenants),
    _route(
        "GET", "/tenants/{name}", "tenants show", "Show a tenant.", _T, ShowTenant, TenantDetails,
        show_tenant,
    ),
    _route(
        "POST", "/tenants", "tenants add", "Make a tenant.", _S, AddTenant, TenantDetails, add_tenant
    ),
    _route(
        "PATCH", "/tenants/{name}", "tenants change", "Change a tenant.", _S, ChangeTenant,
        TenantDetails, change_tenant,
    ),
    _route(
        "DELETE", "/tenants/{name}", "tenants remove", "Remove a tenant.", _S, RemoveTenant,
        TenantRemoved, remove_tenant,
    ),
    _route(
        "GET", "/tenants-versions", "tenants history", "List the last changes of tenants.", _S, Empty,
        TenantVersions, list_versions,
    ),
    _route(
        "POST", "/tenants-moves", "tenants move", "Move the objects of an account.", _S, MoveAccount,
        AccountMoved, move_account,
    ),
)  # fmt: skip
