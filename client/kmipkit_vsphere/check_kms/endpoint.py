"""The address of a key server, and connections to it: as vCenter, as a stranger, or without TLS.

The trust is that of a real vCenter role, with a store in a temporary directory: the check goes the same
ways as an administrator who establishes trust (vsphere.md §4.5).
"""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import trio
from cryptography import x509
from kmipkit_certs.authority import Purpose
from kmipkit_certs.check import Check, reasons
from kmipkit_certs.contexts import CIPHERS
from kmipkit_client import calls, messages

from kmipkit.model import codec
from kmipkit.spec.versions import V1_1
from kmipkit_vsphere.model.certificates import to_der
from kmipkit_vsphere.model.clock import Clock, system_clock
from kmipkit_vsphere.model.records import ProviderRecord, ServerRecord
from kmipkit_vsphere.providers.key_server import CONNECT_TIMEOUT, IO_TIMEOUT, TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import Login
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.key_server_trust import Trust, trust_uploaded
from kmipkit_vsphere.vcenter.store import Store

_HTTP_PROBE: Final = b"HEAD / HTTP/1.0\r\n\r\n"
_KMIP_PROBE: Final = codec.encode(messages.request(V1_1, [calls.discover_versions()]), V1_1)
_PROBE_TIMEOUT: Final = 1.0

NO_CONNECTION: Final = (OSError, trio.TooSlowError, trio.BrokenResourceError)
"""What TCP and TLS raise."""


@dataclass(frozen=True, slots=True)
class Commands:
    """How the administrator of the key server gives trust; empty where there is no command."""

    sign: Sequence[str] = ()
    """Gets a certificate signing request on its standard input, and prints the certificate."""
    trust: Sequence[str] = ()
    """Gets a certificate on its standard input, and makes the key server trust it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What else vCenter has for the servers of a provider."""

    login: Login | None = None
    timeout: float = IO_TIMEOUT
    renewed: Credentials | None = None
    """A second certificate of the same vCenter."""
    commands: Commands = Commands()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a key server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Endpoint:
    """A key server at an address, with vCenter's certificates for it."""

    def __init__(
        self,
        name: str,
        address: Address,
        credentials: Credentials,
        folder: Path,
        settings: Settings = Settings(),
        clock: Clock = system_clock,
    ) -> None:
        """``folder`` is for the store of vCenter, and is made."""
        self.name = name
        self.address = address
        self.credentials = credentials
        self.settings = settings
        self.clock = clock
        folder.mkdir(mode=0o700, exist_ok=True)
        self._store = Store(folder / "vcenter.sqlite3")
        self.trust = Trust(self._store, clock, credentials)
        self._uploaded: tuple[x509.Certificate, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def add_provider(self, name: str) -> str:
        """A key provider with this key server, whose trust is not established yet; its id."""
        if not self._store.providers.exists(name):
            self._store.providers.add(ProviderRecord(name))
            record = ServerRecord(self.name, self.address.host, self.address.port)
            self._store.providers.add_server(name, record)
        return name

    def has_certificate(self, provider: str) -> bool:
        """Whether a provider has a client certificate of its own."""
        return (
            self._store.providers.exists(provider) and self.trust.client_pair(provider) is not None
        )

    def server(self) -> TLSKeyServer:
        """The key server for vCenter's own certificate; its certificate must have its name."""
        return self._server(self.credentials.client_context())

    def server_with_tls_1_2(self) -> TLSKeyServer:
        """The key server for a vCenter that does not know TLS 1.3."""
        context = self.credentials.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return self._server(context)

    def server_of(self, provider: str) -> TLSKeyServer:
        """The key server, trusted and trusting as the store says for a provider."""
        trust = self.trust.for_provider(provider)
        return self._server(trust.context, trust.pinned)

    def server_for(self, credentials: Credentials) -> TLSKeyServer:
        """The key server for another client certificate."""
        return self._server(credentials.client_context())

    def anonymous(self) -> TLSKeyServer:
        """The key server for a client without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return self._server(context)

    def _server(
        self, context: ssl.SSLContext, pinned: frozenset[bytes] = frozenset()
    ) -> TLSKeyServer:
        host, port = self.address.host, self.address.port
        login, timeout = self.settings.login, self.settings.timeout
        server = TLSKeyServer(self.name, host, port, context, pinned, login, timeout)
        return self.with_uploads(server) if self._uploaded and not pinned else server

    def trust_uploads(self, certificates: Sequence[x509.Certificate]) -> None:
        """From now on trust these certificates of servers instead of the authorities of --ca."""
        self._uploaded = tuple(certificates)

    def with_uploads(self, server: TLSKeyServer) -> TLSKeyServer:
        """A server that must present one of the uploaded certificates."""
        trust_uploaded(server.context, self._uploaded)
        return replace(server, pinned=frozenset(map(to_der, self._uploaded)))

    def objections(self, chain: Sequence[x509.Certificate]) -> list[str]:
        """What is wrong with the certificate of the server, and what to do about it."""
        trusted, now = self.credentials.trusted(), self.clock()
        host = self.address.host
        return reasons(Check(chain, trusted, Purpose.SERVER, now, is_present=True, host=host))

    # Below KMIP ----------------------------------------------------------------------------------

    async def tcp(self) -> trio.SocketStream:
        """A connection without TLS. OSError, or trio.TooSlowError after 5 s."""
        with trio.fail_after(CONNECT_TIMEOUT):
            return await trio.open_tcp_stream(self.address.host, self.address.port)

    async def look(self) -> "trio.SSLStream[trio.SocketStream]":
        """A TLS connection that accepts any certificate of the server, to look at it.

        OSError, trio.TooSlowError, or trio.BrokenResourceError, whose cause is an ssl.SSLError.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(CIPHERS)
        self.credentials.load_own(context)
        tcp = await self.tcp()
        stream = trio.SSLStream(
            tcp, context, server_hostname=self.address.host, https_compatible=True
        )
        try:
            with trio.fail_after(self.settings.timeout):
                await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(tcp)
            raise
        return stream

    async def other_protocol(self, *, tls: bool) -> str:
        """Which protocol other than KMIP over TLS is spoken at the address; empty if unknown."""
        for probe in (_HTTP_PROBE,) if tls else (_HTTP_PROBE, _KMIP_PROBE):
            with trio.move_on_after(_PROBE_TIMEOUT), suppress(*NO_CONNECTION):
                stream: trio.abc.Stream = await (self.look() if tls else self.tcp())
                async with stream:
                    await stream.send_all(probe)
                    protocol = _protocol(bytes(await stream.receive_some(64)))
                if protocol:
                    return protocol
        return ""


def reason(error: BaseException) -> str:
    """Why there is no connection, in a few words."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).replace("_", " ").lower()
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return "the server closed the connection"


def _protocol(data: bytes) -> str:
    """The protocol of an answer to something that is no KMIP."""
    if data.startswith(b"HTTP/"):
        return "HTTP"
    if data.startswith((b"\x42\x00\x7b", b"\x42\x00\x78")):
        return "KMIP"
    return "SSH" if data.startswith(b"SSH-") else ""
