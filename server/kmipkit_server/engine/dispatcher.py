"""From a request message to its response.

The steps of a request: one decode, one decision per item, one access to the store, one encode. How
its items are carried out is in :mod:`kmipkit_server.engine.execution`.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import trio

from kmipkit.errors import OperationError, ProtocolError, RemoteProtocolError
from kmipkit.model.envelope import decode_response, peek_version
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.enums import ProcessingStage, ResultReason
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
from kmipkit_server.engine.budget import MessageLimits, require_count
from kmipkit_server.engine.computing import Computer
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.execution import Execution
from kmipkit_server.engine.plan import Plan, Planner
from kmipkit_server.engine.request import (
    CriticalExtension,
    Request,
    check_header,
    count_items,
    read_request,
    require_no_critical_extension,
)
from kmipkit_server.engine.response import Answer, Response, failure, refusal_of_size
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.version_log import VersionLog
from kmipkit_server.identity import provisioned
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.store.base import Store, StoreError

log = logging.getLogger("kmipkit.server")

LARGE_MESSAGE = 64 * 1024
"""Bytes of a request from which on it is decoded in a thread."""


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

    _planner: Planner = field(init=False)
    _is_restored: bool = False
    _reading: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(2))
    """The threads that decode large requests."""
    _version_log: VersionLog = field(default_factory=VersionLog)

    def __post_init__(self) -> None:
        self._planner = Planner(self.server.registry)

    # --- the interface for connections -----------------------------------------------------------

    async def restore(self) -> None:
        """Read from the store what the server has in memory; done once, before the first request."""
        data = await self.store.run(lambda reader: reader.setting(provisioned.SETTING))
        if data is not None:
            self.server.state.provisioned.update(provisioned.unpack(data))
        self._is_restored = True

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""
        if not self._is_restored:
            await self.restore()
        row = self.server.state.provisioned.get(identity.certificate_hash)
        if row is not None:
            identity = replace(identity, name=row.account)
        return await self.accounts.admit(identity, self._now())

    async def _authenticate(self, request: Request, exchange: Exchange) -> Identity:
        """The account of a request that has credentials, or whose certificate may have ended."""
        identity, now = exchange.identity, exchange.now
        self._require_credential(identity, now)
        authentication = request.header.authentication
        return await self.accounts.authenticate(identity, authentication, now, len(request.items))

    def _require_credential(self, identity: Identity, now: datetime) -> None:
        """Refuse a client whose certificate was replaced: it "SHALL be made invalid and cannot be used
        in future KMIP requests" (KMIP 2.1 §6.1.48)."""
        row = self.server.state.provisioned.get(identity.certificate_hash)
        if row is not None and row.ends <= now:
            raise AuthenticationError(
                ResultReason.AUTHENTICATION_NOT_SUCCESSFUL,
                "the client certificate has been replaced by Re-Provision",
            )

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The response to a whole message. Malformed input never raises an exception."""
        exchange = Exchange(identity, self.clock())
        try:
            if len(data) < LARGE_MESSAGE:
                request = read_request(data, self.limits, strict=self.strict)
            else:
                request = await self._read_large(data)
            if len(request.items) > 1 or request.later:
                self._check_unusual(request, identity)
        except (RemoteProtocolError, OperationError) as error:
            log.warning("%s: bad request: %s", identity.name, error)
            return await self._refuse_unreadable(exchange, error, data)
        exchange.request = request
        answer = await self._answer(request, exchange)
        exchange.results = answer.results
        try:
            await self._conclude(exchange)
        except StoreError as error:
            answer = Answer([self._store_failure(request, exchange.identity, error)])
            exchange.results = answer.results
        for answered in self.seam.answered:
            answered(exchange)
        encoded = answer.encode(request.version, exchange)
        return Response(encoded, request.version if answer.exchanges_roles else None)

    async def _answer(self, request: Request, exchange: Exchange) -> Answer:
        """The results of a message, of whatever kind."""
        try:
            check_header(request)
            require_no_critical_extension(request)
            if request.header.authentication is not None or self.server.state.provisioned:
                exchange.identity = await self._authenticate(request, exchange)
            answer = await self._carry_out(request, exchange)
        except OperationError as error:
            answer = self._refusal(request, exchange.identity, error)
        except StoreError as error:
            answer = Answer([self._store_failure(request, exchange.identity, error)])
        if request.header.maximum_response_size is not None:
            refusal = refusal_of_size(request, answer, exchange)
            answer = answer if refusal is None else Answer([refusal])
        return answer

    async def _conclude(self, exchange: Exchange) -> None:
        """Call the hooks before a response. StoreError if there must be none."""
        for responding in self.seam.responding:
            responding(exchange)
        for settle in self.seam.settle:
            await settle(exchange)

    async def _refuse_unreadable(
        self, exchange: Exchange, error: RemoteProtocolError | OperationError, data: bytes
    ) -> Response:
        """The response to a message that cannot be read."""
        exchange.error = error
        try:
            await self._conclude(exchange)
        except StoreError as failed:
            # The client learns what is wrong with its message: this gives nothing away.
            self._report(exchange.identity, failed)
        if isinstance(error, OperationError):
            self._note_limit(error)
        for answered in self.seam.answered:
            answered(exchange)
        return Response(self.refuse(error, data))

    def _refusal(self, request: Request, identity: Identity, error: OperationError) -> Answer:
        """The results of a request that is refused before its items are carried out."""
        self._note_limit(error)
        is_authentication = isinstance(error, AuthenticationError)
        kind = "authentication failed" if is_authentication else "bad request"
        log.warning("%s: %s: %s", identity.name, kind, error.message)
        if is_authentication or isinstance(error, CriticalExtension):
            return Answer([failure(request.version, error, item) for item in request.items])
        return Answer([failure(request.version, error)])

    def _check_unusual(self, request: Request, identity: Identity) -> None:
        """Refuse too many items, and log what only later versions have."""
        require_count(len(request.items), self.message_limits)
        if request.later:
            self._version_log.report(identity.name, request)

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
        return response.message(version, [refusal], Exchange(SYSTEM, self.clock()))

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
            results: Sequence[ResponseBatchItem]
            try:
                batch = await self.run_for(request, deferred.identity)
                results = batch.results
            except StoreError as error:
                results = [self._store_failure(request, deferred.identity, error)]
            self._asynchronous.finish(deferred, items, results)

    async def run_for(self, request: Request, identity: Identity) -> Batch:
        """Carry out a request for an account without a connection. StoreError if the store fails."""
        exchange = Exchange(identity, self.clock())
        exchange.request = request
        batch = await self._finish(request, self._planner.plan(request), exchange)
        exchange.results = batch.results
        await self._conclude(exchange)
        for answered in self.seam.answered:
            answered(exchange)
        return batch

    # --- from a request to its results -----------------------------------------------------------

    async def _carry_out(self, request: Request, exchange: Exchange) -> Answer:
        """The results of a request; of one that is deferred, that it is pending."""
        identity = exchange.identity
        plan = self._planner.plan(request)
        if plan.is_immediate:
            # Process carries out its request before its own batch runs: a transaction of its own
            # must not wait inside the transaction of the batch.
            values = values_to_process(request)
            due = (each for each in self.due() if each.identity.name == identity.name)
            await self.run_deferred((*due, *self._asynchronous.of_values(values, identity)))
        elif request.header.asynchronous_indicator and is_to_be_deferred(
            request, slow=plan.takes_long
        ):
            return Answer(self._defer(request, exchange))
        batch = await self._finish(request, plan, exchange)
        return Answer(batch.results, batch.encoded, batch.message, batch.exchanges_roles)

    def _defer(self, request: Request, exchange: Exchange) -> list[ResponseBatchItem]:
        """Accept a request that is carried out later, unless its response would be too large."""
        random = self.server.settings.random
        pending = self._asynchronous.defer(request, exchange.identity, self.clock(), random)
        refusal = refusal_of_size(request, Answer(pending), exchange)
        if refusal is None:
            return pending
        self._asynchronous.withdraw(pending)
        return [refusal]

    async def _finish(self, request: Request, plan: Plan, exchange: Exchange) -> Batch:
        """Carry out a request now."""
        execution = Execution(self.server, self.seam, self.message_limits, request, plan, exchange)
        batch = await execution.finish(self.store, self.computer)
        exchange.objects = batch.objects
        return batch

    # --- helpers ---------------------------------------------------------------------------------

    @property
    def _asynchronous(self) -> AsynchronousRequests:
        return AsynchronousRequests(self.server.state.deferrals)

    def _now(self) -> datetime:
        """The time in whole seconds, as a Date-Time of KMIP is (KMIP 1.4 §9.1.1.4)."""
        return self.clock().replace(microsecond=0)

    def _note_limit(self, error: OperationError) -> None:
        if error.limit is not None:
            self.server.state.limits_reached[error.limit] += 1

    def _store_failure(
        self, request: Request, identity: Identity, error: StoreError
    ) -> ResponseBatchItem:
        self._report(identity, error)
        unavailable = OperationError(ResultReason.GENERAL_FAILURE, error.explanation)
        return failure(request.version, unavailable)

    @staticmethod
    def _report(identity: Identity, error: StoreError) -> None:
        if not error.is_reported:
            log.error("%s: %s", identity.name, error)
