"""The keys above the data keys: which root keys a database needs, and what they protect.

A root key (see the room ``vault``) wraps two keys, both of 32 random bytes: the *integrity key* of the
database, and a *store key* of its own, which wraps the data keys. The store keys are in the memory
of the server while it runs. So a root key may be in a token, which is asked at a start and at a
rotation only.

The entry of a root key has its identifier, the place where it was used last, and the wrapped keys.
Each data key has the number of the root key on which it depends. While root keys are rotated there
are two entries, and each of them opens everything: a rotation that is interrupted goes on with
either. With its last step the entry of the old root key is deleted, and nothing depends on it any
more.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from kmipkit.errors import KMIPError
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import Integrity, is_same_mac
from kmipkit_server.store.sealing import KEY_SIZE


class KeyWrapper(Protocol):
    """A root key, which it never returns: what the vaults are for the store."""

    @property
    def kind(self) -> str:
        """The kind of root key, in a word."""

    @property
    def is_new(self) -> bool:
        """Whether nothing can need this root key yet."""

    @property
    def identifier(self) -> str:
        """What identifies the root key, wherever it is, and does not reveal it."""

    @property
    def place(self) -> str:
        """Where it is: a URI without secrets."""

    @property
    def parameters(self) -> str:
        """What one needs besides the secret to have this root key again, such as a salt."""

    @property
    def name(self) -> str:
        """Where the root key is, for messages."""

    def other(self, place: str) -> "KeyWrapper":
        """The root key at another place, opened without questions. KMIPError if that fails."""

    def fits(self, identifier: str, parameters: str) -> bool:
        """Whether this is the root key of an entry, which has these parameters."""

    def other_key(self) -> str:
        """What is wrong if another root key is needed, for people."""

    def wrap(self, key: bytes) -> bytes:
        """A key, wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key from :meth:`wrap`; KMIPError if it was wrapped with another root key."""

    @property
    def counter_name(self) -> str:
        """Where the counter is, for messages."""

    def counter(self) -> int | None:
        """The counter of transactions as it was last stored; None before the first time."""

    def save_counter(self, counter: int) -> None:
        """Store the counter of transactions. KMIPError if that fails."""


class Entry(msgspec.Struct, frozen=True):
    """What is stored about a root key."""

    identifier: str
    kind: str
    place: str
    parameters: str
    integrity_key: bytes
    store_keys: dict[int, bytes]
    """By the numbers of their root keys; those of others only while root keys are rotated."""


class Row(NamedTuple):
    """An entry as it is in the database."""

    number: int
    entry: bytes
    mac: bytes


class KeyRing:
    """The store keys in memory; they wrap and unwrap data keys."""

    def __init__(
        self,
        keys: Mapping[int, bytes],
        current: int,
        name: str,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        """``keys`` are by the numbers of their root keys.

        Args:
            current: the number of the root key on which new data keys depend.
            name: that of the database, for messages.
            reload: replaces the keys, because another process has begun or ended a rotation.
        """
        self.keys = dict(keys)
        self.current = current
        self.name = name
        self.reload = reload

    def replace(self, keys: Mapping[int, bytes], current: int) -> None:
        """Use other store keys from now on."""
        self.keys, self.current = dict(keys), current

    def wrap(self, key: bytes) -> bytes:
        """A data key, wrapped with the current store key."""
        return aes_key_wrap_with_padding(self.keys[self.current], key)

    def unwrap(self, root_key: int | None, wrapped: bytes) -> bytes:
        """A data key that depends on a root key. StoreError if it cannot be unwrapped."""
        number = root_key or 0
        if number not in self.keys:
            self.reload()
        store_key = self.keys.get(number)
        if store_key is None:
            raise StoreError(
                f"{self.name}: a data key depends on root key number {root_key}, of which the"
                " database has"
                " no entry; restore it from a backup"
            )
        try:
            return aes_key_unwrap_with_padding(store_key, wrapped)
        except (InvalidUnwrap, ValueError):  # ValueError: no wrapped key has this length
            raise StoreError(
                f"{self.name}: a data key was changed by another program; restore the database from a"
                " backup"
            ) from None


class Opened(NamedTuple):
    """What a root key has opened."""

    number: int
    """That of the root key."""
    integrity: Integrity
    integrity_key: bytes
    store_keys: Mapping[int, bytes]


def row_of(number: int, entry: Entry, integrity: Integrity) -> Row:
    """The row of an entry."""
    encoded = msgspec.json.encode(entry)
    return Row(number, encoded, _mac(number, encoded, integrity))


def _mac(number: int, entry: bytes, integrity: Integrity) -> bytes:
    return integrity.of_setting(f"root key/{number}", entry)


def new_store_key(random: Callable[[int], bytes]) -> bytes:
    """The store key of a new root key."""
    return random(KEY_SIZE)


def entry_of(vault: KeyWrapper, integrity_key: bytes, store_keys: Mapping[int, bytes]) -> Entry:
    """The entry of a root key, which wraps all of these keys. KMIPError if it cannot."""
    return Entry(
        vault.identifier,
        vault.kind,
        vault.place,
        vault.parameters,
        vault.wrap(integrity_key),
        {number: vault.wrap(key) for number, key in store_keys.items()},
    )


def read_entries(rows: Iterable[Row], name: str) -> dict[int, Entry]:
    """The entries by their numbers, whose MACs are not checked. StoreError if there is none."""
    try:
        entries = {row.number: msgspec.json.decode(row.entry, type=Entry) for row in rows}
    except (UnicodeDecodeError, msgspec.MsgspecError):
        raise _damaged(name) from None
    if not entries:
        raise StoreError(
            f"{name}: the entry of the root key is missing; restore the database from a backup"
        )
    return entries


def verified_entries(rows: Iterable[Row], integrity: Integrity, name: str) -> dict[int, Entry]:
    """The entries by their numbers. StoreError if one was changed by another program."""
    stored = list(rows)
    if not all(is_same_mac(row.mac, _mac(row.number, row.entry, integrity)) for row in stored):
        raise _damaged(name)
    return read_entries(stored, name)


def open_keys(rows: Iterable[Row], vault: KeyWrapper, name: str) -> Opened:
    """Open what a root key protects. StoreError if the database needs another one, or was changed."""
    stored = list(rows)
    opened = open_with(stored, vault, name)
    if opened is None:
        raise StoreError(_other_root_key(read_entries(stored, name), vault, name))
    return opened


def open_with(rows: Iterable[Row], vault: KeyWrapper, name: str) -> Opened | None:
    """The same; None if the database needs another root key."""
    stored = list(rows)
    entries = read_entries(stored, name)
    try:
        number = _number_of(entries, vault)
        if number is None:
            return None
        integrity_key = vault.unwrap(entries[number].integrity_key)
        wrapped = entries[number].store_keys
        store_keys = {each: vault.unwrap(key) for each, key in wrapped.items()}
    except KMIPError as error:
        raise StoreError(str(error)) from error
    integrity = Integrity(integrity_key)
    verified_entries(stored, integrity, name)
    if number not in store_keys:
        raise _damaged(name)
    return Opened(number, integrity, integrity_key, store_keys)


def _number_of(entries: Mapping[int, Entry], vault: KeyWrapper) -> int | None:
    """The number of the entry to which a root key belongs."""
    for number, entry in entries.items():
        if vault.fits(entry.identifier, entry.parameters):
            return number
    return None


def _damaged(name: str) -> StoreError:
    return StoreError(
        f"{name}: the entry of the root key was changed by another program; restore the database from a"
        " backup"
    )


def _other_root_key(entries: Mapping[int, Entry], vault: KeyWrapper, name: str) -> str:
    """What to do if another root key is needed."""
    return (
        f"{vault.other_key()}; {name} needs {described(entries)}: set store.root_key to the place where"
        " it is now"
    )


def described(entries: Mapping[int, Entry]) -> str:
    """The root keys that a database needs, each of which is enough, for messages."""
    return "root key " + " or ".join(
        f"{entry.identifier}, which was last at {entry.place}" for entry in entries.values()
    )
