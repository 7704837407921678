"""The server as all requests see it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kmipkit_server.engine.registry import Registry
from kmipkit_server.engine.settings import Settings
from kmipkit_server.engine.state import ServerState


@dataclass(frozen=True, slots=True)
class Server:
    """A server without its store: its settings, its operations and its state in memory."""

    settings: Settings
    registry: Registry
    state: ServerState = field(default_factory=ServerState)
    account_of: Callable[[bytes], str | None] = lambda _certificate: None
    """The account that a client certificate (DER) names by itself; ``None`` if it names none."""
    trust: Callable[[bytes], None] = lambda _certificate: None
    """Accept client certificates of a further authority (DER)."""
