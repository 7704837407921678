"""The limits of connections."""

from dataclasses import dataclass

from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits for connections; times are in seconds."""

    handshake_timeout: float = 10.0
    message_timeout: float = 30.0
    """From the first byte of a request to its last."""
    send_timeout: float = 30.0
    """For the client to read a response."""
    idle_timeout: float = 600.0
    """Between two requests: how long clients with a pool may keep an unused connection."""
    connections: int = 2000
    connections_per_address: int = 1500
    """Connections from one address, so that it cannot shut all others out."""
    connections_per_account: int = 1500
    """Connections of one account, however many addresses they come from."""
    connections_per_tenant: int = 1500
    """Connections of one tenant, unless it has a limit of its own."""
    messages: Limits = DEFAULT_LIMITS
