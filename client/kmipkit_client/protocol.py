"""How a connection carries messages: TTLV directly over TLS, or HTTPS."""

from typing import Protocol

from kmipkit.connection import Connection, Event
from kmipkit.model.messages import RequestMessage
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.settings import Settings


class MessageProtocol(Protocol):
    """One connection without I/O, as :class:`kmipkit.connection.Connection`."""

    @property
    def has_unread_data(self) -> bool:
        """Whether bytes have been received that belong to no event so far."""

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can carry another request."""

    def send_request(self, message: RequestMessage) -> bytes:
        """The bytes of a request."""

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; no bytes mean that the server has closed the connection."""

    def next_event(self) -> Event:
        """The next event in the bytes received so far."""


class _TTLVConnection(Connection):
    """TTLV directly over TLS."""

    is_reusable = True


def new_protocol(settings: Settings, endpoint: Endpoint) -> MessageProtocol:
    """The protocol of a new connection to a server."""
    if endpoint.path is None:
        return _TTLVConnection(limits=settings.limits, tolerant=True)
    try:  # h11 is for those only who use HTTPS
        from kmipkit_client.https import HTTPSConnection
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        remedy = "HTTPS needs the package h11; run: pip install 'kmipkit[client]'"
        raise ModuleNotFoundError(remedy, name=error.name) from None
    return HTTPSConnection(endpoint, settings.encoding, settings.limits)
