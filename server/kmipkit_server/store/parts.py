"""The part of a store that a tenant sees, or that the accounts without a tenant see.

Unique Identifiers are unique within a part. In the store, the identifier of an object of a tenant begins
with the name of the tenant as an owner does (:mod:`.owners`); in the part it does not. So an object of
another part is found by the same look-up, and at the same cost, as one that has never existed, and two
tenants may import objects with the same identifier: neither learns anything about the other.

Settings, entries, times and the sums of owners are those of the whole store.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store.base import (
    Criterion,
    DueRotation,
    Entry,
    Located,
    LocateQuery,
    Reader,
    Record,
    Share,
    Transaction,
    Usage,
)
from kmipkit_server.store.owners import is_of_tenant, system_owner


def stored_identifier(tenant: str, identifier: str) -> str:
    """The identifier in the whole store of an object in the part of a tenant."""
    return system_owner(tenant) + identifier


def identifier_in_part(tenant: str, stored: str) -> str:
    """The identifier in the part of a tenant of an object in the whole store."""
    return stored.removeprefix(system_owner(tenant))


class PartReader(Reader):
    """A view of the committed state of a part."""

    def __init__(self, whole: Reader, tenant: str) -> None:
        self._whole = whole
        self._prefix = system_owner(tenant)

    def get(self, identifier: str) -> Record | None:
        """The object of this part with this Unique Identifier."""
        prefix = self._prefix
        record = self._whole.get(prefix + identifier)
        if record is None:
            return None
        if prefix:
            # Only a part writes identifiers that begin so. What an earlier server may have taken from
            # a client is nobody's, since its owner is not of the tenant.
            return record.renamed(identifier) if record.owner.startswith(prefix) else None
        return None if is_of_tenant(record.owner) else record

    def locate(self, query: LocateQuery) -> Located:
        """The objects of this part that meet all criteria."""
        prefix = self._prefix
        if not prefix:
            return self._whole.locate(query)
        criteria = tuple([self._stored_criterion(each) for each in query.criteria])
        located = self._whole.locate(replace(query, criteria=criteria))
        return Located(self._own(located.ids), located.total)

    def locate_permitted(
        self, query: LocateQuery, shares: Sequence[Share], permits: Callable[[Record], bool]
    ) -> Located:
        """The same, of those that a function permits."""
        prefix = self._prefix
        if not prefix:
            return self._whole.locate_permitted(query, shares, permits)
        length = len(prefix)
        stored = [
            replace(
                share, criteria=tuple([self._stored_criterion(each) for each in share.criteria])
            )
            for share in shares
        ]
        criteria = tuple([self._stored_criterion(each) for each in query.criteria])
        located = self._whole.locate_permitted(
            replace(query, criteria=criteria),
            stored,
            lambda record: permits(record.renamed(record.id[length:])),
        )
        return Located(self._own(located.ids), located.total)

    def _stored_criterion(self, criterion: Criterion) -> Criterion:
        item = criterion.value
        if criterion.key != Tag.UNIQUE_IDENTIFIER or not isinstance(item.value, str):
            return criterion
        return Criterion(criterion.key, Item(item.tag, item.type, self._prefix + item.value))

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """The owner's objects with this name."""
        return self._own(self._whole.find_by_name(owner, name))

    def _own(self, identifiers: tuple[str, ...]) -> tuple[str, ...]:
        length = len(self._prefix)
        return tuple([each[length:] for each in identifiers]) if length else identifiers

    def setting(self, name: str) -> bytes | None:
        """A setting of the whole store."""
        return self._whole.setting(name)

    def settings(self, prefix: str) -> dict[str, bytes]:
        """Settings of the whole store."""
        return self._whole.settings(prefix)

    def entry(self, kind: str, key: bytes) -> Entry | None:
        """An entry of the whole store."""
        return self._whole.entry(kind, key)

    def entries(self, kind: str, owner: str | None = None) -> tuple[Entry, ...]:
        """Entries of the whole store."""
        return self._whole.entries(kind, owner)

    def entry_owners(self, kind: str, now: datetime) -> dict[str, int]:
        """Who has entries in the whole store."""
        return self._whole.entry_owners(kind, now)

    def owners(self, tenant: str) -> tuple[str, ...]:
        """The owners of a tenant."""
        return self._whole.owners(tenant)

    def objects_of(self, owner: str, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """A page of an owner's objects, by their identifiers in this part."""
        return self._own(self._whole.objects_of(owner, after and self._prefix + after, limit))

    def due_rotation(self, now: int, after: tuple[int, int]) -> DueRotation | None:
        """The object of the whole store that is to be rotated first."""
        return self._whole.due_rotation(now, after)


class PartTransaction(PartReader, Transaction):
    """A part with changes."""

    def __init__(self, whole: Transaction, tenant: str) -> None:
        super().__init__(whole, tenant)
        self._transaction = whole

    def insert(self, record: Record) -> None:
        """Store a new object."""
        self._transaction.insert(self._stored(record))

    def update(self, old: Record, new: Record) -> None:
        """Replace an object."""
        self._transaction.update(self._stored(old), self._stored(new))

    def remove(self, record: Record) -> None:
        """Delete an object."""
        self._transaction.remove(self._stored(record))

    def _stored(self, record: Record) -> Record:
        return record.renamed(self._prefix + record.id) if self._prefix else record

    def set_setting(self, name: str, value: bytes | None) -> None:
        """Store something for the server itself."""
        self._transaction.set_setting(name, value)

    def put_entry(self, entry: Entry, *, is_new: bool = False) -> None:
        """Store an entry."""
        self._transaction.put_entry(entry, is_new=is_new)

    def remove_entry(self, kind: str, key: bytes) -> None:
        """Remove an entry."""
        self._transaction.remove_entry(kind, key)

    def keep_newest_entries(self, kind: str, owner: str, number: int) -> None:
        """Remove an owner's oldest entries."""
        self._transaction.keep_newest_entries(kind, owner, number)

    def remove_expired(self, kind: str, now: datetime) -> None:
        """Remove the entries of a kind that have expired."""
        self._transaction.remove_expired(kind, now)

    def usage(self, owner: str) -> Usage:
        """How much an owner has."""
        return self._transaction.usage(owner)

    def usage_of_tenant(self, tenant: str) -> Usage:
        """How much the accounts of a tenant have together."""
        return self._transaction.usage_of_tenant(tenant)

    def note_time(self, now: datetime) -> None:
        """Note the time of a request."""
        self._transaction.note_time(now)

    def savepoint(self) -> AbstractContextManager[None]:
        """A part of the transaction that can be rolled back."""
        return self._transaction.savepoint()


def part_of(store: Reader, tenant: str) -> Reader:
    """What a tenant sees of a store; empty for the accounts without a tenant."""
    if isinstance(store, Transaction):
        return PartTransaction(store, tenant)
    return PartReader(store, tenant)
