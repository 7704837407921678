"""Delegated tickets: what one permits bounds everything that is done with it.

A user gives a ticket away to let somebody else do one thing, for a short time. Whoever holds it must
not get more out of it: "Requests using the ticket MUST only be permitted to perform the operations
specified in the Rights section" (KMIP 2.1 §6.1.12).
"""

from datetime import timedelta
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, messages
from laboratory import Laboratory, reasons

from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.credentials import Credential, Ticket, TicketCredential
from kmipkit.model.payloads.asynchronous import (
    CancelRequest,
    PollRequest,
    ProcessRequest,
    QueryAsynchronousRequestsRequest,
)
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.limits import (
    Constraints,
    Objects,
    Operations,
    Right,
    Rights,
    SetConstraintsRequest,
)
from kmipkit.model.payloads.session import (
    DelegatedLoginRequest,
    LoginRequest,
    LogoutRequest,
    LogRequest,
    SetEndpointRoleRequest,
)
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    CredentialType,
    CryptographicAlgorithm,
    EndpointRole,
    HashingAlgorithm,
    Operation,
    ResultReason,
    ResultStatus,
    UsageLimitsUnit,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V2_1

ALL_USES = CryptographicUsageMask(0xFFFFF)
CREATE = calls.create(CryptographicAlgorithm.AES, 128, ALL_USES, None, None)
LOCATE = calls.locate(None, None, None, None, None, None)
LOGIN = calls.raw(Operation.LOGIN, LoginRequest())
REFUSED = (
    ResultReason.NOT_AUTHORISED,
    ResultReason.PERMISSION_DENIED,
    ResultReason.INVALID_TICKET,
    ResultReason.USAGE_LIMIT_EXCEEDED,
)


def right(*operations: Operation, objects: tuple[str, ...] | None = None) -> Right:
    """A right; without operations or objects, it is not limited to any."""
    return Right(
        operations=Operations(operations=operations) if operations else None,
        objects=None if objects is None else Objects(unique_identifiers=objects),
    )


def delegated(
    laboratory: Laboratory, *rights: Right, identity: str = "me", **fields: Any
) -> Ticket:
    request = DelegatedLoginRequest(rights=Rights(rights=rights), **fields)
    call = calls.raw(Operation.DELEGATED_LOGIN, request)
    return _ticket(laboratory.ask(call, identity=identity))


def _ticket(payload: Any) -> Ticket:
    assert isinstance(payload.ticket, Ticket)
    return payload.ticket


def use(laboratory: Laboratory, ticket: Ticket, *batch: Any, **header: Any) -> list[Any]:
    """The results of a request with a ticket, on the connection of somebody else."""
    value = TicketCredential(ticket=ticket)
    credential = Credential(credential_type=CredentialType.TICKET, credential_value=value)
    request = messages.request(V2_1, batch, credential)
    changed = request.request_header.replace(**header)
    response = laboratory.send(request.replace(request_header=changed), identity="holder")
    return messages.results(batch, response)


def require_refusal(result: Any) -> None:
    assert isinstance(result, OperationFailed)
    assert result.reason in REFUSED


# --- renewal -------------------------------------------------------------------------------------


def test_a_ticket_for_one_request_gives_no_other_ticket(laboratory: Laboratory) -> None:
    """The holder renews a ticket for one request for ever, and so keeps the account."""
    ticket = delegated(laboratory, right(), lease_time=10, request_count=1)
    require_refusal(use(laboratory, ticket, LOGIN)[0])


def test_login_needs_the_right_to_it(laboratory: Laboratory) -> None:
    """The holder of a ticket for Get has a ticket that outlives it."""
    key = laboratory.ask(CREATE)
    for rights in (
        right(Operation.GET),
        right(Operation.GET, objects=(key,)),
        right(objects=(key,)),
    ):
        ticket = delegated(laboratory, rights)
        require_refusal(use(laboratory, ticket, LOGIN)[0])
        require_refusal(
            use(
                laboratory,
                ticket,
                calls.raw(
                    Operation.DELEGATED_LOGIN,
                    DelegatedLoginRequest(rights=Rights(rights=(right(),))),
                ),
            )[0]
        )


