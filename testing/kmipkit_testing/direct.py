"""A client without a connection: it hands its messages to a server in the same process."""

from collections.abc import Callable, Sequence
from typing import Any

from kmipkit_client import messages
from kmipkit_client._sync.requests import Requests
from kmipkit_client.calls import Call

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import V2_1, Version

Exchange = Callable[[bytes], bytes]
"""The encoded response to an encoded request."""


class DirectClient(Requests):
    """The calls of :class:`kmipkit_client.Client`, without port, TLS and time-outs."""

    def __init__(self, exchange: Exchange, version: Version = V2_1) -> None:
        self._exchange = exchange
        self._version = version

    def version(self) -> Version:
        """The protocol version in use."""
        return self._version

    def _results(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> list[Any]:
        request = messages.request(self._version, calls, on_error=on_error)
        response, _ = decode_response(self._exchange(encode(request, self._version)))
        return messages.results(calls, response)
