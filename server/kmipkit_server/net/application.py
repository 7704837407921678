"""An application beside KMIP on the same port: what HTTP and the listener need to know of it.

The listener has the connections with their limits, and the client's certificate; what a request means
is the application's affair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kmipkit_server.identity.identity import Identity

Header = tuple[bytes, bytes]


class WebRequest(NamedTuple):
    """A complete request."""

    method: str
    target: str
    """The path and the query, as the client has sent them."""
    headers: Sequence[Header]
    """With names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """A response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Application(Protocol):
    """Answers the requests for some of the paths."""

    max_body: int
    """Bytes of the body of a request."""

    def has(self, target: bytes) -> bool:
        """Whether a path is one of the application."""

    async def respond(self, request: WebRequest, identity: Identity) -> WebAnswer:
        """The response. Malformed input never raises an exception."""

    def refuse(self, status: int, text: str) -> WebAnswer:
        """The response to a request that is not read to its end, or of a client without an account."""
