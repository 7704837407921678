"""What a removed tenant leaves in the store: nothing."""

from kmipkit_server.store.base import Transaction
from kmipkit_server.store.owners import account_in_tenant, is_system, system_owner
from kmipkit_server.tenants.tenant import TenantError


def clear(store: Transaction, name: str) -> int:
    """Delete what belongs to a tenant itself, and what is left of destroyed objects; how many.

    TenantError if an account has objects that are not destroyed.
    """
    owners = store.owners(name)
    counts = {owner: store.usage(owner).objects for owner in owners if not is_system(owner)}
    having = {account_in_tenant(owner): count for owner, count in counts.items() if count}
    if having:
        listed = ", ".join(f"{account} ({count})" for account, count in sorted(having.items()))
        raise TenantError(
            f"accounts of the tenant {name} have objects: {listed}; destroy them, or move them out of"
            " the tenant"
        )
    removed = 0
    for owner in owners:
        while page := store.objects_of(owner):
            for identifier in page:
                record = store.get(identifier)
                assert record is not None  # it is in the list, of the same transaction
                store.remove(record)
            removed += len(page)
    for setting in store.settings(system_owner(name)):
        store.set_setting(setting, None)
    return removed
