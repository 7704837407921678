"""What the listener needs of the one that responds to messages."""

from typing import Protocol

from kmipkit.errors import OperationError, ProtocolError
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.identity import Identity
from kmipkit_server.tenants.tenant import TenantLimits


class Responder(Protocol):
    """From the bytes of a request to the bytes of its response."""

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection. NoIdentity if it has none."""

    @property
    def epoch(self) -> int:
        """Changes when open connections must be admitted again."""

    def limits_of(self, identity: Identity) -> TenantLimits:
        """The limits of the tenant of an account."""

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The response to a whole message.

        AdmitAgain if the account of the connection has changed; OutcomeUnknown if none would be true.
        """

    def on_response(self, identity: Identity, data: bytes) -> None:
        """Handle a client's response to a request of the server. RemoteProtocolError if it is none."""

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """The response to a message that fails as a whole."""
