"""What one process of a server gets from the others, if there are several."""

import gc
import sys
from dataclasses import dataclass, field
from socket import socket

from kmipkit_server.config import Config
from kmipkit_server.engine.computing import Shares
from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.net.occupancy import Occupancy
from kmipkit_server.net.open_files import permit_connections
from kmipkit_server.store.key_rotator import Announce, announce_to_nobody
from kmipkit_server.store.lock import Share

SWITCH_INTERVAL = 0.0002
"""Seconds after which a thread that computes lets the event loop go on; Python's default is 0.005."""

GARBAGE_THRESHOLD = 50_000
"""Objects after which Python collects cycles. A request makes many objects but hardly any cycles; with
Python's default of 700, the collections take a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Process:
    """A worker process."""

    peers: Peers
    count: int
    """How many workers the server has."""
    share: Share
    """Its part in the embedded store."""
    monitoring_sockets: list[socket] = field(default_factory=list)
    """Those that all workers have."""
    occupancy: Occupancy | None = None
    """Counts the connections of all workers."""
    events: ConnectionEvents | None = None
    """Writes down what happens to the connections of all workers."""
    computations: Shares | None = None
    """The places for computations of all workers."""
    announce_root_key: Announce = announce_to_nobody
    """Tells who starts further processes where the root key is about to be."""


def peers_of(process: Process | None) -> Peers:
    """The other processes of the server."""
    return ALONE if process is None else process.peers


def prepare(config: Config) -> None:
    """Set up the interpreter for a server, before its event loop runs."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    permit_connections(config.limits.connections)
    gc.freeze()  # modules and classes stay forever: collections need not visit them
