"""Login, Delegated Login and Logout (KMIP 2.1 §6.1.12, §6.1.30, §6.1.31)."""

from datetime import datetime, timedelta

from kmipkit.errors import OperationError
from kmipkit.model.attributes import UsageLimits
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads.limits import Right
from kmipkit.model.payloads.session import (
    DelegatedLoginRequest,
    DelegatedLoginResponse,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
)
from kmipkit.spec.enums import ResultReason, UsageLimitsUnit
from kmipkit_server.engine.call import Call
from kmipkit_server.identity import tickets


def login(call: Call, request: LoginRequest) -> LoginResponse:
    """A ticket for the account that asks."""
    return LoginResponse(ticket=_ticket(call, request, call.identity.rights))


def delegated_login(call: Call, request: DelegatedLoginRequest) -> DelegatedLoginResponse:
    """A ticket for some of what the account may do, to be handed on."""
    if call.identity.rights is not None:
        raise OperationError(
            ResultReason.PERMISSION_DENIED, "a delegated ticket cannot be delegated further"
        )
    if any(right.usage_limits is not None for right in request.rights.rights):
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "Usage Limits are kept per ticket, not per right"
        )
    return DelegatedLoginResponse(ticket=_ticket(call, request, request.rights.rights))


def logout(call: Call, request: LogoutRequest) -> LogoutResponse:
    """End a ticket."""
    call.batch.tickets.withdraw(request.ticket, call.identity, call.now)
    return LogoutResponse()


def _ticket(
    call: Call, request: LoginRequest | DelegatedLoginRequest, rights: tuple[Right, ...] | None
) -> Ticket:
    return call.batch.tickets.issue(
        call.identity,
        call.random(tickets.SIZE),
        call.now,
        _lease(call, request.lease_time),
        _requests(request.request_count, request.usage_limits),
        rights,
    )


def _lease(call: Call, asked: int | datetime | None) -> timedelta:
    """How long the ticket is valid; 0 leaves that to the server, whose Lease Time is the most."""
    most = timedelta(seconds=call.settings.lease_seconds)
    if isinstance(asked, datetime):
        asked = int((asked - call.now).total_seconds())
        if asked <= 0:
            raise OperationError(ResultReason.INVALID_FIELD, "the Lease Time lies in the past")
    return min(timedelta(seconds=asked), most) if asked else most


def _requests(count: int | None, limits: UsageLimits | None) -> int | None:
    """How many requests the ticket is good for; 0 and nothing mean any number."""
    numbers = [count or 0]
    if limits is not None:
        if limits.usage_limits_unit != UsageLimitsUnit.OBJECT:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED, "Usage Limits of a ticket count Objects only"
            )
        numbers.append(limits.usage_limits_total or 0)
    if min(numbers) < 0:
        raise OperationError(ResultReason.INVALID_FIELD, "a number of requests cannot be negative")
    return min((number for number in numbers if number), default=None)
