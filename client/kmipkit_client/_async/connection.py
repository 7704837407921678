"""One connection to a server, which exchanges one request and response at a time."""

from kmipkit.connection import Connection as Protocol
from kmipkit.connection import Event, Response
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit_client._network import asynchronous as network
from kmipkit_client._network.deadline import Deadline
from kmipkit_client.errors import ConnectionFailed
from kmipkit_client.settings import Settings


class AsyncConnection:
    """A TLS connection for KMIP messages. After any error it must be closed."""

    def __init__(self, stream: network.Stream, settings: Settings) -> None:
        self._stream = stream
        self._settings = settings
        self._protocol = Protocol(limits=settings.limits, tolerant=True)

    @classmethod
    async def open(cls, settings: Settings) -> "AsyncConnection":
        """Open a TLS connection. ConnectionFailed or TimedOut if that is not possible."""
        return cls(await network.connect(settings), settings)

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request and wait for its response.

        Raises:
            LocalProtocolError: the request cannot be encoded in its version; nothing was sent.
            RemoteProtocolError: the response violates the protocol.
            ConnectionFailed, TimedOut: there is no response.
        """
        await self._require_silence()
        data = self._protocol.send_request(request)
        # One deadline for the whole exchange: a server that sends a byte now and then gains nothing.
        deadline = Deadline(self._settings.timeout, self._settings.clock)
        await self._stream.send(data, deadline)
        while True:
            event = self._next_event()
            if isinstance(event, Response):
                if self._protocol.has_unread_data:
                    raise _unexpected("the server sent more than one response to a request")
                return event.message
            self._protocol.receive_data(await self._stream.receive(deadline))

    async def _require_silence(self) -> None:
        """Refuse bytes that arrived before the request: they would be taken for its response."""
        unread = await self._stream.unread()
        if unread:
            raise _unexpected("the server sent data, but no request is open")
        if unread is not None:
            raise ConnectionFailed("the server has closed the connection")

    def _next_event(self) -> Event:
        try:
            return self._protocol.next_event()
        except RemoteProtocolError as error:
            if error.cause is Cause.CLOSED:
                raise ConnectionFailed(error.message) from None
            raise

    async def close(self) -> None:
        """Close the connection; never raises."""
        await self._stream.close()


def _unexpected(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE)
