"""One KMIP connection, without I/O: bytes in, events out, messages in, bytes out.

The bytes of a connection are messages one after the other, in either direction. A
:class:`Connection` cuts them apart, decodes them, and keeps requests and responses paired: KMIP has
no message number, so answers come in the order of the questions (KMIP 1.4 §9, §6). The role says
which side asks; Set Endpoint Role (KMIP 2.1 §6.1.53) may exchange the roles.

Errors of the peer are raised as RemoteProtocolError by :meth:`Connection.next_event`; on the side that
answers, a request that cannot be understood is an event of its own, because it has an answer.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from kmipkit.errors import Cause, LocalProtocolError, ProtocolError, RemoteProtocolError
from kmipkit.model import envelope, messages
from kmipkit.model.codec import encode
from kmipkit.spec.versions import Version
from kmipkit.ttlv.framing import HEADER_SIZE, message_length
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits


class Role(Enum):
    """Which side of the connection this is."""

    ASKING = auto()
    """A client; or a server that notifies its client."""
    ANSWERING = auto()


class Signal(Enum):
    """Events without content."""

    NEED_DATA = auto()
    """Nothing more can be said before more bytes arrive."""
    CLOSED = auto()
    """The peer has closed, between two messages."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to answer."""

    message: messages.RequestMessage
    version: Version


@dataclass(frozen=True, slots=True)
class BadRequest:
    """A whole message that is not a request that can be understood; it is still owed an answer."""

    error: ProtocolError
    data: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the oldest request that had none."""

    message: messages.ResponseMessage
    version: Version
    request: messages.RequestMessage


Event = Request | BadRequest | Response | Signal


class Framer:
    """Cuts a stream of bytes into messages, holding at most one unfinished message."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._buffer: bytes | bytearray = b""
        self._size = 0
        self._eof = False

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; none at all means that the peer has closed."""
        if not data:
            self._eof = True
        elif not self._buffer:
            self._buffer = data  # most messages come whole, and are then never copied
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += data

    def next_message(self) -> bytes | Signal:
        """The next whole message. RemoteProtocolError where no message can begin or it is cut off."""
        buffer = self._buffer
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
        if not buffer:
            return Signal.CLOSED
        wanted = f" of {self._size}" if self._size else ""
        message = f"the peer closed the connection after {len(buffer)}{wanted} bytes of a message"
        raise RemoteProtocolError(message, cause=Cause.CLOSED)


class Connection:
    """Either side of a connection; see the head of this module."""

    def __init__(
        self, role: Role, *, limits: Limits = DEFAULT_LIMITS, tolerant: bool = False
    ) -> None:
        """``tolerant`` accepts standard items that the version does not have (kept as extensions)."""
        self.role = role
        self._framer = Framer(limits)
        self._tolerant = tolerant
        self._open: deque[messages.RequestMessage] = deque()
        self._owed = 0

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer; none at all means that the peer has closed."""
        self._framer.feed(data)

    def next_event(self) -> Event:
        """What the bytes received so far say next."""
        data = self._framer.next_message()
        if isinstance(data, Signal):
            return self._ended() if data is Signal.CLOSED else data
        return self._question(data) if self.role is Role.ANSWERING else self._answer(data)

    def _ended(self) -> Signal:
        if self._open:
            raise RemoteProtocolError(
                "the peer closed the connection without an answer", cause=Cause.CLOSED
            )
        return Signal.CLOSED

    def _question(self, data: bytes) -> Request | BadRequest:
        self._owed += 1
        try:
            message, version = envelope.decode_request(data, limits=self._framer.limits)
        except ProtocolError as error:
            return BadRequest(error, data)
        return Request(message, version)

    def _answer(self, data: bytes) -> Response:
        if not self._open:
            raise RemoteProtocolError(
                "an answer without a question", cause=Cause.UNEXPECTED_MESSAGE
            )
        message, version = envelope.decode_response(
            data, limits=self._framer.limits, tolerant=self._tolerant
        )
        request = self._open.popleft()
        _check_pairing(request, message)
        return Response(message, version, request)

    def send_request(self, message: messages.RequestMessage) -> bytes:
        """The bytes of a request in the version of its header. LocalProtocolError if impossible."""
        if self.role is not Role.ASKING:
            raise LocalProtocolError("this side answers", cause=Cause.UNEXPECTED_MESSAGE)
        data = encode(message, message.request_header.protocol_version.version)
        self._open.append(message)
        return data

    def send_response(self, message: messages.ResponseMessage) -> bytes:
        """The bytes of the answer to the oldest open request.

        What the client's version does not know is left out. LocalProtocolError if no answer is owed.
        """
        if not self._owed:
            raise LocalProtocolError("no answer is owed", cause=Cause.UNEXPECTED_MESSAGE)
        self._owed -= 1
        return encode(message, message.response_header.protocol_version.version, strict=False)


def _check_pairing(request: messages.RequestMessage, response: messages.ResponseMessage) -> None:
    """An answer has no more items than the question, with the same identifiers (KMIP 1.4 §6.4)."""
    asked: Sequence[messages.RequestBatchItem] = request.batch_items
    given: Sequence[messages.ResponseBatchItem] = response.batch_items
    if len(given) > len(asked):
        message = f"{len(given)} items answer a request of {len(asked)}"
        raise RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE, path="ResponseMessage")
    known = {item.unique_batch_item_id for item in asked}
    for index, item in enumerate(given):
        if item.unique_batch_item_id is not None and item.unique_batch_item_id not in known:
            path = f"ResponseMessage/BatchItem[{index}]/UniqueBatchItemID"
            message = "the answer names a batch item that was not asked"
            raise RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE, path=path)
