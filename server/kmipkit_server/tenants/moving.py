"""Moving the objects of an account into a tenant, out of it, or from one to another.

An object keeps its Unique Identifier, its attributes, its state and its material; only its owner
changes, with everything in one transaction. Its identifier in the store changes with the tenant, so that
the object is stored anew and sealed again; the old row is removed, as by Obliterate.
"""

from collections.abc import Iterator

from kmipkit.spec.tags import Tag
from kmipkit_server.store.base import Record, Transaction
from kmipkit_server.store.owners import account_in_tenant, tenant_of
from kmipkit_server.store.parts import identifier_in_part, stored_identifier
from kmipkit_server.tenants.tenant import TenantError


def move_objects(store: Transaction, source: str, target: str, *, unique_names: bool) -> int:
    """Give all objects of an account to another one; both are whole names. How many there were.

    TenantError if the other one has an object of the same name or identifier: then nothing is moved.
    """
    if source == target:
        raise TenantError(f"{account_in_tenant(source)!r} already belongs there")
    number = 0
    for record in _objects(store, source):
        identifier = identifier_in_part(tenant_of(source), record.id)
        stored = stored_identifier(tenant_of(target), identifier)
        if stored != record.id and store.get(stored) is not None:
            raise TenantError(
                f"an object there has the Unique Identifier {identifier!r} already; destroy and"
                " obliterate one of the two"
            )
        if unique_names and not record.is_destroyed:
            _require_new_names(store, record, target)
        moved = Record(
            stored,
            target,
            record.object_type,
            record.stored_state,
            record.attributes,
            record.material,
        )
        store.remove(record)
        store.insert(moved)
        number += 1
    return number


def _objects(store: Transaction, owner: str) -> Iterator[Record]:
    """The objects of an owner, oldest first, so that they keep their order. Each is to be removed."""
    while page := store.objects_of(owner):
        for identifier in page:
            record = store.get(identifier)
            assert record is not None  # it is in the list, of the same transaction
            yield record


def _require_new_names(store: Transaction, record: Record, owner: str) -> None:
    for name in record.attributes.all(Tag.NAME):
        if store.find_by_name(owner, name.name_value):
            raise TenantError(
                f"{account_in_tenant(owner)!r} has an object with the Name {name.name_value!r} there"
                " already; rename one of the two"
            )
