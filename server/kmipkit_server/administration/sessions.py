"""Routes for sessions: the open connections, and the tickets of Login."""

from datetime import datetime, timedelta

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.problems import conflict, not_found
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.identity.tickets import Tickets
from kmipkit_server.net.sessions import Session
from kmipkit_server.store.concealed_numbers import SHORT_HALF


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An open connection of a client that has authenticated."""

    number: int
    """What identifies it while the server runs."""
    account: str
    user: str
    """The Unique Identifier of the user; empty for the account of a certificate."""
    address: str
    port: int
    certificate: str
    """The serial number of the client certificate, in hexadecimal digits."""
    certificate_expires: datetime | None
    tls: str
    """Protocol and cipher suite."""
    since: datetime
    last_request: datetime | None
    """When its last request ended; null if one is in progress."""
    requests: int
    doing: str
    """What it waits for."""


class TicketSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of Login or Delegated Login that is valid."""

    account: str
    user: str
    expires: datetime
    delegated: bool
    """Whether it has fewer rights than its account."""
    requests_left: int | None


class SessionList(msgspec.Struct, frozen=True):
    """Everything that is open."""

    sessions: tuple[SessionSummary, ...]
    tickets: tuple[TicketSummary, ...]
    handshakes: int
    """Connections that have not authenticated yet."""


class CloseSession(Request, frozen=True):
    """Which connection to close."""

    number: int


class SessionClosed(msgspec.Struct, frozen=True):
    """The connection that was closed."""

    number: int
    account: str
    address: str


async def list_sessions(context: Context, _request: Empty) -> SessionList:
    """The connections and tickets in the scope."""
    sessions, handshakes = await context.live.sessions.all()
    now = context.now
    tickets = await context.parts.store.run(lambda reader: Tickets(reader, now).valid())
    return SessionList(
        tuple(_summary(context, each) for each in sessions if context.scope.has(each.account)),
        tuple(
            TicketSummary(
                account=context.scope.account(each.account.name),
                user=each.account.user or "",
                expires=each.expires,
                delegated=each.account.rights is not None,
                requests_left=each.limits.requests,
            )
            for each in sorted(tickets, key=lambda each: each.expires)
            if context.scope.has(each.account.name)
        ),
        handshakes if context.scope.is_server else 0,
    )


def _summary(context: Context, session: Session) -> SessionSummary:
    now, silence = context.request.moment, session.silence
    return SessionSummary(
        number=_number(context, session),
        account=context.scope.account(session.account),
        user=session.user,
        address=session.address,
        port=session.port,
        certificate=session.serial,
        certificate_expires=session.expires,
        tls=session.tls,
        since=now - timedelta(seconds=session.age),
        last_request=None if silence is None else now - timedelta(seconds=silence),
        requests=session.requests,
        doing=f"waits for {session.waiting_for}",
    )


def _number(context: Context, session: Session) -> int:
    number = context.shown(session.number, "connection", SHORT_HALF)
    assert number is not None
    return number


async def close_session(context: Context, request: CloseSession) -> SessionClosed:
    """Close a connection; its client may connect again, unless its account is blocked."""
    context.request.subject = f"connection {request.number}"
    sessions, _ = await context.live.sessions.all()
    for each in sessions:
        if _number(context, each) != request.number:
            continue
        if not context.scope.has(each.account):
            break
        if (each.address, each.port) == (context.identity.address, context.identity.port):
            raise conflict("this is the connection of this request")
        account = context.scope.account(each.account)
        context.request.subject = f"connection {request.number} of {account}"
        if await context.live.sessions.end(each.number):
            return SessionClosed(request.number, account, each.address)
    raise not_found(f"there is no connection {request.number}; it may have ended by itself")


ROUTES = (
    Route(
        method="GET",
        path="/sessions",
        name="sessions list",
        summary="List open connections, and valid tickets.",
        who=Who.TENANT,
        request=Empty,
        answer=SessionList,
        handler=list_sessions,
    ),
    Route(
        method="DELETE",
        path="/sessions/{number}",
        name="sessions close",
        summary="Close a connection.",
        who=Who.TENANT,
        request=CloseSession,
        answer=SessionClosed,
        handler=close_session,
    ),
)
