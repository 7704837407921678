"""The revision of what each process keeps in memory of the store.

Policies, blocked accounts, tenants, replaced certificates, constraints and authorities are settings that
nearly every request needs, and that change seldom: so each process has them in memory. Several processes
may serve one store. Therefore whoever changes one of these settings changes the setting
:data:`.base.REVISION` with it, in the same transaction. Each request compares it with the revision that
the memory of its process has: it comes with the row of the first object, at no cost.
"""

import logging
from hashlib import sha256

from kmipkit_server.store.base import REVISION, Reader, Transaction
from kmipkit_server.store.errors import Damaged

log = logging.getLogger("kmipkit.server")

DAMAGED = b"damaged"
"""Stands for a revision that another program has changed: nothing is remembered for it."""


def read_revision(reader: Reader) -> bytes | None:
    """The revision; None if nothing was ever changed, :data:`DAMAGED` if another program changed it."""
    try:
        return reader.setting(REVISION)
    except Damaged as error:
        log.error("%s; what depends on it is read each time", error)
        return DAMAGED


def set_shared(transaction: Transaction, name: str, value: bytes | None) -> None:
    """Store a setting that processes keep in memory; None removes it."""
    transaction.set_setting(name, value)
    note_change(transaction, name, value or b"")


def note_change(transaction: Transaction, name: str, value: bytes) -> None:
    """Write another revision, since a setting has another value now.

    It follows from the revision before and from the change: so it is never the same for two contents,
    not even if one of them was rolled back.
    """
    change = f"{len(name)} {name}".encode() + value
    revision = sha256(_revision(transaction) + change).digest()[:16]
    transaction.set_setting(REVISION, revision)


def _revision(reader: Reader) -> bytes:
    try:
        return reader.setting(REVISION) or b""
    except Damaged:
        return b""
