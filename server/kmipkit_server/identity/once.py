"""Credentials that are valid once: one-time passwords, and the Timestamp of a Hashed Password.

Each has a number that must be greater than that of the one before. The last one is an entry of the
store, so that no process accepts what another one has accepted, and none does so after a restart.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from kmipkit_server.store.base import Entry, Store, Transaction
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

LAST = "last credential"
KINDS = (LAST,)
"""The kinds of entries."""


class Use(NamedTuple):
    """The use of a credential."""

    what: str
    """What the numbers count, in the whole server."""
    account: str
    number: int


@dataclass(slots=True)
class Once:
    """The numbers that were used last."""

    store: Store
    _last: dict[str, int] = field(default_factory=dict)
    """Those that this process has seen, for a store that cannot write."""

    async def use(self, use: Use, now: datetime, remember: timedelta) -> bool:
        """Whether this is the first use; it is remembered as long as its number could be used again."""
        if use.number <= self._last.get(use.what, -1):
            return False

        def note(transaction: Transaction) -> bool:
            transaction.remove_expired(LAST, now)
            key = sha256(use.what.encode()).digest()
            entry = transaction.entry(LAST, key)
            if entry is not None and use.number <= int(entry.content):
                return False
            content = str(use.number).encode()
            transaction.put_entry(Entry(LAST, key, use.account, now + remember, content))
            return True

        try:
            is_first = await self.store.run(note, writes=True)
        except StoreError as error:  # a full disk must not shut everybody out
            log.warning("a credential is remembered in this process only: %s", error)
            is_first = True
        if is_first:
            self._last[use.what] = use.number
        return is_first
