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
        data = self._protocol.send_request(request)
        deadline = Deadline(self._settings.timeout, self._settings.clock)
        await self._stream.send(data, deadline)
        while True:
            event = self._next_event()
            if isinstance(event, Response):
                return event.message
            self._protocol.receive_data(await self._stream.receive(deadline))

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
