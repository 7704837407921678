"""The HTTP side: an ASGI application that takes requests to the paths of its services.

Whoever has no session may only send small messages. A request must arrive within a minute; a call that
waits for updates ends when its client goes away.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import trio
from outcome import Outcome, acapture

from kmipkit_vsphere.model.defects import describe
from kmipkit_vsphere.model.errors import InternalFault, InvalidArgument, VSphereError
from kmipkit_vsphere.web_services import soap, version_document
from kmipkit_vsphere.web_services.call import Call
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.faults import Fault, fault_of
from kmipkit_vsphere.web_services.versions import of_client
from kmipkit_vsphere.web_services.vim25.declaration import VIM25
from kmipkit_vsphere.web_services.vim25.faults import InvalidRequest

SOAP_PATHS: Final = {"/sdk": VIM25, "/sdk/": VIM25, "/sdk/vimService": VIM25}
VERSIONS_PATH: Final = "/sdk/vimServiceVersions.xml"
COOKIE: Final = "vmware_soap_session"
REST_SESSION: Final = "vmware-api-session-id"
"""The header with the token of the session in requests of the REST API."""

MAX_BODY: Final = 4 << 20
MAX_BODY_WITHOUT_SESSION: Final = 64 << 10
READ_TIMEOUT: Final = 60.0
"""Seconds for the body of a request to arrive."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger("kmipkit.vsphere.web_services")


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """A request without its body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    address: str
    is_tls: bool


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """An answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/xml; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Endpoint, HTTPRequest, bytes], Awaitable[HTTPResponse]]
"""Serves the requests below a path that are no SOAP, such as those of the REST API."""

OTHER_PATHS: Final[dict[str, Handler]] = {}
"""The first part of a path, such as ``/api/``, to what serves it."""


_INTERNAL: Final = InternalFault("vCenter failed; its log has the cause")


class _TooLarge(Exception):
    """The body of a request exceeds its limit."""


class Application:
    """The ASGI application of an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = _request(scope)
        try:
            response = await self._respond(request, receive)
        except _TooLarge:
            response = HTTPResponse(413, b"the request is too large\n", "text/plain")
        except trio.TooSlowError:
            response = HTTPResponse(408, b"the request took too long to arrive\n", "text/plain")
        if response is not None:
            await _send(send, response)

    async def _respond(self, request: HTTPRequest, receive: Receive) -> HTTPResponse | None:
        """The answer; None if the client went away while it waited."""
        if request.path == VERSIONS_PATH:
            if request.method != "GET":
                headers = (("allow", "GET"),)
                return HTTPResponse(405, b"this document is for GET\n", "text/plain", headers)
            return HTTPResponse(200, version_document.document(self._endpoint.release))
        other = next(
            (OTHER_PATHS[start] for start in OTHER_PATHS if request.path.startswith(start)), None
        )
        token = session_token(request.headers) or request.headers.get(REST_SESSION, "")
        session = self._endpoint.sessions.find(token)
        limit = MAX_BODY_WITHOUT_SESSION if session is None else MAX_BODY
        if other is not None:
            body = await _body(request, receive, limit)
            return await other(self._endpoint, request, body)
        if request.path not in SOAP_PATHS:
            return HTTPResponse(404, b"there is nothing here\n", "text/plain")
        if request.method != "POST":
            headers = (("allow", "POST"),)
            return HTTPResponse(405, b"a SOAP request is a POST\n", "text/plain", headers)
        body = await _body(request, receive, limit)
        return await self._soap(request, body, receive)

    async def _soap(
        self, request: HTTPRequest, body: bytes, receive: Receive
    ) -> HTTPResponse | None:
        version = of_client(request.headers.get("soapaction", ""), self._endpoint.release)
        agent = request.headers.get("user-agent", "")
        call = Call(self._endpoint, version, None, request.address, agent)
        try:
            data = await self._answer(call, request, body, receive)
        except Fault as failure:
            return HTTPResponse(500, soap.fault(failure, version))
        except VSphereError as error:
            known = fault_of(error, self._endpoint.ref_of)
            return HTTPResponse(500, soap.fault(known, version))
        except Exception as defect:
            # A defect must not end the other calls. Its text could hold what was passed in.
            log.error("a call failed: %s", describe(defect))
            internal = fault_of(_INTERNAL, self._endpoint.ref_of)
            return HTTPResponse(500, soap.fault(internal, version))
        if data is None:
            return None
        cookies = (("set-cookie", _cookie(call.cookie, request)),) if call.cookie else ()
        return HTTPResponse(200, data, headers=cookies)

    async def _answer(
        self, call: Call, http: HTTPRequest, body: bytes, receive: Receive
    ) -> bytes | None:
        try:
            request = soap.read_request(body)
        except InvalidArgument as error:
            raise Fault(InvalidRequest(), error.message) from None
        token = request.headers.get("vcSessionCookie", "").strip('"') or session_token(http.headers)
        session = call.session = self._endpoint.sessions.find(token)
        instance, row = self._endpoint.method_of(call, request)
        if session is None:
            value = await self._endpoint.invoke(call, instance, row, request)
            return soap.answer(request, call.version, row.result, value)
        with self._endpoint.sessions.busy(session):
            work = partial(self._endpoint.invoke, call, instance, row, request)
            done = await (_unless_disconnected(receive, work) if row.waits else acapture(work))
        if done is None:
            return None
        return soap.answer(request, call.version, row.result, done.unwrap())


async def _unless_disconnected(
    receive: Receive, work: Callable[[], Awaitable[Any]]
) -> Outcome[Any] | None:
    """The outcome of some work; None if the client went away first."""
    result: Outcome[Any] | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        result = await acapture(work)
        nursery.cancel_scope.cancel()
    return result


def session_token(headers: Mapping[str, str]) -> str:
    """The token of the session's cookie; pyVmomi sends the cookie with its attributes."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return ""


def _cookie(token: str, request: HTTPRequest) -> str:
    secure = "; Secure" if request.is_tls else ""
    return f"{COOKIE}={token}; Path=/; HttpOnly{secure}"


def _request(scope: Mapping[str, Any]) -> HTTPRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return HTTPRequest(
        scope["method"],
        scope["path"],
        scope["query_string"].decode("latin-1"),
        headers,
        str(client[0]) if client else "",
        scope["scheme"] == "https",
    )


async def _body(request: HTTPRequest, receive: Receive, limit: int) -> bytes:
    """The body, with a length or in chunks."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise _TooLarge
    body = bytearray()
    with trio.fail_after(READ_TIMEOUT):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > limit:
                raise _TooLarge
            if not message.get("more_body", False):
                return bytes(body)


async def _send(send: Send, response: HTTPResponse) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in response.headers),
    ]
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})