def test_a_renewed_ticket_ends_with_the_first_one(laboratory: Laboratory) -> None:
    """A ticket for 10 seconds is renewed each 9 seconds, and never ends."""
    ticket = delegated(laboratory, right(), lease_time=10)
    laboratory.pass_time(seconds=9)
    renewed = _ticket(
        use(laboratory, ticket, calls.raw(Operation.LOGIN, LoginRequest(lease_time=99)))[0]
    )
    assert use(laboratory, renewed, LOCATE)[0].ids == ()
    laboratory.pass_time(seconds=2)
    require_refusal(use(laboratory, renewed, LOCATE)[0])


def test_a_renewed_ticket_has_the_rights_of_the_first_one(laboratory: Laboratory) -> None:
    """A ticket for Login and Locate is exchanged for one for everything."""
    ticket = delegated(laboratory, right(Operation.LOGIN, Operation.LOCATE))
    renewed = _ticket(use(laboratory, ticket, LOGIN)[0])
    assert use(laboratory, renewed, LOCATE)[0].ids == ()
    require_refusal(use(laboratory, renewed, CREATE)[0])


def test_renewed_tickets_share_the_requests_of_the_first_one(laboratory: Laboratory) -> None:
    """A ticket for five requests becomes five tickets for any number."""
    ticket = delegated(laboratory, right(), request_count=5)
    renewed = [_ticket(use(laboratory, ticket, LOGIN)[0]) for _ in range(2)]
    for each in (renewed[0], renewed[1], renewed[0]):
        assert use(laboratory, each, LOCATE)[0].ids == ()
    for each in (*renewed, ticket):
        require_refusal(use(laboratory, each, LOCATE)[0])


def test_a_renewed_login_ends_with_the_logout_of_the_first_one(laboratory: Laboratory) -> None:
    """The user logs out, and a ticket that was requested with the ended one remains valid."""
    first = _ticket(laboratory.ask(LOGIN))
    renewed = _ticket(use(laboratory, first, LOGIN)[0])
    laboratory.ask(calls.raw(Operation.LOGOUT, LogoutRequest(ticket=first)))
    require_refusal(use(laboratory, renewed, LOCATE)[0])


def test_usage_limits_count_the_operations_of_batches(laboratory: Laboratory) -> None:
    """A ticket for two operations does a thousand, in one message."""
    limits = UsageLimits(
        usage_limits_total=2, usage_limits_count=2, usage_limits_unit=UsageLimitsUnit.OBJECT
    )
    ticket = delegated(laboratory, right(), usage_limits=limits)
    for result in use(laboratory, ticket, CREATE, CREATE, CREATE):
        assert isinstance(result, OperationFailed)
    assert laboratory.ask(LOCATE).ids == ()
    assert len(use(laboratory, ticket, CREATE, CREATE)) == 2
    require_refusal(use(laboratory, ticket, CREATE)[0])


def test_a_ticket_does_not_end_the_tickets_of_others(laboratory: Laboratory) -> None:
    """The holder of a ticket logs the user out."""
    other = _ticket(laboratory.ask(LOGIN))
    ticket = delegated(laboratory, right())
    require_refusal(
        use(laboratory, ticket, calls.raw(Operation.LOGOUT, LogoutRequest(ticket=other)))[0]
    )
    assert use(laboratory, other, LOCATE)[0].ids == ()
    assert use(laboratory, ticket, calls.raw(Operation.LOGOUT, LogoutRequest(ticket=ticket)))
    require_refusal(use(laboratory, ticket, LOCATE)[0])


# --- operations on no object, or on others -------------------------------------------------------

WITHOUT_OBJECT = {
    "create": CREATE,
    "locate": LOCATE,
    "log": calls.raw(Operation.LOG, LogRequest(log_message="hello")),
    "role": calls.raw(
        Operation.SET_ENDPOINT_ROLE, SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    ),
    "constraints": calls.raw(
        Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=Constraints(constraints=()))
    ),
    "login": LOGIN,
}


