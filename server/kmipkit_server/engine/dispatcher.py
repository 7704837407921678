"""From a request message to its response.

The steps of a request: one decode, one decision per item, one access to the store, one encode. How
its items are carried out is in :mod:`kmipkit_server.engine.execution`.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from kmipkit.errors import OperationError, ProtocolError, RemoteProtocolError
from kmipkit.model.envelope import decode_response, peek_version
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.enums import ResultReason
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.engine import handing_over, part_places, response
from kmipkit_server.engine.admission import Admission
from kmipkit_server.engine.alike import AlikeRequests
from kmipkit_server.engine.asynchronous import (
    AsynchronousRequests,
    DeferredRequest,
    is_to_be_deferred,
    values_to_process,
)
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.budget import MessageLimits, require_count
from kmipkit_server.engine.computing import Computer
from kmipkit_server.engine.deferred_work import DeferredWork
from kmipkit_server.engine.exchange import AdmitAgain, Exchange, StateChanged
from kmipkit_server.engine.execution import Complete, Execution
from kmipkit_server.engine.following import Following
from kmipkit_server.engine.handing_over import HandingOver, PeerEnded
from kmipkit_server.engine.large_requests import SMALL_MESSAGE, LargeRequests
from kmipkit_server.engine.part_places import PartPlaces, place_of
from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.engine.plan import Plan, Planner
from kmipkit_server.engine.prepared import Match, PreparedAnswers
from kmipkit_server.engine.repetition import NotRepeated, Outdated, Repetition
from kmipkit_server.engine.request import (
    CriticalExtension,
    Request,
    check_header,
    read_request,
    require_no_critical_extension,
    require_version,
)
from kmipkit_server.engine.response import (
    Answer,
    Response,
    ResponseTooLarge,
    failure,
    refusal_of_size,
)
from kmipkit_server.engine.seam import Seam
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.version_log import VersionLog
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.certificate import Unavailable
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.store.base import Store, Transaction
from kmipkit_server.store.errors import OutcomeUnknown, StoreError
from kmipkit_server.store.revision import read_revision
from kmipkit_server.tenants.tenant import TenantLimits

log = logging.getLogger("kmipkit.server")


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
    prepared: PreparedAnswers = field(default_factory=PreparedAnswers)
    peers: Peers = ALONE
    """The other processes of the server."""
    node: str = ""
    """The name of the machine among those that serve the store; empty if there is only one."""

    following: Following = field(init=False)
    """Keeps what is in memory as the store has it."""
    admission: Admission = field(init=False)
    """Says whose client is served."""
    _planner: Planner = field(init=False)
    """For requests of the server itself, and of administrators."""
    _client_planner: Planner = field(init=False)
    _handing_over: HandingOver = field(init=False)
    _is_restored: bool = False
    _alike: AlikeRequests = field(default_factory=AlikeRequests)
    _reading: LargeRequests = field(default_factory=LargeRequests)
    _version_log: VersionLog = field(default_factory=VersionLog)

    def __post_init__(self) -> None:
        self._planner = Planner(self.server.registry)
        self.following = Following(self.store, self.server.state)
        self.admission = Admission(self.server.state, self.accounts, self.clock, self.refresh)
        self._client_planner = Planner(self.server.offered)
        self._join(self.peers)

    # --- the interface for connections -----------------------------------------------------------

    async def restore(self) -> None:
        """Read from the store what the server has in memory; done once, before the first request."""
        self._join(self.peers)
        await self.following.read(await self.store.run(read_revision))
        await DeferredWork(self).release()
        self._is_restored = True

    def _join(self, peers: Peers) -> None:
        """Answer the questions of the other processes, and ask them."""
        derive_key = self.store.derive_key
        own = place_of(self.node, peers.number)
        places = PartPlaces(derive_key(part_places.PURPOSE), own)
        self.server.state.part_places = places
        self._handing_over = HandingOver(
            derive_key(handing_over.PURPOSE), places, peers, self._respond_for_peer
        )
        self._handing_over.listen()
        DeferredWork(self).listen()
        self.following.join(peers)

    async def refresh(self) -> None:
        """Read it again if it has changed. StoreError if that is impossible."""
        if self._is_restored:
            await self.following.refresh()
        else:
            await self.restore()

    @property
    def worker(self) -> str:
        """The name of this process among those that serve the store at the same time; it has the same
        one after a restart."""
        return f"{self.node}/{self.peers.number}"

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection. NoIdentity if it has none; Unavailable if the store fails."""
        try:
            if not self._is_restored:
                await self.restore()
            account = await self.admission.admit(identity)
        except StoreError as error:
            raise Unavailable(str(error)) from None
        self.server.state.sightings.note(account, self.clock().replace(microsecond=0))
        return account

    def limits_of(self, identity: Identity) -> TenantLimits:
        """The limits of the tenant of an account; without a tenant there are none."""
        return self.server.state.tenants.limits_of(identity.tenant)

    @property
    def epoch(self) -> int:
        """Changes when open connections must be admitted again."""
        return self.server.state.epoch

    async def respond(
        self, data: bytes, identity: Identity, *, is_handed_over: bool = False
    ) -> Response:
        """The response to a whole message. Malformed input never raises an exception.

        AdmitAgain if the connection may belong to another account by now; OutcomeUnknown if no
        response would be true. A message that a peer has handed over stays here.
        """
        exchange = Exchange(identity, self.clock(), self.server.state.revision)
        prepared = self.prepared.find(data, identity.name)
        try:
            request = prepared.request if prepared is not None else await self._read(data, identity)
            # Also of what was decoded before: the configuration may be another one since.
            require_version(request, self.server.settings.versions)
            if len(request.items) > 1 or request.later:
                self._check_unusual(request, identity)
        except (RemoteProtocolError, OperationError) as error:
            log.warning("%s: bad request: %s", identity.name, error)
            return await self._refuse_unreadable(exchange, error, data)
        exchange.request = request
        plan = None if prepared is not None else self._client_planner.plan(request)
        answer = None
        if plan is not None and plan.parts and not is_handed_over:
            handed = await self._hand_over(plan, data, request, exchange)
            if isinstance(handed, Response):
                return handed
            answer = handed
        answer = answer or await self._answer(request, exchange, prepared, plan, data)
        if prepared is None or answer.repeated is not None:
            self.prepared.keep(data, request, answer, self.server, identity.name)
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

    async def _answer(
        self,
        request: Request,
        exchange: Exchange,
        prepared: Match | None,
        plan: Plan | None,
        data: bytes,
    ) -> Answer:
        """The results of a message, of whatever kind; ``data`` is its encoding."""
        try:
            # What is prepared has passed these, which depend on its bytes alone.
            if prepared is None:
                check_header(request)
                require_no_critical_extension(request)
            state = self.server.state
            if request.header.authentication is not None or state.provisioned or state.blocked:
                exchange.identity = await self.admission.authenticate(request, exchange)
            answer = None if prepared is None else await self._repeat(prepared, exchange)
            if answer is None:
                plan = plan or self._client_planner.plan(request)
                answer = await self._carry_out(request, exchange, plan, data)
        except OperationError as error:
            answer = self._refusal(request, exchange.identity, error)
        except OutcomeUnknown as error:
            self._report(exchange.identity, error)
            raise
        except StoreError as error:
            answer = Answer([self._store_failure(request, exchange.identity, error)])
        if request.header.maximum_response_size is not None:
            refusal = refusal_of_size(request, answer, exchange)
            answer = answer if refusal is None else Answer([refusal])
        return answer

    async def _hand_over(
        self, plan: Plan, data: bytes, request: Request, exchange: Exchange
    ) -> Response | Answer | None:
        """The response of the peer that has the earlier parts of the operations of a message.

        None if no peer has them; failures if the peer has ended while it carried them out. AdmitAgain
        if the client may be another one by now.
        """
        identity, revision = exchange.identity, exchange.revision
        try:
            return await self._handing_over.respond(plan.parts, data, identity, revision)
        except PeerEnded as unknown:
            log.error("%s: %s", identity.name, unknown.message)
            return Answer([failure(request.version, unknown, item) for item in request.items])
        except AdmitAgain:
            with suppress(StoreError):
                await self.refresh()
            raise

    async def _respond_for_peer(
        self, data: bytes, identity: Identity, revision: bytes | None
    ) -> Response:
        """The response to a message that a peer has handed over, with all checks of its client."""
        with suppress(StoreError):  # then no operation is carried out either
            await self.refresh()
        if revision != self.server.state.revision:
            raise AdmitAgain
        try:
            self.admission.require_not_revoked(identity)
        except AuthenticationError as revoked:
            return Response(self.refuse(revoked, data))
        try:
            return await self.respond(data, identity, is_handed_over=True)
        except OutcomeUnknown as error:  # without an answer, the peer would carry it out itself
            unknown = OperationError(ResultReason.GENERAL_FAILURE, error.explanation)
            return Response(self.refuse(unknown, data))

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

    async def _read(self, data: bytes, identity: Identity) -> Request:
        """Decode a request. OperationError for too many items."""
        if len(data) <= SMALL_MESSAGE:
            alike = self._alike.read(data)
            if alike is not None:
                return alike
            request = read_request(data, self.limits, strict=self.strict)
        else:
            request = await self._reading.read(
                data, self.limits, self.message_limits, identity.name, strict=self.strict
            )
        if request.version in self.server.settings.versions:
            self._alike.keep(data, request)
        return request

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
        version, offered = peek_version(data), self.server.settings.versions
        if version not in offered:
            version = next((v for v in reversed(offered) if version and v < version), offered[0])
        refusal = failure(version, OperationError(error.reason, str(error)))
        return response.message(version, [refusal], Exchange(SYSTEM, self.clock()))

    async def due(self) -> list[DeferredRequest]:
        """The asynchronous requests that are due."""
        now = self.clock()
        before, own = now - self.asynchronous_delay, self.server.state.part_places.own
        return await self.store.run(
            lambda reader: AsynchronousRequests(reader, now).due(before, own)
        )

    async def run_deferred(self, requests: Iterable[DeferredRequest]) -> None:
        """Carry out asynchronous requests, unless another process does, or has done so."""
        for deferred in requests:
            await DeferredWork(self).carry_out(deferred)

    async def run_for(
        self, request: Request, identity: Identity, complete: Complete | None = None
    ) -> Batch:
        """Carry out a request for an account without a connection. StoreError if the store fails.

        ``complete`` is for a deferred request of a client: it is called with the results in the
        transaction of their changes, if there is one.
        """
        exchange = Exchange(identity, self.clock(), self.server.state.revision)
        exchange.request = request
        planner = self._planner if complete is None else self._client_planner
        batch = await self._finish(request, planner.plan(request), exchange, complete)
        exchange.results = batch.results
        await self._conclude(exchange)
        for answered in self.seam.answered:
            answered(exchange)
        return batch

    # --- from a request to its results -----------------------------------------------------------

    async def _carry_out(
        self, request: Request, exchange: Exchange, plan: Plan, data: bytes
    ) -> Answer:
        """The results of a request; of one that is deferred, that it is pending."""
        if plan.is_immediate:
            # Process carries out its request before its own batch runs: a transaction of its own
            # must not wait inside the transaction of the batch.
            await self.run_deferred(await self._due_for(request, exchange.identity))
        elif request.header.asynchronous_indicator and is_to_be_deferred(
            request, slow=plan.takes_long, offered=self.server.offered
        ):
            return Answer(await self._defer(request, plan, exchange, data))
        batch = await self._finish(request, plan, exchange)
        return Answer(
            batch.results, batch.encoded, batch.message, batch.exchanges_roles, batch.objects,
            batch.repeated,
        )  # fmt: skip

    async def _repeat(self, match: Match, exchange: Exchange) -> Answer | None:
        """The prepared answer to a request, if it is still right and the client may have it."""
        if match.prepared.server is not self.server:
            return None
        repetition = Repetition(match, self.seam, self.message_limits, exchange)
        try:
            batch = await self.store.run(
                repetition.read, account=exchange.identity.name, on_commit=repetition.publish
            )
        except Outdated:
            self.prepared.forget(match.prepared.key, exchange.identity.name)
            return None
        except (NotRepeated, StateChanged, StoreError):
            return None
        exchange.objects, exchange.prepared_notes = batch.objects, match.prepared.notes
        return Answer(batch.results, message=batch.message)

    async def _due_for(self, request: Request, identity: Identity) -> list[DeferredRequest]:
        """The requests of an account that are due, and those that it wants to be processed now."""
        now = self.clock()
        before, values = now - self.asynchronous_delay, values_to_process(request)
        own = self.server.state.part_places.own
        return await self.store.run(
            lambda reader: AsynchronousRequests(reader, now).due_for(identity, before, values, own)
        )

    async def _defer(
        self, request: Request, plan: Plan, exchange: Exchange, data: bytes
    ) -> list[ResponseBatchItem]:
        """Accept a request that is carried out later, unless its response would be too large."""
        random, now = self.server.settings.random, self.clock()
        keeper = self.server.state.part_places.own if plan.parts else None

        def accept(transaction: Transaction) -> list[ResponseBatchItem]:
            revision = read_revision(transaction)
            if revision != exchange.revision:
                raise StateChanged(revision)
            transaction.note_time(exchange.now)
            requests = AsynchronousRequests(transaction, now)
            pending = requests.defer(request, data, exchange.identity, random, keeper)
            refusal = refusal_of_size(request, Answer(pending), exchange)
            if refusal is not None:
                raise ResponseTooLarge(refusal)
            return pending

        epoch = self.epoch
        while True:
            try:
                return await self.store.run(accept, writes=True)
            except ResponseTooLarge as error:
                return [error.refusal]
            except StateChanged as changed:
                await self._follow(changed, exchange, epoch)

    async def _finish(
        self, request: Request, plan: Plan, exchange: Exchange, complete: Complete | None = None
    ) -> Batch:
        """Carry out a request now."""
        # A request that is carried out later has no connection.
        epoch = self.epoch if complete is None else None
        while True:
            execution = Execution(
                self.server, self.seam, self.message_limits, request, plan, exchange, complete
            )
            try:
                batch = await execution.finish(self.store, self.computer)
            except StateChanged as changed:
                await self._follow(changed, exchange, epoch)
                continue
            exchange.objects = batch.objects
            if batch.has_changed_state:
                await self.following.announce()
            return batch

    async def _follow(self, changed: StateChanged, exchange: Exchange, epoch: int | None) -> None:
        """Read what has changed, and check the client of a message again.

        ``epoch`` is that of its connection, if it has one. AdmitAgain if the connection may belong to
        another account; OperationError if the client must not be served any longer.
        """
        if changed.revision != self.server.state.revision:
            await self.following.read(changed.revision)
        exchange.revision = self.server.state.revision
        if not exchange.identity.is_internal:
            self.admission.require_still(exchange, epoch)

    # --- helpers ---------------------------------------------------------------------------------

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
