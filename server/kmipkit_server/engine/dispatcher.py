"""From a request message to its response.

The path of a request: one decode, one decision per item, one access to the store, one encode. A
message of which no operation writes runs on a read-only view; all others, and those that find out
that they must write, run in a transaction and are answered when that is durable. The items of a
message share one transaction, with a savepoint for each, so that a failed item leaves nothing
behind and Undo takes back all of them (KMIP 1.4 §6.13).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

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
    processed_values,
    wants_deferral,
)
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.call import Call, WriteRequired
from kmipkit_server.engine.multipart import is_part
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import (
    Request,
    UnreadableItem,
    check_header,
    read_request,
    require_readable,
)
from kmipkit_server.engine.response import Answer, failure
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import Reader, Store, StoreError, Transaction

log = logging.getLogger("kmipkit.server")

STOP, CONTINUE, UNDO = (
    BatchErrorContinuationOption.STOP,
    BatchErrorContinuationOption.CONTINUE,
    BatchErrorContinuationOption.UNDO,
)


class _Plan(NamedTuple):
    """What the operations of a request ask of the way in which it is carried out."""

    rows: Sequence[ServedOperation | None]
    """For each item its operation; None if the server or the version lacks it."""
    writes: bool
    """Whether it is no use to try the request on a view that only reads."""
    slow: bool
    immediate: bool
    """Whether it must not be deferred."""


class RolledBack(Exception):
    """Rolls the whole transaction of a message back; carries what to answer."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


