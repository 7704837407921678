"""The audit log of a running server, over its API."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from kmipkit_server.admin.connection import AdminConnection
from kmipkit_server.audit.query import NOT_COMMITTED, Filter, Match
from kmipkit_server.audit.records import Entry

MAX_RECORDS = 1000
"""Records of one answer."""
_INTERVAL = 1.0
"""Seconds between two questions for further records."""


def query(connection: AdminConnection, conditions: Filter, limit: int | None) -> list[Match]:
    """The newest records that meet the conditions, oldest first."""
    return _matches(
        connection.get(
            "/audit",
            object=conditions.object,
            account=conditions.account,
            tenant=conditions.tenant,
            user=conditions.user,
            operation=conditions.operation,
            outcome=conditions.outcome,
            reason=conditions.reason,
            address=None if conditions.network is None else str(conditions.network),
            certificate=conditions.certificate,
            correlation=conditions.correlation_value,
            since=None if conditions.since is None else conditions.since.isoformat(),
            until=None if conditions.until is None else conditions.until.isoformat(),
            limit=min(limit or MAX_RECORDS, MAX_RECORDS),
        )
    )


def tail(connection: AdminConnection, lines: int, *, follow: bool) -> Iterator[Match]:
    """The last records, and those that are written from now on."""
    answer = connection.get("/audit", limit=min(lines, MAX_RECORDS))
    yield from _matches(answer)
    while follow:
        time.sleep(_INTERVAL)
        answer = connection.get("/audit", after=answer["place"], limit=MAX_RECORDS)
        # The records of these questions are in the log, too.
        yield from (each for each in _matches(answer) if each.entry.operation != "audit query")


def _matches(answer: Any) -> list[Match]:
    matches = []
    for record in answer["records"]:
        entry = msgspec.convert(record, Entry)
        is_committed = record.get("committed", True)
        outcome = (entry.outcome or "") if is_committed else NOT_COMMITTED
        matches.append(Match(entry, msgspec.json.encode(record), outcome))
    return matches
