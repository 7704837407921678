"""From an HTTP request to its answer: who asks, the route, the checks, the handler, the record.

Only administrators get anything, a description of the API included, but for what concerns one's own
account. Each request is recorded in the
audit log before its answer leaves.
"""

import logging
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from traceback import extract_tb
from typing import Any

import msgspec
import trio

from kmipkit.errors import OperationError
from kmipkit_server.administration import openapi
from kmipkit_server.administration.context import Context, Parts, Scope, scope_of
from kmipkit_server.administration.failures import of_operation
from kmipkit_server.administration.problems import MEDIA_TYPE, Problem, Refused, forbidden
from kmipkit_server.administration.reading import JSON, read, require_no_browser
from kmipkit_server.administration.routes import DESCRIPTION, PREFIX, AnyRoute, Routes
from kmipkit_server.audit.administration import AdminAudit, AdminRequest
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.application import WebAnswer, WebRequest
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

MAX_BODY = 1 << 20
"""Bytes of the body of a request."""

_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
"""What keeps a browser from treating an answer as anything but data."""


class Api:
    """Answers the requests of administrators; see :mod:`kmipkit_server.net.application`."""

    max_body = MAX_BODY

    def __init__(
        self,
        routes: Routes,
        parts: Parts,
        audit: AdminAudit | None,
    ) -> None:
        """``audit`` is None if there is no audit log."""
        self._routes = routes
        self._parts = parts
        self._audit = audit

    def has(self, target: bytes) -> bool:
        """Whether a path is one of this API."""
        return target.startswith((f"{PREFIX}/".encode(), f"{PREFIX}?".encode()))

    def refuse(self, status: int, text: str) -> WebAnswer:
        """A refusal of the connection, or of HTTP itself, which the listener records."""
        return _problem(Refused(HTTPStatus(status), text))

    async def respond(self, request: WebRequest, identity: Identity) -> WebAnswer:
        """The response to a request."""
        asked = AdminRequest(identity, self._parts.clock())
        try:
            answer = await self._answer(request, asked)
            await self._record(asked)
        except Refused as refused:
            return await self._refuse(asked, refused)
        except OperationError as error:
            return await self._refuse(asked, of_operation(error))
        except StoreError as error:
            if not error.is_reported:
                log.error("%s: %s", identity.name, error)
            unavailable = HTTPStatus.SERVICE_UNAVAILABLE
            return await self._refuse(asked, Refused(unavailable, error.explanation))
        except Exception as defect:
            # A defect must not end the connections of others. Its text could hold what was passed in.
            place = extract_tb(defect.__traceback__)[-1]
            kind = type(defect).__name__
            log.error("%s failed: %s in %s:%s", asked.action, kind, place.name, place.lineno)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return await self._refuse(asked, Refused(status, "an internal error; see the log"))
        return answer

    async def _answer(self, request: WebRequest, asked: AdminRequest) -> WebAnswer:
        path, _, _ = request.target.partition("?")
        await self._require_current(request, asked)
        scope = scope_of(asked.identity)
        if scope is None:
            return await self._answer_account(request, path, asked)
        if (request.method, path) == ("GET", DESCRIPTION):
            asked.action = "describe"
            description = await trio.to_thread.run_sync(lambda: self._description)
            return WebAnswer(HTTPStatus.OK, description, JSON, _HEADERS)
        route, fields = self._routes.find(request.method, path)
        asked.action = route.name
        if not route.who.permits(scope):
            raise forbidden(f"{route.name} needs an administrator of the whole server")
        return await self._handled(route, fields, request, Context(scope, self._parts, asked))

    async def _answer_account(
        self, request: WebRequest, path: str, asked: AdminRequest
    ) -> WebAnswer:
        """The answer to somebody who is no administrator, and does not learn which other paths exist."""
        identity = asked.identity
        scope = Scope(identity.tenant, own=identity.name)
        try:
            route, fields = self._routes.find(request.method, path)
        except Refused:
            route = None
        if route is None or not route.who.permits(scope) or identity.rights is not None:
            raise forbidden(
                f"the account {identity.name!r} is not an administrator; the setting"
                " identity.administrators of the server lists them, and each tenant has its own"
            )
        asked.action = route.name
        return await self._handled(route, fields, request, Context(scope, self._parts, asked))

    @staticmethod
    async def _handled(
        route: AnyRoute, fields: Mapping[str, str], request: WebRequest, context: Context
    ) -> WebAnswer:
        return _encoded(route, await route.handler(context, read(route, request, fields)))

    async def _require_current(self, request: WebRequest, asked: AdminRequest) -> None:
        require_no_browser(request)
        if self._parts.live is not None:
            await self._parts.live.dispatcher.refresh()
            self._parts.live.dispatcher.admission.require_current(asked.identity)

    async def _refuse(self, asked: AdminRequest, refused: Refused) -> WebAnswer:
        log.warning("%s: admin request refused: %s", asked.identity.name, refused.detail)
        try:
            await self._record(asked, reason=refused.reason, message=refused.detail)
        except StoreError as error:
            # The one who asks learns what is wrong with the request: this gives nothing away.
            if not error.is_reported:
                log.error("%s: %s", asked.identity.name, error)
        return _problem(refused)

    async def _record(self, asked: AdminRequest, *, reason: str = "", message: str = "") -> None:
        if self._audit is not None:
            await self._audit.answered(asked, reason=reason, message=message)

    @cached_property
    def _description(self) -> bytes:
        return msgspec.json.encode(openapi.describe(self._routes.rows))


def _encoded(route: AnyRoute, answer: Any) -> WebAnswer:
    try:
        body = msgspec.json.encode(answer)
    except UnicodeEncodeError:
        # A text that is not Unicode, as a certificate might have it, must not hide all others.
        body = msgspec.json.encode(_readable(msgspec.to_builtins(answer)))
    return WebAnswer(route.status, body, JSON, _HEADERS)


def _readable(value: Any) -> Any:
    """The same with texts in which nothing but Unicode is left."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_readable(name): _readable(inner) for name, inner in value.items()}
    return [_readable(each) for each in value] if isinstance(value, list | tuple) else value


def _problem(refused: Refused) -> WebAnswer:
    problem: Problem = refused.problem
    allow = (("Allow", ", ".join(refused.allow)),) if refused.allow else ()
    return WebAnswer(refused.status, msgspec.json.encode(problem), MEDIA_TYPE, (*_HEADERS, *allow))
