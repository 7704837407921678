"""Protects a database of the first schema: MACs for its objects, and settings apart from them.

The first schema had no MACs, so the rows are taken as they are, once. The server found the constraints
and defaults by a fixed identifier, and its certificate authority by a fixed name, both among objects
that others could make as well.
"""

import sqlite3
from collections.abc import Iterator

from kmipkit.errors import RemoteProtocolError
from kmipkit.model.codec import decode
from kmipkit.model.objects import OpaqueObject
from kmipkit.spec.enums import ObjectType
from kmipkit.spec.versions import Version
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sqlite.transaction import SQLiteTransaction

RULES, AUTHORITY = "constraints and defaults", "certificate authority"
"""Settings."""
_OLD_IDENTIFIER = "kmipkit-constraints-and-defaults"
_SERVER = ""
"""The owner of what belongs to the server."""


def protect_rows(transaction: SQLiteTransaction) -> None:
    """Protect all rows, in the transaction of the migration."""
    for mac in _add_macs(transaction.connection, transaction.integrity):
        transaction.summary.add(mac)
    _move_rules(transaction)
    _find_authority(transaction)
    transaction.summary.write()


_UNPROTECTED = """
    SELECT o.seq, o.id, w.name, o.type, o.state, o.attributes, k.attributes, o.data_key, o.nonce
    FROM objects o JOIN owners w ON w.number = o.owner JOIN kinds k ON k.number = o.kind
    WHERE o.seq > ? ORDER BY o.seq LIMIT 1000"""


def _add_macs(connection: sqlite3.Connection, integrity: Integrity) -> Iterator[bytes]:
    last = -1
    while rows := connection.execute(_UNPROTECTED, (last,)).fetchall():
        for seq, *fields in rows:
            mac = integrity.of_object(*fields)
            connection.execute("UPDATE objects SET mac = ? WHERE seq = ?", (mac, seq))
            yield mac
        last = rows[-1][0]


def _move_rules(transaction: SQLiteTransaction) -> None:
    """Move the rules to the settings. A client's object of that identifier remains an object."""
    record = transaction.get(_OLD_IDENTIFIER)
    if record is None or record.owner != _SERVER:
        return
    try:
        material = record.material or b""
        value = decode(OpaqueObject, material[2:], Version(*material[:2]))
        transaction.set_setting(RULES, value.opaque_data_value)
    except (Damaged, RemoteProtocolError, TypeError):
        pass  # unreadable rules never applied; an administrator sets them again
    transaction.remove(record)


_AUTHORITY = f"""
    SELECT k.id, c.id
    FROM objects k JOIN objects c ON c.seq = k.seq + 1 AND c.owner = k.owner
    WHERE k.owner = (SELECT number FROM owners WHERE name = ?)
    AND k.type = {ObjectType.PRIVATE_KEY:d} AND c.type = {ObjectType.CERTIFICATE:d}
    AND k.material IS NOT NULL AND c.material IS NOT NULL
    ORDER BY k.seq DESC LIMIT 1"""  # noqa: S608 - numbers of the standard


def _find_authority(transaction: SQLiteTransaction) -> None:
    """The private key of the server, which only it can make, and the certificate made with it."""
    row = transaction.connection.execute(_AUTHORITY, (_SERVER,)).fetchone()
    if row is not None:
        transaction.set_setting(AUTHORITY, "\n".join(row).encode())
