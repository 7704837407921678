"""The client: a connection that is opened on demand, version negotiation, typed calls."""

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
    """A KMIP client with one connection, which it opens on demand and renews when it is lost.

    Tasks may share it; requests are sent one after the other. All calls may raise OperationFailed
    (the server reports a failure), ConnectionFailed and TimedOut (there is no response), and
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
        key_password: str | bytes | None = None,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        version: Version | None = None,
        credential: Credential | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 30.0,
    ) -> None:
        """Create a client, without connecting yet.

        Args:
            ca: file of the authorities that may issue the server's certificate.
            cert: file of the client's certificate, by which the server authenticates it: PEM, DER or
                PKCS #12.
            key: file of the client's private key, if it is not in the file of the certificate.
            key_password: password of the private key, or of a PKCS #12 file.
            context: TLS context to use instead of these files.
            server_name: the name in the server's certificate, if it is not ``host``.
            version: the protocol version; by default the newest that both sides support.
            credential: is sent with every request, for servers that require one.
            connect_timeout: seconds for connection and handshake.
            timeout: seconds to wait for each response.

        Raises:
            ClientError: a certificate file cannot be used.
        """
        self._settings = Settings(
            host=host,
            port=port,
            context=context or tls_context(ca, cert, key, key_password),
            server_name=(server_name or host).rstrip("."),  # RFC 6066 §3: TLS has it without
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
        error_type: type[BaseException] | None,
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
        """The protocol version in use; negotiates it with the server if necessary."""
        async with self._lock:
            if self._version is None:
                await self._open_connection()
        assert self._version is not None
        return self._version

    async def batch(
        self, *calls: Call[Any], on_error: BatchErrorContinuationOption | None = None
    ) -> list[Any]:
        """Send several operations in one message, and return their results in order.

        The result of an operation that failed is an :class:`OperationFailed`, which is not raised.
        The functions of :mod:`kmipkit_client.calls` make the calls.
        """
        return messages.results(calls, await self._send(calls, on_error))

    async def _call(self, call: Call[T]) -> T:
        [result] = await self.batch(call)
        if isinstance(result, OperationFailed):
            raise result
        value: T = result
        return value

    async def _send(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> ResponseMessage:
        async with self._lock:
            is_new = self._connection is None
            try:
                return await self._send_once(calls, on_error)
            except TimedOut:
                raise
            except ConnectionFailed:
                # A server may close an idle connection at any time, which shows only when the next
                # request is sent. It may have been carried out nevertheless, so only a request that
                # changes nothing is sent again. A new connection was not idle: its failure is real.
                if is_new or not messages.may_repeat(calls):
                    raise
                return await self._send_once(calls, on_error)

    async def _send_once(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> ResponseMessage:
        connection = await self._open_connection()
        assert self._version is not None
        request = messages.request(self._version, calls, self._settings.credential, on_error)
        return await self._exchange(connection, request)

    async def _open_connection(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await AsyncConnection.open(self._settings)
        if self._version is None:
            self._version = await self._negotiate()
        # A server may close the connection when it does not understand the last negotiation.
        return self._connection or await self._open_connection()

    async def _negotiate(self) -> Version:
        for version in messages.NEGOTIATION:
            if self._connection is None:
                self._connection = await AsyncConnection.open(self._settings)
            try:
                response = await self._exchange(
                    self._connection, messages.discovery_request(version)
                )
            except RemoteProtocolError:
                continue  # such as a response in a version that does not exist
            common = messages.common_version(response)
            if common is not None:
                return common
        return V1_0

    async def _exchange(
        self, connection: AsyncConnection, request: RequestMessage
    ) -> ResponseMessage:
        """Send a request and return its response.

        After any failure in between the connection is closed: a late response would be taken for
        that of the next request.
        """
        is_usable = False
        try:
            response = await connection.exchange(request)
            is_usable = True
        except LocalProtocolError:
            is_usable = True  # nothing was sent
            raise
        finally:
            if not is_usable:
                self._connection = None
                await connection.close()
        return response
