"""The client: servers with pools of connections, fail-over, version negotiation, typed calls."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from kmipkit.model.credentials import Credential
from kmipkit.model.messages import ResponseMessage
from kmipkit.spec.enums import BatchErrorContinuationOption, Operation
from kmipkit.spec.versions import Version
from kmipkit_client import messages
from kmipkit_client._async.requests import AsyncRequests
from kmipkit_client._async.server import AsyncServer
from kmipkit_client._network import asynchronous as network
from kmipkit_client.attempts import Attempt, Attempts
from kmipkit_client.calls import Call
from kmipkit_client.cluster import Cluster, Health, Order
from kmipkit_client.deadline import Deadline
from kmipkit_client.endpoints import DEFAULT_PORT, endpoints
from kmipkit_client.errors import ConnectionFailed
from kmipkit_client.hooks import Hook
from kmipkit_client.settings import Settings, checked_encoding, checked_order, whole_deadline
from kmipkit_client.tls import Certificates, chosen_tls

T = TypeVar("T")


class AsyncClient(AsyncRequests):
    """A KMIP client for one server or a cluster of them, with a pool of connections to each.

    Tasks may share it. All calls may raise OperationFailed (the server reports a failure),
    ConnectionFailed and TimedOut (there is no response), and :class:`kmipkit.errors.ProtocolError`.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        order: Order | str = Order.ORDERED,
        encoding: str = "ttlv",
        ca: Certificates | None = None,
        cert: Certificates | None = None,
        key: Certificates | None = None,
        key_password: str | bytes | None = None,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        version: Version | None = None,
        credential: Credential | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 30.0,
        deadline: float | None = None,
        retries: int = 2,
        connections: int = 8,
        max_idle: float = 60.0,
        hooks: Sequence[Hook] = (),
    ) -> None:
        """Create a client, without connecting yet.

        Args:
            servers: one address or several: ``"kms1"``, ``"kms2:5697"``, ``"[::1]:5696"``, or
                ``"https://kms1:5696/kmip"`` for KMIP over HTTPS.
            port: the port of addresses that have none.
            order: ``"ordered"``: all to the first server that works; ``"balanced"``: to each in turn.
            encoding: of messages over HTTPS: ``"ttlv"``, ``"xml"`` or ``"json"``.
            ca: the authorities that may issue the server's certificate, as a file, bytes or PEM text.
            cert: the client's certificate, by which the server authenticates it: a file, bytes or PEM
                text; PEM, DER or PKCS #12. Files are read again when they change.
            key: the client's private key, if it is not in the file of the certificate.
            key_password: password of the private key, or of a PKCS #12 file.
            context: TLS context to use instead of these files.
            server_name: the name in the server's certificate, if it is not the host of the address.
            version: the protocol version; by default the newest that both sides support.
            credential: is sent with every request, for servers that require one.
            connect_timeout: seconds for connection and handshake.
            timeout: seconds to wait for each response.
            deadline: seconds for a whole call, with all its attempts; by default 60, or as long as one
                attempt may take if that is longer.
            retries: how many times to try all servers again if none of them can be reached.
            connections: connections to each server, at most; further calls wait.
            max_idle: seconds after which an idle connection is not used again.
            hooks: functions that see each request and its answer; see :mod:`kmipkit_client.hooks`.

        Raises:
            ClientError: an address or a number is not valid, or a certificate cannot be used.
        """
        self._open(
            Settings(
                endpoints=endpoints(servers, port),
                order=checked_order(order),
                encoding=checked_encoding(encoding),
                tls=chosen_tls(context, ca, cert, key, key_password),
                server_name=server_name,
                version=version,
                credential=credential,
                connect_timeout=connect_timeout,
                timeout=timeout,
                deadline=whole_deadline(deadline, connect_timeout, timeout),
                retries=retries,
                connections=connections,
                max_idle=max_idle,
                hooks=tuple(hooks),
            )
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A client with these settings."""
        client = cls.__new__(cls)
        client._open(settings)
        return client

    def _open(self, settings: Settings) -> None:
        self._settings = settings
        self._cluster = Cluster(settings.endpoints, settings.order, settings.clock, settings.random)
        self._servers = {member: AsyncServer(settings, member) for member in self._cluster.members}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(map(str, self._settings.endpoints))})"

    def within(self, seconds: float) -> Self:
        """This client with another deadline for each call; it shares the connections.

        kms.within(2).get(identifier)
        """
        client = type(self).__new__(type(self))
        client.__dict__.update(self.__dict__, _settings=self._settings.within(seconds))
        return client

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
        """Close all connections; a later call opens others."""
        for server in self._servers.values():
            await server.close()

    def health(self) -> tuple[Health, ...]:
        """What the calls so far have shown of each server, in the order of the addresses."""
        return self._cluster.health()

    async def version(self) -> Version:
        """The protocol version in use; negotiates it with the server if necessary."""
        return await self._attempt(
            AsyncServer.version, is_repeatable=True, what=Operation.DISCOVER_VERSIONS.name
        )

    async def _results(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> list[Any]:
        return messages.results(calls, await self._send(calls, on_error))

    async def _send(
        self, calls: Sequence[Call[Any]], on_error: BatchErrorContinuationOption | None
    ) -> ResponseMessage:
        async def send(server: AsyncServer, attempt: Attempt) -> ResponseMessage:
            return await server.send(calls, on_error, attempt)

        return await self._attempt(
            send, is_repeatable=messages.may_repeat(calls), what=messages.names(calls)
        )

    async def _attempt(
        self,
        action: Callable[[AsyncServer, Attempt], Awaitable[T]],
        *,
        is_repeatable: bool,
        what: str,
    ) -> T:
        """The result of an action with the first server that responds."""
        settings = self._settings
        attempts = Attempts(
            self._cluster,
            Deadline(settings.deadline, settings.clock),
            retries=settings.retries,
            is_repeatable=is_repeatable,
            what=what,
        )
        while True:
            attempt = attempts.next()
            try:
                result = await action(self._servers[attempt.member], attempt)
            except ConnectionFailed as error:
                await network.sleep(attempts.failed(attempt, error))
            else:
                attempts.responded(attempt)
                return result
