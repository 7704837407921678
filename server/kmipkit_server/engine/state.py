"""What the server keeps in memory only, for all connections: it ends with the process."""

from dataclasses import dataclass, field
from typing import Any

from kmipkit_server.engine.asynchronous import Deferral
from kmipkit_server.engine.multipart import Computation
from kmipkit_server.identity.tickets import Session


@dataclass(slots=True)
class ServerState:
    """Tables that a batch changes through :meth:`.batch.Batch.staged`, and nobody directly."""

    computations: dict[bytes, Computation] = field(default_factory=dict)
    """Operations in several parts, by Correlation Value."""
    sessions: dict[bytes, Session] = field(default_factory=dict)
    """Logins, by the value of their ticket."""
    deferrals: dict[bytes, Deferral] = field(default_factory=dict)
    """Asynchronous operations, by Asynchronous Correlation Value."""
    last_group_members: dict[object, str] = field(default_factory=dict)
    """The default member of an object group that was given last, by owner and query."""
    caches: dict[str, Any] = field(default_factory=dict)
    """What was read from the store and is asked for again and again, by the name of its reader."""
