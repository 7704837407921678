"""The unfinished work of accounts in the store: tickets, asynchronous requests and others."""

from collections.abc import Callable

from kmipkit_server.engine import asynchronous
from kmipkit_server.engine.notifications import NOTICE
from kmipkit_server.identity import once, shared_guesses, shared_sightings, tickets
from kmipkit_server.store.base import Transaction

DEFAULT_MEMBER = "default member"
"""The kind of entries that have the member of a group which a Locate has found last as its default."""
KINDS = (
    *tickets.KINDS, *asynchronous.KINDS, *shared_guesses.KINDS, *once.KINDS, *shared_sightings.KINDS,
    NOTICE, DEFAULT_MEMBER,
)  # fmt: skip
"""The kinds of entries that belong to accounts."""


def end_unfinished(transaction: Transaction, is_gone: Callable[[str], bool]) -> None:
    """Remove the unfinished work of accounts that are gone, by their whole names."""
    for kind in KINDS:
        for entry in transaction.entries(kind):
            if is_gone(entry.owner):
                transaction.remove_entry(kind, entry.key)
