"""What looks at finished requests without taking part in them: metrics, traces, a log of them."""

from collections.abc import Sequence
from typing import Protocol

from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.request import Request
from kmipkit_server.identity.identity import Identity


class Observer(Protocol):
    """Is called once for each request, in the event loop. It must be quick, and raise nothing."""

    def finished(
        self,
        request: Request,
        identity: Identity,
        results: Sequence[ResponseBatchItem],
        begun: float,
    ) -> None:
        """A request has its results.

        Args:
            identity: Who has sent it, according to certificate and credentials.
            results: One for each item that was carried out, or one for the whole message.
            begun: When the server began with it, on the clock of ``time.perf_counter``.
        """

    def refused(self, reason: ResultReason) -> None:
        """A message was refused before it could be read."""
