"""Asynchronous requests: batches that are carried out later, and their results until a Poll.

A request is carried out as a whole, after a delay or when Process asks for it; until then each of
its items may be cancelled (KMIP 2.1 §6.1.5, §6.1.38, §6.1.39, §6.1.41). Requests and results are entries
of the store: what was accepted survives the end of the process, and any process of the server may carry
it out. Who does so *claims* it first, for a time (the lease) that it extends while it works: the results
are stored in the transaction of the batch, and only with the claim. So a request is carried out once,
also if its process dies, and another one takes it over.

| kind of entry | its key | its content |
| --- | --- | --- |
| ``asynchronous`` | random | the state of a request that is not done yet (:class:`_State`) |
| ``asynchronous request`` | the same | the request and whose it is, encrypted |
| ``asynchronous done`` | the same | the state of a request whose results wait for a Poll |
| ``asynchronous result`` | the Asynchronous Correlation Value | the result of one item, encrypted |
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from kmipkit.errors import OperationError
from kmipkit.model.codec import decode
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.asynchronous import AsynchronousRequest, ProcessRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    Operation,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import DEFAULT_LIMITS
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.part_places import Place
from kmipkit_server.engine.registry import Registry
from kmipkit_server.engine.request import Request
from kmipkit_server.engine.response import encoded_item
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.shares import require_share
from kmipkit_server.identity.stored_identity import StoredIdentity
from kmipkit_server.store.base import NEVER, Entry, Reader, Transaction

MAX_DEFERRALS = 1024
"""Items of all clients that are outstanding at the same time, at most."""
MAX_DEFERRALS_PER_ACCOUNT = MAX_DEFERRALS // 8
"""Of these, the items of one account."""

LIFETIME = timedelta(minutes=10)
"""How long after its submission the result of a request is kept for a Poll."""
MIN_KEPT = LIFETIME / 2
"""How long it is kept at least, if it comes late, as after a restart of the server."""
LEASE = timedelta(minutes=1)
"""How long a claim lasts unless it is extended: after that, its process counts as dead."""

WAITING, DONE = "asynchronous", "asynchronous done"
REQUEST, RESULT = "asynchronous request", "asynchronous result"
KINDS = (WAITING, DONE, REQUEST, RESULT)
"""The kinds of entries."""

_ID_SIZE = 16
_NUMBER = struct.Struct(">H")
"""The number of an item, which follows the random key of its request in its correlation value."""
_ANY_SIZE = replace(DEFAULT_LIMITS, max_message=1 << 31, max_items=1 << 31)


def is_to_be_deferred(request: Request, *, slow: bool, offered: Registry) -> bool:
    """Whether the server carries the request out asynchronously.

    It does so for each 1.x client that supports it (KMIP 1.4 §6.7). From 2.0 on the client may leave
    the decision to the server, which defers slow operations (KMIP 2.1 §11.3).

    Without Poll, nobody would get the results. OperationError if the client insists all the same.
    """
    indicator = request.header.asynchronous_indicator
    if offered.find(Operation.POLL, request.version) is None:
        # In 1.x the indicator is True, which equals the number of Mandatory.
        if indicator is AsynchronousIndicator.MANDATORY:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                "the server carries out no requests asynchronously: it does not offer Poll",
            )
        return False
    mandatory = indicator is True or indicator == AsynchronousIndicator.MANDATORY
    return mandatory or (indicator == AsynchronousIndicator.OPTIONAL and slow)


def values_to_process(request: Request) -> list[bytes]:
    """The Asynchronous Correlation Values in the Process items of a request."""
    payloads = (getattr(item, "request_payload", None) for item in request.items)
    return [
        payload.asynchronous_correlation_value
        for payload in payloads
        if isinstance(payload, ProcessRequest)
    ]


class ClaimLost(Exception):
    """Another process carries the request out by now."""


class _Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a request."""

    operation: int | None = None
    identifier: bytes | None = None
    """The Unique Batch Item ID."""
    is_gone: bool = False
    """Whether it was cancelled, or its result was polled."""
    holds: str | None = None
    """The object that its result has as a whole, with its key."""

    def result(self, status: ResultStatus, **fields: object) -> ResponseBatchItem:
        """A result of the item."""
        return ResponseBatchItem(
            operation=None if self.operation is None else Operation(self.operation),
            unique_batch_item_id=self.identifier,
            result_status=status,
            **fields,  # type: ignore[arg-type]  # fields of the structure
        )


