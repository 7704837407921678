"""The owner of an object, as it is stored: an account, the tenant of which is part of its name.

    db01                    an account that belongs to no tenant
    tenant:acme:db01        the account ``db01`` of the tenant ``acme``
    tenant:acme:user:bob    the account of its user ``bob``
    tenant:acme:            the tenant itself, which owns its users, groups and credentials
    (empty)                 the server itself, which owns those of all accounts without a tenant

So the same account name in two tenants is that of two accounts, and everything that has an owner has a
tenant. The names of tenants have no colon, so that these names are unambiguous. The names of accounts
come from certificates and users, and may have any character; but none that begins with ``tenant:`` is
taken from there (:func:`kmipkit_certs.identity.require_not_reserved`).
"""

from kmipkit_certs.identity import TENANT_PREFIX


def owner_name(tenant: str, account: str) -> str:
    """The whole name of an account of a tenant; that of an account without tenant is its own."""
    return f"{TENANT_PREFIX}{tenant}:{account}" if tenant else account


def system_owner(tenant: str) -> str:
    """The owner of what belongs to a tenant as a whole, or to the server if there is no tenant."""
    return owner_name(tenant, "")


def setting_of(tenant: str, name: str) -> str:
    """The name of the setting that a tenant has of its own, in place of one of the server."""
    return owner_name(tenant, name)


def is_system(owner: str) -> bool:
    """Whether it is a tenant itself, or the server, instead of an account."""
    return not account_in_tenant(owner)


def tenant_of(owner: str) -> str:
    """The tenant of an owner; empty if it belongs to none."""
    return _parts(owner)[0]


def account_in_tenant(owner: str) -> str:
    """The name of an owner inside its tenant."""
    return _parts(owner)[1]


def is_of_tenant(name: str) -> bool:
    """Whether the name of an owner, or an identifier as it is stored, is that of a tenant."""
    return name.startswith(TENANT_PREFIX)


def _parts(owner: str) -> tuple[str, str]:
    if not owner.startswith(TENANT_PREFIX):
        return "", owner
    tenant, _, account = owner.removeprefix(TENANT_PREFIX).partition(":")
    return tenant, account
