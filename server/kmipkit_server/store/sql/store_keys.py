"""The keys of an open database: its key ring, and the root keys that are open."""

from collections.abc import Callable, Sequence

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.root_keys import (
    Entry,
    KeyRing,
    KeyWrapper,
    Opened,
    Row,
    open_keys,
    open_with,
    row_of,
    verified_entries,
)
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Connection


class StoreKeys:
    """The keys of an open database."""

    def __init__(self, sql: Callable[[], Connection], vault: KeyWrapper, name: str) -> None:
        """``sql`` returns the connection to use. StoreError if the root key is another one."""
        self._sql = sql
        self.name = name
        opened = open_keys(key_tables.root_key_rows(sql()), vault, name)
        self.integrity = opened.integrity
        self.integrity_key = opened.integrity_key
        self.vaults: dict[int, KeyWrapper] = {opened.number: vault}
        """The root keys that are open, by their numbers."""
        self.ring = KeyRing(opened.store_keys, max(opened.store_keys), name, self.reload)
        newest = key_tables.newest_data_key(sql())
        if newest is not None:
            self.ring.unwrap(newest.root_key, newest.wrapped)

    @property
    def vault(self) -> KeyWrapper:
        """The root key on which new data keys depend, if it is open; otherwise the other one."""
        return self.vaults.get(self.ring.current) or next(iter(self.vaults.values()))

    def entries(self, sql: Connection) -> dict[int, Entry]:
        """The entries of the root keys. StoreError if one was changed by another program."""
        return verified_entries(key_tables.root_key_rows(sql), self.integrity, self.name)

    def save_counter(self, counter: int) -> None:
        """Store the counter of transactions with each root key. KMIPError if that fails."""
        for vault in self.vaults.values():
            vault.save_counter(counter)

    def row_of(self, number: int, entry: Entry) -> Row:
        """The row of an entry."""
        return row_of(number, entry, self.integrity)

    def is_elsewhere(self) -> bool:
        """Whether the root key is at another place than at the last start."""
        [(number, vault)] = self.vaults.items()
        return self.entries(self._sql())[number].place != vault.place

    def note_place(self) -> None:
        """Store the place of the root key; in a transaction."""
        [(number, vault)] = self.vaults.items()
        moved = msgspec.structs.replace(
            self.entries(self._sql())[number], place=vault.place, kind=vault.kind
        )
        key_tables.write_root_key(self._sql(), self.row_of(number, moved))

    def require_current(self) -> None:
        """In a transaction: use the root keys that the database has now."""
        if key_tables.root_key_numbers(self._sql()) != frozenset(self.ring.keys):
            self.reload()

    def reload(self) -> None:
        """Read the root keys again: another process has begun or ended a rotation. StoreError if
        that fails."""
        opened = self._opened(key_tables.root_key_rows(self._sql()))
        self.ring.replace(opened.store_keys, max(opened.store_keys))

    def open_target(self, number: int, entry: Entry) -> None:
        """Open the root key of an entry, if it is not open. StoreError if that fails."""
        if number in self.vaults:
            return
        try:
            vault = self.vault.other(entry.place)
        except KMIPError as error:
            raise StoreError(str(error)) from error
        if not vault.fits(entry.identifier, entry.parameters):
            raise StoreError(vault.other_key())
        self.vaults[number] = vault

    def _opened(self, rows: Sequence[Row]) -> Opened:
        for vault in self.vaults.values():
            opened = open_with(rows, vault, self.name)
            if opened is not None:
                return opened
        # None of those that were open is needed any more. The place of the new one may name a module to
        # load: it is believed because of the MAC, whose key no rotation changes.
        [(number, entry)] = verified_entries(rows, self.integrity, self.name).items()
        try:
            self.open_target(number, entry)
        except StoreError as error:
            raise StoreError(
                f"the root key was replaced by {entry.identifier} at {entry.place}, which this process"
                f" cannot open: {error}; restart the server with the new one"
            ) from error
        self.vaults = {number: self.vaults[number]}
        return self._opened(rows)
