"""Approving, rejecting and listing requests, in a transaction or view of the store."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_server.identity.directory import linked_groups
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import approvals
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.approvals import ApprovalRequest, Approvals, Approver
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.owners import tenant_of
from kmipkit_server.store.parts import part_of


class UnknownRequest(KMIPError):
    """There is no such request, as far as this account may know."""


class NotPermitted(KMIPError):
    """The account cannot approve or reject this request; the text says why."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request, with what its rule demands now."""

    request: ApprovalRequest
    requirement: Approvals | None
    """None if the policy has no such rule any more."""
    why_not: str
    """Why the account that asks cannot approve it; empty if it can."""


def waiting_for(
    reader: Reader, policies: ActivePolicies, identity: Identity, now: datetime
) -> list[Waiting]:
    """The requests that an account may see: its own, and those that it may approve or has approved."""
    found = []
    for request in approvals.every(reader, now):
        each = _waiting(reader, policies, request, identity, now)
        has_signed = any(signer.account == identity.name for signer in request.approvals)
        if not each.why_not or request.account == identity.name or has_signed:
            found.append(each)
    return found


def all_waiting(
    reader: Reader, policies: ActivePolicies, identity: Identity, now: datetime
) -> list[Waiting]:
    """All requests, for an administrator."""
    return [
        _waiting(reader, policies, request, identity, now)
        for request in approvals.every(reader, now)
    ]


def approve(
    transaction: Transaction,
    policies: ActivePolicies,
    number: int,
    approver: Identity,
    now: datetime,
) -> ApprovalRequest:
    """Approve a request. UnknownRequest or NotPermitted if that is impossible."""
    request = _signable(transaction, policies, number, approver, now)
    signed = msgspec.structs.replace(
        request, approvals=(*request.approvals, _signature(approver, now))
    )
    approvals.store(transaction, signed)
    return signed


def reject(
    transaction: Transaction,
    policies: ActivePolicies,
    number: int,
    approver: Identity,
    now: datetime,
) -> ApprovalRequest:
    """Reject a request until it expires. UnknownRequest or NotPermitted if that is impossible."""
    request = _signable(transaction, policies, number, approver, now)
    rejected = msgspec.structs.replace(request, rejection=_signature(approver, now))
    approvals.store(transaction, rejected)
    return rejected


def _signature(approver: Identity, now: datetime) -> Approver:
    assert approver.certificate is not None
    return Approver.of(approver, approver.certificate, now)


def _signable(
    transaction: Transaction,
    policies: ActivePolicies,
    number: int,
    approver: Identity,
    now: datetime,
) -> ApprovalRequest:
    known = waiting_for(transaction, policies, approver, now)
    found = [each for each in known if each.request.number == number]
    if not found:
        raise UnknownRequest(
            f"there is no request {number} that this account made or may approve; it may have expired"
        )
    [waiting] = found
    if waiting.request.rejection is not None:
        raise NotPermitted(f"request {number} was rejected")
    if waiting.why_not:
        raise NotPermitted(f"request {number}: {waiting.why_not}")
    return waiting.request


def _waiting(
    reader: Reader,
    policies: ActivePolicies,
    request: ApprovalRequest,
    identity: Identity,
    now: datetime,
) -> Waiting:
    requirement = requirement_of(reader, policies, request)
    if requirement is None:
        return Waiting(request, None, f"the policy has no rule {request.rule!r} any more")
    groups = partial(linked_groups, part_of(reader, tenant_of(request.account)))
    return Waiting(
        request, requirement, approvals.why_not(request, requirement, identity, groups, now)
    )


def requirement_of(
    reader: Reader, policies: ActivePolicies, request: ApprovalRequest
) -> Approvals | None:
    """What the rule of a request demands now."""
    documents = policies.now(reader, tenant_of(request.account))
    document = documents.tenant if request.tenant else documents.server
    for rule in () if document is None else document.rules:
        for obligation in rule.obligations:
            if rule.name == request.rule and isinstance(obligation.value, Approvals):
                return obligation.value
    return None