@pytest.mark.parametrize("name", WITHOUT_OBJECT)
def test_a_ticket_for_one_object_does_nothing_without_it(laboratory: Laboratory, name: str) -> None:
    """A ticket for one key creates others, lists all keys, or acts as administrator."""
    key = laboratory.ask(CREATE, identity="administrator")
    ticket = delegated(laboratory, right(objects=(key,)), identity="administrator")
    require_refusal(use(laboratory, ticket, WITHOUT_OBJECT[name])[0])
    assert laboratory.ask(LOCATE, identity="administrator").ids == (key,)
    assert use(laboratory, ticket, calls.get(key, None, None, None))[0]


# --- what the account has not finished -----------------------------------------------------------


def deferred(laboratory: Laboratory, ticket: Ticket | None = None) -> bytes:
    """The Asynchronous Correlation Value of a Create, of the account or of a ticket."""
    indicator = AsynchronousIndicator.MANDATORY
    if ticket is None:
        request = messages.request(V2_1, [CREATE])
        header = request.request_header.replace(asynchronous_indicator=indicator)
        item = laboratory.send(request.replace(request_header=header)).batch_items[0]
        assert item.result_status is ResultStatus.OPERATION_PENDING
        assert item.asynchronous_correlation_value
        return item.asynchronous_correlation_value
    [pending] = use(laboratory, ticket, CREATE, asynchronous_indicator=indicator)
    assert pending.status is ResultStatus.OPERATION_PENDING
    query = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest())
    [outstanding] = use(laboratory, ticket, query)[0].asynchronous_requests
    value = outstanding.asynchronous_correlation_value
    assert isinstance(value, bytes)
    return value


@pytest.mark.parametrize("owner", ["account", "other ticket"])
def test_asynchronous_results_belong_to_the_ticket(laboratory: Laboratory, owner: str) -> None:
    """The holder of a ticket polls what the account, or another holder, has requested."""
    first, second = (delegated(laboratory, right()) for _ in range(2))
    value = deferred(laboratory, None if owner == "account" else first)
    query = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest())
    assert use(laboratory, second, query)[0].asynchronous_requests == ()
    process = calls.raw(Operation.PROCESS, ProcessRequest(asynchronous_correlation_value=value))
    poll = calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))
    for call in (process, poll):
        [result] = use(laboratory, second, call)
        assert result.reason is ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE
    cancel = calls.raw(Operation.CANCEL, CancelRequest(asynchronous_correlation_value=value))
    [cancelled] = use(laboratory, second, cancel)
    assert cancelled.cancellation_result is CancellationResult.UNAVAILABLE


def test_an_asynchronous_request_keeps_the_rights_of_its_ticket(laboratory: Laboratory) -> None:
    """A ticket for Locate creates a key, if only it asks for that asynchronously."""
    ticket = delegated(laboratory, right(Operation.LOCATE))
    indicator = AsynchronousIndicator.MANDATORY
    use(laboratory, ticket, CREATE, asynchronous_indicator=indicator)
    laboratory.pass_time(seconds=1)
    assert laboratory.ask(LOCATE).ids == ()


def test_a_computation_in_parts_belongs_to_the_ticket(laboratory: Laboratory) -> None:
    """The holder of a ticket continues a computation of the account, and so learns its result."""
    first = HashRequest(
        cryptographic_parameters=CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        data=b"secret",
        init_indicator=True,
    )
    value = laboratory.ask(calls.raw(Operation.HASH, first)).correlation_value
    last = first.replace(
        data=b"", init_indicator=None, correlation_value=value, final_indicator=True
    )
    ticket = delegated(laboratory, right())
    continued = calls.raw(Operation.HASH, last)
    [result] = use(laboratory, ticket, continued)
    assert reasons([result]) == ["INVALID_CORRELATION_VALUE"]
    assert laboratory.ask(continued).data


def test_a_ticket_for_a_moment_is_not_used_later(laboratory: Laboratory) -> None:
    """The plain case: the ticket of a lease of 10 s is refused after it."""
    ticket = delegated(laboratory, right(), lease_time=10)
    assert use(laboratory, ticket, LOCATE)[0].ids == ()
    laboratory.now += timedelta(seconds=11)
    require_refusal(use(laboratory, ticket, LOCATE)[0])
