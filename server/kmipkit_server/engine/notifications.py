"""The queues of notifications to clients, one for each account.

A notification is an entry of the store, written in the transaction of the change: no change is without
its notification, and none is lost with the process. One process sends those of all. It reads them from
the store into the queues in its memory, and removes each when the client has it.
"""

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from kmipkit.model.attribute import AttributeKey, VendorName
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit_server.store.base import NEVER, Entry, Reader, Transaction

NOTICE = "notice"
"""The kind of the entries."""

MAX_QUEUE_LENGTH = 1000
"""Notifications in the queue of one account; the oldest ones are dropped."""
PUT_AT_ONCE = 256
"""After how many for an account a process looks whether it has too many: to count them takes time."""


class Notification(NamedTuple):
    """A new or changed object of which an account is notified."""

    operation: Operation
    """Notify or Put."""
    identifier: str
    version: Version
    """The version of the request that caused it."""
    changes: tuple[AttributeKey, ...] = ()
    """The attributes that have changed."""
    key: bytes = b""
    """That of its entry in the store; empty if it has none."""


class Notifications:
    """The queues; accounts that are not notified have none."""

    def __init__(self, accounts: frozenset[str] = frozenset(), *, is_stored: bool = False) -> None:
        """``is_stored`` says that changes are noted in the store, and not here."""
        self.accounts = accounts
        self.is_stored = is_stored
        self.on_stored: Callable[[], None] = lambda: None
        """Called when this process has stored a notification."""
        self._queues: dict[str, deque[Notification]] = {
            account: deque(maxlen=MAX_QUEUE_LENGTH) for account in accounts
        }
        self.on_new: Callable[[str], None] = lambda account: None
        """Called with the account when a notification is added."""

    def note_stored(self) -> None:
        """Note that this process has stored a notification, and that its transaction is durable."""
        self.on_stored()

    @property
    def length(self) -> int:
        """The notifications in all queues."""
        return sum(map(len, self._queues.values()))

    def add(self, account: str, notification: Notification) -> None:
        """Add a notification to the queue of an account."""
        self._queues[account].append(notification)
        self.on_new(account)

    def take(self, account: str) -> list[Notification]:
        """Remove all notifications from the queue of an account, and return them."""
        queue = self._queues.get(account)
        if queue is None:
            return []
        notifications = list(queue)
        queue.clear()
        return notifications


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """The content of an entry."""

    operation: int
    identifier: str
    version: tuple[int, int]
    changes: tuple[int | tuple[str, str], ...]
    """Tags, or vendors with their names."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode
_numbers = itertools.count()
_put: Counter[str] = Counter()
"""How many this process has stored for each account."""


def put(transaction: Transaction, account: str, notification: Notification) -> None:
    """Store a notification. The oldest ones of an account that has too many are dropped."""
    changes = tuple(
        [
            (key.vendor, key.name) if isinstance(key, VendorName) else int(key)
            for key in notification.changes
        ]
    )
    major, minor = notification.version
    stored = _Stored(int(notification.operation), notification.identifier, (major, minor), changes)
    # In the order of time; of the same moment, in the order in which this process has made them.
    number = next(_numbers)
    key = b"%016x%08x" % (time.time_ns(), number & 0xFFFFFFFF)
    if _put[account] % PUT_AT_ONCE == 0:
        transaction.keep_newest_entries(NOTICE, account, MAX_QUEUE_LENGTH)
    transaction.put_entry(Entry(NOTICE, key, account, NEVER, _encode(stored)), is_new=True)
    _put[account] += 1


def stored(reader: Reader, account: str) -> list[Notification]:
    """The notifications of an account that nobody has received, in their order."""
    return [_unpack(entry) for entry in reader.entries(NOTICE, account)[-MAX_QUEUE_LENGTH:]]


def remove(transaction: Transaction, notifications: Iterable[Notification]) -> None:
    """Remove notifications that are received."""
    for each in notifications:
        transaction.remove_entry(NOTICE, each.key)


def _unpack(entry: Entry) -> Notification:
    stored = _decode(entry.content)
    changes = tuple(
        [Tag(each) if isinstance(each, int) else VendorName(*each) for each in stored.changes]
    )
    return Notification(
        Operation(stored.operation), stored.identifier, Version(*stored.version), changes, entry.key
    )
