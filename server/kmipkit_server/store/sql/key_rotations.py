"""Carrying out rotations of keys, in parts, each of which is a small transaction.

What is done is in the database, so that a rotation goes on after a crash wherever it was. A
rotation of the root key begins with an entry for the new one. From then on, each of the two opens
everything. The data keys are wrapped again, and with the last part the entry of the old root key is
deleted.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.key_rotation import (
    Position,
    Prepared,
    RootKeyName,
    Rotation,
    RotationRefused,
    Step,
    rotation_of,
    store_rotation,
)
from kmipkit_server.store.root_keys import KeyWrapper, entry_of, new_store_key
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.resealing import reseal
from kmipkit_server.store.sql.store_keys import StoreKeys
from kmipkit_server.store.sql.transaction import SQLTransaction
from kmipkit_server.store.sql.views import View

KEYS_AT_ONCE = 64
"""Data keys that one transaction wraps again: they take about a millisecond."""


class KeyRotations:
    """Begins, carries out and ends rotations; all methods with a transaction are called in one."""

    def __init__(self, keys: StoreKeys, random: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._random = random
        self._position = Position()
        self._damaged = 0

    @property
    def root_key(self) -> RootKeyName:
        """The root key on which new data keys depend."""
        vault = self._keys.vault
        return RootKeyName(vault.kind, vault.identifier)

    def prepare(self, view: View, vault: KeyWrapper) -> Prepared:
        """Wrap the keys with a new root key, which may take long. KMIPError if that fails."""
        keys = self._keys
        entries = keys.entries(view.sql)
        for number, entry in entries.items():
            if vault.fits(entry.identifier, entry.parameters):
                return Prepared(number, vault, entries, keys.ring.keys, is_known=True)
        if len(entries) > 1:
            raise RotationRefused(
                "the root key is being rotated to another one already; wait until that has"
                " ended, or name"
                " one of these two root keys"
            )
        [(old, entry)] = entries.items()
        new = old + 1
        store_keys = {**keys.ring.keys, new: new_store_key(self._random)}
        wrapped = {**entry.store_keys, new: keys.vaults[old].wrap(store_keys[new])}
        added = entry_of(vault, keys.integrity_key, store_keys)
        if vault.unwrap(added.integrity_key) != keys.integrity_key:
            raise RotationRefused(f"{vault.name} does not unwrap what it has wrapped; use another")
        widened = msgspec.structs.replace(entry, store_keys=wrapped)
        return Prepared(new, vault, {old: widened, new: added}, store_keys, is_known=False)

    def begin_root(
        self, transaction: SQLTransaction, prepared: Prepared, now: datetime, account: str
    ) -> Rotation:
        """Begin a rotation of the root key, or turn round the one in progress. RotationRefused if
        not."""
        sql, number = transaction.sql, prepared.number
        current, stored = rotation_of(transaction), key_tables.root_key_numbers(sql)
        if current is not None and current.kind == "data":
            raise RotationRefused("the data keys are being rotated; wait until that has ended")
        if prepared.is_known and len(stored) == 1:
            raise RotationRefused(
                f"{prepared.vault.name} has the root key that is in use; name another one"
            )
        expected = frozenset(prepared.entries)
        if stored != (expected if prepared.is_known else expected - {number}):
            raise RotationRefused("another rotation has begun or ended meanwhile; try again")
        if not prepared.is_known:
            for each, entry in prepared.entries.items():
                key_tables.write_root_key(sql, self._keys.row_of(each, entry))
        counts = key_tables.data_keys_by_root_key(sql)
        total = sum(count for each, count in counts.items() if each != number)
        rotation = Rotation("root", number, total, now, account)
        store_rotation(transaction, rotation)
        return rotation

    def root_began(self, prepared: Prepared) -> None:
        """After the commit of :meth:`begin_root`: new data keys depend on the new root key."""
        self._keys.vaults[prepared.number] = prepared.vault
        self._keys.ring.replace(prepared.store_keys, prepared.number)

    def begin_data(self, transaction: SQLTransaction, now: datetime, account: str) -> Rotation:
        """Begin a rotation of the data keys. RotationRefused if another rotation is in progress."""
        if rotation_of(transaction) is not None:
            raise RotationRefused("keys are being rotated already; wait until that has ended")
        newest = key_tables.newest_data_key(transaction.sql)
        target = 0 if newest is None else newest.number
        total = key_tables.sealed_things(transaction.sql, target)
        rotation = Rotation("data", target, total, now, account)
        store_rotation(transaction, rotation)
        return rotation

    def step(self, transaction: SQLTransaction) -> Step:
        """Carry out a part of the rotation in progress."""
        rotation = rotation_of(transaction)
        if rotation is None:
            return Step(None)
        return _STEPS[rotation.kind](self, transaction, rotation)

    def _wrap_again(self, transaction: SQLTransaction, rotation: Rotation) -> Step:
        ring, target = self._keys.ring, rotation.target
        self._keys.require_current()
        ring.current = target
        keys = key_tables.data_keys_of_others(transaction.sql, target, KEYS_AT_ONCE)
        for key in keys:
            wrapped = ring.wrap(ring.unwrap(key.root_key, key.wrapped))
            key_tables.write_data_key(
                transaction.sql, key._replace(root_key=target, wrapped=wrapped)
            )
        return Step(rotation, len(keys) < KEYS_AT_ONCE, len(keys))

    def _seal_again(self, transaction: SQLTransaction, rotation: Rotation) -> Step:
        if transaction.sealer.current_key <= rotation.target:
            transaction.sealer.retire_current_key()
        part = reseal(transaction, rotation.target, self._position)
        damaged = self._damaged + part.damaged
        return Step(rotation, part.is_last, part.sealed, damaged, part.position)

    def stepped(self, step: Step) -> None:
        """After the commit of :meth:`step`."""
        self._position, self._damaged = step.position, step.damaged

    def require_target(self, view: View, rotation: Rotation) -> str:
        """Where the new root key is; empty if there is none.

        StoreError if it cannot be opened: the old one must not be given up then. It may take long.
        """
        if rotation.kind == "data":
            return ""
        entry = self._keys.entries(view.sql)[rotation.target]
        try:
            self._keys.open_target(rotation.target, entry)
        except StoreError as error:
            raise StoreError(
                f"the rotation of the root key cannot end, since the new one, {entry.identifier} at"
                f" {entry.place}, cannot be opened: {error}; make it available and restart"
                " the server, or go"
                " back to the old one with kmipkit admin keys rotate-root"
            ) from error
        return entry.place

    def finish(self, transaction: SQLTransaction, rotation: Rotation) -> bool:
        """End a rotation, if nothing is left to do; whether it has ended."""
        if rotation_of(transaction) != rotation or not self._is_done(transaction, rotation):
            return False
        if rotation.kind == "root":
            self._delete_old(transaction, rotation.target)
        store_rotation(transaction, None)
        transaction.has_destroyed = True  # the old keys must not stay in the files
        return True

    def _is_done(self, transaction: SQLTransaction, rotation: Rotation) -> bool:
        if rotation.kind == "root":
            return not key_tables.data_keys_of_others(transaction.sql, rotation.target, 1)
        # Another process may have sealed something with a key of its own, before it noticed.
        if key_tables.sealed_things(transaction.sql, rotation.target) <= self._damaged:
            return True
        self._position, self._damaged = Position(), 0
        return False

    def _delete_old(self, transaction: SQLTransaction, target: int) -> None:
        sql = transaction.sql
        entries = self._keys.entries(sql)
        own = {target: entries[target].store_keys[target]}
        for number in entries:
            key_tables.delete_root_key(sql, number)
        alone = msgspec.structs.replace(entries[target], store_keys=own)
        key_tables.write_root_key(sql, self._keys.row_of(target, alone))

    def finished(self, rotation: Rotation) -> None:
        """After the commit of :meth:`finish`: forget the old keys."""
        self._position, self._damaged = Position(), 0
        if rotation.kind == "root":
            keys, target = self._keys, rotation.target
            keys.ring.replace({target: keys.ring.keys[target]}, target)
            keys.vaults = {target: keys.vaults[target]}


_STEPS = {"root": KeyRotations._wrap_again, "data": KeyRotations._seal_again}
"""What a part of each kind of rotation does."""
