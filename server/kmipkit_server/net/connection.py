"""One connection: what it waits for, until when, and how it ends."""

import select
from collections.abc import Mapping
from dataclasses import dataclass

import trio
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.counters import Closing

_CLOSED_BY_PEER = getattr(select, "POLLRDHUP", 0)
"""The event of a socket whose peer has closed, where the system has it."""

# What a connection is waiting for; log lines show it.
HANDSHAKE = "the TLS handshake"
REQUEST = "a request"
REST_OF_REQUEST = "the rest of a request"
RESPONSE = "the server's own response"
SENDING = "the client to read a response"
CLIENT_RESPONSE = "the client's response"


@dataclass(slots=True, eq=False)
class Connection:
    """An open connection, with its deadline."""

    scope: trio.CancelScope
    address: str
    port: int
    peer: str
    """The address and the port, for the log."""
    timeouts: Mapping[str, float]
    deadline: float
    waiting_for: str
    descriptor: int
    """The file descriptor of its socket."""
    begun: float
    """When it was accepted."""
    ended_by: str = ""
    """The reason for which the server ends it: a timeout, its own shutdown, lack of places, the
    revocation of the certificate, or that the client has closed it."""
    is_established: bool = False
    """Whether the handshake has succeeded; the certificate may still be refused."""
    closing: Closing = Closing.NORMAL
    """The same in a fixed word, for the counters."""
    certificate: PeerCertificate | None = None
    """What revocations may concern; None during the handshake."""
    presented: Identity | None = None
    """Whom the certificate names; None during the handshake."""
    identity: Identity | None = None
    """Whose connection it is; None until that is known."""
    epoch: int = -1
    """When that was found out, in the epochs of the responder."""
    tls: str = ""
    """Protocol and cipher suite."""
    requests: int = 0
    """How many requests it has sent."""
    number: int = 0
    """What identifies it as long as the server runs."""

    @property
    def is_authenticated(self) -> bool:
        """Whether its handshake is finished."""
        return self.waiting_for != HANDSHAKE

    @property
    def account(self) -> str:
        """The name of its account; empty until that is known."""
        return "" if self.identity is None else self.identity.name

    @property
    def silent_since(self) -> float | None:
        """When it began to wait for its peer; None while it waits for the server."""
        timeout = self.timeouts.get(self.waiting_for)
        return None if timeout is None else self.deadline - timeout

    def identity_at(self, epoch: int) -> Identity | None:
        """Whose connection it is; None if that was found out in another epoch."""
        return self.identity if self.epoch == epoch else None

    def is_abandoned(self) -> bool:
        """Whether the client has closed the connection while the server computes its response.

        Nobody reads from the socket meanwhile, and further requests may be in its buffer: only the
        end of the stream matters.
        """
        if self.waiting_for != RESPONSE or not _CLOSED_BY_PEER:
            return False
        poll = select.poll()
        poll.register(self.descriptor, _CLOSED_BY_PEER)
        return bool(poll.poll(0))


def end(connection: Connection, reason: str, closing: Closing | None) -> None:
    """End a connection: ``reason`` is for the log, ``closing`` for the counters."""
    connection.ended_by = reason
    connection.closing = closing or Closing.NORMAL
    connection.scope.cancel()
