"""All tenants of a server at a version: who belongs to which, and what is stored of them.

They are one setting of the store, authenticated like all of them. Each change makes a new version, and
its author, its time and the tenants after it are kept as a setting as well.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from cryptography import x509

from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.owners import owner_name
from kmipkit_server.store.revision import set_shared
from kmipkit_server.tenants.claims import claims, key_of, require_no_overlap, require_usable
from kmipkit_server.tenants.tenant import (
    UNLIMITED,
    Tenant,
    TenantError,
    TenantLimits,
    require_valid,
)

SETTING = "tenants"
VERSIONS = "tenants version "
"""The beginning of the names of the settings with the versions."""
KEPT_VERSIONS = 100
MAX_TENANTS = 1000
MAX_CACHED = 4096
"""Certificates whose tenant is remembered."""


class ClaimedTwice(Exception):
    """Several tenants claim a certificate; the text names them, and so is not for its holder."""


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tenants after a change."""

    number: int
    time: datetime
    by: str
    """The whole name of the account that has made the change."""
    change: str
    """What it has changed, in words."""
    tenants: tuple[Tenant, ...]


class Book:
    """The tenants at a version. It does not change."""

    def __init__(self, tenants: tuple[Tenant, ...] = (), version: int = 0) -> None:
        self.version = version
        self.tenants = {tenant.name: tenant for tenant in tenants}
        self._cache: dict[tuple[bytes, str, tuple[bytes, ...]], str] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.tenants)

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self.tenants.values())

    def find(self, name: str) -> Tenant | None:
        """The tenant of this name."""
        return self.tenants.get(name)

    def limits_of(self, name: str) -> TenantLimits:
        """The limits of a tenant; none for the accounts without a tenant."""
        tenant = self.tenants.get(name)
        return UNLIMITED if tenant is None else tenant.limits

    def require(self, name: str) -> Tenant:
        """The tenant of this name. TenantError if there is none."""
        tenant = self.tenants.get(name)
        if tenant is None:
            known = ", ".join(self.tenants) or "none"
            raise TenantError(f"there is no tenant {name!r}; the tenants are: {known}")
        return tenant

    def owner(self, certificate: bytes, account: str, authorities: tuple[bytes, ...] = ()) -> str:
        """The whole name of the account of a verified certificate (DER), which may be empty.

        ``authorities`` are the keys of those in its verified chain. ClaimedTwice if it belongs to
        several tenants.
        """
        if not self.tenants:
            return account
        key = (certificate, account, authorities)
        owner = self._cache.get(key)
        if owner is None:
            owner = self._owner(certificate, account, authorities)
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = owner
        return owner

    def _owner(self, certificate: bytes, account: str, authorities: tuple[bytes, ...]) -> str:
        parsed = x509.load_der_x509_certificate(certificate) if certificate else None
        found = [each.name for each in self if claims(each, parsed, account, authorities)]
        if len(found) > 1:
            raise ClaimedTwice(
                f"the certificate of {account!r} belongs to several tenants ({', '.join(found)}); change"
                " what they claim, or issue another certificate"
            )
        return owner_name(found[0] if found else "", account)

    def anchors_for(self, name: str, anchors: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The authorities (DER) that a tenant, or the accounts without one, may know of.

        Those that other tenants claim are not among them.
        """
        claimed = {key_of(der) for each in self if each.name != name for der in each.authorities}
        return tuple(der for der in anchors if key_of(der) not in claimed) if claimed else anchors

    # --- changes ---------------------------------------------------------------------------------

    def with_tenant(self, tenant: Tenant) -> tuple[Tenant, ...]:
        """The tenants with a new or changed one. TenantError if that cannot be."""
        require_valid(tenant)
        require_usable(tenant)
        tenants = tuple({**self.tenants, tenant.name: tenant}.values())
        if len(tenants) > MAX_TENANTS:
            raise TenantError(f"a server has {MAX_TENANTS} tenants at most")
        require_no_overlap(tenants)
        return tenants

    def without_tenant(self, name: str) -> tuple[Tenant, ...]:
        """The tenants without one. TenantError if there is no such tenant."""
        self.require(name)
        return tuple(each for each in self if each.name != name)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Version).decode


def read_book(store: Reader) -> Book:
    """The tenants of a store. StoreError if they cannot be read: nobody is served then.

    Without them, accounts of tenants would be those of others.
    """
    return unpack(store.setting(SETTING))


def unpack(data: bytes | None) -> Book:
    """The tenants from their stored form; None if there have never been any."""
    if data is None:
        return Book()
    version = _decoded(data)
    return Book(version.tenants, version.number)


def read_versions(store: Reader) -> list[Version]:
    """The versions that are kept, oldest first."""
    return [_decoded(data) for data in store.settings(VERSIONS).values()]


def _decoded(data: bytes) -> Version:
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the tenants in the store cannot be read: {error}") from None


def write_book(
    store: Transaction,
    tenants: tuple[Tenant, ...],
    *,
    now: datetime,
    by: str,
    change: str,
) -> Book:
    """Store a new version."""
    old = read_book(store)
    number = old.version + 1
    data = _encode(Version(number, now, by, change, tenants))
    set_shared(store, SETTING, data)
    store.set_setting(f"{VERSIONS}{number:08}", data)
    kept = list(store.settings(VERSIONS))
    for name in kept[:-KEPT_VERSIONS]:
        store.set_setting(name, None)
    return Book(tenants, number)
