"""A key server at an address: TLS with the provider's client certificate, one message at a time.

vCenter's habits need what a comfortable client hides: connections without a message, a header
without the usual fields, the raw batch ids. So this is the sans-I/O connection on a TLS stream, no
more. All that can go wrong before an answer is there is :class:`KeyServerUnreachable`, upon which
the provider tries its next server.
"""

import ssl
from dataclasses import dataclass
from typing import Final

import trio

from kmipkit.connection import Connection, Response, Role
from kmipkit.errors import ProtocolError
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit_vsphere.errors import KeyServerUnreachable

CONNECT_TIMEOUT: Final = 5.0
IO_TIMEOUT: Final = 30.0
"""Seconds for connection and handshake together, and for one answer."""


@dataclass(frozen=True, slots=True)
class TLSKeyServer:
    """One key server; ``context`` has the client certificate and the trusted authority.

    The server's certificate must carry ``address``, the name or number that is connected to.
    """

    name: str
    address: str
    port: int
    context: ssl.SSLContext

    async def connect(self) -> "TLSConnection":
        """Connect and shake hands; :class:`KeyServerUnreachable` within 5 seconds if not."""
        with trio.move_on_after(CONNECT_TIMEOUT):
            return TLSConnection(await self._handshake(), self._where)
        raise KeyServerUnreachable(f"{self._where}: no answer within {CONNECT_TIMEOUT:.0f} s")

    @property
    def _where(self) -> str:
        return f"key server {self.name} ({self.address}:{self.port})"

    async def _handshake(self) -> "trio.SSLStream[trio.SocketStream]":
        try:
            tcp = await trio.open_tcp_stream(self.address, self.port)
        except OSError as error:
            raise KeyServerUnreachable(f"{self._where}: {error}") from None
        # The other side may end TLS by closing TCP: KMIP messages say their length themselves.
        stream = trio.SSLStream(
            tcp, self.context, server_hostname=self.address, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException as error:
            await trio.aclose_forcefully(tcp)
            if isinstance(error, trio.BrokenResourceError | ssl.SSLError):
                reason = error.__cause__ or error
                raise KeyServerUnreachable(f"{self._where}: TLS failed: {reason}") from None
            raise
        return stream


class TLSConnection:
    """An open connection; see :class:`kmipkit_vsphere.conversation.KeyServerConnection`."""

    def __init__(self, stream: trio.abc.Stream, where: str) -> None:
        self._stream = stream
        self._where = where
        self._connection = Connection(Role.ASKING, tolerant=True)

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request and wait for its answer, 30 seconds at most."""
        with trio.move_on_after(IO_TIMEOUT):
            try:
                return await self._exchange(request)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                reason = error.__cause__ or "the connection broke"
                raise KeyServerUnreachable(f"{self._where}: {reason}") from None
            except ProtocolError as error:
                raise KeyServerUnreachable(f"{self._where}: {error}") from None
        raise KeyServerUnreachable(f"{self._where}: no answer within {IO_TIMEOUT:.0f} s")

    async def _exchange(self, request: RequestMessage) -> ResponseMessage:
        await self._stream.send_all(self._connection.send_request(request))
        while True:
            event = self._connection.next_event()
            if isinstance(event, Response):
                return event.message
            self._connection.receive_data(bytes(await self._stream.receive_some(65536)))

    async def aclose(self) -> None:
        """Close, with a TLS goodbye if the peer takes it within a second."""
        with trio.move_on_after(1.0, shield=True):
            try:
                await self._stream.aclose()
            except trio.BrokenResourceError:
                return
