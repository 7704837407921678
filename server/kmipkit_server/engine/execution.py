"""Carrying out one message: its runs on the store, and the items of each run.

A message whose operations only read runs on a read-only view. Others, and those that turn out to
write, run in a transaction, and their response is sent when that is durable. The items of a message
share one transaction, with a savepoint for each, so that a failed item changes nothing, and the
option Undo can roll all of them back (KMIP 1.4 §6.13).
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.spec.enums import BatchErrorContinuationOption, ResultReason, ResultStatus
from kmipkit_server.engine import response
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.budget import Budget, MessageLimits
from kmipkit_server.engine.call import Call, SeparateChange, WriteRequired
from kmipkit_server.engine.computing import ComputationNeeded, Computer, Results
from kmipkit_server.engine.created_items import encoded_create
from kmipkit_server.engine.exchange import Exchange, StateChanged
from kmipkit_server.engine.plan import Plan
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import Request, UnreadableItem, require_readable
from kmipkit_server.engine.response import Answer, Repeated, failure, refusal_of_size
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.store.base import Reader, Store, Transaction
from kmipkit_server.store.errors import Damaged, ReadingTooLong, StoreError
from kmipkit_server.store.slices import Steps

log = logging.getLogger("kmipkit.server")

STOP, CONTINUE, UNDO = (
    BatchErrorContinuationOption.STOP,
    BatchErrorContinuationOption.CONTINUE,
    BatchErrorContinuationOption.UNDO,
)

_DAMAGED = OperationError(
    ResultReason.GENERAL_FAILURE, "an object of the request is damaged in the store of the server"
)


Complete = Callable[[Transaction, Sequence[ResponseBatchItem]], None]
"""What is done in the transaction of a message when all of its results are known."""


class BatchRolledBack(Exception):
    """Rolls back the whole transaction of a message; has the batch with the results to send."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class Execution:
    """One message while it is carried out."""

    __slots__ = (
        "_budget", "_call", "_complete", "_exchange", "_identity", "_plan", "_request", "_results",
        "_runs", "_seam", "_server",
    )  # fmt: skip

    def __init__(
        self,
        server: Server,
        seam: Seam,
        limits: MessageLimits,
        request: Request,
        plan: Plan,
        exchange: Exchange,
        complete: Complete | None = None,
    ) -> None:
        """``complete`` is called with the results in the transaction of their changes, if it has any."""
        self._server = server
        self._seam = seam
        self._request = request
        self._plan = plan
        self._exchange = exchange
        self._identity = exchange.identity
        self._complete = complete
        self._budget = Budget(limits)
        self._results: Results | None = None
        """The results of computations in earlier runs."""
        self._runs: list[Batch] = []
        self._call: Call | None = None
        """The operation of the item that is being carried out, if the server has it."""

    async def finish(self, store: Store, computer: Computer) -> Batch:
        """Run the message until it has all results of its computations; the batch of the last run."""
        proceed: Callable[[], Awaitable[None]]
        while True:
            # The store may call a run several times. Each has a batch of its own, and all of them
            # are ended, but only that of the committed run is published.
            try:
                return await self._run_in(store)
            except ComputationNeeded as needed:
                task, self._results = needed.task, needed.results
                identity = self._identity
                most = self._server.state.tenants.limits_of(identity.tenant).workers
                proceed = partial(computer.carry_out, task, identity.name, self._results, most)
            except SeparateChange as needed:
                proceed = partial(store.run, needed.change, writes=True)
            except BatchRolledBack as rollback:
                batch = rollback.batch
                batch.exchanges_roles = False
                self._report(batch)
                return batch
            finally:
                for batch in self._runs:
                    batch.end()
                self._runs.clear()
            await proceed()

    async def _run_in(self, store: Store) -> Batch:
        """Run the message on a view of the store if it can be, otherwise in a transaction.

        Reading must not need a write, which fails on a full disk. What can be noted another time is
        then not noted; whatever else needs a write is refused.
        """
        plan = self._plan
        if not plan.writes:
            # Most requests of operations that can write do not: a Get writes only the first time, to
            # clear Fresh. A view costs no transaction; the rare others run twice.
            try:
                return await store.run(
                    self._read,
                    slow=plan.slow,
                    account=self._identity.name,
                    on_commit=self._publish,
                )
            except WriteRequired:
                pass
        try:
            return await store.run(
                self._write,
                writes=True,
                slow=plan.slow,
                account=self._identity.name,
                on_commit=self._publish,
            )
        except StoreError as error:
            if plan.writes:
                raise
            try:
                batch = await store.run(
                    self._read_only, account=self._identity.name, on_commit=self._publish
                )
            except WriteRequired:
                raise error from None
            log.warning("%s: answered, but not noted in the store: %s", self._identity.name, error)
            return batch

    # --- a run -----------------------------------------------------------------------------------

    def _read(self, store: Reader) -> Batch | Steps[Batch]:
        """Run the message; WriteRequired if it must write."""
        return self._run(store)

    def _write(self, transaction: Transaction) -> Batch | Steps[Batch]:
        """Run the message in a transaction."""
        transaction.note_time(self._exchange.now)
        outcome = self._run(transaction)
        if self._complete is None and not self._seam.written:
            return outcome
        if isinstance(outcome, Batch):
            return self._completed(outcome, transaction)
        return self._completed_later(outcome, transaction)

    def _completed_later(self, outcome: Steps[Batch], transaction: Transaction) -> Steps[Batch]:
        """Finish a run of several items."""
        return self._completed((yield from outcome), transaction)

    def _completed(self, batch: Batch, transaction: Transaction) -> Batch:
        """Do what belongs to the end of a run in the same transaction."""
        for written in self._seam.written:
            for item, result in zip(self._request.items, batch.results, strict=False):
                written(batch, transaction, item, result)
        if self._complete is not None:
            self._complete(transaction, batch.results)
        return batch

    def _read_only(self, store: Reader) -> Batch | Steps[Batch]:
        """Run the message without what can be noted another time."""
        return self._run(store, can_write=False)

    def _run(self, store: Reader | Transaction, *, can_write: bool = True) -> Batch | Steps[Batch]:
        request = self._request
        batch = Batch(
            self._server, self._exchange, request.version, store, self._results,
            is_single=len(request.items) == 1, can_write=can_write,
        )  # fmt: skip
        self._runs.append(batch)
        self._exchange.notes = ()
        if not batch.is_single:
            return self._steps(batch)
        result, _ = self._run_item(batch, request.items[0], self._plan.rows[0])
        self._note(batch, result)
        if result.result_status is ResultStatus.OPERATION_FAILED:
            # A single item has no savepoint of its own: the transaction is rolled back.
            batch.has_failures = True
            raise BatchRolledBack(batch)
        if request.header.maximum_response_size is not None:
            self._require_size(batch)
        return batch

    def _steps(self, batch: Batch) -> Steps[Batch]:
        """Carry out the items of a message; between two of them, others may go first."""
        budget = self._budget
        budget.begin()
        try:
            for item, row in zip(self._request.items, self._plan.rows, strict=True):
                if batch.results:
                    budget.end()
                    yield
                    budget.begin()
                if not self._continues(batch, item, row):
                    break
        finally:
            budget.end()
        self._require_size(batch)
        return batch

    def _continues(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, row: ServedOperation | None
    ) -> bool:
        """Carry out an item; whether the batch continues with the next one."""
        result, encoded = self._run_item(batch, item, row)
        self._note(batch, result)
        batch.encoded.append(encoded)
        header = self._request.header
        if encoded is not None:
            batch.size += len(encoded)
            maximum = header.maximum_response_size
            if maximum is not None and batch.size > maximum:
                self._require_size(batch)
        if result.result_status is not ResultStatus.OPERATION_FAILED:
            return True
        batch.has_failures = True
        option = header.batch_error_continuation_option or STOP
        if option == UNDO and len(batch.results) > 1:
            # "If any operation in the request fails, then the server SHALL undo all the
            # previous operations" (KMIP 1.4 §6.13).
            batch.results = response.undone(batch.results)
            batch.encoded = []
            batch.exchange.notes = ()
            raise BatchRolledBack(batch)
        return option == CONTINUE

    # --- an item ---------------------------------------------------------------------------------

    def _run_item(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, row: ServedOperation | None
    ) -> tuple[ResponseBatchItem, bytes | None]:
        """The result, and its encoding if the item is one of several and succeeded."""
        try:
            if not batch.is_single:
                self._budget.require_time()
            return self._run_operation(batch, require_readable(item), row)
        except OperationError as error:
            if error.limit is not None:
                batch.limits_reached += (error.limit,)
            return failure(batch.version, error, item), None
        except Damaged as error:
            log.error("%s: %s", batch.identity.name, error)
            return failure(batch.version, _DAMAGED, item), None
        except (
            WriteRequired, SeparateChange, StateChanged, ComputationNeeded, ReadingTooLong, StoreError
        ):  # fmt: skip
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
        self, batch: Batch, item: RequestBatchItem, row: ServedOperation | None
    ) -> tuple[ResponseBatchItem, bytes | None]:
        if row is None:
            raise OperationError(
                ResultReason.OPERATION_NOT_SUPPORTED,
                f"{response.operation_title(item.operation)} is not supported in KMIP {batch.version}",
            )
        batch.exchanges_roles = False  # only the last item can exchange the roles
        call = self._call = Call(batch, row.operation)
        if batch.is_single:
            # No savepoint, and nothing to accept: no other item follows.
            return self._succeed(call, row, item)
        with batch.savepoint():
            success = self._succeed(call, row, item)
        batch.accept(call.identifiers, call.outputs, row)
        return success

    def _succeed(
        self, call: Call, row: ServedOperation, item: RequestBatchItem
    ) -> tuple[ResponseBatchItem, bytes | None]:
        """The result of an operation and its encoding, whose size is checked in the transaction.

        The whole response is encoded at once if this is the only result.
        """
        for before in self._seam.before:
            before(call, row, item)
        payload: object = row.handler(call, item.request_payload)
        for after in self._seam.after:
            after(call, row, item)
        if item.ephemeral and row.output is not None:
            payload = response.without_output(payload)
        result = response.success(item, payload)
        batch = call.batch
        encoded = encoded_create(call.version, result)
        if encoded is None:
            encoded = response.encoded_item(call.version, result)
        self._budget.require_size(batch.size + len(encoded))
        if not batch.is_single:
            return result, encoded
        batch.message = response.message_of(call.version, result, batch.exchange, encoded)
        self._budget.require_size(len(batch.message))
        # What a full disk leaves to be noted later is noted by the next request: no repetition.
        is_complete = batch.can_write and batch.transaction is None
        if call.repeatable is not None and is_complete and not (call.notes or call.obligations):
            batch.repeated = Repeated(call.repeatable, row, encoded)
        return result, None

    def _note(self, batch: Batch, result: ResponseBatchItem) -> None:
        """Note the result of an item, and the objects that it was about."""
        call, self._call = self._call, None
        if (
            call is not None
            and call.notes
            and result.result_status is not ResultStatus.OPERATION_FAILED
        ):
            position = len(batch.results)
            batch.exchange.notes += tuple((position, each) for each in call.notes)
        batch.results.append(result)
        batch.objects.append(() if call is None else call.named + call.identifiers)

    # --- the end ---------------------------------------------------------------------------------

    def _publish(self, batch: Batch) -> None:
        """After the commit of a run."""
        batch.publish()
        self._report(batch)

    def _report(self, batch: Batch) -> None:
        """Log failures and call the hooks at the end of a request: once, however often it ran."""
        if batch.has_failures:
            _log_failures(batch)
            batch.server.state.limits_reached.update(batch.limits_reached)
        for finished in self._seam.finished:
            for item, result in zip(self._request.items, batch.results, strict=False):
                finished(batch, item, result)

    def _require_size(self, batch: Batch) -> None:
        """Roll back a batch whose response the client cannot take, so that it has no effect.

        "Indicate the maximum size of a response, in bytes, that the requester SHALL be able to
        handle" (KMIP 1.4 §6.3, KMIP 2.1 §9.12): a client that is told "failed" must be able to rely
        on it.
        """
        answer = Answer(batch.results, batch.encoded, batch.message)
        refusal = refusal_of_size(self._request, answer, batch.exchange)
        if refusal is not None:
            batch.results, batch.encoded, batch.message = [refusal], [], None
            batch.has_failures = True
            raise BatchRolledBack(batch)


def _log_failures(batch: Batch) -> None:
    for result in batch.results:
        if result.result_status is ResultStatus.OPERATION_FAILED:
            reason = result.result_reason.name if result.result_reason else ""
            operation, message = response.operation_title(result.operation), result.result_message
            log.info("%s: %s refused: %s: %s", batch.identity.name, operation, reason, message)
