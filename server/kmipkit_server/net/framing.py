"""How messages are separated in the bytes of a connection: TTLV by itself, or HTTP."""

from typing import Protocol

from kmipkit.connection import Framer, Signal
from kmipkit.errors import RemoteProtocolError
from kmipkit.ttlv.limits import Limits
from kmipkit_server.net.application import Application, WebRequest
from kmipkit_server.net.http import HTTPFraming, Reply


class Framing(Protocol):
    """How requests are separated in the bytes of a connection, and how responses are sent on it."""

    @property
    def is_inside(self) -> bool:
        """Whether a part of a request has been received."""

    @property
    def unread(self) -> int:
        """The bytes of a message that must be translated; 0 if it already is in TTLV."""

    @property
    def is_text(self) -> bool:
        """Whether the response is translated to text."""

    def feed(self, data: bytes) -> None:
        """Receive bytes of the client; empty bytes mean that the client has closed."""

    def next_message(self) -> bytes | WebRequest | RemoteProtocolError | Reply | Signal:
        """The next request, an error to respond with, or a reply that is not a KMIP message.

        It raises RemoteProtocolError if the following bytes cannot be read either.
        """

    def response(self, message: bytes) -> bytes:
        """The bytes to send for a response message."""


class TTLVFraming(Framer):
    """Messages in TTLV, without anything between them; see :class:`Framing`."""

    unread = 0
    is_text = False

    def response(self, message: bytes) -> bytes:
        """The message itself."""
        return message


def framing_of(first: bytes, limits: Limits, application: Application | None = None) -> Framing:
    """TTLV or HTTP, by the first bytes: a TTLV message begins with 42 00, which no method does.

    42 is also the letter B, so that the first byte alone is not enough.
    """
    if first[:1].isalpha() and not first.startswith(b"\x42\x00"[: len(first)]):
        return HTTPFraming(limits, application)
    return TTLVFraming(limits)
