"""Sealing everything again, with new data keys: a part of it in each transaction.

What was changed by another program keeps its data key, since sealing it again would hide that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kmipkit_server.store.base import Entry
from kmipkit_server.store.errors import Damaged, StoreError
from kmipkit_server.store.integrity import is_same_mac
from kmipkit_server.store.key_rotation import Position
from kmipkit_server.store.sql.connection import Row
from kmipkit_server.store.sql.transaction import SQLTransaction

MAX_OBJECTS = 32
"""Objects in a transaction."""
MAX_BYTES = 256 * 1024
"""Bytes of material in a transaction, about: what takes a few milliseconds."""

_NEXT = """
    SELECT seq, data_key, length(material) FROM objects
    WHERE data_key <= ? AND (data_key, seq) > (?, ?) ORDER BY data_key, seq LIMIT ?"""

_ROWS = """
    SELECT o.seq, o.id, (SELECT w.name FROM owners w WHERE w.number = o.owner), o.type, o.state,
        o.attributes, (SELECT k.attributes FROM kinds k WHERE k.number = o.kind), o.data_key, o.nonce,
        o.mac, o.material
    FROM objects o WHERE o.seq """


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction has done."""

    position: Position
    sealed: int
    damaged: int
    """Objects of this part that keep their data keys."""
    is_last: bool
    """Whether nothing is left after it."""


def reseal(transaction: SQLTransaction, up_to: int, after: Position) -> Part:
    """Seal some objects again whose data keys have numbers up to ``up_to``, and at the end the entries.

    Data keys that seal nothing any more are deleted.
    """
    rows = transaction.sql.all(_NEXT, (up_to, *after, MAX_OBJECTS))
    if not rows:
        return _reseal_entries(transaction, up_to, after)
    part = _beginning(rows)
    condition, values = transaction.dialect.one_of([seq for seq, _ in part])
    found = {seq: row for seq, *row in transaction.sql.all(_ROWS + condition, values)}
    sealed = sum(seq in found and _reseal_object(transaction, seq, *found[seq]) for seq, _ in part)
    seq, number = part[-1]
    return Part(Position(number, seq), sealed, len(part) - sealed, is_last=False)


def _beginning(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Positions and data keys of the first objects, as far as one transaction seals them."""
    part: list[tuple[int, int]] = []
    size = 0
    for seq, number, length in rows:
        if part and size + (length or 0) > MAX_BYTES:
            break
        part.append((seq, number))
        size += length or 0
    return part


def _reseal_object(
    transaction: SQLTransaction,
    seq: int,
    id_: str,
    owner: str | None,
    object_type: int,
    state: int,
    own: bytes,
    shared: bytes | None,
    number: int,
    nonce: bytes,
    mac: bytes,
    material: bytes,
) -> bool:
    """Whether the object was sealed again: it is undamaged."""
    if owner is None or shared is None:
        return False
    integrity = transaction.integrity
    try:
        if not is_same_mac(
            mac, integrity.of_object(id_, owner, object_type, state, own, shared, number, nonce)
        ):
            return False
        sealed = transaction.sealer.seal(transaction.sealer.open(number, nonce, material, id_), id_)
    except Damaged:
        return False
    new_mac = integrity.of_object(
        id_, owner, object_type, state, own, shared, sealed.data_key, sealed.nonce
    )
    transaction.sql.run(
        "UPDATE objects SET data_key = ?, nonce = ?, material = ?, mac = ? WHERE seq = ?",
        (*sealed, new_mac, seq),
    )
    transaction.summary.remove(mac)
    transaction.summary.add(new_mac)
    transaction.delete_unused_key(number)
    return True


def _reseal_entries(transaction: SQLTransaction, up_to: int, position: Position) -> Part:
    rows = transaction.sql.all(
        "SELECT kind, key FROM entries WHERE data_key <= ? ORDER BY kind, key", (up_to,)
    )
    sealed = sum(_reseal_entry(transaction, kind, bytes(key)) for kind, key in rows[:MAX_OBJECTS])
    is_last = not sealed or len(rows) <= MAX_OBJECTS
    return Part(position, sealed, len(rows) - sealed if is_last else 0, is_last)


def _reseal_entry(transaction: SQLTransaction, kind: str, key: bytes) -> bool:
    """Whether the entry was sealed again: it is undamaged."""
    try:
        entry = transaction.entry(kind, key)
        content = None if entry is None else entry.content
    except StoreError:
        return False
    if entry is None or content is None:
        return False
    transaction.put_entry(
        Entry(kind, entry.key, entry.owner, entry.expires, content, is_secret=True)
    )
    return True
