"""Carrying out asynchronous requests: claimed in the store, then run like any other, then completed.

Any process of the server may do so, but for a request that goes on with an operation in several parts:
the process that has the earlier parts is asked to.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import msgspec
import trio

from kmipkit.errors import OperationError, RemoteProtocolError
from kmipkit.model.envelope import peek_version
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv.limits import Limits
from kmipkit_server.engine.admission import Admission
from kmipkit_server.engine.asynchronous import (
    LEASE,
    AsynchronousRequests,
    Claimed,
    ClaimLost,
    DeferredRequest,
)
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.execution import Complete
from kmipkit_server.engine.peers import PeerGone, Peers
from kmipkit_server.engine.request import Request, read_request
from kmipkit_server.engine.response import failure
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import Store, Transaction
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

KIND = "asynchronous request"
"""The kind of questions to peers: to carry one out."""
_CLAIM_SIZE = 16
_Results = Sequence[ResponseBatchItem]


class Dispatching(Protocol):
    """What is needed of the dispatcher."""

    store: Store
    server: Server
    limits: Limits
    peers: Peers

    @property
    def worker(self) -> str:
        """The name of this process."""

    @property
    def clock(self) -> Clock:
        """The clock of the server."""

    async def run_for(
        self, request: Request, identity: Identity, complete: Complete | None = None
    ) -> Batch:
        """Carry out a request for an account without a connection."""

    @property
    def admission(self) -> Admission:
        """Says whose client is served."""


@dataclass(frozen=True, slots=True)
class DeferredWork:
    """Carries out asynchronous requests for a dispatcher."""

    dispatcher: Dispatching

    def listen(self) -> None:
        """Carry out what peers find due."""
        self.dispatcher.peers.answer(KIND, self._answer)

    async def release(self) -> None:
        """Give up the claims of the process that had the name of this one before."""
        store, worker, now = self.dispatcher.store, self.dispatcher.worker, self._now()
        claimed = await store.run(
            lambda reader: AsynchronousRequests(reader, now).claimed_by(worker)
        )
        if claimed:
            await store.run(
                lambda transaction: AsynchronousRequests(transaction, now).release(worker),
                writes=True,
            )

    async def remove_expired(self) -> None:
        """Remove results that nobody can fetch any longer: there may be keys in them."""
        store, now = self.dispatcher.store, self._now()
        if await store.run(lambda reader: AsynchronousRequests(reader, now).has_expired):
            await store.run(
                lambda transaction: AsynchronousRequests(transaction, now).remove_expired(),
                writes=True,
            )

    async def carry_out(self, deferred: DeferredRequest) -> None:
        """Have a request carried out, unless another process does so. StoreError if the store fails."""
        if not await self._is_passed_on(deferred):
            await self._carry_out(deferred)

    async def _is_passed_on(self, deferred: DeferredRequest) -> bool:
        """Whether another process was the one to carry a request out, and has done so."""
        keeper, own = deferred.keeper, self.dispatcher.server.state.part_places.own
        if keeper is None or keeper == own or keeper.node != own.node:
            return False
        body = msgspec.msgpack.encode((deferred.key, deferred.account))
        try:
            await self.dispatcher.peers.ask(keeper.worker, KIND, body)
        except PeerGone:  # and the earlier parts with it
            return False
        return True

    async def _answer(self, body: bytes) -> bytes:
        deferred = DeferredRequest(*msgspec.msgpack.decode(body, type=tuple[bytes, str]))
        try:
            await self._carry_out(deferred)
        except StoreError as error:  # it is tried again
            log.error("%s: an asynchronous request waits: %s", deferred.account, error)
        return b""

    async def _carry_out(self, deferred: DeferredRequest) -> None:
        claimed = await self.dispatcher.store.run(partial(self._claim, deferred), writes=True)
        if claimed is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._extend, claimed)
            try:
                await self._run(claimed)
            except ClaimLost:
                log.warning("%s: another process has carried out its request", deferred.account)
            except StoreError as error:
                # It stays claimed, and is tried again when the claim has ended.
                log.error("%s: an asynchronous request waits: %s", deferred.account, error)
            nursery.cancel_scope.cancel()

    def _claim(self, deferred: DeferredRequest, transaction: Transaction) -> Claimed | None:
        dispatcher = self.dispatcher
        claim = dispatcher.server.settings.random(_CLAIM_SIZE)
        requests = AsynchronousRequests(transaction, self._now())
        return requests.claim(deferred.key, dispatcher.worker, claim)

    async def _extend(self, claimed: Claimed) -> None:
        """Extend the claim until this task is cancelled."""

        def extend(transaction: Transaction) -> None:
            AsynchronousRequests(transaction, self._now()).extend(claimed)

        while True:
            await trio.sleep(LEASE.total_seconds() / 3)
            try:
                await self.dispatcher.store.run(extend, writes=True)
            except (StoreError, ClaimLost) as error:
                log.warning("the claim of an asynchronous request is not extended: %r", error)

    async def _run(self, claimed: Claimed) -> None:
        """Run a request and store its results."""
        dispatcher = self.dispatcher
        version = peek_version(claimed.message) or VERSIONS[0]

        def complete(transaction: Transaction, results: _Results) -> None:
            requests = AsynchronousRequests(transaction, self._now())
            requests.complete(claimed, version, results)

        try:
            request = self._request(claimed)
            dispatcher.admission.require_current(claimed.identity)
            dispatcher.admission.require_not_revoked(claimed.identity)
            batch = await dispatcher.run_for(request, claimed.identity, complete)
            results: _Results = batch.results
        except (RemoteProtocolError, OperationError) as error:
            refusal = OperationError(error.reason, str(error))
            results = [failure(version, refusal)] * len(claimed.numbers)
        # What was only read, or rolled back, has had no transaction.
        store, now = dispatcher.store, self._now()
        if await store.run(lambda reader: AsynchronousRequests(reader, now).is_own(claimed)):
            await store.run(lambda transaction: complete(transaction, results), writes=True)

    def _request(self, claimed: Claimed) -> Request:
        """What is left of the request. RemoteProtocolError if other limits forbid it by now."""
        request = read_request(claimed.message, self.dispatcher.limits)
        # The Poll that fetches a result has a Maximum Response Size of its own.
        header = request.header.replace(maximum_response_size=None)
        items = tuple([request.items[number] for number in claimed.numbers])
        return Request(request.version, header, items)

    def _now(self) -> datetime:
        return self.dispatcher.clock()