class _State(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a request is."""

    submitted: datetime
    items: tuple[_Item, ...]
    ticket: bytes | None = None
    """The delegated ticket with which it was sent."""
    is_processed: bool = False
    """Whether the client has sent a Process for one of its items."""
    claim: bytes = b""
    """Made by the process that carries it out; empty for none."""
    worker: str = ""
    """The name of that process."""
    lease: datetime | None = None
    """Until when the claim is valid."""
    keeper: Place | None = None
    """See :attr:`DeferredRequest.keeper`."""

    def is_ready(self, now: datetime) -> bool:
        """Whether it may be carried out: nobody does, or who did is dead."""
        return not self.claim or self.lease is None or self.lease < now

    @property
    def numbers(self) -> list[int]:
        """The items that were neither cancelled nor polled."""
        return [number for number, item in enumerate(self.items) if not item.is_gone]

    def without(self, number: int) -> "_State":
        """The state after an item was cancelled or polled."""
        return self._changed(number, is_gone=True)

    def holding(self, number: int, identifier: str | None) -> "_State":
        """The state with the object that is in the result of an item."""
        return self if identifier is None else self._changed(number, holds=identifier)

    def _changed(self, number: int, **changes: object) -> "_State":
        changed = msgspec.structs.replace(self.items[number], **changes)
        items = (*self.items[:number], changed, *self.items[number + 1 :])
        return msgspec.structs.replace(self, items=items)


class _Content(msgspec.Struct, frozen=True):
    """What was asked, and by whom."""

    identity: StoredIdentity
    message: bytes


_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(_State).decode
_decode_content = msgspec.msgpack.Decoder(_Content).decode


@dataclass(frozen=True, slots=True)
class DeferredRequest:
    """A request that is to be carried out."""

    key: bytes
    account: str
    """The whole name of the account that has sent it."""
    keeper: Place | None = None
    """The process that has the earlier parts of its operations, and so is the one to carry it out."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request that this process carries out."""

    key: bytes
    claim: bytes
    identity: Identity
    message: bytes
    numbers: tuple[int, ...]
    """The items that were not cancelled."""


class AsynchronousRequests:
    """The rules for asynchronous requests, over the store; what changes them needs a transaction."""

    def __init__(self, store: Reader, now: datetime) -> None:
        self._store = store
        self._now = now

    # --- for clients -----------------------------------------------------------------------------

    def defer(
        self,
        request: Request,
        message: bytes,
        identity: Identity,
        random: Callable[[int], bytes],
        keeper: Place | None = None,
    ) -> list[ResponseBatchItem]:
        """Accept a request; the results Operation Pending. OperationError: Server Limit Exceeded.

        ``message`` is the encoded request; ``keeper`` as in :class:`DeferredRequest`.
        """
        transaction = self._transaction
        self.remove_expired()
        require_share(
            "asynchronous operations",
            identity.name, self._holders(), MAX_DEFERRALS_PER_ACCOUNT, MAX_DEFERRALS,
            len(request.items),
        )  # fmt: skip
        key, account = random(_ID_SIZE), identity.name
        items = tuple(
            [
                # A plain number: older versions of msgspec encode no class of numbers.
                _Item(
                    None if each.operation is None else int(each.operation),
                    each.unique_batch_item_id,
                )
                for each in request.items
            ]
        )
        state = _State(self._now, items, identity.holder[1], keeper=keeper)
        content = _Content(StoredIdentity.of(identity), without_credentials(message))
        transaction.put_entry(Entry(WAITING, key, account, NEVER, _encode(state)))
        transaction.put_entry(
            Entry(REQUEST, key, account, NEVER, msgspec.msgpack.encode(content), is_secret=True)
        )
        return [_pending(item, _value(key, number)) for number, item in enumerate(items)]

    def poll(self, value: bytes, identity: Identity) -> ResponseBatchItem:
        """The result; Operation Pending if there is none yet. OperationError for an unknown value."""
        entry, state, number = self._find(value, identity)
        if entry.kind == WAITING:
            return _pending(state.items[number], value)
        result = self._store.entry(RESULT, value)
        if result is None:
            raise _unknown()
        return _unpack(result.content)

    def forget(self, value: bytes, identity: Identity) -> None:
        """Delete a result that was polled."""
        entry, state, number = self._find(value, identity)
        self._remove_item(entry, state, number)

    def cancel(self, value: bytes, identity: Identity) -> CancellationResult:
        """Cancel an item whose request has not begun (KMIP 1.4 §4.27)."""
        entry, state, number = self._find(value, identity)
        if entry.kind == WAITING and state.claim:
            return CancellationResult.UNABLE_TO_CANCEL
        self._remove_item(entry, state, number)
        is_done = entry.kind == DONE
        return CancellationResult.COMPLETED if is_done else CancellationResult.CANCELED

    def is_outstanding(self, value: bytes, identity: Identity) -> bool:
        """Whether there is such an item of the client."""
        try:
            self._find(value, identity)
        except OperationError:
            return False
        return True

    def process(self, value: bytes, identity: Identity) -> None:
        """Record a Process. OperationError: Duplicate Process Request for a second one."""
        entry, state, _ = self._find(value, identity)
        if state.is_processed:
            raise OperationError(
                ResultReason.DUPLICATE_PROCESS_REQUEST,
                "an earlier Process has already carried out this operation",
            )
        self._put(entry, msgspec.structs.replace(state, is_processed=True))

    def outstanding(
        self,
        identity: Identity,
        values: frozenset[bytes] | None,
        operations: frozenset[Operation] | None,
    ) -> Iterator[AsynchronousRequest]:
        """The client's items without a Poll; only those of the values or operations, if given."""
        for entry in self._entries(identity.name):
            state = _decode_state(entry.content)
            if (entry.owner, state.ticket) != identity.holder:
                continue
            for number in state.numbers:
                value, code = _value(entry.key, number), state.items[number].operation
                is_selected = (values is None and operations is None) or (
                    value in (values or ()) or code in (operations or ())
                )
                if code is not None and is_selected:
                    yield AsynchronousRequest(
                        asynchronous_correlation_value=value,
                        operation=Operation(code),
                        submission_date=state.submitted,
                        processing_stage=_stage(entry, state),
                    )

    # --- for those who carry them out ------------------------------------------------------------

    def due(self, before: datetime, own: Place | None = None) -> list[DeferredRequest]:
        """Requests that were submitted before a time and are still to be carried out.

        Those that the process at another node than the ``own`` place is the one to carry out are left to
        it for a while: it may have ended.
        """
        return [
            DeferredRequest(entry.key, entry.owner, state.keeper)
            for entry in self._store.entries(WAITING)
            for state in [_decode_state(entry.content)]
            if state.is_ready(self._now) and state.submitted <= before - _patience(state, own)
        ]

    def of_values(self, values: Iterable[bytes], identity: Identity) -> list[DeferredRequest]:
        """Requests of the client that have one of these values and are still to be carried out."""
        found: dict[bytes, DeferredRequest] = {}
        for value in values:
            if self.is_outstanding(value, identity):
                entry, state, _ = self._find(value, identity)
                if entry.kind == WAITING and state.is_ready(self._now):
                    found[entry.key] = DeferredRequest(entry.key, entry.owner, state.keeper)
        return list(found.values())

    def due_for(
        self, identity: Identity, before: datetime, values: Iterable[bytes], own: Place
    ) -> list[DeferredRequest]:
        """The requests of an account that are due, and those of it that have one of these values."""
        due = [each for each in self.due(before, own) if each.account == identity.name]
        return [*due, *self.of_values(values, identity)]

    def claim(self, key: bytes, worker: str, claim: bytes) -> Claimed | None:
        """Take a request, in order to carry it out; None if another process has it, or it is gone."""
        entry, content = self._store.entry(WAITING, key), self._store.entry(REQUEST, key)
        if entry is None or content is None:
            return None
        state = _decode_state(entry.content)
        if not state.is_ready(self._now):
            return None
        lease = self._now + LEASE
        self._put(
            entry, msgspec.structs.replace(state, claim=claim, worker=worker, lease=lease)
        )  # fmt: skip
        asked = _decode_content(content.content)
        return Claimed(key, claim, asked.identity.restored(), asked.message, tuple(state.numbers))

    def extend(self, claimed: Claimed) -> None:
        """Keep a claim for another while. ClaimLost if it is another process's."""
        entry, state = self._own(claimed)
        self._put(entry, msgspec.structs.replace(state, lease=self._now + LEASE))

    def is_own(self, claimed: Claimed) -> bool:
        """Whether the request is still to be completed by this process."""
        try:
            self._own(claimed)
        except ClaimLost:
            return False
        return True

    def complete(
        self, claimed: Claimed, version: Version, results: Sequence[ResponseBatchItem]
    ) -> None:
        """Store the results. Items after one that stopped the batch have none: these failed, too.

        ClaimLost if another process carries the request out by now.
        """
        entry, state = self._own(claimed)
        transaction = self._transaction
        expires = max(state.submitted + LIFETIME, self._now + MIN_KEPT)
        for kind in (WAITING, REQUEST):
            transaction.remove_entry(kind, claimed.key)
        state = _without_claim(state)
        for position, number in enumerate(claimed.numbers):
            has_result = position < len(results)
            result = results[position] if has_result else _not_carried_out(state.items[number])
            state = state.holding(number, _object_in(result))
            key = _value(claimed.key, number)
            packed = _pack(result, version)
            transaction.put_entry(Entry(RESULT, key, entry.owner, expires, packed, is_secret=True))
        transaction.put_entry(Entry(DONE, claimed.key, entry.owner, expires, _encode(state)))

    # --- for all -----------------------------------------------------------------------------------

    def forget_object(self, identifier: str) -> None:
        """Replace the results that have this object, whose material is about to be destroyed: its key
        must be in no file afterwards, and no Poll may give it out."""
        for entry in self._store.entries(DONE):
            state = _decode_state(entry.content)
            for number in state.numbers:
                item = state.items[number]
                result = self._store.entry(RESULT, _value(entry.key, number))
                if item.holds == identifier and result is not None:
                    version = Version(*result.content[:2])
                    self._transaction.put_entry(result.replace(_pack(_destroyed(item), version)))

    @property
    def has_expired(self) -> bool:
        """Whether there are results that nobody can fetch any longer."""
        return not all(entry.is_valid(self._now) for entry in self._store.entries(DONE))

    def remove_expired(self) -> None:
        """Remove the results that nobody can fetch any longer."""
        for kind in (DONE, RESULT):
            self._transaction.remove_expired(kind, self._now)

    def claimed_by(self, worker: str) -> list[Entry]:
        """The requests that a process has claimed."""
        entries = self._store.entries(WAITING)
        return [each for each in entries if _decode_state(each.content).worker == worker]

    def release(self, worker: str) -> None:
        """Give up the claims of a process that has ended."""
        for entry in self.claimed_by(worker):
            self._put(entry, _without_claim(_decode_state(entry.content)))

    # --- helpers ---------------------------------------------------------------------------------

    @property
    def _transaction(self) -> Transaction:
        assert isinstance(self._store, Transaction)
        return self._store

    def _entries(self, account: str | None = None) -> Iterator[Entry]:
        for kind in (WAITING, DONE):
            for entry in self._store.entries(kind, account):
                if entry.is_valid(self._now):
                    yield entry

    def _holders(self) -> Counter[str]:
        """How many items each account has."""
        counts: Counter[str] = Counter()
        for entry in self._entries():
            counts[entry.owner] += len(_decode_state(entry.content).numbers)
        return counts

    def _find(self, value: bytes, identity: Identity) -> tuple[Entry, _State, int]:
        """The request of an item, where it is, and the number of the item."""
        key, end = value[:_ID_SIZE], value[_ID_SIZE:]
        entry = self._store.entry(WAITING, key) or self._store.entry(DONE, key)
        if entry is None or len(end) != _NUMBER.size or not entry.is_valid(self._now):
            raise _unknown()
        state, (number,) = _decode_state(entry.content), _NUMBER.unpack(end)
        if (entry.owner, state.ticket) != identity.holder or number not in state.numbers:
            raise _unknown()
        return entry, state, number

    def _own(self, claimed: Claimed) -> tuple[Entry, _State]:
        entry = self._store.entry(WAITING, claimed.key)
        state = None if entry is None else _decode_state(entry.content)
        if entry is None or state is None or state.claim != claimed.claim:
            raise ClaimLost
        return entry, state

    def _put(self, entry: Entry, state: _State) -> None:
        self._transaction.put_entry(entry.replace(_encode(state)))

    def _remove_item(self, entry: Entry, state: _State, number: int) -> None:
        """Remove an item, and the request with the last one."""
        self._transaction.remove_entry(RESULT, _value(entry.key, number))
        left = state.without(number)
        if left.numbers:
            self._put(entry, left)
            return
        for kind in (WAITING, REQUEST, DONE):
            self._transaction.remove_entry(kind, entry.key)


def without_credentials(message: bytes) -> bytes:
    """A request without what authenticates it, which is not needed any longer and not to be stored."""
    root = binary.decode(message, _ANY_SIZE)
    assert isinstance(root.value, tuple)
    header, *items = root.value
    assert isinstance(header.value, tuple)
    kept = tuple([each for each in header.value if each.tag != Tag.AUTHENTICATION])
    if len(kept) == len(header.value):
        return message
    rest = Item(header.tag, header.type, kept)
    return binary.encode(Item(root.tag, root.type, (rest, *items)))


def _value(key: bytes, number: int) -> bytes:
    return key + _NUMBER.pack(number)


def _stage(entry: Entry, state: _State) -> ProcessingStage:
    if entry.kind == DONE:
        return ProcessingStage.COMPLETED
    return ProcessingStage.IN_PROCESS if state.claim else ProcessingStage.SUBMITTED


def _patience(state: _State, own: Place | None) -> timedelta:
    is_elsewhere = state.keeper is not None and own is not None and state.keeper.node != own.node
    return LEASE if is_elsewhere else timedelta(0)


def _without_claim(state: _State) -> _State:
    return msgspec.structs.replace(state, claim=b"", worker="", lease=None)


def _pack(result: ResponseBatchItem, version: Version) -> bytes:
    return bytes(version) + encoded_item(version, result)


def _unpack(packed: bytes) -> ResponseBatchItem:
    version = Version(*packed[:2])
    return decode(
        ResponseBatchItem, packed[2:], version,
        tag=Tag.BATCH_ITEM, limits=_ANY_SIZE, tolerant=True,
    )  # fmt: skip


def _pending(item: _Item, value: bytes) -> ResponseBatchItem:
    return item.result(ResultStatus.OPERATION_PENDING, asynchronous_correlation_value=value)


def _not_carried_out(item: _Item) -> ResponseBatchItem:
    return item.result(
        ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.GENERAL_FAILURE,
        result_message="not carried out, because an earlier item of the batch failed",
    )


def _destroyed(item: _Item) -> ResponseBatchItem:
    return item.result(
        ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.OBJECT_DESTROYED,
        result_message="the object was destroyed before the result was fetched",
    )


def _object_in(result: ResponseBatchItem) -> str | None:
    """The identifier of the object that a result has as a whole; None if it has none."""
    payload = result.response_payload
    if getattr(payload, "object", None) is None:
        return None
    identifier = getattr(payload, "unique_identifier", None)
    return identifier if isinstance(identifier, str) else None


def _unknown() -> OperationError:
    return OperationError(
        ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE,
        "no outstanding operation has this Asynchronous Correlation Value",
    )
