"""Routes for requests that need approvals: also for approvers who are no administrators."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.problems import forbidden, not_found
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import approving
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.approvals import ApprovalRequest, Approver
from kmipkit_server.policy.approving import NotPermitted, UnknownRequest, Waiting
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.owners import tenant_of
from kmipkit_server.store.parts import stored_identifier


class Signature(msgspec.Struct, frozen=True):
    """Who has approved or rejected a request."""

    account: str
    time: datetime


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits."""

    number: int
    account: str
    """Who wants to do it."""
    operation: str
    objects: tuple[str, ...]
    """The Unique Identifiers of existing objects."""
    about: str
    """These objects in words."""
    rule: str
    created: datetime
    expires: datetime
    approvals: tuple[Signature, ...]
    needed: int | None
    """How many approvals the rule demands; null if the policy has no such rule any more."""
    rejected: Signature | None
    may_approve: bool
    """Whether the account that asks can approve it."""
    why_not: str
    """Why it cannot; empty if it can."""


class ApprovalList(msgspec.Struct, frozen=True):
    """The requests that have not expired, by their numbers."""

    requests: tuple[Approval, ...]


class SignRequest(Request, frozen=True):
    """Which request is meant."""

    number: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """The request that was approved or rejected."""

    number: int
    account: str
    operation: str
    about: str
    approvals: int
    needed: int | None


async def list_approvals(context: Context, _request: Empty) -> ApprovalList:
    """All requests in the scope of an administrator; for others, their own and those to approve."""
    scope, identity = context.scope, context.identity

    policies = policies_of(context)

    def work(reader: Reader) -> list[Waiting]:
        if scope.own is not None:
            return approving.waiting_for(reader, policies, identity, context.now)
        found = approving.all_waiting(reader, policies, identity, context.now)
        return [each for each in found if scope.has(each.request.account)]

    waiting = await context.parts.store.run(work, slow=True, account=identity.name)
    return ApprovalList(tuple(_shown(context, each) for each in waiting))


def _shown(context: Context, waiting: Waiting) -> Approval:
    request, requirement, scope = waiting.request, waiting.requirement, context.scope
    return Approval(
        number=request.number,
        account=scope.account(request.account),
        operation=request.operation,
        objects=tuple(
            scope.identifier(stored_identifier(tenant_of(request.account), each))
            for each in request.objects
        ),
        about=request.about,
        rule=request.rule,
        created=request.created,
        expires=request.expires,
        approvals=tuple(_signature(context, each) for each in request.approvals),
        needed=None if requirement is None else requirement.number,
        rejected=None if request.rejection is None else _signature(context, request.rejection),
        may_approve=not waiting.why_not and request.rejection is None,
        why_not=waiting.why_not,
    )


def _signature(context: Context, approver: Approver) -> Signature:
    return Signature(context.scope.account(approver.account), approver.time)


def policies_of(context: Context) -> ActivePolicies:
    """The policies that the server has read; those of a server that does not run are read now."""
    live = context.parts.live
    return ActivePolicies() if live is None else live.dispatcher.server.state.policies


Sign = Callable[[Transaction, ActivePolicies, int, Identity, datetime], ApprovalRequest]


async def approve(context: Context, request: SignRequest) -> Signed:
    """Approve a request, as another person than the one who made it."""
    return await _sign(context, request.number, approving.approve)


async def reject(context: Context, request: SignRequest) -> Signed:
    """Reject a request: it cannot be carried out, nor made again until it expires."""
    return await _sign(context, request.number, approving.reject)


async def _sign(context: Context, number: int, sign: Sign) -> Signed:
    context.request.subject = f"request {number}"

    policies = policies_of(context)

    def work(transaction: Transaction) -> Signed:
        signed = sign(transaction, policies, number, context.identity, context.now)
        account = context.scope.account(signed.account)
        context.request.subject = f"request {number}: {signed.operation} by {signed.account}"
        context.request.objects = list(signed.objects)
        requirement = approving.requirement_of(transaction, policies, signed)
        return Signed(
            number=number,
            account=account,
            operation=signed.operation,
            about=signed.about,
            approvals=len(signed.approvals),
            needed=None if requirement is None else requirement.number,
        )

    try:
        return await context.change(work)
    except UnknownRequest as error:
        raise not_found(str(error)) from None
    except NotPermitted as error:
        raise forbidden(str(error)) from None


def _route(verb: str, summary: str, handler: Any) -> Route[SignRequest, Signed]:
    return Route(
        method="POST",
        path=f"/policy/approvals/{{number}}/{verb}",
        name=f"policy approvals {verb}",
        summary=summary,
        who=Who.ACCOUNT,
        request=SignRequest,
        answer=Signed,
        handler=handler,
    )


ROUTES = (
    Route(
        method="GET",
        path="/policy/approvals",
        name="policy approvals list",
        summary="List requests that wait for the approval of other persons.",
        who=Who.ACCOUNT,
        request=Empty,
        answer=ApprovalList,
        handler=list_approvals,
    ),
    _route("approve", "Approve a request of another account.", approve),
    _route("reject", "Reject a request of another account.", reject),
)
