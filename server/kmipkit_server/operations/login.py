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
from kmipkit_server.identity.tickets import Tickets


def login(call: Call, request: LoginRequest) -> LoginResponse:
    """Issue a ticket for the account of the client.

    With a ticket, this renews it only within its bounds; see :class:`.tickets.Tickets`.
    """
    return LoginResponse(ticket=_ticket(call, request, call.identity.rights))


def delegated_login(call: Call, request: DelegatedLoginRequest) -> DelegatedLoginResponse:
    """Issue a ticket for some of the account's rights, which the client may pass on."""
    if call.identity.rights is not None:
        raise OperationError(
            ResultReason.PERMISSION_DENIED, "a delegated ticket cannot be delegated further"
        )
    if any(right.usage_limits is not None for right in request.rights.rights):
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            "Usage Limits of a Right are not supported; set them for the whole ticket",
        )
    return DelegatedLoginResponse(ticket=_ticket(call, request, request.rights.rights))


def logout(call: Call, request: LogoutRequest) -> LogoutResponse:
    """End a ticket."""
    Tickets(call.transaction, call.now).withdraw(request.ticket, call.identity)
    return LogoutResponse()


def _ticket(
    call: Call, request: LoginRequest | DelegatedLoginRequest, rights: tuple[Right, ...] | None
) -> Ticket:
    return Tickets(call.transaction, call.now).issue(
        call.identity,
        call.draw(tickets.SIZE),
        _lease_time(call, request.lease_time),
        _limits(request.request_count, request.usage_limits),
        rights,
    )


def _lease_time(call: Call, requested: int | datetime | None) -> timedelta:
    """How long the ticket is valid: as requested, but at most the server's own Lease Time.

    0 or no value leaves the choice to the server.
    """
    maximum = timedelta(seconds=call.settings.lease_seconds)
    if isinstance(requested, datetime):
        requested = int((requested - call.now).total_seconds())
        if requested <= 0:
            raise OperationError(ResultReason.INVALID_FIELD, "the Lease Time lies in the past")
    return min(timedelta(seconds=requested), maximum) if requested else maximum


def _limits(count: int | None, usage: UsageLimits | None) -> tickets.Limits:
    """For how many requests and operations the ticket is valid; 0 means any number."""
    total = None
    if usage is not None:
        if usage.usage_limits_unit != UsageLimitsUnit.OBJECT:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                "the Usage Limits of a ticket support the Usage Limits Unit Object only",
            )
        total = usage.usage_limits_total
    if min(count or 0, total or 0) < 0:
        raise OperationError(
            ResultReason.INVALID_FIELD, "the number of requests of a ticket cannot be negative"
        )
    return tickets.Limits(count or None, total or None)
