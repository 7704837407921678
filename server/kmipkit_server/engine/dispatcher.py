"""From a request message to its response: header, version, batch, errors.

The path of a request: one decode, one decision per item, one store access, one encode. A message of
which no operation writes is run on a read-only view, on the spot; all others, and those that find on
the way that they must write, run in the writer's transaction and are answered when that is durable.
The items of a batch share one transaction, with a savepoint for each, so that a failed item leaves
nothing behind and Undo takes back all of them (KMIP 1.4 §6.13).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from kmipkit.errors import OperationError, ProtocolError, RemoteProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import SPOKEN, decode_response, peek_version
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.asynchronous import ProcessRequest
from kmipkit.model.payloads.session import SetEndpointRoleResponse
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    EndpointRole,
    Operation,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server import operations  # noqa: F401 - importing them registers them
from kmipkit_server.engine import notifications
from kmipkit_server.engine.asynchronous import AT_ONCE, Batch, Pending, is_put_off
from kmipkit_server.engine.call import Call, Facts, WriteRequired
from kmipkit_server.engine.multipart import is_part
from kmipkit_server.engine.reasons import reason_for
from kmipkit_server.engine.registry import HANDLERS, find
from kmipkit_server.engine.request import BadItem, Incoming, read_request
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.certificate import Identity
from kmipkit_server.policy import rules
from kmipkit_server.store.base import Reader, StoreError, Transaction
from kmipkit_server.store.writer import GroupCommit

log = logging.getLogger("kmipkit.server")

Clock = Callable[[], datetime]
STOP, CONTINUE, UNDO = (
    BatchErrorContinuationOption.STOP,
    BatchErrorContinuationOption.CONTINUE,
    BatchErrorContinuationOption.UNDO,
)


class _Undo(Exception):
    """Takes the whole transaction of a message back; carries what to answer."""

    def __init__(self, results: list[ResponseBatchItem]) -> None:
        self.results = results


class Turn(bytes):
    """An answer after which client and server exchange their roles (KMIP 2.1 §6.1.54)."""

    version: Version

    def __new__(cls, data: bytes, version: Version) -> Self:
        turn = super().__new__(cls, data)
        turn.version = version
        return turn


def _turns(items: list[ResponseBatchItem]) -> bool:
    payload = items[-1].response_payload
    return (
        isinstance(payload, SetEndpointRoleResponse)
        and payload.endpoint_role == EndpointRole.CLIENT
    )


@dataclass(slots=True)
class Dispatcher:
    """Answers requests; shared by all connections."""

    reader: Reader
    writer: GroupCommit
    facts: Facts
    clock: Clock
    accounts: Accounts
    limits: Limits = DEFAULT_LIMITS

    async def respond(self, data: bytes, identity: Identity) -> bytes:
        """The bytes that answer a whole message. Never raises for bad input."""
        try:
            incoming = read_request(data, self.limits)
        except RemoteProtocolError as error:
            log.warning("%s: bad request: %s", identity.name, error)
            return self.refuse(error, data)
        now = self._now()
        try:
            _check_header(incoming)
            shown = incoming.header.authentication
            if shown is not None:
                identity = await self.accounts.authenticate(identity, shown, now)
            items = await self._answer(incoming, identity, now)
        except AuthenticationError as error:
            log.warning("%s: not authenticated: %s", identity.name, error.message)
            items = [_failure(incoming.version, error, item) for item in incoming.items]
        except OperationError as error:
            log.warning("%s: bad request: %s", identity.name, error.message)
            items = [_failure(incoming.version, error)]
        except StoreError as error:
            log.error("%s: %s", identity.name, error)
            failure = OperationError(ResultReason.GENERAL_FAILURE, "the store is not available")
            items = [_failure(incoming.version, failure)]
        answer = self._encode(incoming, items, now, identity.proof)
        turns = items[-1].operation is Operation.SET_ENDPOINT_ROLE and _turns(items)
        return Turn(answer, incoming.version) if turns else answer

    def questions(self, identity: Identity, version: Version) -> Iterator[bytes]:
        """What the server asks and tells a client that has taken its role; at last, to take it back."""
        yield notifications.greeting(version)
        for notice in self.accounts.memory.notices.take(identity.name):
            data = notifications.message(notice, self.reader, self._now())
            if data is not None:
                yield data
        yield notifications.farewell(version)

    def heard(self, identity: Identity, answer: bytes) -> None:
        """A client's answer to one of these. RemoteProtocolError if it is none."""
        message, version = decode_response(answer, limits=self.limits, tolerant=True)
        for item in message.batch_items:
            log.debug("%s answers in KMIP %s: %s", identity.name, version, item.result_status)

    def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""
        return self.accounts.admit(identity)

    def refuse(self, error: ProtocolError, data: bytes) -> bytes:
        """The answer to bytes that are no request: an item without operation (KMIP 1.4 §11.1)."""
        version = peek_version(data)
        if version not in SPOKEN:
            version = next((v for v in reversed(SPOKEN) if version and v < version), SPOKEN[0])
        failure = OperationError(error.reason, str(error))
        return self._message(version, [_failure(version, failure)], self._now())

    def _now(self) -> datetime:
        """In whole seconds, as dates of KMIP are (KMIP 1.4 §9.1.1.4)."""
        return self.clock().replace(microsecond=0)

    async def _answer(
        self, incoming: Incoming, identity: Identity, now: datetime
    ) -> list[ResponseBatchItem]:
        """Now, or later where the client can wait."""
        if incoming.header.asynchronous_indicator and is_put_off(
            incoming, slow=any(map(_is_slow, incoming.items))
        ):
            return self._pending.add(incoming, identity, self.clock())
        for item in incoming.items:
            if item.operation in AT_ONCE:
                await self.work_off(self._pending.named(_hurried(incoming), identity))
                break
        return await self._run(incoming, identity, now)

    @property
    def _pending(self) -> Pending:
        return self.accounts.memory.pending

    async def work_off(self, others: Sequence[Batch] = ()) -> None:
        """Carry out the asynchronous requests that are due, and some others."""
        for batch in (*self._pending.due(self.clock()), *others):
            if batch.stage is not ProcessingStage.SUBMITTED:
                continue
            batch.stage = ProcessingStage.IN_PROCESS
            try:
                results = await self._run(batch.request(), batch.identity, self._now())
            except StoreError as error:
                log.error("%s: %s", batch.identity.name, error)
                failure = OperationError(ResultReason.GENERAL_FAILURE, "the store is not available")
                results = [_failure(batch.incoming.version, failure)]
            batch.finish(results)

    async def _run(
        self, incoming: Incoming, identity: Identity, now: datetime
    ) -> list[ResponseBatchItem]:
        """Carry out all items, and note what there is to tell."""
        results = await self._carry_out(incoming, identity, now)
        told = self.accounts.memory.notices
        if identity.name in told.accounts:
            for item, result in zip(incoming.items, results, strict=False):
                request = getattr(item, "request_payload", None)
                for notice in notifications.notices(request, result, incoming.version):
                    told.add(identity.name, notice)
        return results

    async def _carry_out(
        self, incoming: Incoming, identity: Identity, now: datetime
    ) -> list[ResponseBatchItem]:
        for item in incoming.items:
            if _writes(item, incoming.version):
                break
        else:
            try:
                return self._run_batch(incoming, identity, now, self.reader)
            except _Undo as undo:
                return undo.results
            except WriteRequired:
                pass
        try:
            return await self.writer.submit(
                lambda transaction: self._run_batch(incoming, identity, now, transaction),
                slow=any(_is_slow(item) for item in incoming.items),
            )
        except _Undo as undo:
            self.accounts.memory.house_rules.rules = None  # perhaps read from what is taken back
            return undo.results

    def _run_batch(
        self, incoming: Incoming, identity: Identity, now: datetime, store: Reader | Transaction
    ) -> list[ResponseBatchItem]:
        results: list[ResponseBatchItem] = []
        option = incoming.header.batch_error_continuation_option or STOP
        placeholder: str | None = None
        earlier: list[str] = []
        outputs: list[tuple[Operation, bytes]] = []
        alone = len(incoming.items) == 1
        for item in incoming.items:
            call = Call(
                identity, incoming.version, now, store, self.facts, item.operation, placeholder,
                earlier, alone, outputs, self.accounts.memory,
            )  # fmt: skip
            result = self._run_item(item, call)
            results.append(result)
            placeholder = call.placeholder
            if result.result_status is ResultStatus.OPERATION_FAILED and alone:
                raise _Undo(results)  # it had no savepoint but that of the whole message
            if result.result_status is ResultStatus.OPERATION_FAILED and option != CONTINUE:
                if option == UNDO and len(results) > 1:
                    raise _Undo(_undone(results))
                break
        return results

    def _run_item(self, item: RequestBatchItem | BadItem, call: Call) -> ResponseBatchItem:
        try:
            return self._run_operation(_readable(item), call)
        except OperationError as error:
            log.info(
                "%s: %s refused: %s: %s",
                call.identity.name, _name(item.operation), error.reason.name, error.message,
            )  # fmt: skip
            return _failure(call.version, error, item)
        except WriteRequired:
            raise
        except StoreError:
            raise
        except Exception:
            # A defect of ours must not look like the client's mistake, nor show what we hold.
            log.exception("%s: defect in %s", call.identity.name, _name(item.operation))
            failure = OperationError(ResultReason.INTERNAL_SERVER_ERROR, "internal error")
            return _failure(call.version, failure, item)

    def _run_operation(self, item: RequestBatchItem, call: Call) -> ResponseBatchItem:
        handler = find(item.operation, call.version)
        if handler is None or item.operation in call.facts.withheld:
            raise OperationError(
                ResultReason.OPERATION_NOT_SUPPORTED,
                f"{_name(item.operation)} is not supported in KMIP {call.version}",
            )
        if call.identity.rights is not None:
            rules.require_right(call.identity, handler.operation)
        if item.message_extensions and any(
            one.criticality_indicator for one in item.message_extensions
        ):
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED, "a critical Message Extension is not known"
            )
        if call.alone or not isinstance(call.store, Transaction):
            payload = handler.function(call, item.request_payload)
        else:
            with call.store.savepoint():
                payload = handler.function(call, item.request_payload)
        if isinstance(payload, ResponseBatchItem):  # of the operation that a Poll asked about
            return payload.replace(unique_batch_item_id=item.unique_batch_item_id)
        return ResponseBatchItem(
            operation=item.operation,
            unique_batch_item_id=item.unique_batch_item_id,
            result_status=ResultStatus.SUCCESS,
            response_payload=payload,
        )

    def _encode(
        self,
        incoming: Incoming,
        items: list[ResponseBatchItem],
        now: datetime,
        proof: bytes | None,
    ) -> bytes:
        data = self._message(incoming.version, items, now, proof)
        maximum = incoming.header.maximum_response_size
        if maximum is not None and len(data) > maximum:
            message = f"the response has {len(data)} bytes, more than the {maximum} that were asked"
            error = OperationError(ResultReason.RESPONSE_TOO_LARGE, message)
            first = incoming.items[0]
            return self._message(incoming.version, [_failure(incoming.version, error, first)], now)
        return data

    def _message(
        self,
        version: Version,
        items: list[ResponseBatchItem],
        now: datetime,
        proof: bytes | None = None,
    ) -> bytes:
        header = ResponseHeader(
            protocol_version=ProtocolVersion.of(version),
            time_stamp=now,
            server_hashed_password=proof,
            batch_count=len(items),
        )
        message = ResponseMessage(response_header=header, batch_items=tuple(items))
        return encode(message, version, strict=False)


