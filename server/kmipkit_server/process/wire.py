"""The bodies of questions between the processes of a server."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from kmipkit_server.engine import deferred_work, handing_over
from kmipkit_server.metrics.whole import FIGURES, READINESS

AUTHENTICATED = "authenticated"
"""Of a worker to the supervisor: whether the account of a connection has a place."""
SILENCES = "silences"
"""Of the supervisor to a worker: which connections wait for their peers, and for how long."""
ROOT_KEY = "root key"
"""Of the supervisor to a worker: where the root key is now; empty while there are two, or if that cannot
be read."""
NEXT_ROOT_KEY = "next root key"
"""Of a worker to the supervisor: where the root key is that is about to be the only one. Whoever starts
after that needs it, also if no worker is left that could be asked."""
PREPARE, APPLY, ABANDON, STORE = "prepare", "apply", "abandon", "store"
"""The steps of a reload: read and check all files, and use them, or keep the old ones; one worker stores
what the store has of the configuration."""
PLACE = "place"
"""Of a worker to the supervisor: for a place for a computation. The answer comes when there is one."""
ALIVE = "alive"
"""Of the supervisor to a worker: whether it still answers."""

SECONDS: Mapping[str, float] = {
    handing_over.KIND: math.inf,  # as long as the worker is alive
    deferred_work.KIND: math.inf,
    ALIVE: math.inf,  # who asks counts the seconds
    SILENCES: 1.0,
    FIGURES: 3.0,
    READINESS: 3.0,
    PREPARE: 60.0,
    STORE: 60.0,
    APPLY: 30.0,
}
"""How long a worker may take to answer, by the kind of the question."""
USUAL_SECONDS = 5.0
"""The same for other kinds."""


class Authenticated(msgspec.Struct, array_like=True, frozen=True):
    """The account of a connection, and its limits."""

    number: int
    account: str
    per_account: int
    tenant: str
    per_tenant: int


class Place(msgspec.Struct, array_like=True, frozen=True):
    """A computation that needs a place."""

    worker: int
    number: int
    """Which of the worker's; it says so in :class:`.GivenBack`."""
    account: str
    most: int | None
    """How many places the tenant of the account may use; None for the share of a tenant."""


class Silence(NamedTuple):
    """A connection that waits for its peer."""

    number: int
    is_authenticated: bool
    seconds: float


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """What a worker has stored of a new configuration."""

    lines: list[str] = []
    """What has changed."""
    fault: str = ""
    """Why nothing is stored."""
