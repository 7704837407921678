"""Searches in the process of the benchmark: the processor time that the store itself needs.

What a client sees also has TLS and the message, which do not depend on the number of objects, and on a
busy machine mostly the wait for a processor. An embedded store can be measured without all that.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from kmipkit_server.store.base import Criterion, LocateQuery
from kmipkit_server.store.errors import SearchTooLong
from kmipkit_server.store.sqlite.views import SQLiteReader

from bench.million.queries import Query
from kmipkit.model.envelope import decode_request
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag

LIMIT = 100_000
"""``limits.locate_objects`` of a server."""
LONG = 0.3
"""Seconds after which a search is not repeated."""


def times(
    small: SQLiteReader, large: SQLiteReader, owner: str, asked: list[Query], rounds: int
) -> Iterator[tuple[Query, tuple[float, int], tuple[float, int]]]:
    """Milliseconds of each search in both stores, and what was found; -1 if it was refused."""
    for query in asked:
        searched = query_of(query.body, owner)
        yield query, _time(small, searched, rounds), _time(large, searched, rounds)


def query_of(body: bytes, owner: str) -> LocateQuery:
    """The query of a request, as the server makes it for this owner."""
    message, _ = decode_request(body)
    request = message.batch_items[0].request_payload
    assert isinstance(request, LocateRequest)
    attributes = [each for each in request.attributes or () if each.key != Tag.OBJECT_CLASS]
    return LocateQuery(
        owner,
        tuple(Criterion(each.key, each.value) for each in attributes),
        datetime.now(UTC),
        request.offset_items or 0,
        request.maximum_items,
        request.storage_status_mask or StorageStatusMask.ON_LINE_STORAGE,
        request.object_group_member,
        LIMIT,
    )


def _time(reader: SQLiteReader, query: LocateQuery, rounds: int) -> tuple[float, int]:
    best, found = float("inf"), 0
    for _ in range(rounds):
        begun = time.process_time()
        try:
            found = len(reader.locate(query).ids)
        except SearchTooLong:
            found = -1
        best = min(best, time.process_time() - begun)
        if best > LONG:
            break
    return 1000 * best, found
