"""What waits to be sent to clients of the server's own accord, by account."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.model.attribute import AttributeKey
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version

MAXIMUM = 1000
"""Notifications that wait for one account; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A change of an object that an account is notified of."""

    operation: Operation
    """Notify or Put."""
    identifier: str
    version: Version
    """That of the request that caused it."""
    changes: tuple[AttributeKey, ...] = ()


class Notifications:
    """The queues; accounts that are not to be notified have none."""

    def __init__(self, accounts: frozenset[str] = frozenset()) -> None:
        self.accounts = accounts
        self._waiting: dict[str, deque[Notification]] = {
            account: deque(maxlen=MAXIMUM) for account in accounts
        }
        self.on_new: Callable[[str], None] = lambda account: None
        """Called when something new waits for an account."""

    def add(self, account: str, notification: Notification) -> None:
        """Let a notification wait."""
        self._waiting[account].append(notification)
        self.on_new(account)

    def take(self, account: str) -> list[Notification]:
        """All that waits for an account, which then waits no more."""
        waiting = self._waiting.get(account)
        taken = list(waiting or ())
        if waiting is not None:
            waiting.clear()
        return taken
