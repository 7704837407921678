"""What is said on one connection: its handshake, then messages, as TTLV or by HTTP."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import trio

from kmipkit.connection import Signal
from kmipkit.errors import Cause, OperationError, RemoteProtocolError
from kmipkit.spec.versions import Version
from kmipkit_server.engine.exchange import AdmitAgain
from kmipkit_server.engine.response import Response
from kmipkit_server.fairness.shared_loop import shared_loop
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.application import Application, WebRequest
from kmipkit_server.net.chains import Authorities
from kmipkit_server.net.connection import (
    CLIENT_RESPONSE,
    REQUEST,
    RESPONSE,
    REST_OF_REQUEST,
    SENDING,
    Connection,
)
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.counters import Closing, ConnectionCounters
from kmipkit_server.net.events import BAD_REQUEST, ConnectionEvents
from kmipkit_server.net.framing import Framing, TTLVFraming, framing_of
from kmipkit_server.net.http import HTTPFraming, Reply
from kmipkit_server.net.occupancy import Occupancy
from kmipkit_server.net.responder import Responder
from kmipkit_server.net.revocation import Revocations
from kmipkit_server.net.transport import PART, TLSStream

log = logging.getLogger("kmipkit.server")

LARGE_TEXT = 16 * 1024
"""Bytes of a message in XML or JSON that take more than a few milliseconds to translate, in a thread."""


class Services(Protocol):
    """What all connections of a server share."""

    responder: Responder
    identity_rule: IdentityRule
    revocations: Revocations
    authorities: Authorities
    application: Application | None
    """Answers what HTTP requests ask for beside KMIP."""
    limits: ConnectionLimits
    occupancy: Occupancy
    counters: ConnectionCounters
    events: ConnectionEvents

    @property
    def outage(self) -> Callable[[], str]:
        """Why clients should use another server; empty if this one works."""

    @property
    def requests(self) -> Callable[[str, Version], AsyncIterator[bytes]]:
        """The requests of the server to a client that has exchanged roles with it."""

    @property
    def is_draining(self) -> bool:
        """Whether the server stops."""


class Conversation:
    """Serves one connection."""

    __slots__ = ("_connection", "_services", "_shared", "_stream")

    def __init__(self, services: Services, stream: TLSStream, connection: Connection) -> None:
        self._services = services
        self._stream = stream
        self._connection = connection
        self._shared = shared_loop()

    async def serve(self) -> None:
        """Serve the connection, from its handshake until the client closes it."""
        services, connection = self._services, self._connection
        await self._stream.do_handshake()
        connection.is_established = True
        services.counters.handshakes += 1
        services.counters.handshake_seconds.observe(trio.current_time() - connection.begun)
        try:
            identity = await self._identify()
        except NoIdentity as refusal:
            await self._refuse(refusal)
            raise
        connection.identity, connection.tls = identity, self._stream.description()
        log.debug("%s: %s as %s", connection.peer, connection.tls, identity.name)
        await self._converse()

    async def _identify(self) -> Identity:
        """The account of the client. NoIdentity, or Full."""
        services, connection = self._services, self._connection
        certificate = self._stream.peer_certificate()
        identity = services.identity_rule.identify(certificate)
        connection.certificate = services.revocations.require_valid(certificate)
        connection.presented = replace(
            identity,
            address=connection.address,
            port=connection.port,
            authorities=services.authorities.of(self._stream),
        )
        return await self._admit()

    async def _converse(self) -> None:
        """Respond to all messages, until either side wants to close."""
        services, connection, stream = self._services, self._connection, self._stream
        framing: Framing | None = None
        clock = trio.lowlevel.current_clock().current_time
        limits = services.limits
        while True:
            is_inside = framing is not None and framing.is_inside
            if services.is_draining and not is_inside:
                return
            if not is_inside and framing is not None and services.outage():
                connection.closing = Closing.UNAVAILABLE
                return
            # The deadline for a request is set once, at its first part: a client that sends a byte
            # now and then must not extend it.
            if not is_inside or connection.waiting_for != REST_OF_REQUEST:
                connection.waiting_for = REST_OF_REQUEST if is_inside else REQUEST
                timeout = limits.message_timeout if is_inside else limits.idle_timeout
                connection.deadline = clock() + timeout
            data = await stream.receive_some()
            if framing is None:
                framing = framing_of(data, limits.messages, services.application)
            framing.feed(data)
            if not await self._respond_all(framing):
                return

    # --- the account -----------------------------------------------------------------------------

    async def _admit(self) -> Identity:
        """The account of the connection, which takes one of its places. NoIdentity, or Full."""
        connection, responder = self._connection, self._services.responder
        assert connection.presented is not None
        connection.epoch = responder.epoch
        identity = await responder.admit(connection.presented)
        own, limits = responder.limits_of(identity), self._services.limits
        await self._services.occupancy.authenticated(
            connection,
            identity.name,
            own.connections_per_account or limits.connections_per_account,
            identity.tenant,
            own.connections or limits.connections_per_tenant,
        )
        return identity

    async def _admit_again(self, framing: Framing, request: object) -> Identity:
        """The account of the connection at its next request. NoIdentity if it has none any longer."""
        try:
            identity = self._connection.identity = await self._admit()
        except NoIdentity as refusal:
            await self._send(self._refused(framing, request, refusal))
            raise
        return identity

    def _refused(self, framing: Framing, request: object, refusal: NoIdentity) -> bytes:
        """The response to a request of a client that has no account."""
        services = self._services
        if isinstance(request, WebRequest):
            assert services.application is not None  # otherwise there is no such request
            return _http(framing).answer(
                services.application.refuse(refusal.status, refusal.answer)
            )
        refused = OperationError(refusal.reason, refusal.answer)
        message = request if isinstance(request, bytes) else b""
        return framing.response(services.responder.refuse(refused, message))

    async def _refuse(self, refusal: NoIdentity) -> None:
        """Refuse the first request of a client whose certificate is valid but names nobody.

        The refusal is a KMIP response, since Python's ssl module cannot send the TLS alert for it
        (access_denied). A request that cannot be read gets it, too; what is only HTTP gets its reply.
        """
        services, connection, stream = self._services, self._connection, self._stream
        connection.waiting_for = REST_OF_REQUEST
        connection.deadline = trio.current_time() + services.limits.message_timeout
        data = await stream.receive_some()
        framing = framing_of(data, services.limits.messages, services.application)
        framing.feed(data)
        while True:
            try:
                request = framing.next_message()
            except RemoteProtocolError as error:
                request = error
            if request is Signal.NEED_DATA:
                framing.feed(await stream.receive_some())
            elif isinstance(request, Signal):
                return
            elif isinstance(request, Reply):
                if not await self._reply(request):
                    return
            else:
                break
        await self._send(self._refused(framing, request, refusal))

    # --- messages --------------------------------------------------------------------------------

    async def _respond_all(self, framing: Framing) -> bool:
        """Respond to all complete messages; False if the connection is to be closed."""
        services, connection, shared = self._services, self._connection, self._shared
        responder = services.responder
        while True:
            try:
                data = (
                    framing.next_message()
                    if framing.unread < LARGE_TEXT
                    else await trio.to_thread.run_sync(framing.next_message)
                )
            except RemoteProtocolError as error:
                await self._refuse_unframed(error)
                raise
            if isinstance(data, Signal):
                return data is not Signal.CLOSED
            if isinstance(data, Reply):
                if not await self._reply(data):
                    return False
                continue
            connection.requests += 1
            connection.waiting_for = RESPONSE
            connection.deadline = float("inf")  # the client is not at fault if this takes long
            identity = connection.identity_at(responder.epoch) or await self._admit_again(
                framing, data
            )
            if shared.latest != identity.name:
                shared.latest = identity.name
                shared.changes += 1
            if isinstance(data, WebRequest):
                assert services.application is not None  # otherwise there is no such request
                answer = await services.application.respond(data, identity)
                await self._send(_http(framing).answer(answer))
                continue
            try:
                response = (
                    await responder.respond(data, identity)
                    if isinstance(data, bytes)
                    else await self._refusal(data, identity)
                )
            except AdmitAgain:
                identity, response = await self._respond_again(framing, data)
            is_long_text = framing.is_text and len(response.data) >= LARGE_TEXT
            encoded = (
                await trio.to_thread.run_sync(framing.response, response.data)
                if is_long_text
                else framing.response(response.data)
            )
            await self._send(encoded)
            version = response.role_change
            if version is not None and not await self._act_as_client(framing, identity, version):
                return False

    async def _respond_again(self, framing: Framing, data: Any) -> tuple[Identity, Response]:
        """The account of the connection, which has changed, and its response to a request."""
        while True:
            identity = await self._admit_again(framing, data)
            with suppress(AdmitAgain):
                return identity, await self._services.responder.respond(data, identity)

    async def _refuse_unframed(self, error: RemoteProtocolError) -> None:
        """Respond to bytes that are no message, unless the client has closed."""
        if error.cause is not Cause.CLOSED:
            await self._send(self._services.responder.refuse(error, b""))

    async def _refusal(self, error: RemoteProtocolError, identity: Identity) -> Response:
        """The response to a message that cannot be translated to TTLV."""
        await self._warn_of_request(f"{identity.name}: {error}")
        return Response(self._services.responder.refuse(error, b""))

    async def _reply(self, reply: Reply) -> bool:
        """Send a reply of HTTP; False if the connection is to be closed."""
        if reply.refusal:
            await self._warn_of_request(reply.refusal)
        await self._send(reply.data)
        return not reply.refusal

    async def _warn_of_request(self, text: str) -> None:
        connection, events = self._connection, self._services.events
        events.warn(connection.address, connection.port, BAD_REQUEST, text)
        await events.settled()

    async def _act_as_client(self, framing: Framing, identity: Identity, version: Version) -> bool:
        """Act as the client until the roles are exchanged again; False if that is not possible."""
        if not isinstance(framing, TTLVFraming):
            return False  # in HTTP, only the client can send requests
        services, connection = self._services, self._connection
        async for request in services.requests(identity.name, version):
            await self._send(request)
            connection.waiting_for = CLIENT_RESPONSE
            connection.deadline = trio.current_time() + services.limits.message_timeout
            while not isinstance(message := framing.next_message(), bytes):
                if message is Signal.CLOSED:
                    return True
                framing.feed(await self._stream.receive_some())
            services.responder.on_response(identity, message)
        return True

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        # To encrypt all of a large response at once would delay the other clients.
        rest = self._stream.send_now(data) if len(data) <= PART else data
        if rest:
            connection = self._connection
            connection.waiting_for = SENDING
            timeout = self._services.limits.send_timeout
            connection.deadline = trio.current_time() + timeout
            await self._stream.send_all(rest, connection.account)
        if self._shared.debts:
            # It is not the client that this waits for.
            self._connection.waiting_for, self._connection.deadline = RESPONSE, float("inf")
            await self._shared.settle(self._connection.account)


def _http(framing: Framing) -> HTTPFraming:
    """The framing of a request for the application."""
    assert isinstance(framing, HTTPFraming)
    return framing
