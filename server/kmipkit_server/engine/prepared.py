"""Prepared answers: the response to a request that comes again and again, ready but for its key.

Key servers are asked for the same few keys all day long. The first answers go the ordinary way; later
ones are repeated, if the operation has said that it would respond the same (:class:`.Repeatable`).

What is checked for each answer: the header and the account of the request, by the dispatcher; the
rights of a ticket, quotas and all else that hangs on the seam; what
:func:`kmipkit_server.objects.access.load` checks, since the object is loaded from the store, with its
policy and its MAC; whether the store still has the version of the object for which the answer was
prepared; and whether its state would be the same by the clock. Whatever is not as it was goes the
ordinary way, also each refusal.

What is kept: requests without credentials, and responses without the key. The key is opened and put into
its place each time, so that nothing is left of it once it is destroyed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.call import Call, SeparateChange, WriteRequired
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.repeatable import Repeatable
from kmipkit_server.engine.request import Request, UnreadableItem
from kmipkit_server.engine.response import Answer, framed
from kmipkit_server.engine.response_header import response_header
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.store.base import Reader

MAX_REQUEST = 512
"""Bytes of a request that is kept."""
MAX_RESPONSE = 4096
"""Bytes of a response that is kept."""
MAX_PREPARED = 4096
"""Answers that are kept."""


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """The answer to one request."""

    server: Server
    """The server whose settings it had."""
    data: bytes
    """The bytes of the request."""
    request: Request
    item: RequestBatchItem
    row: ServedOperation
    repeatable: Repeatable
    """What must still be true; without the secret."""
    secret_size: int
    before: bytes
    """The encoded item of the response, as far as the secret; all of it if there is none."""
    after: bytes
    result: ResponseBatchItem
    """The result without its payload, for hooks."""
    objects: tuple[str, ...]
    """The objects of the request and its response, for hooks."""
    notes: dict[Any, Any] = field(default_factory=dict)
    """What hooks keep for the next time: it follows from the request and these objects."""


class NotRepeated(Exception):
    """The message must go the ordinary way."""


class Outdated(NotRepeated):
    """The object is another one than when the answer was prepared."""


class PreparedAnswers:
    """The prepared answers of a server, by the bytes of their requests."""

    def __init__(self, maximum: int = MAX_PREPARED) -> None:
        self._maximum = maximum
        self._prepared: dict[bytes, Prepared] = {}
        self.find = self._prepared.get
        """The answer to a request; None if there is none."""
        self._seen: set[int] = set()
        """Hashes of requests that came once: most requests do not come again."""

    def __len__(self) -> int:
        return len(self._prepared)

    def keep(self, data: bytes, request: Request, answer: Answer, server: Server) -> None:
        """Prepare the answer to a request that has just been answered, if it may come again."""
        if answer.repeated is None or len(data) > MAX_REQUEST or not _is_plain(request):
            return
        digest = hash(data)
        if digest not in self._seen:
            if len(self._seen) >= 2 * self._maximum:
                self._seen.clear()
            self._seen.add(digest)
            return
        prepared = _prepare(data, request, answer, server)
        if prepared is not None:
            if len(self._prepared) >= self._maximum:
                self.forget(next(iter(self._prepared)))
            self._prepared[data] = prepared

    def forget(self, data: bytes) -> None:
        """Remove the answer to a request."""
        self._prepared.pop(data, None)


def _is_plain(request: Request) -> bool:
    """Whether a message is a single item without anything secret or unusual in its header."""
    header = request.header
    return (
        len(request.items) == 1
        and not request.later
        and header.authentication is None
        and header.maximum_response_size is None
        and not header.asynchronous_indicator
    )


def _prepare(data: bytes, request: Request, answer: Answer, server: Server) -> Prepared | None:
    repeated = answer.repeated
    [item], [result], [objects] = request.items, answer.results, answer.objects
    assert repeated is not None
    assert not isinstance(item, UnreadableItem)
    repeatable, secret = repeated.repeatable, repeated.repeatable.secret
    before, after = repeated.encoded, b""
    if secret:
        at = before.find(secret)
        if at < 0 or at != before.rfind(secret):
            return None  # its place is not certain
        before, after = before[:at], before[at + len(secret) :]
    if len(before) + len(after) > MAX_RESPONSE:
        return None
    return Prepared(
        server=server,
        data=data,
        request=request,
        item=item,
        row=repeated.row,
        repeatable=Repeatable(
            repeatable.load,
            repeatable.version,
            repeatable.since,
            repeatable.until,
            offset=repeatable.offset,
        ),
        secret_size=len(secret),
        before=before,
        after=after,
        result=result.replace(response_payload=None),
        objects=tuple(dict.fromkeys(objects)),
    )


class Repetition:
    """A message that is answered with a prepared answer."""

    __slots__ = ("_exchange", "_limits", "_prepared", "_seam")

    def __init__(
        self, prepared: Prepared, seam: Seam, limits: MessageLimits, exchange: Exchange
    ) -> None:
        self._prepared = prepared
        self._seam = seam
        self._limits = limits
        self._exchange = exchange

    def read(self, store: Reader) -> Batch:
        """The batch of the message, with its response. NotRepeated if it must go the ordinary way.

        Any error of a check has the same meaning: the ordinary way has it again, and says so.
        """
        prepared, exchange = self._prepared, self._exchange
        item, row = prepared.item, prepared.row
        batch = Batch(prepared.server, exchange, prepared.request.version, store, is_single=True)
        call = Call(batch, row.operation)
        try:
            for before in self._seam.before:
                before(call, row, item)
            encoded = self._encoded(call, item.request_payload)
            for after in self._seam.after:
                after(call, row, item)
        except (OperationError, WriteRequired, SeparateChange):
            raise NotRepeated from None
        if call.notes or call.obligations:
            raise NotRepeated  # the policy has more to say than yes
        batch.message = framed(response_header(call.version, exchange, 1), *encoded)
        if len(batch.message) > self._limits.response:
            raise NotRepeated
        batch.results.append(prepared.result)
        batch.objects.append(prepared.objects)
        return batch

    def _encoded(self, call: Call, payload: Any) -> tuple[bytes, ...]:
        """The parts of the encoded item."""
        prepared = self._prepared
        repeatable = prepared.repeatable
        record = repeatable.load(call, payload).record
        if record.version != repeatable.version or not _holds(repeatable, call.now):
            raise Outdated
        if not prepared.secret_size:
            return (prepared.before,)
        material, at = record.material, repeatable.offset
        if material is None:
            raise Outdated
        return prepared.before, material[at : at + prepared.secret_size], prepared.after

    def publish(self, batch: Batch) -> None:
        """Call the hooks after the run."""
        batch.publish()
        for finished in self._seam.finished:
            finished(batch, self._prepared.item, self._prepared.result)


def _holds(repeatable: Repeatable, now: datetime) -> bool:
    """Whether the state of the object is the same by the clock."""
    until = repeatable.until
    return repeatable.since <= now and (until is None or now < until)
