"""The administrator's side of the API: HTTPS with a client certificate.

What goes wrong is one line that says what to do. The texts of the server reach a terminal escaped, as
all that others have sent.
"""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import click
from kmipkit_certs.contexts import client_context
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword

PREFIX = "/admin/v1"
DEFAULT_PORT = 5696
TIMEOUT = 60.0
"""Seconds to wait for an answer."""
MAX_REQUEST = 1 << 20
"""Bytes of a request that a server takes, as it is set by default."""
MAX_ANSWER = 64 << 20
"""Bytes of an answer."""

_HELD_BY_NOBODY = "is a key server running there? --server HOST:PORT names another one"


class AdminConnection:
    """A connection to a key server, over which an administrator sends requests."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout: float) -> None:
        self._address = f"{host}:{port}"
        self._connection = http.client.HTTPSConnection(host, port, context=context, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """The answer to a request that reads; ``path`` is made by :func:`path`."""
        pairs = {name: value for name, value in query.items() if value not in (None, (), False)}
        with _unicode():
            parameters = f"?{urlencode(pairs, doseq=True)}" if pairs else ""
        return self._request("GET", path + parameters, None)

    def pages(self, path: str, key: str, **query: Any) -> Iterator[Any]:
        """All elements of a list, page by page."""
        while True:
            page = self.get(path, **query)
            yield from page[key]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def send(self, method: str, path: str, **body: Any) -> Any:
        """The answer to a request that changes something."""
        parameters = {name: value for name, value in body.items() if value is not None}
        return self._request(method, path, parameters)

    def _request(self, method: str, target: str, body: Mapping[str, Any] | None) -> Any:
        data = None if body is None else _encoded(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        problem: Exception | None = None
        try:
            self._connection.request(method, PREFIX + target, data, headers)
        except OSError as error:
            if self._connection.sock is None:
                raise self._failed(error) from None
            problem = error  # a server that refuses a long request answers before it has come
        try:
            response = self._connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(problem or error) from None
        return self._answer(response.status, answer)

    def _failed(self, error: Exception) -> click.ClickException:
        return click.ClickException(f"{self._address}: {_explained(error)}")

    def _answer(self, status: int, answer: bytes) -> Any:
        try:
            value = json.loads(answer)
        except ValueError:
            value = None
        if status < 400 and value is not None:
            return value
        detail = value.get("detail") if isinstance(value, dict) else None
        if not isinstance(detail, str):
            raise click.ClickException(
                f"{self._address} does not answer as a kmipkit key server (HTTP {status}); is it"
                " another server, or another version?"
            )
        raise RefusedRequest(detail, status)


class RefusedRequest(click.ClickException):
    """The server has refused a request, and has said why."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status
        """Of HTTP."""


@contextmanager
def _unicode() -> Iterator[None]:
    """Refuse arguments with bytes that are not UTF-8, which Python keeps as surrogates."""
    try:
        yield
    except UnicodeEncodeError:
        raise click.ClickException(
            "an argument is not valid UTF-8; check the encoding of the terminal"
        ) from None


def _encoded(body: Mapping[str, Any]) -> bytes:
    with _unicode():
        data = json.dumps(body, ensure_ascii=False).encode()
    if len(data) > MAX_REQUEST:
        raise click.ClickException(
            f"the request would have {len(data)} bytes, and a server takes {MAX_REQUEST} at most:"
            " shorten what you send"
        )
    return data


def path(*parts: str) -> str:
    """A path from its parts, which may have any characters."""
    with _unicode():
        return "".join(f"/{quote(part, safe='')}" for part in parts)


def connect(
    server: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    password: KeyPassword,
    timeout: float = TIMEOUT,
) -> AdminConnection:
    """A connection to HOST:PORT; it is opened by the first request. ClickException if a file is bad."""
    host, port = host_and_port(server)
    if cert is None:
        raise click.UsageError(
            "the certificate of an administrator is missing: --cert and --key, or KMIPKIT_CERT and"
            " KMIPKIT_KEY"
        )
    for name, file in {"--ca": ca, "--cert": cert, "--key": key}.items():
        if file is not None and not file.exists():
            raise click.BadParameter(f"no such file: {file}", param_hint=name)
    try:
        trusted = None if ca is None else load_certificates(ca, password)
        context = client_context(load_credentials(cert, key, password), trusted)
    except CertificateError as error:
        raise click.ClickException(str(error)) from None
    return AdminConnection(host, port, context, timeout)


_ADDRESS = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:/,\[\]\s]+))(?::(?P<port>\d{1,5}))?"
)


def host_and_port(server: str) -> tuple[str, int]:
    """Name and port in an address; the port of KMIP if it has none. BadParameter if it is no address."""
    found = _ADDRESS.fullmatch(server)
    port = int(found["port"] or DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 1 << 16:
        several = "; a command for administrators asks one server" if "," in server else ""
        raise click.BadParameter(f"{server!r} is not HOST:PORT{several}", param_hint="--server")
    return found["address"] or found["host"], port


def _explained(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the server is not accepted: {error.verify_message}; --ca names the"
            " certificate authorities of the server"
        )
    if isinstance(error, ssl.SSLError) and error.reason == "TLSV1_ALERT_UNKNOWN_CA":
        return (
            "the server does not know the authority that has issued the certificate (--cert);"
            " its setting tls.ca lists those that it knows"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return (
            f"the TLS handshake failed: {reason}; the log of the server says whether it refuses the"
            " certificate (--cert)"
        )
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return f"{(error.strerror or 'no connection').lower()}; {_HELD_BY_NOBODY}"
    if isinstance(error, ConnectionError | http.client.RemoteDisconnected):
        return (
            "the server has closed the connection; its log says why, for example that it refuses the"
            " certificate (--cert)"
        )
    return str(error) or type(error).__name__
