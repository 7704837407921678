"""Routes of the REST API: patterns of paths, methods and actions to handlers."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import parse_qs

from kmipkit_vsphere.model.defects import describe
from kmipkit_vsphere.model.encoding import decode
from kmipkit_vsphere.model.errors import InternalFault, NotFound, VSphereError
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.web_services.application import REST_SESSION, HTTPRequest, HTTPResponse
from kmipkit_vsphere.web_services.call import Call
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.rest.answers import NoSession, described, failure
from kmipkit_vsphere.web_services.sessions import Session

A = TypeVar("A")
T = TypeVar("T")

SESSION_HEADER: Final = REST_SESSION
_WRAPPED: Final = "/rest/"


@dataclass(frozen=True, slots=True)
class RESTCall:
    """A request with what its path and query say."""

    endpoint: Endpoint
    http: HTTPRequest
    body: bytes
    path: dict[str, str]
    query: dict[str, list[str]]

    @property
    def token(self) -> str:
        """The token of the session."""
        return self.http.headers.get(SESSION_HEADER, "").strip('"')

    @property
    def session(self) -> Session:
        """The session; :class:`NoSession` if there is none."""
        session = self.endpoint.sessions.find(self.token)
        if session is None:
            raise NoSession
        return session

    def require_session(self) -> None:
        """:class:`NoSession` unless there is a session."""
        if self.endpoint.sessions.find(self.token) is None:
            raise NoSession

    @property
    def call(self) -> Call:
        """The same as a call of the Web Services API, which finds managed objects."""
        return Call(self.endpoint, self.endpoint.release.api, self.session)

    def read(self, kind: type[T]) -> T:
        """The body, or :class:`InvalidArgument`."""
        return decode(self.body, kind)

    async def run(self, request: VCenterRequest[A]) -> A:
        """Make a call of vCenter as the user of the session."""
        session = self.session
        with self.endpoint.sessions.busy(session):
            return await self.endpoint.service.call(request, session.user)


log = logging.getLogger("kmipkit.vsphere.web_services")

Handler = Callable[[RESTCall], Awaitable[HTTPResponse]]


@dataclass(frozen=True, slots=True)
class _Route:
    path: re.Pattern[str]
    method: str
    action: str | None
    handler: Handler
    is_public: bool


ROUTES: Final[list[_Route]] = []


def route(
    method: str, path: str, action: str | None = None, *, public: bool = False
) -> Callable[[Handler], Handler]:
    """Decorator for what serves a path.

    ``{name}`` stands for a part of it. ``action`` is that of the query; ``public`` needs no session.
    """
    pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(path)))

    def declare(handler: Handler) -> Handler:
        ROUTES.append(_Route(pattern, method, action, handler, public))
        return handler

    return declare


async def respond(endpoint: Endpoint, http: HTTPRequest, body: bytes) -> HTTPResponse:
    """The answer to a request below one of the paths of the REST API."""
    wrapped = http.path.startswith(_WRAPPED)
    try:
        return await _served(endpoint, http, body)
    except NoSession:
        return HTTPResponse(401)
    except VSphereError as error:
        return failure(error, wrapped=wrapped)
    except Exception as defect:
        # A defect must not end the other calls. Its text could hold what was passed in.
        log.error("a request of the REST API failed: %s", describe(defect))
        return failure(InternalFault("vCenter failed; its log has the cause"), wrapped=wrapped)


async def _served(endpoint: Endpoint, http: HTTPRequest, body: bytes) -> HTTPResponse:
    query = parse_qs(http.query, keep_blank_values=True)
    action = next(iter(query.get("action", query.get("~action", []))), None)
    methods = set()
    # The first pattern that fits decides: a name may contain what looks like another path.
    for known in ROUTES:
        match = known.path.fullmatch(http.path)
        if match is None:
            continue
        if (known.method, known.action) == (http.method, action):
            call = RESTCall(endpoint, http, body, match.groupdict(), query)
            if not known.is_public:
                call.require_session()
            return await known.handler(call)
        methods.add(known.method)
    wrapped = http.path.startswith(_WRAPPED)
    if not methods:
        raise NotFound(f"there is nothing at {http.path}")
    if http.method in methods or action is not None:
        raise NotFound(f"there is no action {action} at {http.path}")
    response = described(
        405, "UNSUPPORTED", f"{http.method} is not supported here", wrapped=wrapped
    )
    return HTTPResponse(
        405, response.body, response.content_type, (("allow", ", ".join(sorted(methods))),)
    )
