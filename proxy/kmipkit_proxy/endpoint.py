"""Both ends of the proxy: the address and the TLS settings of each."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio
from kmipkit_certs import development, machine
from kmipkit_certs.contexts import server_context
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.endpoints import DEFAULT_PORT, Endpoint, endpoint
from kmipkit_client.errors import ClientError

from kmipkit_proxy.errors import ProxyError

CLIENTS = ("admin",)
"""Whose certificates a new development PKI has."""
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound here
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def address(text: str) -> Endpoint:
    """An address of TTLV over TLS. ProxyError if it is malformed, or one of HTTPS."""
    host, _, port = text.rpartition(":")
    any_port = bool(host) and port == "0"
    try:
        parsed = endpoint(host if any_port else text, DEFAULT_PORT)
    except ClientError as error:
        raise ProxyError(str(error)) from None
    if parsed.path is not None:
        raise ProxyError("HTTPS is not supported; give HOST:PORT of TTLV over TLS")
    return Endpoint(parsed.host, 0) if any_port else parsed


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The certificate that the proxy shows its clients, and the authority of theirs."""

    cert: Path | None
    key: Path | None
    ca: Path | None
    data_dir: Path

    def contexts(self, host: str, password: KeyPassword) -> Callable[[], ssl.SSLContext]:
        """TLS settings with mutual authentication, others for each connection.

        So no session is resumed, and each certificate is judged. ProxyError if a file cannot be used.
        """
        given = (self.cert, self.ca)
        if any(given) and not all(given):
            raise ProxyError("give both --tls-cert and --tls-ca, or neither for development files")
        try:
            if self.cert is not None and self.ca is not None:
                pairs, ca = [(self.cert, self.key)], self.ca
            else:
                pairs, ca = self._development(host)
            own = [load_credentials(cert, key, password) for cert, key in pairs]
            trusted = load_certificates(ca, password)
            server_context(own, trusted)
        except CertificateError as error:
            raise ProxyError(str(error)) from None
        return lambda: server_context(own, trusted)

    def _development(self, host: str) -> tuple[list[tuple[Path, Path | None]], Path]:
        named = () if host in _ANY_ADDRESS else (host,)
        made = development.ensure(
            self.data_dir / "certs",
            hosts=tuple(dict.fromkeys((*named, *_LOCAL_HOSTS, *machine.names()))),
            clients=CLIENTS,
            clock=lambda: datetime.now(UTC),
        )
        pairs: list[tuple[Path, Path | None]] = [
            (made.server_cert, made.server_key),
            (made.rsa_cert, made.rsa_key),
        ]
        return pairs, made.ca


@dataclass(frozen=True, slots=True)
class Target:
    """The server that gets the requests."""

    endpoint: Endpoint
    context: Callable[[], ssl.SSLContext]
    timeout: float
    """Seconds for connection and handshake, and for an answer."""

    async def connect(self) -> "trio.SSLStream[trio.SocketStream]":
        """A new connection. ProxyError says why there is none."""
        try:
            with trio.fail_after(self.timeout):
                plain = await trio.open_tcp_stream(self.endpoint.host, self.endpoint.port)
                stream = trio.SSLStream(
                    plain,
                    self.context(),
                    server_hostname=self.endpoint.host,
                    https_compatible=True,
                )
                try:
                    await stream.do_handshake()
                except BaseException:
                    await trio.aclose_forcefully(stream)
                    raise
                return stream
        except trio.TooSlowError:
            reason = f"no connection within {self.timeout:g} s"
        except (OSError, UnicodeError, trio.BrokenResourceError) as error:
            reason = explain(error)
        raise ProxyError(f"cannot connect to {self.endpoint}: {reason}")


def explain(error: BaseException) -> str:
    """The reason of a failed connection, without file names and numbers of OpenSSL."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):  # one for each address of a name
        cause = cause.exceptions[0]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate refused: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return str(cause.reason).replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.strerror:
        number = cause.errno or 0  # a look-up of a name has errors of its own, below zero
        return os.strerror(number) if number > 0 else cause.strerror
    return str(cause) or "the connection was closed"
