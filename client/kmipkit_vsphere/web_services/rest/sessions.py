"""Sessions of the REST API: login by user name and password (RFC 7617), look, logout."""

import base64
import binascii
from datetime import UTC, datetime

from kmipkit_vsphere.web_services.application import HTTPResponse
from kmipkit_vsphere.web_services.objects.session_manager import DEFAULT_LOCALE
from kmipkit_vsphere.web_services.rest.answers import NoSession, answer
from kmipkit_vsphere.web_services.rest.routing import SESSION_HEADER, RESTCall, route
from kmipkit_vsphere.web_services.sessions import Session

OLD = "/rest/com/vmware/cis/session"
NEW = "/api/session"


async def _begin(call: RESTCall) -> str:
    """The token of a new session; :class:`NoSession` if the login is wrong."""
    user, password = _credentials(call.http.headers.get("authorization", ""))
    if not await call.endpoint.passwords.is_correct(user, password, call.http.address):
        raise NoSession
    agent = call.http.headers.get("user-agent", "")
    token, _ = call.endpoint.sessions.begin(user, call.http.address, agent, DEFAULT_LOCALE)
    return token


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise NoSession from None
    user, colon, password = text.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise NoSession
    return user, password


def _described(session: Session) -> dict[str, str]:
    return {
        "user": session.user,
        "created_time": _time(session.login_time),
        "last_accessed_time": _time(session.last_active),
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@route("POST", OLD, public=True)
async def old_login(call: RESTCall) -> HTTPResponse:
    """Log in."""
    return answer(await _begin(call), wrapped=True)


@route("POST", OLD, "get")
async def old_check(call: RESTCall) -> HTTPResponse:
    """What the session is; 401 if there is none."""
    return answer(_described(call.session), wrapped=True)


@route("GET", OLD)
async def old_get(call: RESTCall) -> HTTPResponse:
    """As the action ``get``."""
    return await old_check(call)


@route("DELETE", OLD)
async def old_logout(call: RESTCall) -> HTTPResponse:
    """Log out."""
    call.endpoint.sessions.end(call.session.key)
    return HTTPResponse(200)


@route("POST", NEW, public=True)
async def login(call: RESTCall) -> HTTPResponse:
    """Log in."""
    token = await _begin(call)
    response = answer(token, 201)
    headers = ((SESSION_HEADER, token),)
    return HTTPResponse(response.status, response.body, response.content_type, headers)


@route("GET", NEW)
async def check(call: RESTCall) -> HTTPResponse:
    """What the session is; 401 if there is none."""
    return answer(_described(call.session))


@route("DELETE", NEW)
async def logout(call: RESTCall) -> HTTPResponse:
    """Log out."""
    call.endpoint.sessions.end(call.session.key)
    return HTTPResponse(204)
