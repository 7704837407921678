"""A key server at an address: TLS with the provider's client certificate, one message at a time.

A real vCenter opens connections without a message and sends headers without the usual fields, which
the client package does not offer; so this is only the sans-I/O connection on a TLS stream. Every
failure before an answer has arrived is a :class:`KeyServerUnreachable`, after which the provider
tries its next server.
"""

import contextlib
import math
import ssl
from dataclasses import dataclass
from typing import Final

import trio
from kmipkit_certs.contexts import CIPHERS

from kmipkit.connection import Connection, Response
from kmipkit.errors import ProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit_vsphere.model.errors import (
    ClientNotTrusted,
    KeyServerUnreachable,
    RPCError,
    ServerNotTrusted,
)
from kmipkit_vsphere.providers.kmip_session import Login
from kmipkit_vsphere.providers.proxy import ProxyAddress, ProxyRefused, open_tunnel
from kmipkit_vsphere.rpc.revocation import PeerRevocations

CONNECT_TIMEOUT: Final = 5.0
IO_TIMEOUT: Final = 30.0
"""Seconds for a connection, and for one answer."""
MAX_HANDSHAKE: Final = 3600.0
"""Seconds for the handshake with a server whose answers have no limit."""


@dataclass(frozen=True, slots=True)
class TLSKeyServer:
    """One key server; ``context`` has the client certificate and the trusted authorities.

    With ``pinned`` certificates (DER) the server must show one of these, with any name; without, its
    certificate must be valid for ``address``.
    ``timeout`` is in seconds for one answer, 0 for no limit; None: 30. ``problem`` is what is wrong with
    the settings
    of this server, such as a missing password: then it cannot be reached.
    """

    name: str
    address: str
    port: int
    context: ssl.SSLContext
    pinned: frozenset[bytes] = frozenset()
    login: Login | None = None
    timeout: float | None = None
    problem: str | None = None
    revocations: PeerRevocations | None = None
    """Certificates of servers that their authority has revoked."""
    proxy: ProxyAddress | None = None
    """The HTTP proxy through which vCenter connects."""

    def __post_init__(self) -> None:
        """A real vCenter was recorded with TLS_RSA_WITH_AES_128_CBC_SHA256 (vsphere.md §3.1)."""
        self.context.set_ciphers(CIPHERS)

    async def connect(self) -> "TLSConnection":
        """Connect and shake hands; :class:`KeyServerUnreachable` if that fails or takes too long."""
        if self.problem is not None:
            raise KeyServerUnreachable(f"{self._where}: {self.problem}")
        stream = await self._handshake(await self._connect())
        certificate = stream.getpeercert(binary_form=True)
        if self.pinned and certificate not in self.pinned:
            await trio.aclose_forcefully(stream)
            raise ServerNotTrusted(
                f"{self._where}: its certificate is not the one that was uploaded. If the server has a"
                " new one, check it (server-certificate) and upload it (trust-server)"
            )
        if self.revocations is not None:
            try:
                self.revocations.require_valid(certificate)
            except RPCError as error:
                await trio.aclose_forcefully(stream)
                raise ServerNotTrusted(f"{self._where}: {error.message}") from None
        return TLSConnection(stream, self._where, certificate, self._answer_timeout)

    async def retrieve_certificate(self) -> bytes | None:
        """The certificate that the server shows, DER, trusted or not; None if there is none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = (
            False,
            ssl.CERT_NONE,
        )  # it is only shown
        with trio.move_on_after(CONNECT_TIMEOUT):
            try:
                tcp = await self._open()
            except (OSError, ProxyRefused):
                return None
            async with tcp:
                stream = trio.SSLStream(tcp, context, https_compatible=True)
                with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError):
                    await stream.do_handshake()
                    certificate = stream.getpeercert(binary_form=True)
                    return bytes(certificate) if certificate else None
        return None

    @property
    def _where(self) -> str:
        return f"key server {self.name} ({self.address}:{self.port})"

    @property
    def _answer_timeout(self) -> float:
        if self.timeout == 0:
            return math.inf
        return self.timeout or IO_TIMEOUT

    async def _open(self) -> trio.SocketStream:
        if self.proxy is None:
            return await trio.open_tcp_stream(self.address, self.port)
        return await open_tunnel(self.proxy, self.address, self.port)

    async def _connect(self) -> trio.SocketStream:
        with trio.move_on_after(CONNECT_TIMEOUT):
            try:
                return await self._open()
            except (OSError, ProxyRefused) as error:
                raise KeyServerUnreachable(f"{self._where}: {error}") from None
        raise KeyServerUnreachable(f"{self._where}: no connection within {CONNECT_TIMEOUT:.0f} s")

    async def _handshake(self, tcp: trio.SocketStream) -> "trio.SSLStream[trio.SocketStream]":
        # The other side may end TLS by closing TCP: KMIP messages say their length themselves.
        stream = trio.SSLStream(
            tcp, self.context, server_hostname=self.address, https_compatible=True
        )
        try:
            with trio.fail_after(min(self._answer_timeout, MAX_HANDSHAKE)):
                await stream.do_handshake()
        except BaseException as error:
            await trio.aclose_forcefully(tcp)
            if isinstance(error, trio.TooSlowError):
                raise _broken(
                    self._where,
                    f"no handshake within {min(self._answer_timeout, MAX_HANDSHAKE):.0f} s",
                ) from None
            if isinstance(error, trio.BrokenResourceError | ssl.SSLError):
                raise _broken(self._where, error.__cause__ or error) from None
            raise
        return stream


_REFUSALS: Final = ("ALERT_UNKNOWN_CA", "CERTIFICATE_", "BAD_CERTIFICATE", "ACCESS_DENIED")
"""Parts of OpenSSL's names of alerts by which a peer refuses our certificate."""


