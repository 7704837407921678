"""Entries: reading and writing the state that outlives a request.

Each row has a MAC, and the sum of all MACs has those of the entries as well: so nobody can put back a
ticket that was used up. A secret content is sealed under a data key as the material of an object is, and
is gone with it.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from kmipkit_server.store.base import Entry
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.integrity import Integrity, is_same_mac
from kmipkit_server.store.sealing import Sealed, Sealer
from kmipkit_server.store.sql.connection import Connection

_COLUMNS = "kind, key, owner, expires, content, data_key, nonce, mac"
_SELECT = f"SELECT {_COLUMNS} FROM entries WHERE kind = ? AND key = ?"  # noqa: S608 - columns
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - columns


class _View(Protocol):
    @property
    def sql(self) -> Connection: ...
    @property
    def sealer(self) -> Sealer: ...
    @property
    def integrity(self) -> Integrity: ...


class _Changes(Protocol):
    def add(self, mac: bytes) -> None: ...
    def remove(self, mac: bytes) -> None: ...


class _Transaction(_View, Protocol):
    @property
    def summary(self) -> _Changes: ...
    def release_key(self, number: int) -> None: ...


def read(view: _View, kind: str, key: bytes) -> Entry | None:
    """The entry of a kind with a key."""
    row = view.sql.one(_SELECT, (kind, key))
    return None if row is None else _entry(view, *row)


def read_all(view: _View, kind: str, owner: str | None) -> tuple[Entry, ...]:
    """The entries of a kind, or those of one owner, in the order of their keys."""
    where, values = ("", (kind,)) if owner is None else (" AND owner = ?", (kind, owner))
    rows = view.sql.all(
        f"SELECT {_COLUMNS} FROM entries WHERE kind = ?{where} ORDER BY key",  # noqa: S608 - columns
        values,
    )
    return tuple([_entry(view, *row) for row in rows])


def owners(view: _View, kind: str, now: datetime) -> dict[str, int]:
    """Who has entries of a kind that have not expired, and how many."""
    rows = view.sql.all(
        "SELECT owner, count(*) FROM entries WHERE kind = ? AND expires >= ? GROUP BY owner",
        (kind, _seconds(now)),
    )
    return dict(rows)


def counts(view: _View) -> dict[str, int]:
    """How many entries there are of each kind, with those that have expired."""
    return dict(view.sql.all("SELECT kind, count(*) FROM entries GROUP BY kind"))


def insert(transaction: _Transaction, entry: Entry) -> None:
    """Store an entry; there is none of the same kind and key."""
    sealed = Sealed(None, None, entry.content)
    if entry.is_secret:
        sealed = transaction.sealer.seal(entry.content, _identifier(entry.kind, entry.key))
    content, expires = sealed.material or b"", _seconds(entry.expires)
    mac = transaction.integrity.of_entry(
        entry.kind, entry.key, entry.owner, expires, content, sealed.data_key, sealed.nonce
    )
    transaction.sql.run(
        _INSERT,
        (
            entry.kind, entry.key, entry.owner, expires,
            content, sealed.data_key, sealed.nonce, mac,
        ),
    )  # fmt: skip
    transaction.summary.add(mac)


def remove(transaction: _Transaction, kind: str, key: bytes) -> None:
    """Remove an entry, if there is one."""
    row = transaction.sql.one(
        "DELETE FROM entries WHERE kind = ? AND key = ? RETURNING mac, data_key", (kind, key)
    )
    if row is not None:
        _removed(transaction, *row)


_ALL = 1 << 60


def keep_newest(transaction: _Transaction, kind: str, owner: str, number: int) -> None:
    """Remove an owner's entries of a kind, but for so many with the highest keys."""
    rows = transaction.sql.all(
        "DELETE FROM entries WHERE kind = ? AND key IN (SELECT key FROM entries"
        " WHERE kind = ? AND owner = ? ORDER BY key DESC LIMIT ? OFFSET ?) RETURNING mac, data_key",
        (kind, kind, owner, _ALL, number),
    )
    for row in rows:
        _removed(transaction, *row)


def remove_expired(transaction: _Transaction, kind: str, now: datetime) -> None:
    """Remove the entries of a kind that have expired."""
    rows = transaction.sql.all(
        "DELETE FROM entries WHERE kind = ? AND expires < ? RETURNING mac, data_key",
        (kind, _seconds(now)),
    )
    for row in rows:
        _removed(transaction, *row)


def _removed(transaction: _Transaction, mac: bytes, data_key: int | None) -> None:
    transaction.summary.remove(mac)
    if data_key is not None:
        transaction.release_key(data_key)


def _entry(
    view: _View,
    kind: str,
    key: bytes,
    owner: str,
    expires: int,
    content: bytes,
    data_key: int | None,
    nonce: bytes | None,
    mac: bytes,
) -> Entry:
    expected = view.integrity.of_entry(kind, key, owner, expires, content, data_key, nonce)
    if not is_same_mac(mac, expected):
        raise Damaged(f"an entry of the kind {kind!r} was changed in the database")
    end, plain, identifier = datetime.fromtimestamp(expires, UTC), content, _identifier(kind, key)
    if data_key is None or nonce is None:
        return Entry(kind, key, owner, end, plain)
    number, once = data_key, nonce
    return Entry(
        kind, key, owner, end,
        lambda: view.sealer.open(number, once, plain, identifier),
        is_secret=True,
    )  # fmt: skip


def _identifier(kind: str, key: bytes) -> str:
    """To what the sealed content is bound; no object has this identifier, with a zero character."""
    return f"\0{kind}\0{key.hex()}"


@lru_cache(maxsize=64)
def _seconds(date: datetime) -> int:
    return int(date.timestamp())
