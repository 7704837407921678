"""Fulfilling what decisions ask for besides: approvals of others, and counts.

This happens when the operation has succeeded, in its transaction, which is rolled back if an obligation
is not fulfilled. So nobody is asked to approve what would fail anyway, what does not take place does
not count, and all that a request refers to is known: its objects, and the results of earlier items.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import ResultReason, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.engine.call import Call, SeparateChange
from kmipkit_server.engine.exchange import Notice
from kmipkit_server.engine.request_digest import digest_of
from kmipkit_server.identity.directory import is_usable, linked_groups
from kmipkit_server.policy import approvals
from kmipkit_server.policy.approvals import ApprovalRequest, Approvals, Approver
from kmipkit_server.policy.counts import Count, count_up
from kmipkit_server.policy.obligations import Obligation
from kmipkit_server.store.base import Record

Fulfil = Callable[[Call, RequestBatchItem, Obligation, tuple[Record, ...]], None]
"""Fulfils an obligation for an operation and its existing objects; an OperationError refuses it."""


def fulfil_all(call: Call, item: RequestBatchItem) -> None:
    """Fulfil the obligations of an operation: each of a rule once, with all of its objects."""
    # By identity: the rules of a document are the same objects for all decisions of an operation.
    found: dict[int, tuple[Obligation, dict[str, Record]]] = {}
    for obligation, record in call.obligations:
        _, records = found.setdefault(id(obligation), (obligation, {}))
        if record is not None:
            records.setdefault(record.id, record)
    for obligation, by_identifier in found.values():
        FULFILLING[obligation.kind](call, item, obligation, tuple(by_identifier.values()))


# --- counts ----------------------------------------------------------------------------------------


def _require_count(
    call: Call,
    item: RequestBatchItem,  # noqa: ARG001
    obligation: Obligation,
    records: tuple[Record, ...],  # noqa: ARG001
) -> None:
    """Count the operation; Usage Limit Exceeded, since "the request count has been exceeded" (KMIP
    2.1 §11.46)."""
    count: Count = obligation.value
    if not count_up(call.transaction, obligation.rule, count, call.identity.name, call.now):
        raise OperationError(
            ResultReason.USAGE_LIMIT_EXCEEDED,
            f"the rule {obligation.rule!r} permits {title(call.operation)} {count.times} times"
            f" a {count.per}; try again in the next {count.per}",
        )


# --- approvals -------------------------------------------------------------------------------------

_IDENTITY_OF_OBJECT = (
    Tag.NAME, Tag.OBJECT_GROUP, Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.CRYPTOGRAPHIC_LENGTH,
    Tag.CRYPTOGRAPHIC_USAGE_MASK, Tag.SENSITIVE, Tag.EXTRACTABLE, Tag.DIGEST,
)  # fmt: skip
"""What an approver is told, or may know: if it changes, an approval is no longer for the same thing.
Usage counts and dates may change, or an object in use could never be approved."""


def _require_approval(
    call: Call, item: RequestBatchItem, obligation: Obligation, records: tuple[Record, ...]
) -> None:
    requirement: Approvals = obligation.value
    new = _request(call, item, obligation, records)
    request = approvals.find(call.store, new.account, new.digest)
    if request is None or request.is_over(call.now) or request.state != new.state:
        if approvals.waiting(call.store, new.account, call.now) >= approvals.MAX_WAITING:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"the account has {approvals.MAX_WAITING} requests that wait for approval; repeat"
                " those that are approved, or wait until some expire",
                "approval_requests",
            )
        key = call.settings.request_key
        raise SeparateChange(partial(approvals.add, request=new, key=key))
    if request.rejection is not None:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            f"request {request.number} was rejected by {request.rejection.account!r}; it can be made"
            f" again after {request.expires:%Y-%m-%d %H:%M} UTC",
        )
    valid = approvals.valid_approvals(
        request,
        requirement,
        call.identity.certificate_hash.hex(),
        partial(_is_valid, call),
        partial(linked_groups, call.store),
        call.now,
    )
    if len(valid) < requirement.number:
        raise _missing(call, request, requirement, len(valid))
    approvals.remove(call.transaction, request)
    names = " and ".join(each.account for each in valid)
    call.note(Notice(obligation.rule, f"request {request.number} was approved by {names}"))


def _missing(
    call: Call, request: ApprovalRequest, requirement: Approvals, count: int
) -> OperationError:
    others = "another person" if requirement.number == 1 else f"{requirement.number} other persons"
    return OperationError(
        ResultReason.PERMISSION_DENIED,
        f"{title(call.operation)} needs the approval of {others} by the rule {request.rule!r}; this"
        f" is request {request.number}, with {count} of {requirement.number} approvals. An approver"
        f" runs 'kmipkit admin policy approvals approve {request.number}'; then repeat the same"
        f" request before {request.expires:%Y-%m-%d %H:%M} UTC",
    )


def _is_valid(call: Call, approver: Approver) -> bool:
    """Whether an approver is not blocked, the certificate not revoked, and the user may still log in."""
    if approver.account in call.batch.server.state.blocked:
        return False
    if call.settings.revocation(approver.certificate) is not ValidityIndicator.VALID:
        return False
    if approver.user is None:
        return True
    user = call.store.get(approver.user)
    return user is not None and is_usable(user, call.now)


def _request(
    call: Call, item: RequestBatchItem, obligation: Obligation, records: tuple[Record, ...]
) -> ApprovalRequest:
    """The request as it would be stored."""
    requirement: Approvals = obligation.value
    return ApprovalRequest(
        account=call.identity.name,
        certificate=call.identity.certificate_hash.hex(),
        operation=title(call.operation),
        objects=tuple(record.id for record in records),
        about=approvals.described(map(_described, records)),
        rule=obligation.rule,
        tenant=requirement.tenant,
        digest=digest_of(
            requirement.tenant, obligation.rule, call.operation, tuple(call.version),
            item.request_payload, item.ephemeral, call.named, call.inputs,
            key=call.settings.request_key,
        ),
        state=digest_of(*(_state(call, record) for record in _before(call.touched))),
        created=call.now,
        expires=call.now + requirement.lifetime,
    )  # fmt: skip


def _described(record: Record) -> str:
    names = [name.name_value for name in record.attributes.all(Tag.NAME)]
    return f"{title(record.object_type)} {' / '.join(names) or record.id}"


def _before(touched: tuple[Record, ...]) -> Iterable[Record]:
    """All objects of an operation as they were before it, also those that the rule is not about, such
    as a wrapping key."""
    first: dict[str, Record] = {}
    for record in touched:
        first.setdefault(record.id, record)
    return first.values()


def _state(call: Call, record: Record) -> tuple[object, ...]:
    attributes = record.attributes
    return (
        record.id, record.owner, record.object_type, record.state_at(call.now),
        *(tuple(attributes.all(key)) for key in _IDENTITY_OF_OBJECT),
    )  # fmt: skip


FULFILLING: Mapping[str, Fulfil] = MappingProxyType(
    {"approvals": _require_approval, "count": _require_count}
)
"""For each kind of obligation, the function that fulfils it."""