def _broken(where: str, reason: BaseException | str) -> KeyServerUnreachable:
    """The error for a broken connection; its class says which side refused the certificate."""
    text = f"{where}: {reason}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ServerNotTrusted(f"{text}; vCenter does not trust this server's certificate")
    alert = (reason.reason or "") if isinstance(reason, ssl.SSLError) else ""
    if any(word in alert for word in _REFUSALS):
        return ClientNotTrusted(f"{text}; the key server does not accept vCenter's certificate")
    return KeyServerUnreachable(text)


class TLSConnection:
    """An open connection; see :class:`kmipkit_vsphere.providers.kmip_session.KeyServerConnection`."""

    def __init__(
        self, stream: trio.abc.Stream, where: str, certificate: bytes | None, timeout: float
    ) -> None:
        self.certificate = certificate
        self._stream = stream
        self._where = where
        self._timeout = timeout
        self._is_first = True
        self._connection = Connection(tolerant=True)

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request and wait for its answer, up to the time-out of the server."""
        with trio.move_on_after(self._timeout):
            try:
                return await self._exchange(request)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                reason = error.__cause__ or "the connection broke"
                if self._is_first and isinstance(reason, ConnectionError):
                    # In TLS 1.3 a server refuses a client's certificate after the handshake; its
                    # alert is lost where it closes with our first message unread.
                    raise ClientNotTrusted(
                        f"{self._where}: {reason}; it closed the connection before the first"
                        " answer: it probably does not accept vCenter's certificate"
                    ) from None
                raise _broken(self._where, reason) from None
            except ProtocolError as error:
                raise KeyServerUnreachable(f"{self._where}: {error}") from None
        raise KeyServerUnreachable(f"{self._where}: no answer within {self._timeout:.0f} s")

    async def _exchange(self, request: RequestMessage) -> ResponseMessage:
        await self._stream.send_all(self._connection.send_request(request))
        while True:
            event = self._connection.next_event()
            if isinstance(event, Response):
                self._is_first = False
                return event.message
            self._connection.receive_data(bytes(await self._stream.receive_some(65536)))

    async def aclose(self) -> None:
        """Close, with a TLS close alert if the peer takes it within a second."""
        with trio.move_on_after(1.0, shield=True):
            try:
                await self._stream.aclose()
            except trio.BrokenResourceError:
                return
