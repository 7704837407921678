"""A correct request of each operation, and the fields that it must have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.credentials import Ticket
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import crypto, get, lifecycle, query, session
from kmipkit.model.payloads.asynchronous import (
    CancelRequest,
    PollRequest,
    ProcessRequest,
    QueryAsynchronousRequestsRequest,
)
from kmipkit.model.payloads.certify import ValidateRequest
from kmipkit.model.payloads.create import CreateSplitKeyRequest, JoinSplitKeyRequest
from kmipkit.model.payloads.limits import (
    GetConstraintsRequest,
    Right,
    Rights,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.model.payloads.register import ExportRequest, ImportRequest
from kmipkit.model.payloads.rekey import DerivationParameters, DeriveKeyRequest, ReKeyRequest
from kmipkit.spec.enums import (
    AdjustmentType,
    CryptographicAlgorithm,
    DerivationMethod,
    EndpointRole,
    HashingAlgorithm,
    InteropFunction,
    ObjectType,
    Operation,
    QueryFunction,
    SplitKeyMethod,
    TicketType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from suite_cases.building import (
    UNREADABLE,
    add,
    create_key,
    delete,
    modify,
    revoke,
    simple,
)
from suite_cases.objects import OBJECTS, register
from suite_cases.state_rules import decrypt, encrypt, mac
from suite_cases.steps import Step, uid

_OP = Operation


@dataclass(frozen=True)
class Sample:
    """A correct request of an operation: what comes before, the request, and what it must have."""

    request: Callable[[Version], Step]
    before: Callable[[], tuple[Step, ...]] = lambda: (create_key(),)
    required: tuple[tuple[Tag, ...], ...] = ()
    """Paths of required fields below the payload."""
    old: tuple[tuple[Tag, ...], ...] = ()
    """Those of 1.x only."""
    new: tuple[tuple[Tag, ...], ...] = ()
    """Those of 2.x only."""


def _plain(step: Step) -> Callable[[Version], Step]:
    return lambda version: step


def _raw(operation: Operation, request: object) -> Callable[[Version], Step]:
    return _plain(Step(operation, request, UNREADABLE))  # type: ignore[arg-type]  # a structure


def _import(version: Version) -> ImportRequest:
    is_new = version >= V2_0
    return ImportRequest(
        unique_identifier="KIT-import-fields",
        object_type=ObjectType.SYMMETRIC_KEY if is_new else None,
        object=OBJECTS[ObjectType.SYMMETRIC_KEY][0],
        attributes=Attributes.of(
            *([] if is_new else [(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY)]),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
        ),
    )


_TICKET = Ticket(ticket_type=TicketType.LOGIN, ticket_value=b"KIT-unknown")
_PARAMETERS = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)

SAMPLES: Mapping[Operation, Sample] = {
    _OP.CREATE: Sample(
        _plain(create_key()),
        tuple,
        required=((Tag.OBJECT_TYPE,),),
        old=((Tag.TEMPLATE_ATTRIBUTE,),),
        new=((Tag.ATTRIBUTES,),),
    ),
    _OP.REGISTER: Sample(
        _plain(register(ObjectType.SYMMETRIC_KEY)),
        tuple,
        required=(
            (Tag.OBJECT_TYPE,),
            (Tag.SYMMETRIC_KEY,),
            (Tag.SYMMETRIC_KEY, Tag.KEY_BLOCK),
            (Tag.SYMMETRIC_KEY, Tag.KEY_BLOCK, Tag.KEY_FORMAT_TYPE),
        ),
    ),
    _OP.ADD_ATTRIBUTE: Sample(
        _plain(add(Tag.OBJECT_GROUP, "KIT-group")),
        old=((Tag.ATTRIBUTE,), (Tag.ATTRIBUTE, Tag.ATTRIBUTE_NAME)),
        new=((Tag.NEW_ATTRIBUTE,),),
    ),
    _OP.MODIFY_ATTRIBUTE: Sample(
        _plain(modify(Tag.OBJECT_GROUP, "KIT-group")),
        old=((Tag.ATTRIBUTE,), (Tag.ATTRIBUTE, Tag.ATTRIBUTE_NAME)),
        new=((Tag.NEW_ATTRIBUTE,),),
    ),
    _OP.DELETE_ATTRIBUTE: Sample(
        lambda version: delete(Tag.OBJECT_GROUP, "KIT-group", version),
        lambda: (create_key(0, (Tag.OBJECT_GROUP, "KIT-group")),),
        old=((Tag.ATTRIBUTE_NAME,),),
    ),
    _OP.SET_ATTRIBUTE: Sample(
        _raw(
            _OP.SET_ATTRIBUTE,
            payloads.SetAttributeRequest(
                unique_identifier=uid(0), attribute=Attribute(Tag.OBJECT_GROUP, "KIT-group")
            ),
        ),
        required=((Tag.NEW_ATTRIBUTE,),),
    ),
    _OP.ADJUST_ATTRIBUTE: Sample(
        _raw(
            _OP.ADJUST_ATTRIBUTE,
            payloads.AdjustAttributeRequest(
                unique_identifier=uid(0),
                attribute_reference=Tag.PROTECTION_PERIOD,
                adjustment_type=AdjustmentType.NEGATE,
            ),
        ),
        required=((Tag.ATTRIBUTE_REFERENCE,), (Tag.ADJUSTMENT_TYPE,)),
    ),
    _OP.REVOKE: Sample(
        _plain(revoke()),
        lambda: (create_key(), simple(_OP.ACTIVATE)),
        required=(
            (Tag.REVOCATION_REASON,),
            (Tag.REVOCATION_REASON, Tag.REVOCATION_REASON_CODE),
        ),
    ),
    _OP.GET_USAGE_ALLOCATION: Sample(
        _raw(
            _OP.GET_USAGE_ALLOCATION,
            lifecycle.GetUsageAllocationRequest(unique_identifier=uid(0), usage_limits_count=1),
        ),
        required=((Tag.USAGE_LIMITS_COUNT,),),
    ),
    _OP.DERIVE_KEY: Sample(
        _raw(
            _OP.DERIVE_KEY,
            DeriveKeyRequest(
                object_type=ObjectType.SYMMETRIC_KEY,
                unique_identifiers=(uid(0),),
                derivation_method=DerivationMethod.HASH,
                derivation_parameters=DerivationParameters(
                    cryptographic_parameters=_PARAMETERS, derivation_data=(b"data",)
                ),
                attributes=Attributes.of(
                    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                    (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                ),
            ),
        ),
        lambda: (create_key(mask=CryptographicUsageMask.DERIVE_KEY), simple(_OP.ACTIVATE)),
        required=(
            (Tag.OBJECT_TYPE,),
            (Tag.UNIQUE_IDENTIFIER,),
            (Tag.DERIVATION_METHOD,),
            (Tag.DERIVATION_PARAMETERS,),
        ),
        old=((Tag.TEMPLATE_ATTRIBUTE,),),
        new=((Tag.ATTRIBUTES,),),
    ),
    _OP.QUERY: Sample(
        _raw(_OP.QUERY, query.QueryRequest(query_functions=(QueryFunction.QUERY_OPERATIONS,))),
        tuple,
        required=((Tag.QUERY_FUNCTION,),),
    ),
    _OP.POLL: Sample(
        _raw(_OP.POLL, PollRequest(asynchronous_correlation_value=b"KIT")),
        tuple,
        required=((Tag.ASYNCHRONOUS_CORRELATION_VALUE,),),
    ),
    _OP.CANCEL: Sample(
        _raw(_OP.CANCEL, CancelRequest(asynchronous_correlation_value=b"KIT")),
        tuple,
        required=((Tag.ASYNCHRONOUS_CORRELATION_VALUE,),),
    ),
    _OP.HASH: Sample(
        _raw(_OP.HASH, crypto.HashRequest(cryptographic_parameters=_PARAMETERS, data=b"data")),
        tuple,
        required=((Tag.CRYPTOGRAPHIC_PARAMETERS,), (Tag.DATA,)),
    ),
    _OP.RNG_RETRIEVE: Sample(
        _raw(_OP.RNG_RETRIEVE, crypto.RNGRetrieveRequest(data_length=16)),
        tuple,
        required=((Tag.DATA_LENGTH,),),
    ),
    _OP.RNG_SEED: Sample(
        _raw(_OP.RNG_SEED, crypto.RNGSeedRequest(data=b"seed")), tuple, required=((Tag.DATA,),)
    ),
    _OP.CREATE_SPLIT_KEY: Sample(
        _raw(
            _OP.CREATE_SPLIT_KEY,
            CreateSplitKeyRequest(
                object_type=ObjectType.SPLIT_KEY,
                split_key_parts=3,
                split_key_threshold=2,
                split_key_method=SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8,
                attributes=Attributes.of(
                    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
                    (Tag.CRYPTOGRAPHIC_LENGTH, 128),
                ),
            ),
        ),
        tuple,
        required=(
            (Tag.OBJECT_TYPE,),
            (Tag.SPLIT_KEY_PARTS,),
            (Tag.SPLIT_KEY_THRESHOLD,),
            (Tag.SPLIT_KEY_METHOD,),
        ),
    ),
    _OP.JOIN_SPLIT_KEY: Sample(
        _raw(
            _OP.JOIN_SPLIT_KEY,
            JoinSplitKeyRequest(
                object_type=ObjectType.SYMMETRIC_KEY, unique_identifiers=(uid(0), uid(0))
            ),
        ),
        required=((Tag.OBJECT_TYPE,), (Tag.UNIQUE_IDENTIFIER,)),
    ),
    _OP.IMPORT: Sample(
        lambda version: Step(_OP.IMPORT, _import(version), UNREADABLE),
        tuple,
        required=((Tag.UNIQUE_IDENTIFIER,), (Tag.SYMMETRIC_KEY,)),
    ),
    _OP.INTEROP: Sample(
        _raw(
            _OP.INTEROP,
            session.InteropRequest(
                interop_function=InteropFunction.BEGIN, interop_identifier="KIT"
            ),
        ),
        tuple,
        required=((Tag.INTEROP_FUNCTION,),),
    ),
    _OP.LOG: Sample(
        _raw(_OP.LOG, session.LogRequest(log_message="KIT")), tuple, required=((Tag.LOG_MESSAGE,),)
    ),
    _OP.LOGIN: Sample(_raw(_OP.LOGIN, session.LoginRequest()), tuple),
    _OP.LOGOUT: Sample(
        _raw(_OP.LOGOUT, session.LogoutRequest(ticket=_TICKET)),
        tuple,
        required=((Tag.TICKET,), (Tag.TICKET, Tag.TICKET_TYPE), (Tag.TICKET, Tag.TICKET_VALUE)),
    ),
    _OP.DELEGATED_LOGIN: Sample(
        _raw(_OP.DELEGATED_LOGIN, session.DelegatedLoginRequest(rights=Rights(rights=(Right(),)))),
        tuple,
        required=((Tag.RIGHTS,),),
    ),
    _OP.SET_ENDPOINT_ROLE: Sample(
        _raw(
            _OP.SET_ENDPOINT_ROLE,
            session.SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT),
        ),
        tuple,
        required=((Tag.ENDPOINT_ROLE,),),
    ),
    _OP.PROCESS: Sample(
        _raw(_OP.PROCESS, ProcessRequest(asynchronous_correlation_value=b"KIT")),
        tuple,
        required=((Tag.ASYNCHRONOUS_CORRELATION_VALUE,),),
    ),
    _OP.QUERY_ASYNCHRONOUS_REQUESTS: Sample(
        _raw(_OP.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest()), tuple
    ),
    _OP.GET_CONSTRAINTS: Sample(_raw(_OP.GET_CONSTRAINTS, GetConstraintsRequest()), tuple),
    _OP.SET_CONSTRAINTS: Sample(_raw(_OP.SET_CONSTRAINTS, SetConstraintsRequest()), tuple),
    _OP.SET_DEFAULTS: Sample(_raw(_OP.SET_DEFAULTS, SetDefaultsRequest()), tuple),
    _OP.PING: Sample(_raw(_OP.PING, session.PingRequest()), tuple),
    _OP.VALIDATE: Sample(_raw(_OP.VALIDATE, ValidateRequest(unique_identifiers=(uid(0),)))),
    _OP.EXPORT: Sample(_raw(_OP.EXPORT, ExportRequest(unique_identifier=uid(0)))),
    _OP.RE_KEY: Sample(_raw(_OP.RE_KEY, ReKeyRequest(unique_identifier=uid(0)))),
    _OP.GET: Sample(_raw(_OP.GET, get.GetRequest(unique_identifier=uid(0)))),
    _OP.GET_ATTRIBUTES: Sample(
        _raw(_OP.GET_ATTRIBUTES, payloads.GetAttributesRequest(unique_identifier=uid(0)))
    ),
    _OP.GET_ATTRIBUTE_LIST: Sample(
        _raw(_OP.GET_ATTRIBUTE_LIST, payloads.GetAttributeListRequest(unique_identifier=uid(0)))
    ),
    _OP.ACTIVATE: Sample(_plain(simple(_OP.ACTIVATE))),
    _OP.DESTROY: Sample(_plain(simple(_OP.DESTROY))),
    _OP.ARCHIVE: Sample(_plain(simple(_OP.ARCHIVE))),
    _OP.OBTAIN_LEASE: Sample(
        _raw(_OP.OBTAIN_LEASE, lifecycle.ObtainLeaseRequest(unique_identifier=uid(0)))
    ),
    _OP.CHECK: Sample(_raw(_OP.CHECK, lifecycle.CheckRequest(unique_identifier=uid(0)))),
    _OP.DISCOVER_VERSIONS: Sample(
        _raw(_OP.DISCOVER_VERSIONS, query.DiscoverVersionsRequest()), tuple
    ),
    _OP.ENCRYPT: Sample(_plain(encrypt()), lambda: (create_key(), simple(_OP.ACTIVATE))),
    _OP.DECRYPT: Sample(_plain(decrypt()), lambda: (create_key(), simple(_OP.ACTIVATE))),
    _OP.MAC: Sample(_plain(mac()), lambda: (create_key(), simple(_OP.ACTIVATE))),
}
"""A correct request of each operation, apart from what makes it wrong here."""
