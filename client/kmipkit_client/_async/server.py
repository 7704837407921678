"""One server: its pool of connections, and the protocol version that both sides have."""

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import V1_0, Version
from kmipkit_client import messages
from kmipkit_client._async.connection import AsyncConnection
from kmipkit_client._network import asynchronous as network
from kmipkit_client.attempts import Attempt
from kmipkit_client.calls import Call
from kmipkit_client.cluster import Member
from kmipkit_client.errors import ConnectionFailed, TimedOut
from kmipkit_client.hooks import observe
from kmipkit_client.idle import Idle
from kmipkit_client.settings import Settings


class AsyncServer:
    """One server of a client. Tasks may share it."""

    def __init__(self, settings: Settings, member: Member) -> None:
        self._settings = settings
        self._member = member
        self._slots = network.Slots(settings.connections)
        self._idle: Idle[AsyncConnection] = Idle(settings.max_idle, settings.clock)
        self._misunderstanding: RemoteProtocolError | None = None
        """Why the last negotiation has found nothing out; None if it has."""
        member.version = settings.version

    async def send(
        self,
        calls: Sequence[Call[Any]],
        on_error: BatchErrorContinuationOption | None,
        attempt: Attempt,
    ) -> ResponseMessage:
        """Send a message and return its response; waits for a connection if all are in use."""
        if not await self._slots.take(attempt.connecting):
            raise TimedOut(f"{self._member.endpoint}: all connections were in use for too long")
        try:
            version = await self._common_version(attempt)
            self._require_known(version, calls)
            request = messages.request(version, calls, self._settings.credential, on_error)
            return await self._send(request, attempt)
        finally:
            self._slots.give_back()

    async def version(self, attempt: Attempt) -> Version:
        """The protocol version in use; negotiates it with the server if necessary."""
        if not await self._slots.take(attempt.connecting):
            raise TimedOut(f"{self._member.endpoint}: all connections were in use for too long")
        try:
            return await self._common_version(attempt)
        finally:
            self._slots.give_back()

    async def close(self) -> None:
        """Close the idle connections now, and those in use after their response."""
        for connection in self._idle.drain():
            await connection.close()

    async def _send(self, request: RequestMessage, attempt: Attempt) -> ResponseMessage:
        try:
            return await self._exchange(request, attempt)
        except TimedOut:
            raise
        except ConnectionFailed as error:
            # A server may close an idle connection at the moment when a request is sent. It may have
            # been carried out nevertheless, so only one that changes nothing is sent again. A new
            # connection was not idle: its failure is real.
            if not (error.was_idle and attempt.is_repeatable):
                raise
        await self.close()
        return await self._exchange(request, attempt)

    def _require_known(self, version: Version, calls: Sequence[Call[Any]]) -> None:
        try:
            messages.require_known(version, calls)
        except LocalProtocolError:
            if self._misunderstanding is not None:
                raise self._misunderstanding from None  # the version is only a guess
            raise

    async def _common_version(self, attempt: Attempt) -> Version:
        if self._member.version is not None:
            return self._member.version
        # Discover Versions can always be repeated, whatever follows it.
        discovery = replace(attempt, responding=attempt.connecting, is_repeatable=True)
        version, is_certain = await self._negotiate(discovery)
        if is_certain:
            self._member.version = version
        return version

    async def _negotiate(self, attempt: Attempt) -> tuple[Version, bool]:
        """The version that both sides have; and whether the next request need not ask again."""
        self._misunderstanding, is_certain = None, True
        for version in messages.NEGOTIATION:
            try:
                response = await self._send(messages.discovery_request(version), attempt)
            except RemoteProtocolError as error:
                # Such as a response in a version that does not exist, or no KMIP at all, as a proxy
                # sends it while the server is away: nothing follows from it for later calls.
                self._misunderstanding = error
                continue
            except ConnectionFailed as error:
                error.request_sent = False  # not the one of the call
                raise
            self._misunderstanding = None
            common = messages.common_version(response)
            if common is not None:
                return common, True
            is_certain = is_certain and not messages.is_unable(response)
        return V1_0, is_certain and self._misunderstanding is None

    async def _exchange(self, request: RequestMessage, attempt: Attempt) -> ResponseMessage:
        """Send a request and return its response.

        After any failure in between, and if the caller is cancelled, the connection is closed: a late
        response would be taken for that of the next request.
        """
        settings = self._settings
        context = settings.tls.context()
        origin = self._idle.origin(context)
        connection = await self._idle_connection(context)
        was_idle = connection is not None
        if connection is None:
            connecting = attempt.connecting.within(settings.connect_timeout)
            connection = await AsyncConnection.open(settings, self._member.endpoint, connecting)
        is_usable = False
        try:
            response = await self._observed(connection, request, attempt)
            is_usable = connection.is_reusable and self._idle.is_current(origin)
        except LocalProtocolError:
            is_usable = True  # nothing was sent
            raise
        except ConnectionFailed as error:
            error.was_idle = was_idle
            raise
        finally:
            if is_usable:
                self._idle.put(connection, origin)
            else:
                await connection.close()
        return response

    async def _observed(
        self, connection: AsyncConnection, request: RequestMessage, attempt: Attempt
    ) -> ResponseMessage:
        """The response to a request, which the hooks see as well."""
        settings = self._settings
        deadline = attempt.responding.within(settings.timeout)
        if not settings.hooks:
            return await connection.exchange(request, deadline)
        observation = observe(
            settings.hooks,
            self._member.endpoint,
            request,
            attempt.number,
            settings.clock,
            settings.limits,
        )
        try:
            response = await connection.exchange(request, deadline)
        except BaseException as error:
            observation.fail(error)
            raise
        observation.succeed(response)
        return response

    async def _idle_connection(self, context: ssl.SSLContext) -> AsyncConnection | None:
        """A connection that the server has not closed; None if there is none."""
        while (entry := self._idle.take(context)) is not None:
            connection, _, is_usable = entry
            try:
                is_usable = is_usable and await connection.is_open()
            except BaseException:
                await connection.close()
                raise
            if is_usable:
                return connection
            await connection.close()
        return None
