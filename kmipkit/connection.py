"""The client's side of a KMIP connection, without I/O.

It turns received bytes into events, and messages into bytes to send. A connection carries one message
after the other; a :class:`Framer` separates them, on both sides. A :class:`Connection` also decodes
responses and pairs them with their requests: KMIP has no message numbers, so responses have the order
of the requests (KMIP 1.4 §9, §6).

Errors of the peer are raised as RemoteProtocolError.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model import envelope, messages
from kmipkit.model.codec import encode
from kmipkit.pairing import check_pairing
from kmipkit.spec.versions import Version
from kmipkit.ttlv.framing import HEADER_SIZE, message_length
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits


class Signal(Enum):
    """Events without content."""

    NEED_DATA = auto()
    """The next event needs more bytes."""
    CLOSED = auto()
    """The peer has closed the connection between two messages."""


@dataclass(frozen=True, slots=True)
class Response:
    """The response to the oldest open request."""

    message: messages.ResponseMessage
    version: Version
    request: messages.RequestMessage


Event = Response | Signal


class Framer:
    """Separates the messages in a stream of bytes; it stores at most one unfinished message."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._buffer: bytes | bytearray = b""
        self._size = 0
        self._eof = False

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun but not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes; no bytes mean that the peer has closed the connection."""
        if not data:
            self._eof = True
        elif not self._buffer:
            self._buffer = data  # most messages arrive as a whole, and need no copy
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += data

    def next_message(self) -> bytes | Signal:
        """The next complete message. RemoteProtocolError if it is not a message, or is cut off."""
        buffer = self._buffer
        if not buffer:  # after each message
            return Signal.CLOSED if self._eof else Signal.NEED_DATA
        if not self._size and len(buffer) >= HEADER_SIZE:
            self._size = message_length(buffer, self.limits)
        if self._size and len(buffer) >= self._size:
            size, self._size = self._size, 0
            if len(buffer) == size:
                self._buffer = b""
                return bytes(buffer)
            self._buffer = bytes(buffer[size:])
            return bytes(buffer[:size])
        if not self._eof:
            return Signal.NEED_DATA
        expected = f" of {self._size}" if self._size else ""
        message = f"the peer closed the connection after {len(buffer)}{expected} bytes of a message"
        raise RemoteProtocolError(message, cause=Cause.CLOSED)


class Connection:
    """Sends requests and receives their responses; see the head of this module."""

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS, tolerant: bool = False) -> None:
        """With ``tolerant``, standard items that the version does not have become extensions."""
        self._framer = Framer(limits)
        self._tolerant = tolerant
        self._open: deque[messages.RequestMessage] = deque()

    @property
    def has_unread_data(self) -> bool:
        """Whether bytes have been received that belong to no event so far."""
        return self._framer.is_inside

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; no bytes mean that the peer has closed the connection."""
        self._framer.feed(data)

    def next_event(self) -> Event:
        """The next event in the bytes received so far."""
        data = self._framer.next_message()
        if not isinstance(data, Signal):
            return self._response(data)
        if data is Signal.CLOSED and self._open:
            message = "the peer closed the connection without a response"
            raise RemoteProtocolError(message, cause=Cause.CLOSED)
        return data

    def _response(self, data: bytes) -> Response:
        if not self._open:
            error = "a response arrived, but no request is open"
            raise RemoteProtocolError(error, cause=Cause.UNEXPECTED_MESSAGE)
        message, version = envelope.decode_response(
            data, limits=self._framer.limits, tolerant=self._tolerant
        )
        request = self._open.popleft()
        check_pairing(request, message)
        return Response(message, version, request)

    def send_request(self, message: messages.RequestMessage) -> bytes:
        """The bytes of a request in the version of its header. LocalProtocolError if there are none."""
        data = encode(message, message.request_header.protocol_version.version)
        self._open.append(message)
        return data
