"""The server as all requests see it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kmipkit.spec.enums import Operation
from kmipkit_server.engine.registry import Registry
from kmipkit_server.engine.settings import Settings
from kmipkit_server.engine.state import ServerState
from kmipkit_server.tenants.book import ClaimedTwice

SENT = frozenset({Operation.NOTIFY, Operation.PUT})
"""The operations that only servers send (KMIP 1.4 §5)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server without its store: its settings, its operations and its state in memory."""

    settings: Settings
    registry: Registry
    """What the server itself can carry out, also for administrators and for rotation."""
    clients: Registry | None = None
    """What clients may ask for, if that is less."""
    sent: frozenset[Operation] = SENT
    """What the server may send to clients."""
    state: ServerState = field(default_factory=ServerState)
    account_of: Callable[[bytes], str | None] = lambda _certificate: None
    """The account that a client certificate (DER) names by itself; ``None`` if it names none."""
    trust: Callable[[bytes], None] = lambda _certificate: None
    """Accept client certificates of a further authority (DER)."""

    @property
    def offered(self) -> Registry:
        """The operations that clients may ask for."""
        return self.registry if self.clients is None else self.clients

    def owner_of(self, certificate: bytes) -> str | None:
        """The whole name of the account that a client certificate (DER) names by itself."""
        account = self.account_of(certificate)
        try:
            return None if account is None else self.state.tenants.owner(certificate, account)
        except ClaimedTwice:
            return None
