"""A message of a client with its response, as hooks see it when the results are known."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, NamedTuple

from kmipkit.errors import OperationError, ProtocolError
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.versions import Version
from kmipkit_server.engine.correlation import server_correlation_value
from kmipkit_server.engine.request import Request
from kmipkit_server.identity.identity import Identity

_SECOND = timedelta(seconds=1)
_last = datetime.min.replace(tzinfo=UTC)


def whole_seconds(moment: datetime) -> datetime:
    """A time without the part of its second; the same object for all times of a second."""
    global _last  # noqa: PLW0603 - many requests come in the same second
    last = _last
    if last <= moment < last + _SECOND and moment.tzinfo is last.tzinfo:
        return last
    _last = last = moment.replace(microsecond=0)
    return last


class StateChanged(Exception):
    """Something has changed in the store that this process keeps in memory, such as a policy.

    The message runs again, when the process has read it.
    """

    def __init__(self, revision: bytes | None) -> None:
        super().__init__()
        self.revision = revision
        """The setting :data:`.base.REVISION` as it is now, not verified."""


class AdmitAgain(Exception):
    """The tenants have changed during a request: its connection may belong to another account."""


class Notice(NamedTuple):
    """What the policy had to say about an operation that succeeds."""

    topic: str
    """What it is about, such as the name of a rule."""
    text: str
    is_warning: bool = False
    """Whether the operation will be refused later."""


class Exchange:
    """One request message and its response."""

    __slots__ = (
        "_correlation_value", "error", "identity", "is_recorded", "moment", "notes", "now", "objects",
        "prepared_notes", "request", "results", "revision", "started",
    )  # fmt: skip

    def __init__(self, identity: Identity, moment: datetime, revision: bytes | None = None) -> None:
        self.identity = identity
        """That of the connection; that of the credentials once they have been checked."""
        self.moment = moment
        """The time of the request by the server's clock."""
        self.now = whole_seconds(moment)
        """The same in whole seconds, as a Date-Time of KMIP is (KMIP 1.4 §9.1.1.4)."""
        self.revision = revision
        """The setting :data:`.base.REVISION` at which the client was admitted."""
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
        self.notes: tuple[tuple[int, Notice], ...] = ()
        """What the policy had to say about operations, each with the position of its item."""
        self.prepared_notes: dict[Any, Any] | None = None
        """What hooks keep for the next time, if the response is a prepared one; see
        :mod:`kmipkit_server.engine.prepared`."""
        self._correlation_value: str | None = None

    def correlation_value(self, version: Version) -> str | None:
        """The Server Correlation Value of the response; ``None`` in versions that have none."""
        if self._correlation_value is None:
            self._correlation_value = server_correlation_value(version, self.identity.tenant)
        return self._correlation_value
