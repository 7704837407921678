"""The queues of notifications to clients, one for each account."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.model.attribute import AttributeKey
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version

MAX_QUEUE_LENGTH = 1000
"""Notifications in the queue of one account; the oldest ones are dropped."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A new or changed object of which an account is notified."""

    operation: Operation
    """Notify or Put."""
    identifier: str
    version: Version
    """The version of the request that caused it."""
    changes: tuple[AttributeKey, ...] = ()
    """The attributes that have changed."""


class Notifications:
    """The queues; accounts that are not notified have none."""

    def __init__(self, accounts: frozenset[str] = frozenset()) -> None:
        self.accounts = accounts
        self._queues: dict[str, deque[Notification]] = {
            account: deque(maxlen=MAX_QUEUE_LENGTH) for account in accounts
        }
        self.on_new: Callable[[str], None] = lambda account: None
        """Called with the account when a notification is added."""

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