@dataclass(slots=True)
class Dispatcher:
    """Answers requests; shared by all connections."""

    store: Store
    server: Server
    accounts: Accounts
    clock: Clock
    seam: Seam = field(default_factory=Seam)
    limits: Limits = DEFAULT_LIMITS
    asynchronous_delay: timedelta = timedelta(0)
    """How long an asynchronous request waits, so that it can be cancelled."""

    # --- what a connection asks for --------------------------------------------------------------

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""
        return await self.accounts.admit(identity, self._now())

    async def respond(self, data: bytes, identity: Identity) -> Answer:
        """The answer to a whole message. Never raises for bad input."""
        try:
            request = read_request(data, self.limits)
        except RemoteProtocolError as error:
            log.warning("%s: bad request: %s", identity.name, error)
            return Answer(self.refuse(error, data))
        now = self._now()
        exchanges_roles = False
        try:
            check_header(request)
            authentication = request.header.authentication
            if authentication is not None:
                identity = await self.accounts.authenticate(identity, authentication, now)
            results, exchanges_roles = await self._carry_out(request, identity, now)
        except AuthenticationError as error:
            log.warning("%s: not authenticated: %s", identity.name, error.message)
            results = [failure(request.version, error, item) for item in request.items]
        except OperationError as error:
            log.warning("%s: bad request: %s", identity.name, error.message)
            results = [failure(request.version, error)]
        except StoreError as error:
            results = [self._store_failure(request, identity, error)]
        answer = self._encode(request, results, now, identity.proof)
        return Answer(answer, request.version if exchanges_roles else None)

    def on_response(self, identity: Identity, data: bytes) -> None:
        """Take a client's answer to a request of the server. RemoteProtocolError if it is none."""
        message, version = decode_response(data, limits=self.limits, tolerant=True)
        for item in message.batch_items:
            log.debug("%s answers in KMIP %s: %s", identity.name, version, item.result_status)

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """The answer to a request that is not carried out, whatever it says.

        It is an item without operation (KMIP 1.4 §11.1), in the version of ``data`` if that is a
        request.
        """
        version = peek_version(data)
        if version not in VERSIONS:
            version = next((v for v in reversed(VERSIONS) if version and v < version), VERSIONS[0])
        refusal = failure(version, OperationError(error.reason, str(error)))
        return response.message(version, [refusal], self._now())

    async def work_off(self, others: Sequence[DeferredRequest] = ()) -> None:
        """Carry out the asynchronous requests that are due, and some others."""
        due = self._asynchronous.due(self.clock() - self.asynchronous_delay)
        for deferred in (*due, *others):
            if deferred.stage is not ProcessingStage.SUBMITTED:
                continue
            deferred.stage = ProcessingStage.IN_PROCESS
            items = self._asynchronous.remaining(deferred)
            asked = deferred.request
            request = Request(asked.version, asked.header, tuple(items.values()))
            try:
                plan = self._plan(request)
                batch = await self._execute(request, plan, deferred.identity, self._now())
                results = batch.results
            except StoreError as error:
                results = [self._store_failure(request, deferred.identity, error)]
            self._asynchronous.finish(deferred, items, results)

    # --- from a request to its results -----------------------------------------------------------

    async def _carry_out(
        self, request: Request, identity: Identity, now: datetime
    ) -> tuple[list[ResponseBatchItem], bool]:
        """The results, now or later if the client can wait; whether the roles are exchanged."""
        plan = self._plan(request)
        if plan.immediate:
            processed = processed_values(request)
            await self.work_off(self._asynchronous.of_values(processed, identity))
        elif request.header.asynchronous_indicator and wants_deferral(request, slow=plan.slow):
            random = self.server.settings.random
            return self._asynchronous.defer(request, identity, self.clock(), random), False
        batch = await self._execute(request, plan, identity, now)
        return batch.results, batch.exchanges_roles

    async def _execute(
        self, request: Request, plan: _Plan, identity: Identity, now: datetime
    ) -> Batch:
        """Run a request in a transaction of the store; the run that counts."""
        runs: list[Batch] = []

        def run(store: Reader | Transaction) -> Batch:
            batch = Batch(
                self.server, identity, request.version, now, store,
                is_single=len(request.items) == 1,
            )  # fmt: skip
            runs.append(batch)
            self._run_items(batch, request, plan.rows)
            return batch

        def committed(batch: Batch) -> None:
            batch.publish()
            self._report(batch, request)

        try:
            if not plan.writes:
                try:
                    return await self.store.run(run, slow=plan.slow, committed=committed)
                except WriteRequired:
                    pass
            return await self.store.run(run, writes=True, slow=plan.slow, committed=committed)
        except RolledBack as rolled_back:
            self._report(rolled_back.batch, request)
            return rolled_back.batch
        finally:
            for batch in runs:
                batch.end()

    def _run_items(
        self, batch: Batch, request: Request, rows: Sequence[ServedOperation | None]
    ) -> None:
        option = request.header.batch_error_continuation_option or STOP
        for item, row in zip(request.items, rows, strict=True):
            result = self._run_item(batch, item, row)
            batch.results.append(result)
            if result.result_status is not ResultStatus.OPERATION_FAILED:
                continue
            batch.has_failures = True
            if batch.is_single:
                raise RolledBack(batch)  # it had no savepoint but that of the whole message
            if option == UNDO and len(batch.results) > 1:
                batch.results = response.undone(batch.results)
                raise RolledBack(batch)
            if option != CONTINUE:
                break

    def _run_item(
        self,
        batch: Batch,
        item: RequestBatchItem | UnreadableItem,
        row: ServedOperation | None,
    ) -> ResponseBatchItem:
        try:
            return self._run_operation(batch, require_readable(item), row)
        except OperationError as error:
            return failure(batch.version, error, item)
        except (WriteRequired, StoreError):
            raise
        except Exception:
            # A defect of ours must not look like the client's mistake, nor show what we hold.
            log.exception(
                "%s: internal error in %s",
                batch.identity.name,
                response.operation_title(item.operation),
            )
            defect = OperationError(ResultReason.INTERNAL_SERVER_ERROR, "internal error")
            return failure(batch.version, defect, item)

    def _run_operation(
        self, batch: Batch, item: RequestBatchItem, row: ServedOperation | None
    ) -> ResponseBatchItem:
        if row is None:
            raise OperationError(
                ResultReason.OPERATION_NOT_SUPPORTED,
                f"{response.operation_title(item.operation)} is not supported in KMIP {batch.version}",
            )
        batch.exchanges_roles = False  # what counts is the last item
        call = Call(batch, row.operation)
        if batch.is_single:
            return response.success(item, self._call(call, row, item))
        with batch.part():
            payload = self._call(call, row, item)
        batch.accept(call.identifiers, call.outputs, row)
        return response.success(item, payload)

    def _call(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> object:
        for look in self.seam.before:
            look(call, row, item)
        payload: object = row.handler(call, item.request_payload)
        for look in self.seam.after:
            look(call, row, item)
        return payload

    # --- helpers ---------------------------------------------------------------------------------

    @property
    def _asynchronous(self) -> AsynchronousRequests:
        return AsynchronousRequests(self.server.state.deferrals)

    def _now(self) -> datetime:
        """In whole seconds, as dates of KMIP are (KMIP 1.4 §9.1.1.4)."""
        return self.clock().replace(microsecond=0)

    def _plan(self, request: Request) -> _Plan:
        rows = []
        writes = slow = immediate = False
        for item in request.items:
            row = self.server.registry.find(item.operation, request.version)
            rows.append(row)
            if row is not None and not isinstance(item, UnreadableItem):
                # A part of several changes what waits for the next one: it must not run twice.
                writes = writes or row.writes or is_part(item.request_payload)
                slow = slow or row.slow
                immediate = immediate or row.is_immediate
        return _Plan(rows, writes, slow, immediate)

    def _report(self, batch: Batch, request: Request) -> None:
        """Tell the hooks and the log how a request has ended: once, however often it was run."""
        if batch.has_failures:
            _log_refusals(batch)
        for look in self.seam.finished:
            for item, result in zip(request.items, batch.results, strict=False):
                look(batch, item, result)

    def _store_failure(
        self, request: Request, identity: Identity, error: StoreError
    ) -> ResponseBatchItem:
        log.error("%s: %s", identity.name, error)
        unavailable = OperationError(ResultReason.GENERAL_FAILURE, "the store is not available")
        return failure(request.version, unavailable)

    def _encode(
        self,
        request: Request,
        results: list[ResponseBatchItem],
        now: datetime,
        proof: bytes | None,
    ) -> bytes:
        data = response.message(request.version, results, now, proof)
        maximum = request.header.maximum_response_size
        if maximum is not None and len(data) > maximum:
            error = OperationError(
                ResultReason.RESPONSE_TOO_LARGE,
                f"the response has {len(data)} bytes, more than the {maximum} that were asked",
            )
            refusal = failure(request.version, error, request.items[0])
            return response.message(request.version, [refusal], now)
        return data


def _log_refusals(batch: Batch) -> None:
    for result in batch.results:
        if result.result_status is ResultStatus.OPERATION_FAILED:
            reason = result.result_reason.name if result.result_reason else ""
            operation, message = response.operation_title(result.operation), result.result_message
            log.info("%s: %s refused: %s: %s", batch.identity.name, operation, reason, message)
