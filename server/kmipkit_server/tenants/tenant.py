"""One tenant: its name, which accounts belong to it, who administers it, and its limits."""

import re
from typing import Any

import msgspec

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A name as a label in the DNS has it: it is part of the names of owners, of files and of metrics."""


class TenantError(Exception):
    """A tenant cannot be so; the text says what is wrong and what to do."""


class TenantLimits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a tenant, and each of its accounts, may have; None is no limit but those of the server."""

    objects: int | None = None
    """Objects of all its accounts together that are not destroyed."""
    bytes: int | None = None
    """Bytes of all these objects: their material and attributes."""
    connections: int | None = None
    """Open connections of all its accounts."""
    workers: int | None = None
    """Computations that take long at the same time."""
    objects_per_account: int | None = None
    bytes_per_account: int | None = None
    connections_per_account: int | None = None


UNLIMITED = TenantLimits()
LIMITS = TenantLimits.__struct_fields__
"""The names of the limits."""


class Tenant(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tenant. A client certificate belongs to it if it meets any of the three kinds of conditions."""

    name: str
    authorities: tuple[bytes, ...] = ()
    """Certificates (DER) of authorities: all clients with one of them in their chain belong to it."""
    units: tuple[str, ...] = ()
    """Organizational units (OU) of the subject."""
    accounts: tuple[str, ...] = ()
    """Names of accounts, or patterns in which ``*`` stands for any characters."""
    administrators: tuple[str, ...] = ()
    """The names, inside the tenant, of the accounts that administer it; ``user:NAME`` for a user."""
    limits: TenantLimits = UNLIMITED

    def changed(self, **changes: Any) -> "Tenant":
        """The same with other values."""
        return msgspec.structs.replace(self, **changes)


def require_valid(tenant: Tenant) -> None:
    """TenantError for a name or a value that no tenant can have."""
    if not NAME.fullmatch(tenant.name):
        raise TenantError(
            f"{tenant.name!r} cannot be the name of a tenant: use 1 to 63 lower-case letters, digits and"
            " hyphens, with a letter or digit at both ends"
        )
    for what in ("units", "accounts", "administrators"):
        values: tuple[str, ...] = getattr(tenant, what)
        if not all(values) or len(set(values)) != len(values):
            raise TenantError(f"{what} of the tenant {tenant.name}: a value is empty or repeated")
    for name in LIMITS:
        value = getattr(tenant.limits, name)
        if value is not None and value < 1:
            raise TenantError(f"the limit {name} of the tenant {tenant.name} must be more than 0")