def _hurried(incoming: Incoming) -> list[bytes]:
    """The asynchronous operations that Process asks for."""
    payloads = (getattr(item, "request_payload", None) for item in incoming.items)
    return [
        payload.asynchronous_correlation_value
        for payload in payloads
        if isinstance(payload, ProcessRequest)
    ]


def _name(operation: object) -> str:
    name = getattr(operation, "name", None) or "an operation"
    return str(name).replace("_", " ").title()


def _readable(item: RequestBatchItem | BadItem) -> RequestBatchItem:
    if isinstance(item, BadItem):
        raise OperationError(item.error.reason, str(item.error))
    return item


def _writes(item: RequestBatchItem | BadItem, version: Version) -> bool:
    if isinstance(item, BadItem):
        return False
    handler = find(item.operation, version)
    # A part of several changes what waits for the next one, and must not be run twice.
    return handler is not None and (handler.writes or is_part(item.request_payload))


def _is_slow(item: RequestBatchItem | BadItem) -> bool:
    handler = HANDLERS.get(item.operation) if item.operation is not None else None
    return handler is not None and handler.slow


def _check_header(incoming: Incoming) -> None:
    """Refuse a whole message for what its header says (KMIP 1.4 §6, §11.1)."""
    header, items = incoming.header, incoming.items
    if header.batch_count is not None and header.batch_count != len(items):
        raise OperationError(
            ResultReason.INVALID_MESSAGE,
            f"Batch Count is {header.batch_count}, but the message has {len(items)} items",
        )
    if len(items) > 1 and any(item.unique_batch_item_id is None for item in items):
        # KMIP 1.4 §6.4 requires the identifiers; clients that leave them out rely on the order,
        # which is kept anyway, so nothing is gained by refusing them.
        return


def _failure(
    version: Version, error: OperationError, item: RequestBatchItem | BadItem | None = None
) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation if item else None,
        unique_batch_item_id=item.unique_batch_item_id if item else None,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=reason_for(error.reason, version),
        result_message=error.message,
        response_payload=getattr(error, "payload", None),
    )


def _undone(results: list[ResponseBatchItem]) -> list[ResponseBatchItem]:
    """What a batch answers whose last item failed: the others were taken back."""
    return [
        *(
            ResponseBatchItem(
                operation=result.operation,
                unique_batch_item_id=result.unique_batch_item_id,
                result_status=ResultStatus.OPERATION_UNDONE,
                response_payload=result.response_payload,
            )
            for result in results[:-1]
        ),
        results[-1],
    ]
