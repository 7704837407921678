"""One connection to a server, which exchanges one request and response at a time."""

from kmipkit.connection import Event, Response
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit_client._network import asynchronous as network
from kmipkit_client.deadline import Deadline
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.errors import ConnectionFailed
from kmipkit_client.protocol import new_protocol
from kmipkit_client.settings import Settings


class AsyncConnection:
    """A TLS connection for KMIP messages. After any error it must be closed."""

    def __init__(self, stream: network.Stream, settings: Settings, endpoint: Endpoint) -> None:
        self._stream = stream
        self._address = str(endpoint)
        self._protocol = new_protocol(settings, endpoint)

    @classmethod
    async def open(
        cls, settings: Settings, endpoint: Endpoint, deadline: Deadline
    ) -> "AsyncConnection":
        """Open a TLS connection. ConnectionFailed or TimedOut if that is not possible."""
        return cls(await network.connect(settings, endpoint, deadline), settings, endpoint)

    @property
    def is_reusable(self) -> bool:
        """Whether the server accepts another request after the last response."""
        return self._protocol.is_reusable

    async def is_open(self) -> bool:
        """Whether the server has not closed an idle connection.

        Raises:
            RemoteProtocolError: it has sent something, which would be taken for the next response.
        """
        try:
            unread = await self._stream.unread()
        except ConnectionFailed:
            return False
        if unread:
            raise _unexpected("the server sent data, but no request is open")
        return unread is None

    async def exchange(self, request: RequestMessage, deadline: Deadline) -> ResponseMessage:
        """Send a request and wait for its response.

        There is one deadline for all of it: a server that sends a byte now and then gains nothing.

        Raises:
            LocalProtocolError: the request cannot be encoded in its version; nothing was sent.
            RemoteProtocolError: the response violates the protocol.
            ConnectionFailed, TimedOut: there is no response.
        """
        data = self._protocol.send_request(request)
        try:
            await self._stream.send(data, deadline)
            while True:
                event = self._next_event()
                if isinstance(event, Response):
                    break
                self._protocol.receive_data(await self._stream.receive(deadline))
        except ConnectionFailed as error:
            error.request_sent = True
            raise
        if self._protocol.has_unread_data:
            raise _unexpected("the server sent more than one response to a request")
        return event.message

    def _next_event(self) -> Event:
        try:
            return self._protocol.next_event()
        except RemoteProtocolError as error:
            if error.cause is Cause.CLOSED:
                raise ConnectionFailed(f"{self._address}: {error.message}") from None
            raise

    async def close(self) -> None:
        """Close the connection; never raises."""
        await self._stream.close()


def _unexpected(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE)
