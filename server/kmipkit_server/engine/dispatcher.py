"""From a request message to its response.

The steps of a request: one decode, one decision per item, one access to the store, one encode. A
message whose operations only read runs on a read-only view. Others, and those that turn out to
write, run in a transaction, and their response is sent when that is durable. The items of a message
share one transaction, with a savepoint for each, so that a failed item changes nothing, and the
option Undo can roll all of them back (KMIP 1.4 §6.13).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import trio

from kmipkit.errors import OperationError, ProtocolError, RemoteProtocolError
from kmipkit.model.envelope import decode_response, peek_version
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.engine import response
from kmipkit_server.engine.asynchronous import (
    AsynchronousRequests,
    DeferredRequest,
    is_to_be_deferred,
    values_to_process,
)
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.budget import Budget, MessageLimits, require_count
from kmipkit_server.engine.call import Call, WriteRequired
from kmipkit_server.engine.computing import ComputationNeeded, Computer, Results
from kmipkit_server.engine.multipart import is_part
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import (
    Request,
    UnreadableItem,
    check_header,
    count_items,
    read_request,
    require_readable,
)
from kmipkit_server.engine.response import Response, failure
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.version_log import VersionLog
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import (
    Damaged,
    Reader,
    ReadingTooLong,
    Store,
    StoreError,
    Transaction,
)
from kmipkit_server.store.slices import Steps

log = logging.getLogger("kmipkit.server")

LARGE_MESSAGE = 64 * 1024
"""Bytes of a request from which on it is decoded in a thread."""

STOP, CONTINUE, UNDO = (
    BatchErrorContinuationOption.STOP,
    BatchErrorContinuationOption.CONTINUE,
    BatchErrorContinuationOption.UNDO,
)


_DAMAGED = OperationError(
    ResultReason.GENERAL_FAILURE, "an object of the request is damaged in the store of the server"
)


_Work = Batch | Steps[Batch]
"""A batch that has run, or the steps of one. Annotations of inner functions are evaluated for each
request, so that they must be names."""

_Run = Callable[..., _Work]
"""Carries out a request on a view of the store or in a transaction."""


class _Plan(NamedTuple):
    """How a request is carried out, which follows from its operations."""

    rows: Sequence[ServedOperation | None]
    """The operation of each item; None if the server or the version does not have it."""
    writes: bool
    """Whether the request needs a transaction from the start."""
    slow: bool
    takes_long: bool
    """Whether to defer it if the client leaves the decision to the server."""
    is_immediate: bool
    """Whether it must not be deferred."""


class _Answer(NamedTuple):
    """The results of a request."""

    results: Sequence[ResponseBatchItem]
    encoded: Sequence[bytes | None] = ()
    """The results in their encoding, as far as they are encoded."""
    message: bytes | None = None
    """The whole response, if it is encoded."""

    def encode(self, request: Request, now: datetime, identity: Identity) -> bytes:
        """The whole response."""
        if self.message is not None:
            return self.message
        return response.message(request.version, self.results, now, identity.proof, self.encoded)

    exchanges_roles: bool = False


class BatchRolledBack(Exception):
    """Rolls back the whole transaction of a message; has the batch with the results to send."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


