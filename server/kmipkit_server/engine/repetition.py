"""Answering a message with a prepared answer: see :mod:`.prepared`."""

from datetime import datetime
from typing import Any

from kmipkit.errors import OperationError
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.engine.call import Call, SeparateChange, WriteRequired
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.gaps import fill
from kmipkit_server.engine.prepared import Match
from kmipkit_server.engine.repeatable import Repeatable
from kmipkit_server.engine.response import framed
from kmipkit_server.engine.response_header import response_header
from kmipkit_server.engine.seam import Seam
from kmipkit_server.store.base import Reader


class NotRepeated(Exception):
    """The message must go the ordinary way."""


class Outdated(NotRepeated):
    """The object is another one than when the answer was prepared."""


class Repetition:
    """A message that is answered with a prepared answer."""

    __slots__ = ("_exchange", "_limits", "_match", "_seam")

    def __init__(self, match: Match, seam: Seam, limits: MessageLimits, exchange: Exchange) -> None:
        self._match = match
        self._seam = seam
        self._limits = limits
        self._exchange = exchange

    def read(self, store: Reader) -> Batch:
        """The batch of the message, with its response. NotRepeated if it must go the ordinary way.

        Any error of a check has the same meaning: the ordinary way has it again, and says so.
        """
        (prepared, request, item, _), exchange = self._match, self._exchange
        row = prepared.row
        batch = Batch(prepared.server, exchange, request.version, store, is_single=True)
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
        prepared = self._match.prepared
        repeatable = prepared.repeatable
        managed = repeatable.load(call, payload)
        record = managed.record
        if record.version != repeatable.version or not _holds(repeatable, call.now):
            raise Outdated
        if repeatable.varying is not None:
            values = repeatable.varying.compute(call, managed, self._match.values)
            if values is None or tuple(map(len, values)) != prepared.sizes:
                raise NotRepeated
            return fill(prepared.parts, values)
        if not prepared.sizes:
            return prepared.parts
        material, at = record.material, repeatable.offset
        if material is None:
            raise Outdated
        (before, after), [size] = prepared.parts, prepared.sizes
        return before, material[at : at + size], after

    def publish(self, batch: Batch) -> None:
        """Call the hooks after the run."""
        batch.publish()
        match = self._match
        for finished in self._seam.finished:
            finished(batch, match.item, match.prepared.result)


def _holds(repeatable: Repeatable, now: datetime) -> bool:
    """Whether the state of the object is the same by the clock."""
    until = repeatable.until
    return repeatable.since <= now and (until is None or now < until)
