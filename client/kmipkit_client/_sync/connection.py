# Made by tools/unasync.py from _async/connection.py; do not edit.
"""One connection to a server: requests go out one at a time, each with its answer."""

import time

from kmipkit.connection import Connection as Protocol
from kmipkit.connection import Event, Response
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit_client._network import blocking as network
from kmipkit_client.errors import ConnectionFailed
from kmipkit_client.settings import Settings


class Connection:
    """A TLS connection that speaks KMIP. After any error it must be closed."""

    def __init__(self, stream: network.Stream, settings: Settings) -> None:
        self._stream = stream
        self._settings = settings
        self._protocol = Protocol(limits=settings.limits, tolerant=True)

    @classmethod
    def open(cls, settings: Settings) -> "Connection":
        """Connect and shake hands. ConnectionFailed or TimedOut if not possible."""
        return cls(network.connect(settings), settings)

    def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request and wait for its answer.

        Raises:
            LocalProtocolError: the request cannot be said in its version; nothing was sent.
            RemoteProtocolError: the answer breaks the protocol.
            ConnectionFailed, TimedOut: there is no answer.
        """
        data = self._protocol.send_request(request)
        deadline = time.monotonic() + self._settings.timeout
        self._stream.send(data, deadline)
        while True:
            event = self._next_event()
            if isinstance(event, Response):
                return event.message
            self._protocol.receive_data(self._stream.receive(deadline))

    def _next_event(self) -> Event:
        try:
            return self._protocol.next_event()
        except RemoteProtocolError as error:
            if error.cause is Cause.CLOSED:
                raise ConnectionFailed(error.message) from None
            raise

    def close(self) -> None:
        """Close; never raises."""
        self._stream.close()
