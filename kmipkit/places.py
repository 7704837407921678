"""The places for connections: how many an address, an account and a tenant may hold, and who makes room.

Each connection holds a place, also while it is silent. No address and no account can hold all
places, so that there is always a reserve for others. When places run out, the connection that has
been silent longest makes room: first one that has not finished its handshake, then one that waits
for its next request. Connections with a request in progress are never ended, nor those that have
been silent for a moment only: under a flood of new connections, a client needs time to speak.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar


class Occupant(Protocol):
    """A connection that holds a place."""

    @property
    def address(self) -> str:
        """The network address of its peer, without the port."""

    @property
    def is_authenticated(self) -> bool:
        """Whether its handshake is finished."""

    @property
    def silent_since(self) -> float | None:
        """When it began to wait for its peer; None while a request is in progress."""


MIN_SILENCE = 1.0
"""Seconds for which a connection is silent before it makes room for others."""

_Connection = TypeVar("_Connection", bound=Occupant)


class Limit(Enum):
    """The limits of the number of connections."""

    TOTAL = auto()
    ADDRESS = auto()
    ACCOUNT = auto()
    TENANT = auto()


class Full(Exception):
    """There is no place for a connection; the text says which limit is reached."""

    def __init__(self, text: str, limit: Limit) -> None:
        super().__init__(text)
        self.limit = limit


@dataclass(slots=True)
class Places(Generic[_Connection]):
    """The connections of one server."""

    total: int
    per_address: int
    per_account: int
    clock: Callable[[], float]
    end: Callable[[_Connection, str], None]
    """Ends a connection, with the reason. It leaves by itself."""
    occupants: set[_Connection] = field(default_factory=set)
    _by_address: dict[str, set[_Connection]] = field(default_factory=lambda: defaultdict(set))
    _by_account: dict[str, set[_Connection]] = field(default_factory=lambda: defaultdict(set))
    _by_tenant: dict[str, set[_Connection]] = field(default_factory=lambda: defaultdict(set))
    _accounts: dict[_Connection, tuple[str, str]] = field(default_factory=dict)
    """The account and the tenant of each connection whose account is known."""
    _ending: set[_Connection] = field(default_factory=set)
    """Those that were ended and have not left yet; their places are free."""

    def enter(self, connection: _Connection) -> None:
        """Give a new connection a place. Full: nobody can make room for it."""
        neighbors = self._by_address.get(connection.address, set())
        if self._held(neighbors) >= self.per_address:
            reason = f"{self.per_address} connections from {connection.address}"
            self._make_room(neighbors, reason, Limit.ADDRESS)
        elif self._held(self.occupants) >= self.total:
            reason = f"{self.total} connections are open"
            largest = max(self._by_address.values(), key=self._held)
            try:
                self._make_room(largest, reason, Limit.TOTAL)
            except Full:
                self._make_room(self.occupants, reason, Limit.TOTAL)
        self.occupants.add(connection)
        self._by_address[connection.address].add(connection)

    def authenticated(
        self,
        connection: _Connection,
        account: str,
        per_account: int | None = None,
        tenant: str = "",
        per_tenant: int | None = None,
    ) -> None:
        """Note the account of a connection, which may have been another one before.

        Full: the account has too many connections that are in use, or all accounts of its tenant have.
        """
        self._forget_account(connection)
        most = self.per_account if per_account is None else per_account
        what = f"of the account {account!r}"
        self._require_place(self._by_account.get(account, set()), most, what, Limit.ACCOUNT)
        if tenant and per_tenant is not None:
            what = f"of the tenant {tenant!r}"
            self._require_place(self._by_tenant.get(tenant, set()), per_tenant, what, Limit.TENANT)
        self._by_account[account].add(connection)
        self._by_tenant[tenant].add(connection)
        self._accounts[connection] = (account, tenant)

    def _require_place(
        self, siblings: set[_Connection], maximum: int, what: str, limit: Limit
    ) -> None:
        if self._held(siblings) >= maximum:
            self._make_room(siblings, f"{maximum} connections {what}", limit)

    def _forget_account(self, connection: _Connection) -> None:
        account, tenant = self._accounts.pop(connection, (None, None))
        if account is not None and tenant is not None:
            _discard(self._by_account, account, connection)
            _discard(self._by_tenant, tenant, connection)

    def leave(self, connection: _Connection) -> None:
        """Free the place of a connection that has ended."""
        self.occupants.discard(connection)
        self._ending.discard(connection)
        _discard(self._by_address, connection.address, connection)
        self._forget_account(connection)

    def keep(self, connection: _Connection) -> None:
        """Count a connection that was to make room, but was in use again when it was told."""
        self._ending.discard(connection)

    def _held(self, connections: set[_Connection]) -> int:
        if not self._ending:
            return len(connections)
        return len(connections) - len(connections & self._ending)

    def _make_room(self, candidates: Iterable[_Connection], reason: str, limit: Limit) -> None:
        latest = self.clock() - MIN_SILENCE
        silent = [
            (each.is_authenticated, since, each)
            for each in candidates
            if (since := each.silent_since) is not None
            and since <= latest
            and each not in self._ending
        ]
        if not silent:
            raise Full(reason, limit)
        _, _, oldest = min(silent, key=lambda each: each[:2])
        self._ending.add(oldest)
        self.end(oldest, f"makes room: {reason}")


def _discard(groups: dict[str, set[_Connection]], name: str, connection: _Connection) -> None:
    members = groups.get(name)
    if members is not None:
        members.discard(connection)
        if not members:
            del groups[name]
