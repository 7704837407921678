"""What this process has in memory for all connections: some of it as the store has it, for which it is
read again (:meth:`.dispatcher.Dispatcher.refresh`), and what ends with the process.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from kmipkit_server.engine.multipart import Computation
from kmipkit_server.engine.part_places import PartPlaces, place_of
from kmipkit_server.identity import blocks, provisioned
from kmipkit_server.identity.blocks import Block
from kmipkit_server.identity.provisioned import Provisioned
from kmipkit_server.identity.sightings import Sightings
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.store.base import Reader
from kmipkit_server.store.owners import is_system
from kmipkit_server.tenants import book
from kmipkit_server.tenants.book import Book

_Row = TypeVar("_Row")


_SETTINGS: Mapping[str, tuple[str, Callable[[bytes | None], object]]] = MappingProxyType(
    {
        blocks.SETTING: ("blocked", blocks.unpack),
        book.SETTING: ("tenants", book.unpack),
        provisioned.SETTING: ("provisioned", provisioned.unpack),
    }
)
"""Where each setting is in memory, and what makes it of its stored form."""


@dataclass(slots=True)
class ServerState:
    """Tables in memory."""

    # --- as the store has it, at a revision; see :mod:`kmipkit_server.store.revision`

    revision: bytes | None = None
    """The revision of the store for which the following was read."""
    policies: ActivePolicies = field(default_factory=ActivePolicies)
    """The policies in force."""
    blocked: dict[str, Block] = field(default_factory=dict)
    """Accounts that an administrator has blocked."""
    epoch: int = 0
    """Changes when open connections may belong to other accounts."""
    tenants: Book = field(default_factory=Book)
    """The tenants."""
    provisioned: dict[bytes, Provisioned] = field(default_factory=dict)
    """Client certificates that were replaced, or replace others, by SHA-256."""
    rules: dict[str, Any] = field(default_factory=dict)
    """The constraints and defaults for new objects, by tenant, of those who have needed them."""

    patterns: dict[tuple[object, ...], Any] = field(default_factory=dict)
    """What new objects have in common that were made of alike requests, for the rules of then."""

    settings_read: dict[str, bytes | None] = field(default_factory=dict)
    """The settings as they were last read."""

    # --- of this process only

    part_places: PartPlaces = field(
        default_factory=lambda: PartPlaces(os.urandom(32), place_of("", 1))
    )
    """Which process has the parts of which operation."""
    computations: dict[bytes, Computation] = field(default_factory=dict)
    """Operations in several parts, by Correlation Value. It changes through :meth:`.Batch.staged`."""
    validated_keys: set[bytes] = field(default_factory=set)
    """Digests of private keys that have been validated. They are facts, which no rollback undoes."""
    limits_reached: Counter[str] = field(default_factory=Counter)
    """How often each limit has refused something, for metrics; no rollback undoes it."""
    sightings: Sightings = field(default_factory=Sightings)
    """When accounts have connected; facts, which no rollback undoes."""

    def read(self, reader: Reader, revision: bytes | None) -> None:
        """Read what the store has, at a revision that was read before; StoreError if it cannot be.

        What has not changed stays as it is, with what was worked out from it.
        """
        new = {name: reader.setting(name) for name in _SETTINGS}
        for name, (attribute, unpacked) in _SETTINGS.items():
            if new[name] != self.settings_read.get(name):
                setattr(self, attribute, unpacked(new[name]))
                self.epoch += attribute != "blocked"
        self.settings_read = new
        self.rules = {}
        self.revision = revision

    def forget(self, gone: str) -> None:
        """End the operations in several parts of an account, by its whole name, or of all accounts of a
        tenant, by the name of its system owner.

        See :mod:`.unfinished` for their other unfinished work.
        """
        prefix = gone if is_system(gone) else None

        def is_gone(owner: str) -> bool:
            return owner == gone or (prefix is not None and owner.startswith(prefix))

        _remove(self.computations, lambda each: is_gone(each.owner[0]))


def _remove(table: dict[bytes, _Row], condition: Callable[[_Row], bool]) -> None:
    for key in [key for key, row in table.items() if condition(row)]:
        del table[key]
