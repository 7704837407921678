"""Decoding a large request without delaying the messages of others.

A request with many items is decoded item by item, and gives way between them. What is left is decoded in
a thread: a large item, and a request that something is wrong with.
"""

import struct
from functools import partial
from itertools import pairwise

import trio

from kmipkit.errors import RemoteProtocolError
from kmipkit.model.codec import decode
from kmipkit.model.envelope import peek_version
from kmipkit.model.headers import RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv.limits import Limits
from kmipkit_server.engine.budget import MessageLimits, require_count
from kmipkit_server.engine.request import Request, judge_of, read_request
from kmipkit_server.store.slices import Steps, finish

SMALL_MESSAGE = 8 * 1024
"""Bytes of a request up to which it is decoded at once, which takes less than a millisecond."""

LARGE_ITEM = 64 * 1024
"""Bytes of a batch item from which on it is decoded in a thread."""

THREADS = 2

_HEAD = struct.Struct(">II")
_REQUEST_HEADER = Tag.REQUEST_HEADER << 8 | ItemType.STRUCTURE
_BATCH_ITEM = Tag.BATCH_ITEM << 8 | ItemType.STRUCTURE


class LargeRequests:
    """Decodes large requests; a server has one of these."""

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(THREADS)

    async def read(
        self, data: bytes, limits: Limits, budget: MessageLimits, account: str, *, strict: bool
    ) -> Request:
        """The same as :func:`.read_request`; OperationError if it has too many items."""
        ends = ends_of_items(data, budget.items)
        if ends is not None:
            require_count(len(ends) - 1, budget)
            if max(end - begin for begin, end in pairwise((8, *ends))) < LARGE_ITEM:
                steps = read_in_steps(data, ends, limits, strict=strict)
                request: Request | None = await finish(steps, account)
                if request is not None:
                    return request
        read = partial(read_request, data, limits, strict=strict)
        return await trio.to_thread.run_sync(read, limiter=self._threads)


def ends_of_items(data: bytes, most: int) -> list[int] | None:
    """Where the header of a request and its batch items end, without decoding them.

    None if the request has another form. One item more than ``most`` is the last that is looked for.
    """
    ends: list[int] = []
    at, expected = 8, _REQUEST_HEADER
    while at + 8 <= len(data):
        number, length = _HEAD.unpack_from(data, at)
        if number != expected or length % 8:
            return None
        at += 8 + length
        ends.append(at)
        if len(ends) > most + 1:
            return ends
        expected = _BATCH_ITEM
    return ends if at == len(data) and len(ends) > 1 else None


def read_in_steps(
    data: bytes, ends: list[int], limits: Limits, *, strict: bool = False
) -> Steps[Request | None]:
    """Decode a request item by item; None if it must be read as a whole, which says what is wrong.

    ``ends`` are those of its header and its items.
    """
    version = peek_version(data)
    # The number of its elements is limited as well. A short request cannot have too many.
    is_short = len(data) <= limits.max_message and len(data) >> 3 <= limits.max_items
    if version not in VERSIONS or not is_short or _HEAD.unpack_from(data)[1] + 8 != len(data):
        return None
    judge = judge_of(strict)
    items = []
    try:
        header = decode(
            RequestHeader, data[8 : ends[0]], version,
            tag=Tag.REQUEST_HEADER, limits=limits, judge=judge,
        )  # fmt: skip
        for begin, end in pairwise(ends):
            yield
            item = decode(
                RequestBatchItem, data[begin:end], version,
                tag=Tag.BATCH_ITEM, limits=limits, judge=judge,
            )  # fmt: skip
            items.append(item)
    except RemoteProtocolError:
        return None
    return Request(version, header, tuple(items))
