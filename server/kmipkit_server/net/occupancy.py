"""Who counts the connections against their limits, and finds out which one makes room for another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kmipkit.places import Places
from kmipkit_server.net.connection import Connection, end
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.counters import Closing


class Occupancy(Protocol):
    """The connections of a server, which may consist of several processes."""

    async def authenticated(
        self,
        connection: Connection,
        account: str,
        per_account: int,
        tenant: str,
        per_tenant: int,
    ) -> None:
        """Note the account of a connection. Full: it, or its tenant, has too many in use already."""

    def leave(self, connection: Connection) -> None:
        """Free the place of a connection that has ended."""


@dataclass(slots=True)
class OwnPlaces:
    """The occupancy of a server that is one process."""

    places: Places[Connection]

    def enter(self, connection: Connection) -> None:
        """Give a new connection a place. Full: nobody can make room for it."""
        self.places.enter(connection)

    async def authenticated(
        self,
        connection: Connection,
        account: str,
        per_account: int,
        tenant: str,
        per_tenant: int,
    ) -> None:
        """See :class:`Occupancy`."""
        self.places.authenticated(connection, account, per_account, tenant, per_tenant)

    def leave(self, connection: Connection) -> None:
        """See :class:`Occupancy`."""
        self.places.leave(connection)


def own_places(limits: ConnectionLimits, clock: Callable[[], float]) -> OwnPlaces:
    """The places of a new server."""
    return OwnPlaces(
        Places(
            limits.connections,
            limits.connections_per_address,
            limits.connections_per_account,
            clock,
            make_room,
        )
    )


def make_room(connection: Connection, reason: str) -> None:
    """End a connection, since another one needs its place."""
    end(connection, reason, Closing.ROOM)


def resize(places: Places[Any], limits: ConnectionLimits) -> None:
    """Apply other limits to the connections that come from now on."""
    places.total = limits.connections
    places.per_address = limits.connections_per_address
    places.per_account = limits.connections_per_account
