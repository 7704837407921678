"""Which provocation comes when: one at a time, each once, and not soon after another one."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from kmipkit.spec.enums import AsynchronousIndicator, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit_conformance.clients.observed import Connection, Exchange, find, value
from kmipkit_conformance.clients.provocations import PROVOCATIONS
from kmipkit_conformance.clients.table import PENDING
from kmipkit_conformance.clients.transport_rules import IMPOSTOR, OLDER

CALM = 3
"""Undisturbed requests between two provocations of one run of a client."""
OLDER_CONNECTIONS = 3
"""On how many connections the tester is an older server, unless the client falls back before."""
_ACCEPTS_PENDING = (True, AsynchronousIndicator.MANDATORY, AsynchronousIndicator.OPTIONAL)
_BY_KEY = {provocation.key: provocation for provocation in PROVOCATIONS}


def accepts_pending(exchange: Exchange) -> bool:
    """Whether the client accepts an asynchronous response to its request (KMIP 1.4 §6.7)."""
    header = find(exchange.request.item, Tag.REQUEST_HEADER)
    is_poll = Operation.POLL in exchange.operations or Operation.CANCEL in exchange.operations
    indicator = value(header, Tag.ASYNCHRONOUS_INDICATOR)
    return len(exchange.acts) == 1 and not is_poll and indicator in _ACCEPTS_PENDING


@dataclass(slots=True)
class Plan:
    """The provocations to come. Connections ask from several threads."""

    remaining: list[str]
    gap: int = CALM
    label: str = ""
    """What connections are said to belong to, if there is a run for each provocation."""
    limit: Version | None = None
    """The newest version of the tester while it is an older server; found with the first request."""
    _calm: int = 0
    _older_connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._calm = self.gap

    def opened(self, connection: Connection) -> None:
        """A client connects."""
        with self._lock:
            connection.round = self.label
            if OLDER in self.remaining and self._older_connections >= OLDER_CONNECTIONS:
                self._retire()
            if OLDER in self.remaining:
                self._older_connections += 1
                connection.round = OLDER
            elif IMPOSTOR in self.remaining and self._calm >= self.gap:
                self.remaining.remove(IMPOSTOR)
                self._calm = 0
                connection.round, connection.is_impostor = IMPOSTOR, True

    def older_limit(self, exchange: Exchange, listed: Iterable[Version]) -> Version | None:
        """The newest version that the tester has for this request; None if it has all.

        ``listed`` are the versions that Discover Versions of the client names. They, or else the version
        of the first other request, say which version is one too new.
        """
        with self._lock:
            if exchange.connection.round != OLDER or OLDER not in self.remaining:
                return None
            is_discovery = exchange.operations == [Operation.DISCOVER_VERSIONS]
            newest = max(listed, default=None) if is_discovery else exchange.version
            if self.limit is None and newest is not None:
                older = Version(newest.major, newest.minor - 1)
                if older not in VERSIONS:  # 1.0, 2.0 or 3.0: there is nothing older of that kind
                    self._retire()
                    return None
                self.limit = older
            return self.limit

    def fell_back(self) -> None:
        """The client has used a version of the older server."""
        with self._lock:
            self._retire()

    def _retire(self) -> None:
        if OLDER in self.remaining:
            self.remaining.remove(OLDER)
            self._calm = 0

    def choose(self, exchange: Exchange) -> str:
        """The provocation for this request; empty if there is none."""
        with self._lock:
            if exchange.connection.round == OLDER and OLDER in self.remaining:
                return ""
            if self._calm < self.gap:
                self._calm += 1
                return ""
            for key in self.remaining:
                provocation = _BY_KEY.get(key)
                fits = accepts_pending if key == PENDING else provocation and provocation.fits
                if fits and fits(exchange):
                    self.remaining.remove(key)
                    self._calm = 0
                    return key
            return ""
