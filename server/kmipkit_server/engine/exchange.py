"""A message of a client with its response, as hooks see it when the results are known."""

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter

from kmipkit.errors import OperationError, ProtocolError
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.versions import Version
from kmipkit_server.engine.correlation import server_correlation_value
from kmipkit_server.engine.request import Request
from kmipkit_server.identity.identity import Identity


class Exchange:
    """One request message and its response."""

    __slots__ = (
        "_correlation_value", "error", "identity", "is_recorded", "moment", "now", "objects", "request",
        "results", "started",
    )  # fmt: skip

    def __init__(self, identity: Identity, moment: datetime) -> None:
        self.identity = identity
        """That of the connection; that of the credentials once they have been checked."""
        self.moment = moment
        """The time of the request by the server's clock."""
        self.now = moment.replace(microsecond=0)
        """The same in whole seconds, as a Date-Time of KMIP is (KMIP 1.4 §9.1.1.4)."""
        self.started = perf_counter()
        self.request: Request | None = None
        """None if the message cannot be read."""
        self.results: Sequence[ResponseBatchItem] = ()
        """One for each item that was carried out; a single one without operation for a message that
        failed as a whole."""
        self.objects: Sequence[tuple[str, ...]] = ()
        """The Unique Identifiers that the request named, and those that the server returned, for each
        item that was carried out; some may be repeated."""
        self.error: OperationError | ProtocolError | None = None
        """Why the message cannot be read."""
        self.is_recorded = False
        """Whether a record of it is part of the transaction of its changes."""
        self._correlation_value: str | None = None

    def correlation_value(self, version: Version) -> str | None:
        """The Server Correlation Value of the response; ``None`` in versions that have none."""
        if self._correlation_value is None:
            self._correlation_value = server_correlation_value(version)
        return self._correlation_value