@dataclass(slots=True)
class Dispatcher:
    """Carries out requests; all connections share it."""

    store: Store
    server: Server
    accounts: Accounts
    clock: Clock
    seam: Seam = field(default_factory=Seam)
    limits: Limits = DEFAULT_LIMITS
    message_limits: MessageLimits = MessageLimits()  # noqa: RUF009 - immutable
    computer: Computer = field(default_factory=Computer)
    strict: bool = False
    """Whether to refuse fields, attributes and values that only a later version than that of the request
    has."""
    asynchronous_delay: timedelta = timedelta(0)
    """How long an asynchronous request is not carried out, so that it can be cancelled."""

    _reading: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(2))
    """The threads that decode large requests."""
    _version_log: VersionLog = field(default_factory=VersionLog)

    # --- the interface for connections -----------------------------------------------------------

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""
        return await self.accounts.admit(identity, self._now())

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The response to a whole message. Malformed input never raises an exception."""
        try:
            if len(data) < LARGE_MESSAGE:
                request = read_request(data, self.limits, strict=self.strict)
            else:
                request = await self._read_large(data)
            if len(request.items) > 1:
                require_count(len(request.items), self.message_limits)
        except (RemoteProtocolError, OperationError) as error:
            log.warning("%s: bad request: %s", identity.name, error)
            return Response(self.refuse(error, data))
        if request.later:
            self._version_log.report(identity.name, request)
        now = self._now()
        try:
            check_header(request)
            authentication = request.header.authentication
            if authentication is not None:
                identity = await self.accounts.authenticate(
                    identity, authentication, now, len(request.items)
                )
            answer = await self._carry_out(request, identity, now)
        except AuthenticationError as error:
            log.warning("%s: authentication failed: %s", identity.name, error.message)
            answer = _Answer([failure(request.version, error, item) for item in request.items])
        except OperationError as error:
            log.warning("%s: bad request: %s", identity.name, error.message)
            answer = _Answer([failure(request.version, error)])
        except StoreError as error:
            answer = _Answer([self._store_failure(request, identity, error)])
        if request.header.maximum_response_size is not None:
            refusal = _refusal_of_size(request, answer, now, identity)
            answer = answer if refusal is None else _Answer([refusal])
        encoded = answer.encode(request, now, identity)
        return Response(encoded, request.version if answer.exchanges_roles else None)

    async def _read_large(self, data: bytes) -> Request:
        """Decode a large request. OperationError for one with too many items."""
        require_count(count_items(data), self.message_limits)
        read = partial(read_request, data, self.limits, strict=self.strict)
        return await trio.to_thread.run_sync(read, limiter=self._reading)

    def on_response(self, identity: Identity, data: bytes) -> None:
        """Log a client's response to a request of the server. RemoteProtocolError if it is none."""
        message, version = decode_response(data, limits=self.limits, tolerant=True)
        for item in message.batch_items:
            log.debug("%s: response in KMIP %s: %s", identity.name, version, item.result_status)

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """The response to a message that fails as a whole.

        It has one item without operation (KMIP 1.4 §11.1). Its version is that of the request, or
        the next lower one that the server supports, or the lowest one.
        """
        version = peek_version(data)
        if version not in VERSIONS:
            version = next((v for v in reversed(VERSIONS) if version and v < version), VERSIONS[0])
        refusal = failure(version, OperationError(error.reason, str(error)))
        return response.message(version, [refusal], self._now())

    def due(self) -> list[DeferredRequest]:
        """The asynchronous requests that are due."""
        return self._asynchronous.due(self.clock() - self.asynchronous_delay)

    async def run_deferred(self, requests: Iterable[DeferredRequest]) -> None:
        """Carry out asynchronous requests, unless they are carried out already."""
        for deferred in requests:
            if deferred.stage is not ProcessingStage.SUBMITTED:
                continue
            deferred.stage = ProcessingStage.IN_PROCESS
            items = self._asynchronous.remaining(deferred)
            original = deferred.request
            # The Poll that fetches a result has a Maximum Response Size of its own.
            header = original.header.replace(maximum_response_size=None)
            request = Request(original.version, header, tuple(items.values()))
            try:
                plan = self._plan(request)
                batch = await self._execute(request, plan, deferred.identity, self._now())
                results = batch.results
            except StoreError as error:
                results = [self._store_failure(request, deferred.identity, error)]
            self._asynchronous.finish(deferred, items, results)

    # --- from a request to its results -----------------------------------------------------------

    async def _carry_out(self, request: Request, identity: Identity, now: datetime) -> _Answer:
        """The results of a request; of one that is deferred, that it is pending."""
        plan = self._plan(request)
        if plan.is_immediate:
            # Process carries out its request before its own batch runs: a transaction of its own
            # must not wait inside the transaction of the batch.
            values = values_to_process(request)
            due = (each for each in self.due() if each.identity.name == identity.name)
            await self.run_deferred((*due, *self._asynchronous.of_values(values, identity)))
        elif request.header.asynchronous_indicator and is_to_be_deferred(
            request, slow=plan.takes_long
        ):
            return _Answer(self._defer(request, identity, now))
        batch = await self._execute(request, plan, identity, now)
        return _Answer(batch.results, batch.encoded, batch.message, batch.exchanges_roles)

    def _defer(
        self, request: Request, identity: Identity, now: datetime
    ) -> list[ResponseBatchItem]:
        """Accept a request that is carried out later, unless its response would be too large."""
        random = self.server.settings.random
        pending = self._asynchronous.defer(request, identity, self.clock(), random)
        refusal = _refusal_of_size(request, _Answer(pending), now, identity)
        if refusal is None:
            return pending
        self._asynchronous.withdraw(pending)
        return [refusal]

    async def _execute(
        self, request: Request, plan: _Plan, identity: Identity, now: datetime
    ) -> Batch:
        """Run a request until it has all results of its computations; the batch of the last run."""
        results: Results | None = None
        budget = Budget(self.message_limits)
        while True:
            try:
                return await self._run(request, plan, identity, now, results, budget)
            except ComputationNeeded as need:
                results = need.results
                await self.computer.carry_out(need.task, identity.name, results)

    async def _run(
        self,
        request: Request,
        plan: _Plan,
        identity: Identity,
        now: datetime,
        results: Results | None,
        budget: Budget,
    ) -> Batch:
        """Run a request on a view of the store or in a transaction."""
        # The store may call run() several times. Each run has a batch of its own, and all of them
        # are ended, but only that of the committed run is published.
        runs: list[Batch] = []

        def run(store: Reader | Transaction, *, can_write: bool = True) -> _Work:
            if isinstance(store, Transaction):
                store.note_time(now)
            batch = Batch(
                self.server, identity, request.version, now, store, results,
                is_single=len(request.items) == 1, can_write=can_write,
            )  # fmt: skip
            runs.append(batch)
            if not batch.is_single:
                return self._steps(batch, request, plan.rows, budget)
            result, _ = self._run_item(batch, request.items[0], plan.rows[0], budget)
            batch.results.append(result)
            if result.result_status is ResultStatus.OPERATION_FAILED:
                # A single item has no savepoint of its own: the transaction is rolled back.
                batch.has_failures = True
                raise BatchRolledBack(batch)
            if request.header.maximum_response_size is not None:
                _require_size(batch, request)
            return batch

        def on_commit(batch: Batch) -> None:
            batch.publish()
            self._report(batch, request)

        try:
            return await self._run_in_store(run, plan, identity, on_commit)
        except BatchRolledBack as rollback:
            rollback.batch.exchanges_roles = False
            self._report(rollback.batch, request)
            return rollback.batch
        finally:
            for batch in runs:
                batch.end()

    async def _run_in_store(
        self,
        run: _Run,
        plan: _Plan,
        identity: Identity,
        on_commit: Callable[[Batch], None],
    ) -> Batch:
        """Run a request on a view of the store if it can be, otherwise in a transaction.

        Reading must not need a write, which fails on a full disk. What can be noted another time is
        then not noted; whatever else needs a write is refused.
        """
        if not plan.writes:
            # Most requests of operations that can write do not: a Get writes only the first time, to
            # clear Fresh. A view costs no transaction; the rare others run twice.
            try:
                return await self.store.run(run, slow=plan.slow, on_commit=on_commit)
            except WriteRequired:
                pass
        try:
            return await self.store.run(run, writes=True, slow=plan.slow, on_commit=on_commit)
        except StoreError as error:
            if plan.writes:
                raise
            try:
                batch = await self.store.run(partial(run, can_write=False), on_commit=on_commit)
            except WriteRequired:
                raise error from None
            log.warning("%s: answered, but not noted in the store: %s", identity.name, error)
            return batch

    def _steps(
        self,
        batch: Batch,
        request: Request,
        rows: Sequence[ServedOperation | None],
        budget: Budget,
    ) -> Steps[Batch]:
        """Carry out the items of a message; between two of them, others may go first."""
        budget.begin()
        try:
            for item, row in zip(request.items, rows, strict=True):
                if batch.results:
                    budget.end()
                    yield
                    budget.begin()
                if not self._continues(batch, request, item, row, budget):
                    break
        finally:
            budget.end()
        _require_size(batch, request)
        return batch

    def _continues(
        self,
        batch: Batch,
        request: Request,
        item: RequestBatchItem | UnreadableItem,
        row: ServedOperation | None,
        budget: Budget,
    ) -> bool:
        """Carry out an item; whether the batch continues with the next one."""
        result, encoded = self._run_item(batch, item, row, budget)
        batch.results.append(result)
        batch.encoded.append(encoded)
        if encoded is not None:
            batch.size += len(encoded)
            maximum = request.header.maximum_response_size
            if maximum is not None and batch.size > maximum:
                _require_size(batch, request)
        if result.result_status is not ResultStatus.OPERATION_FAILED:
            return True
        batch.has_failures = True
        option = request.header.batch_error_continuation_option or STOP
        if option == UNDO and len(batch.results) > 1:
            # "If any operation in the request fails, then the server SHALL undo all the
            # previous operations" (KMIP 1.4 §6.13).
            batch.results = response.undone(batch.results)
            batch.encoded = []
            raise BatchRolledBack(batch)
        return option == CONTINUE

    def _run_item(
        self,
        batch: Batch,
        item: RequestBatchItem | UnreadableItem,
        row: ServedOperation | None,
        budget: Budget,
    ) -> tuple[ResponseBatchItem, bytes | None]:
        """The result, and its encoding if the item is one of several and succeeded."""
        try:
            if not batch.is_single:
                budget.require_time()
            return self._run_operation(batch, require_readable(item), row, budget)
        except OperationError as error:
            return failure(batch.version, error, item), None
        except Damaged as error:
            log.error("%s: %s", batch.identity.name, error)
            return failure(batch.version, _DAMAGED, item), None
        except (WriteRequired, ComputationNeeded, ReadingTooLong, StoreError):
            raise
        except Exception:
            # Only a defect of the server gets here, so any exception is caught: one bad handler
            # must not end the connection. The client learns nothing about it, since the text of an
            # unexpected exception may contain key material of others; the log has the traceback.
            log.exception(
                "%s: internal error in %s",
                batch.identity.name,
                response.operation_title(item.operation),
            )
            defect = OperationError(ResultReason.INTERNAL_SERVER_ERROR, "internal error")
            return failure(batch.version, defect, item), None

    def _run_operation(
        self, batch: Batch, item: RequestBatchItem, row: ServedOperation | None, budget: Budget
    ) -> tuple[ResponseBatchItem, bytes | None]:
        if row is None:
            raise OperationError(
                ResultReason.OPERATION_NOT_SUPPORTED,
                f"{response.operation_title(item.operation)} is not supported in KMIP {batch.version}",
            )
        batch.exchanges_roles = False  # only the last item can exchange the roles
        call = Call(batch, row.operation)
        if batch.is_single:
            # No savepoint, and nothing to accept: no other item follows.
            return self._succeed(call, row, item, budget)
        with batch.savepoint():
            success = self._succeed(call, row, item, budget)
        batch.accept(call.identifiers, call.outputs, row)
        return success

    def _succeed(
        self, call: Call, row: ServedOperation, item: RequestBatchItem, budget: Budget
    ) -> tuple[ResponseBatchItem, bytes | None]:
        """The result of an operation and its encoding, whose size is checked in the transaction.

        The whole response is encoded at once if this is the only result.
        """
        result = response.success(item, self._call(call, row, item))
        batch = call.batch
        if batch.is_single:
            message = response.message(call.version, [result], call.now, batch.identity.proof)
            budget.require_size(len(message))
            batch.message = message
            return result, None
        encoded = response.encoded_item(call.version, result)
        budget.require_size(batch.size + len(encoded))
        return result, encoded

    def _call(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> object:
        for before in self.seam.before:
            before(call, row, item)
        payload: object = row.handler(call, item.request_payload)
        for after in self.seam.after:
            after(call, row, item)
        return payload

    # --- helpers ---------------------------------------------------------------------------------

    @property
    def _asynchronous(self) -> AsynchronousRequests:
        return AsynchronousRequests(self.server.state.deferrals)

    def _now(self) -> datetime:
        """The time in whole seconds, as a Date-Time of KMIP is (KMIP 1.4 §9.1.1.4)."""
        return self.clock().replace(microsecond=0)

    def _plan(self, request: Request) -> _Plan:
        rows = []
        writes = scans = slow = takes_long = is_immediate = False
        for item in request.items:
            row = self.server.registry.find(item.operation, request.version)
            rows.append(row)
            if row is not None and not isinstance(item, UnreadableItem):
                # One of several parts updates a cipher or hash, which cannot be undone: it must
                # not run a second time after a WriteRequired.
                writes = writes or row.writes or is_part(item.request_payload)
                scans = scans or row.scans
                slow = slow or row.slow
                takes_long = takes_long or row.slow or row.computes
                is_immediate = is_immediate or row.is_immediate
        # A transaction cannot leave the event loop once a look-up turns out to take long.
        slow = slow or (writes and scans)
        return _Plan(rows, writes, slow, takes_long, is_immediate)

    def _report(self, batch: Batch, request: Request) -> None:
        """Log failures and call the hooks at the end of a request: once, however often it ran."""
        if batch.has_failures:
            _log_failures(batch)
        for finished in self.seam.finished:
            for item, result in zip(request.items, batch.results, strict=False):
                finished(batch, item, result)

    def _store_failure(
        self, request: Request, identity: Identity, error: StoreError
    ) -> ResponseBatchItem:
        log.error("%s: %s", identity.name, error)
        unavailable = OperationError(
            ResultReason.GENERAL_FAILURE, "the server cannot read or write its store at the moment"
        )
        return failure(request.version, unavailable)


def _require_size(batch: Batch, request: Request) -> None:
    """Roll back a batch whose response the client cannot take, so that it has no effect.

    "Indicate the maximum size of a response, in bytes, that the requester SHALL be able to handle"
    (KMIP 1.4 §6.3, KMIP 2.1 §9.12): a client that is told "failed" must be able to rely on it.
    """
    answer = _Answer(batch.results, batch.encoded, batch.message)
    refusal = _refusal_of_size(request, answer, batch.now, batch.identity)
    if refusal is not None:
        batch.results, batch.encoded, batch.message = [refusal], [], None
        batch.has_failures = True
        raise BatchRolledBack(batch)


def _refusal_of_size(
    request: Request, answer: _Answer, now: datetime, identity: Identity
) -> ResponseBatchItem | None:
    """Response Too Large, if the response exceeds the maximum of the request; None if it does not."""
    maximum = request.header.maximum_response_size
    if maximum is None:
        return None
    size = len(answer.encode(request, now, identity))
    if size <= maximum:
        return None
    error = OperationError(
        ResultReason.RESPONSE_TOO_LARGE,
        f"the response has {size} bytes or more; the request allows {maximum} at most",
    )
    return failure(request.version, error, request.items[0])


def _log_failures(batch: Batch) -> None:
    for result in batch.results:
        if result.result_status is ResultStatus.OPERATION_FAILED:
            reason = result.result_reason.name if result.result_reason else ""
            operation, message = response.operation_title(result.operation), result.result_message
            log.info("%s: %s refused: %s: %s", batch.identity.name, operation, reason, message)
