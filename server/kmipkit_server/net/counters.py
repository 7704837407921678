"""What the listener counts. All names are fixed, so that no peer can make new ones."""

from dataclasses import dataclass, field
from enum import StrEnum

from kmipkit_server.counters.histogram import Histogram
from kmipkit_server.net.tls_failures import HandshakeFailure


class Refusal(StrEnum):
    """Why a connection is refused before its handshake."""

    TOTAL = "limits.connections"
    ADDRESS = "limits.connections_per_address"
    STOPPING = "stopping"


class ClientRefusal(StrEnum):
    """Why a client is refused after a handshake that succeeded."""

    NO_NAME = "no_name"
    """The certificate does not name an account."""
    REVOKED = "revoked"
    """The certificate is revoked, or the revocation list of its authority has expired."""
    ACCOUNT = "limits.connections_per_account"
    STORE = "store"
    """The store cannot tell to whom the certificate belongs."""


class Closing(StrEnum):
    """How a connection ended that had finished its handshake."""

    NORMAL = "by_client"
    IDLE = "idle_timeout"
    REQUEST = "message_timeout"
    SEND = "send_timeout"
    ROOM = "made_room"
    STOPPING = "stopping"
    REVOKED = "revoked"
    REFUSED = "refused"
    """As :class:`ClientRefusal` says."""
    ADMINISTRATOR = "by_administrator"
    """An administrator has closed it, or blocked its account."""
    UNAVAILABLE = "unavailable"
    """The server cannot serve, and its clients are to use another one."""
    BAD_REQUEST = "bad_request"
    BROKEN = "broken"
    UNANSWERED = "outcome_unknown"
    """The server does not know whether it has done what was asked for."""
    DEFECT = "internal_error"


@dataclass(slots=True)
class ConnectionCounters:
    """Counters since the start of the server."""

    accepted: int = 0
    refused: dict[Refusal, int] = field(default_factory=lambda: dict.fromkeys(Refusal, 0))
    handshakes: int = 0
    """Those that succeeded."""
    handshake_failures: dict[HandshakeFailure, int] = field(
        default_factory=lambda: dict.fromkeys(HandshakeFailure, 0)
    )
    handshake_seconds: Histogram = field(default_factory=Histogram)
    """How long those took that succeeded."""
    clients_refused: dict[ClientRefusal, int] = field(
        default_factory=lambda: dict.fromkeys(ClientRefusal, 0)
    )
    closed: dict[Closing, int] = field(default_factory=lambda: dict.fromkeys(Closing, 0))
