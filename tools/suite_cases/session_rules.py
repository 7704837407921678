"""Cases of tickets, constraints, defaults, and other operations that concern the server as a whole."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kmipkit_conformance.wording import operation_title

from kmipkit.model.attribute import Attributes
from kmipkit.model.credentials import Authentication, Credential, Ticket, TicketCredential
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import create, crypto, limits, session
from kmipkit.model.payloads.asynchronous import (
    QueryAsynchronousRequestsRequest,
    QueryAsynchronousRequestsResponse,
)
from kmipkit.spec.enums import (
    CredentialType,
    CryptographicAlgorithm,
    EndpointRole,
    InteropFunction,
    ObjectType,
    Operation,
    State,
    TicketType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, Version
from suite_cases.building import BOTH, READ_ONLY, Batch, R, Refused, create_key, read, rule, simple
from suite_cases.steps import Case, Step, symbol, uid

_OP = Operation
_LOGIN = "KMIP 2.1 §6.1.30"
_LOGOUT = "KMIP 2.1 §6.1.31"
_DELEGATED = "KMIP 2.1 §6.1.12"
_CONSTRAINTS = "KMIP 2.1 §6.1.22, §6.1.52"
_DEFAULTS = "KMIP 2.1 §6.1.53"

# --- tickets ---------------------------------------------------------------------------------------

_TICKET = Ticket(ticket_type=TicketType.LOGIN, ticket_value=symbol("TICKET_VALUE"))
_IN_TABLES = Refused(
    new=(
        *(R.INVALID_FIELD, R.INVALID_MESSAGE, R.FEATURE_NOT_SUPPORTED, R.PERMISSION_DENIED),
        *(R.ATTESTATION_FAILED, R.ATTESTATION_REQUIRED, R.INVALID_DATA_TYPE),
    ),
    or_success=True,
)
"""A server may ignore what is wrong. One that refuses it has the most appropriate Result Reason (2.1
§6.1), such as those of its tables; General Failure says nothing."""


def _login(**fields: Any) -> Step:
    return Step(_OP.LOGIN, session.LoginRequest(**fields), session.LoginResponse(ticket=_TICKET))


def _delegated_login(*operations: Operation, **fields: Any) -> Step:
    right = limits.Right(operations=limits.Operations(operations=operations))
    return Step(
        _OP.DELEGATED_LOGIN,
        session.DelegatedLoginRequest(rights=limits.Rights(rights=(right,)), **fields),
        session.DelegatedLoginResponse(ticket=_TICKET),
    )


def _logout() -> Step:
    return Step(_OP.LOGOUT, session.LogoutRequest(ticket=_TICKET), session.LogoutResponse())


def _by_ticket(step: Step, claim: str) -> Batch:
    """The same step with the ticket in its header."""
    credential = Credential(
        credential_type=CredentialType.TICKET, credential_value=TicketCredential(ticket=_TICKET)
    )
    header = {"authentication": Authentication(credentials=(credential,))}
    return Batch((step,), claim, header, with_ids=False)


def _state() -> Step:
    return Step(
        _OP.GET_ATTRIBUTES,
        payloads.GetAttributesRequest(unique_identifier=uid(0), attribute_references=(Tag.STATE,)),
        payloads.GetAttributesResponse(
            unique_identifier=uid(0), attributes=Attributes.of((Tag.STATE, State.PRE_ACTIVE))
        ),
    )


_UNKNOWN_TICKET = Refused(
    new=(
        *(R.INVALID_TICKET, R.AUTHENTICATION_NOT_SUCCESSFUL, R.PERMISSION_DENIED),
        *(R.ITEM_NOT_FOUND, R.INVALID_FIELD),
    )
)


def _tickets(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    yield _login().claiming(f"a server that lists Login returns a ticket ({_LOGIN})")
    yield _by_ticket(_state(), f"the ticket of a Login authenticates a request ({_LOGIN})")
    yield _logout().claiming(f"Logout ends the ticket of a Login ({_LOGOUT})")
    yield _logout().refused(
        _UNKNOWN_TICKET, f"a ticket that has been invalidated is not valid any more ({_LOGOUT})"
    )


def _one_request(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    yield _login(request_count=1).needing("a Request Count of tickets")
    claim = f"a ticket permits as many requests as its Request Count says ({_LOGIN})"
    yield _by_ticket(_state(), claim)
    yield _by_ticket(_state().refused(Refused(whole=True)), claim)


_PAST = datetime(1990, 1, 1, tzinfo=UTC)


def _in_the_past(login: Step, clause: str, version: Version) -> Iterator[Step | Batch]:
    """A server may issue a ticket that has ended, or refuse to."""
    del version
    title = operation_title(login.operation)
    yield create_key()
    yield login.refused(
        _IN_TABLES, f"a refused {title} has the most appropriate Result Reason (§6.1, {clause}.1)"
    )
    refused = _state().refused(Refused(whole=True))
    yield _by_ticket(refused, f"a ticket is not valid after its Lease Time ({clause})")


def _delegated(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = f"a delegated ticket permits the operations of its Rights, and no others ({_DELEGATED})"
    yield create_key()
    yield _delegated_login(_OP.GET_ATTRIBUTES).claiming(
        f"a server that lists Delegated Login returns a ticket ({_DELEGATED})"
    )
    yield _by_ticket(_state(), claim)
    destroy = simple(_OP.DESTROY).refused(Refused(whole=True))
    yield _by_ticket(destroy, claim)
    yield read(Tag.STATE, found=[(Tag.STATE, State.PRE_ACTIVE)]).claiming(claim)


def _delegated_one_request(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    yield _delegated_login(_OP.GET_ATTRIBUTES, request_count=1).needing(
        "a Request Count of tickets"
    )
    claim = f"a delegated ticket permits as many requests as its Request Count says ({_DELEGATED})"
    yield _by_ticket(_state(), claim)
    yield _by_ticket(_state().refused(Refused(whole=True)), claim)


# --- constraints and defaults ----------------------------------------------------------------------

_PERMITTED = "this to the account of the tester"
"""Permission Denied is in the tables of these operations: a server may keep them for administrators."""


def _groups(version: Version, name: str) -> limits.ObjectGroups:
    """A group that no other case has, so that nothing else changes."""
    return limits.ObjectGroups(object_groups=(f"KIT-{name}-{version}",))


def _create(groups: limits.ObjectGroups, bits: int | None = None) -> Step:
    length = [] if bits is None else [(Tag.CRYPTOGRAPHIC_LENGTH, bits)]
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        *length,
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
        (Tag.OBJECT_GROUP, groups.object_groups[0]),
    )
    return Step(
        _OP.CREATE,
        create.CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes),
        create.CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=uid(0)),
    )


_LONG = Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256))


def _set_constraints(*constraints: limits.Constraint) -> Step:
    return Step(
        _OP.SET_CONSTRAINTS,
        limits.SetConstraintsRequest(constraints=limits.Constraints(constraints=constraints)),
        limits.SetConstraintsResponse(),
    ).needing(_PERMITTED)


def _get_constraints(*constraints: limits.Constraint) -> Step:
    return Step(
        _OP.GET_CONSTRAINTS,
        limits.GetConstraintsRequest(),
        limits.GetConstraintsResponse(constraints=limits.Constraints(constraints=constraints)),
    )


def _constrained(version: Version) -> Iterator[Step]:
    groups = _groups(version, "CONSTRAINED")
    rule_of_group = limits.Constraint(object_groups=groups, attributes=_LONG)
    yield _set_constraints(rule_of_group)
    yield _get_constraints(rule_of_group).claiming(
        f"Get Constraints returns the constraints that were set ({_CONSTRAINTS})"
    )
    yield _create(groups, 128).refused(
        Refused(), f"the constraints are applied to new objects ({_CONSTRAINTS}, §11.46)"
    )
    yield _create(groups, 256).claiming(
        f"an object that meets the constraints is created ({_CONSTRAINTS})"
    )
    yield _set_constraints()
    yield _get_constraints().claiming(f"Set Constraints replaces all constraints ({_CONSTRAINTS})")


def _set_defaults(*defaults: limits.ObjectDefaults) -> Step:
    information = limits.DefaultsInformation(object_defaults=defaults) if defaults else None
    return Step(
        _OP.SET_DEFAULTS,
        limits.SetDefaultsRequest(defaults_information=information),
        limits.SetDefaultsResponse(),
    ).needing(_PERMITTED)


def _defaults(version: Version) -> Iterator[Step]:
    groups = _groups(version, "DEFAULTS")
    claim = f"the defaults are for what the client does not supply ({_DEFAULTS})"
    yield _set_defaults(_defaults_of(groups, _LONG))
    yield _create(groups).claiming(claim)
    yield read(Tag.CRYPTOGRAPHIC_LENGTH, found=[(Tag.CRYPTOGRAPHIC_LENGTH, 256)]).claiming(claim)
    yield _set_defaults()


def _defaults_of(groups: limits.ObjectGroups, attributes: Attributes) -> limits.ObjectDefaults:
    types = limits.ObjectTypes(object_types=(ObjectType.SYMMETRIC_KEY,))
    return limits.ObjectDefaults(object_types=types, object_groups=groups, attributes=attributes)


def _defaults_of_server(version: Version) -> Iterator[Step]:
    state = Attributes.of((Tag.STATE, State.COMPROMISED))
    how = Refused(new=tuple(dict.fromkeys((*_IN_TABLES.new, *READ_ONLY.new))), or_success=True)
    yield _set_defaults(_defaults_of(_groups(version, "READ-ONLY"), state)).refused(
        how, f"a refused Set Defaults has the most appropriate Result Reason (§6.1, {_DEFAULTS}.1)"
    )
    yield _set_defaults()


# --- other operations ------------------------------------------------------------------------------


def _role(version: Version) -> Iterator[Step]:
    del version
    yield Step(
        _OP.SET_ENDPOINT_ROLE,
        session.SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT),
        session.SetEndpointRoleResponse(endpoint_role=EndpointRole.CLIENT),
    ).claiming("Set Endpoint Role returns the role that the server applies (KMIP 2.1 §6.1.54)")


def _interop(version: Version) -> Iterator[Step]:
    del version
    for function in (InteropFunction.BEGIN, InteropFunction.END):
        yield Step(
            _OP.INTEROP,
            session.InteropRequest(interop_function=function, interop_identifier="KIT-INTEROP"),
            session.InteropResponse(),
        ).claiming("Interop tells where a case begins and ends (KMIP 2.1 §6.1.26)")


def _outstanding(version: Version) -> Iterator[Step]:
    del version
    yield Step(
        _OP.QUERY_ASYNCHRONOUS_REQUESTS,
        QueryAsynchronousRequestsRequest(),
        QueryAsynchronousRequestsResponse(),
    ).claiming("Query Asynchronous Requests succeeds, whatever is outstanding (KMIP 2.1 §6.1.41)")


def _seed(version: Version) -> Iterator[Step]:
    del version
    yield Step(
        _OP.RNG_SEED,
        crypto.RNGSeedRequest(data=b"kmipkit conformance"),
        crypto.RNGSeedResponse(data_length=0),
    ).claiming(
        "a seed is taken or ignored; both are a success with a Data Length (KMIP 1.4 §4.36, KMIP 2.1"
        " §6.1.50)"
    )


_NEW = (V2_1,)
_ROWS: tuple[tuple[Any, ...], ...] = (
    ("LOGIN", f"Login, a request with its ticket, and Logout ({_LOGIN}, §6.1.31).", _tickets, _NEW),
    ("LOGIN-COUNT", f"A ticket for one request ({_LOGIN}).", _one_request, _NEW),
    ("LOGIN-PAST", f"A ticket that has ended already ({_LOGIN}).", partial(_in_the_past, _login(lease_time=_PAST), _LOGIN), _NEW),
    ("DELEGATED-LOGIN", f"A ticket for some operations ({_DELEGATED}).", _delegated, _NEW),
    ("DELEGATED-LOGIN-COUNT", f"A delegated ticket for one request ({_DELEGATED}).", _delegated_one_request, _NEW),
    ("DELEGATED-LOGIN-PAST", f"A delegated ticket that has ended already ({_DELEGATED}).", partial(_in_the_past, _delegated_login(_OP.GET_ATTRIBUTES, lease_time=_PAST), _DELEGATED), _NEW),
    ("CONSTRAINTS", f"Set and Get Constraints ({_CONSTRAINTS}).", _constrained, _NEW),
    ("DEFAULTS", f"Set Defaults ({_DEFAULTS}).", _defaults, _NEW),
    ("DEFAULTS-READ-ONLY", f"A default for an attribute that the server sets ({_DEFAULTS}).", _defaults_of_server, _NEW),
    ("ENDPOINT-ROLE", "Set Endpoint Role (KMIP 2.1 §6.1.54).", _role, _NEW),
    ("INTEROP", "Interop (KMIP 2.1 §6.1.26).", _interop, _NEW),
    ("ASYNC-OUTSTANDING", "Query Asynchronous Requests (KMIP 2.1 §6.1.41).", _outstanding, _NEW),
    ("RNG-SEED", "RNG Seed (KMIP 1.4 §4.36, KMIP 2.1 §6.1.50).", _seed, BOTH),
)  # fmt: skip

CASES: tuple[Case, ...] = tuple(rule(*row) for row in _ROWS)
