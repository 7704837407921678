"""How a request is carried out, which follows from its operations."""

from collections.abc import Sequence
from typing import NamedTuple

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
from kmipkit_server.engine.multipart import is_part
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.request import Request, UnreadableItem


class Plan(NamedTuple):
    """How a request is carried out."""

    rows: Sequence[ServedOperation | None]
    """The operation of each item; None if the server or the version does not have it."""
    writes: bool
    """Whether the request needs a transaction from the start."""
    slow: bool
    takes_long: bool
    """Whether to defer it if the client leaves the decision to the server."""
    is_immediate: bool
    """Whether it must not be deferred."""
    parts: Sequence[bytes]
    """The Correlation Values of the operations in several parts that it goes on with."""


LARGE_PART = 32 * 1024
"""Bytes of one of several parts from which on it is processed in a thread. A worker cannot do it, since
the cipher or hash of the earlier parts is in this process."""


def _has_large_part(payload: object) -> bool:
    if not is_part(payload):
        return False
    data = getattr(payload, "data", None)
    return isinstance(data, bytes) and len(data) > LARGE_PART


def _parts(request: Request) -> list[bytes]:
    payloads = (getattr(item, "request_payload", None) for item in request.items)
    values = (getattr(payload, "correlation_value", None) for payload in payloads)
    return [value for value in values if value is not None]


class Planner:
    """Makes the plans of requests; that of a single item is made once for each operation."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._single: dict[tuple[Operation | None, Version], Plan] = {}

    def plan(self, request: Request) -> Plan:
        """The plan of a request."""
        items = request.items
        if len(items) != 1:
            return self._new_plan(request)
        item = items[0]
        if isinstance(item, UnreadableItem) or is_part(item.request_payload):
            return self._new_plan(request)
        key = item.operation, request.version
        plan = self._single.get(key)
        if plan is None:
            plan = self._new_plan(request)
            if plan.rows[0] is not None:
                self._single[key] = plan
        return plan

    def _new_plan(self, request: Request) -> Plan:
        rows = []
        writes = scans = slow = takes_long = is_immediate = False
        for item in request.items:
            row = self._registry.find(item.operation, request.version)
            rows.append(row)
            if row is not None and not isinstance(item, UnreadableItem):
                # One of several parts updates a cipher or hash, which cannot be undone: it must
                # not run a second time after a WriteRequired.
                writes = writes or row.writes or is_part(item.request_payload)
                scans = scans or row.scans
                slow = slow or row.slow or _has_large_part(item.request_payload)
                takes_long = takes_long or row.slow or row.computes
                is_immediate = is_immediate or row.is_immediate
        # A transaction cannot leave the event loop once a look-up turns out to take long.
        slow = slow or (writes and scans)
        return Plan(rows, writes, slow, takes_long, is_immediate, _parts(request))
