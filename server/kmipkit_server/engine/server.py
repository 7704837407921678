"""What all requests to a server have in common."""

from dataclasses import dataclass, field

from kmipkit_server.engine.registry import Registry
from kmipkit_server.engine.settings import Settings
from kmipkit_server.engine.state import ServerState


@dataclass(frozen=True, slots=True)
class Server:
    """One server, apart from its store: what it is, what it can do, what it remembers."""

    settings: Settings
    registry: Registry
    state: ServerState = field(default_factory=ServerState)
