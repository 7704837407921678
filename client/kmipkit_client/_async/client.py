"""The client: a connection that is opened when needed, a version that is agreed on, typed calls."""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model.credentials import Credential
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import BatchErrorContinuationOption
from kmipkit.spec.versions import V1_0, Version
from kmipkit_client import messages
from kmipkit_client._async.connection import AsyncConnection
from kmipkit_client._async.operations import AsyncOperations
from kmipkit_client._network import asynchronous as network
from kmipkit_client.calls import Call
from kmipkit_client.errors import ConnectionFailed, OperationFailed, TimedOut
from kmipkit_client.settings import DEFAULT_PORT, File, Settings, tls_context

T = TypeVar("T")


class AsyncClient(AsyncOperations):
    """A KMIP client on one connection, which it opens, keeps and renews by itself.

    Tasks may share it; their requests go out one after the other. All calls may raise
    OperationFailed (the server said no), ConnectionFailed and TimedOut (there is no answer), and
    :class:`kmipkit.errors.ProtocolError`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        ca: File | None = None,
        cert: File | None = None,
        key: File | None = None,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        version: Version | None = None,
        credential: Credential | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 30.0,
    ) -> None:
        """Nothing is connected yet.

        Args:
            ca: PEM file of the authorities that the server's certificate must come from.
            cert: PEM file of the client's certificate, which tells the server who this is.
            key: PEM file of its private key.
            context: instead of these three files.
            server_name: the name in the server's certificate, if it is not ``host``.
            version: the protocol version to speak; by default the newest that both know.
            credential: goes with every request, for servers that ask for one.
            connect_timeout: seconds for connection and handshake.
            timeout: seconds for each answer.

        Raises:
            ClientError: a certificate file cannot be used.
        """
        self._settings = Settings(
            host=host,
            port=port,
            context=context or tls_context(ca, cert, key),
            server_name=server_name or host,
            version=version,
            credential=credential,
            connect_timeout=connect_timeout,
            timeout=timeout,
        )
        self._version = version
        self._connection: AsyncConnection | None = None
        self._lock = network.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; a later call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def version(self) -> Version:
        """The protocol version in use; agrees on one with the server if none is set yet."""
        async with self._lock:
            if self._version is None:
                await self._connected()
        assert self._version is not None
        return self._version

    async def batch(
        self, *asked: Call[Any], on_error: BatchErrorContinuationOption | None = None
    ) -> list[Any]:
        """Ask for several things in one message; a result for each, in order.

        What failed has an :class:`OperationFailed` as its result, which is not raised here. Calls
        are made by the functions of :mod:`kmipkit_client.calls`.
        """
        return messages.results(asked, await self._ask(asked, on_error))

    async def _call(self, call: Call[T]) -> T:
        [result] = await self.batch(call)
        if isinstance(result, OperationFailed):
            raise result
        found: T = result
        return found

    async def _ask(
        self, asked: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> ResponseMessage:
        async with self._lock:
            fresh = self._connection is None
            try:
                return await self._attempt(asked, on_error)
            except TimedOut:
                raise
            except ConnectionFailed:
                # A server may close an idle connection at any time; if this one was idle, and the
                # request changes nothing, a new connection is worth a second attempt.
                if fresh or not messages.may_repeat(asked):
                    raise
                return await self._attempt(asked, on_error)

    async def _attempt(
        self, asked: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> ResponseMessage:
        connection = await self._connected()
        assert self._version is not None
        request = messages.request(self._version, asked, self._settings.credential, on_error)
        return await self._exchange(connection, request)

    async def _connected(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await AsyncConnection.open(self._settings)
        if self._version is None:
            self._version = await self._agree()
        return self._connection or await self._connected()

    async def _agree(self) -> Version:
        for version in messages.NEGOTIATION:
            if self._connection is None:
                self._connection = await AsyncConnection.open(self._settings)
            try:
                answer = await self._exchange(self._connection, messages.discovery(version))
            except RemoteProtocolError:
                continue  # such as an answer in a version that nobody knows, or a hasty close
            found = messages.discovered(answer)
            if found is not None:
                return found
        return V1_0

    async def _exchange(
        self, connection: AsyncConnection, request: RequestMessage
    ) -> ResponseMessage:
        """One question and its answer; unless both are whole, the connection is not used again."""
        done = False
        try:
            response = await connection.exchange(request)
            done = True
        except LocalProtocolError:
            done = True  # nothing was sent
            raise
        finally:
            if not done:
                self._connection = None
                await connection.close()
        return response
