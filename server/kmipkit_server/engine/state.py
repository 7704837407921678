"""The state that the server has in memory only, for all connections; it is lost with the process."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kmipkit_server.engine.asynchronous import Deferral
from kmipkit_server.engine.multipart import Computation
from kmipkit_server.identity.provisioned import Provisioned
from kmipkit_server.identity.tickets import Session


@dataclass(slots=True)
class ServerState:
    """Tables that change only through :meth:`.batch.Batch.staged`, unless they say otherwise."""

    computations: dict[bytes, Computation] = field(default_factory=dict)
    """Operations in several parts, by Correlation Value."""
    sessions: dict[bytes, Session] = field(default_factory=dict)
    """Sessions of Login, by the value of their ticket."""
    deferrals: dict[bytes, Deferral] = field(default_factory=dict)
    """Asynchronous operations, by Asynchronous Correlation Value."""
    last_group_members: dict[object, str] = field(default_factory=dict)
    """The member of an object group that was located last as its default, by owner and query."""
    validated_keys: set[bytes] = field(default_factory=set)
    """Digests of private keys that have been validated. They are facts, which no rollback undoes."""
    provisioned: dict[bytes, Provisioned] = field(default_factory=dict)
    """Client certificates that were replaced, or replace others, by SHA-256."""
    limits_reached: Counter[str] = field(default_factory=Counter)
    """How often each limit has refused something, for metrics; no rollback undoes it."""
    caches: dict[str, Any] = field(default_factory=dict)
    """Content of the store that is needed again and again, by the name of its cache."""
