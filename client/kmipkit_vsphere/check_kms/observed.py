"""A key server whose connections are observed: what they create, and what was answered last.

Whatever a step does, and however it ends, an object that the server created is in the ledger. This is
what makes sure that all of it can be removed, and that nothing else is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import trio

from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit_vsphere.check_kms.endpoint import Endpoint
from kmipkit_vsphere.model.errors import KeyProviderError, KeyServerUnreachable
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerConnection, Login

GRACE: Final = 5.0
"""Seconds for which a cancelled Create may still wait for its answer, which has the identifier."""


@dataclass(slots=True)
class Ledger:
    """The objects that the check has created and not destroyed so far, in their order."""

    created: dict[str, datetime] = field(default_factory=dict)
    """Their identifiers, and the times of creation by the clock of the server."""
    unnamed: int = 0
    """Create requests whose answer does not name the object, or did not come."""

    def note(self, response: ResponseMessage) -> None:
        """Note what the response to a Create says, which was counted as unnamed so far."""
        [item] = response.batch_items
        identifier = getattr(item.response_payload, "unique_identifier", None)
        if item.result_status is not ResultStatus.SUCCESS:
            self.unnamed -= 1
        elif identifier:
            self.unnamed -= 1
            self.created.setdefault(str(identifier), response.response_header.time_stamp)


class ObservedServer:
    """A :class:`KeyServer` that notes what happens on its connections."""

    def __init__(self, server: KeyServer, ledger: Ledger) -> None:
        self._server = server
        self.ledger = ledger
        self.last: ResponseMessage | None = None
        """The last response on any connection."""
        self.failures: list[str] = []
        """Connections that broke, or were not established."""

    @property
    def name(self) -> str:
        return self._server.name

    @property
    def login(self) -> Login | None:
        return self._server.login

    def trust_uploads(self, endpoint: Endpoint) -> None:
        """Connect as vCenter does once the certificate of the server has been uploaded."""
        if isinstance(self._server, TLSKeyServer):
            self._server = endpoint.with_uploads(self._server)

    async def connect(self) -> "ObservedConnection":
        """Connect and shake hands."""
        with self.noting_failures():
            return ObservedConnection(await self._server.connect(), self)

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        """Note that a connection breaks: a provider tries again, and does not say so."""
        try:
            yield
        except KeyServerUnreachable as failure:
            self.failures.append(failure.message)
            raise

    async def retrieve_certificate(self) -> bytes | None:
        """The server's certificate."""
        return await self._server.retrieve_certificate()


class ObservedConnection:
    """A :class:`KeyServerConnection` of an observed server."""

    def __init__(self, connection: KeyServerConnection, server: ObservedServer) -> None:
        self._connection = connection
        self._server = server

    @property
    def certificate(self) -> bytes | None:
        return self._connection.certificate

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request, and return its response."""
        creates = any(item.operation is Operation.CREATE for item in request.batch_items)
        with self._server.noting_failures():
            response = await (
                self._create(request) if creates else self._connection.exchange(request)
            )
        self._server.last = response
        return response

    async def _create(self, request: RequestMessage) -> ResponseMessage:
        """An exchange that waits a little for its answer even if it is cancelled."""
        ledger = self._server.ledger
        ledger.unnamed += 1
        response: ResponseMessage | None = None
        failure: KeyProviderError | None = None
        scope = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hurry, scope)
            with scope:
                try:
                    response = await self._connection.exchange(request)
                    ledger.note(response)
                except KeyProviderError as error:  # caught here, since a nursery makes groups
                    failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        assert response is not None, "otherwise the nursery was cancelled, or there is a failure"
        return response

    async def aclose(self) -> None:
        """Close."""
        await self._connection.aclose()


async def _hurry(scope: trio.CancelScope) -> None:
    """Give a shielded scope a deadline once the task around it is cancelled."""
    try:
        await trio.sleep_forever()
    finally:
        scope.deadline = min(scope.deadline, trio.current_time() + GRACE)
