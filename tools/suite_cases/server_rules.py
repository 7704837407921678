"""Cases of what a server says of itself, of errors that belong to no other group, and of sessions."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.attributes import ApplicationSpecificInformation, Name
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import lifecycle, query, session
from kmipkit.model.payloads.asynchronous import CancelRequest, CancelResponse, PollRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    NameType,
    ObjectType,
    Operation,
    QueryFunction,
    ResultStatus,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version
from suite_cases.building import (
    BOTH,
    READ_ONLY,
    UNKNOWN_OBJECT,
    Batch,
    R,
    Refused,
    add,
    create_key,
    delete,
    modify,
    read,
    revoke,
    rule,
)
from suite_cases.object_rules import fetch
from suite_cases.objects import OBJECTS, register
from suite_cases.steps import CORRELATION_VALUE, NOW, Case, Step, uid

_OP = Operation
_QUERY = "KMIP 1.4 §4.25, KMIP 2.1 §6.1.40"
_Function = QueryFunction


_ANSWERS: tuple[tuple[QueryFunction, str, dict[str, Any]], ...] = (
    (_Function.QUERY_OPERATIONS, "its operations", {"operations": (_OP.QUERY,)}),
    (_Function.QUERY_OBJECTS, "its object types", {"object_types": (ObjectType.SYMMETRIC_KEY,)}),
    (
        _Function.QUERY_SERVER_INFORMATION,
        "its Vendor Identification",
        {"vendor_identification": "any"},
    ),
    (_Function.QUERY_APPLICATION_NAMESPACES, "its namespaces, if any", {}),
    (_Function.QUERY_EXTENSION_LIST, "its extensions, if any", {}),
    (_Function.QUERY_EXTENSION_MAP, "its extensions with their tags, if any", {}),
    (_Function.QUERY_ATTESTATION_TYPES, "its Attestation Types, if any", {}),
    (_Function.QUERY_VALIDATIONS, "its validations, if any", {}),
    (_Function.QUERY_PROFILES, "its profiles, if any", {}),
    (_Function.QUERY_CAPABILITIES, "its capabilities, if any", {}),
    (_Function.QUERY_CLIENT_REGISTRATION_METHODS, "its Client Registration Methods, if any", {}),
    (_Function.QUERY_DEFAULTS_INFORMATION, "its defaults, if any", {}),
    (_Function.QUERY_STORAGE_PROTECTION_MASKS, "its Protection Storage Masks", {}),
)


def _queried(
    functions: tuple[QueryFunction, ...], told: dict[str, Any], claim: str, version: Version
) -> Iterator[Step]:
    del version
    yield Step(
        _OP.QUERY,
        query.QueryRequest(query_functions=functions),
        query.QueryResponse(**told),
    ).claiming(claim)


def _queries() -> Iterator[Case]:
    for function, what, told in _ANSWERS:
        versions = [version for version in BOTH if function.known_in(version)]
        name = function.name.removeprefix("QUERY_").replace("_", "-")
        claim = f"Query tells {what} ({_QUERY})"
        yield rule(
            f"QUERY-{name}", f"{claim}.", partial(_queried, (function,), told, claim), versions
        )
    both = (_Function.QUERY_OPERATIONS, _Function.QUERY_OBJECTS, _Function.QUERY_SERVER_INFORMATION)
    told = {**_ANSWERS[0][2], **_ANSWERS[1][2], **_ANSWERS[2][2]}
    claim = f"Query answers each function of the request ({_QUERY})"
    yield rule("QUERY-SEVERAL", f"{claim}.", partial(_queried, both, told, claim))


# --- errors ----------------------------------------------------------------------------------------


def _name(version: Version, text: str) -> Name:
    return Name(name_value=f"KIT-{text}-{version}", name_type=NameType.UNINTERPRETED_TEXT_STRING)


_TAKEN = Refused(
    (R.INVALID_FIELD,), (R.NON_UNIQUE_NAME_ATTRIBUTE, R.INVALID_FIELD, R.INVALID_ATTRIBUTE_VALUE)
)
_TAKEN_LATER = Refused((R.ILLEGAL_OPERATION,), _TAKEN.new)
_NAMES = "KMIP 1.4 §3.2, KMIP 2.1 §4.32"


def _name_twice(operation: str, version: Version) -> Iterator[Step]:
    name = _name(version, f"NAME-{operation}")
    yield create_key(0, (Tag.NAME, name))
    claim = f"a Name belongs to one object only ({_NAMES}; KMIP 1.4 §11.2, §11.4, §11.15, §11.16)"
    if operation == "CREATE":
        yield create_key(1, (Tag.NAME, name)).refused(_TAKEN, claim)
    elif operation == "REGISTER":
        yield register(ObjectType.SYMMETRIC_KEY, 1, (Tag.NAME, name)).refused(_TAKEN, claim)
    elif operation == "ADD":
        yield create_key(1)
        yield add(Tag.NAME, name, 1).refused(_TAKEN_LATER, claim)
    else:
        yield create_key(1, (Tag.NAME, _name(version, f"NAME-{operation}-OTHER")))
        yield modify(Tag.NAME, name, 1).refused(_TAKEN_LATER, claim)


def _absent(operation: Operation, version: Version) -> Iterator[Step]:
    absent = "KIT-no-such-object"
    value = Attribute(Tag.NAME, _name(version, "ABSENT"))  # every server has names
    request: Any = {
        _OP.ADD_ATTRIBUTE: payloads.AddAttributeRequest(unique_identifier=absent, attribute=value),
        _OP.MODIFY_ATTRIBUTE: payloads.ModifyAttributeRequest(
            unique_identifier=absent, attribute=value
        ),
        _OP.DELETE_ATTRIBUTE: delete(value.key, value.value, version).request,
        _OP.SET_ATTRIBUTE: payloads.SetAttributeRequest(unique_identifier=absent, attribute=value)
        if version >= V2_0
        else None,
        _OP.REVOKE: revoke().request,
    }[operation]
    request = request.replace(unique_identifier=absent)
    yield Step(operation, request, UNKNOWN_OBJECT).claiming(
        "the object must exist (KMIP 1.4 §11.15 to §11.17, §11.21; KMIP 2.1 §6.1)"
    )


_NO_SUCH = Refused(
    (R.ITEM_NOT_FOUND,),
    (R.ATTRIBUTE_NOT_FOUND, R.ATTRIBUTE_INSTANCE_NOT_FOUND, R.ITEM_NOT_FOUND, R.INVALID_ATTRIBUTE),
)


def _delete_absent(version: Version) -> Iterator[Step]:
    yield create_key()
    yield delete(Tag.NAME, _name(version, "ABSENT"), version).refused(
        _NO_SUCH,
        "an attribute that is not there cannot be deleted (KMIP 1.4 §4.16, §11.17; KMIP 2.1 §6.1.13)",
    )


def _modify_absent(version: Version) -> Iterator[Step]:
    yield create_key()
    how = Refused(
        (R.INVALID_FIELD,),
        (R.ATTRIBUTE_NOT_FOUND, R.INVALID_FIELD, R.INVALID_ATTRIBUTE, R.ITEM_NOT_FOUND),
    )
    claim = "an attribute that is not there is added, not modified (KMIP 1.4 §4.15, §11.16; KMIP 2.1 §6.1.34)"
    yield modify(Tag.NAME, _name(version, "ABSENT")).refused(how, claim)
    yield read(Tag.NAME, found=[]).claiming(claim)


def _groups() -> tuple[tuple[Tag, str], ...]:
    return (Tag.OBJECT_GROUP, "KIT-a"), (Tag.OBJECT_GROUP, "KIT-b")


def _modify_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield modify(Tag.OBJECT_GROUP, "KIT-c", index=1)
    yield read(
        Tag.OBJECT_GROUP, found=[(Tag.OBJECT_GROUP, "KIT-a"), (Tag.OBJECT_GROUP, "KIT-c")]
    ).claiming("only the instance with the index is modified (KMIP 1.4 §4.15)")


def _modify_no_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield modify(Tag.OBJECT_GROUP, "KIT-c")
    yield read(
        Tag.OBJECT_GROUP, found=[(Tag.OBJECT_GROUP, "KIT-c"), (Tag.OBJECT_GROUP, "KIT-b")]
    ).claiming("without an index, Modify Attribute means the instance 0 (KMIP 1.4 §4.15, §2.1.1)")


def _modify_wrong_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield modify(Tag.OBJECT_GROUP, "KIT-c", index=7).refused(
        Refused((R.ITEM_NOT_FOUND,)),
        "an index without an instance is an error (KMIP 1.4 §4.15, §11.16)",
    )


def _add_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    request = payloads.AddAttributeRequest(
        unique_identifier=uid(0), attribute=Attribute(Tag.OBJECT_GROUP, "KIT-a", 0)
    )
    yield Step(_OP.ADD_ATTRIBUTE, request, Refused((R.INVALID_FIELD,))).claiming(
        "Add Attribute has no Attribute Index (KMIP 1.4 §4.14, §11.15)"
    )


def _delete_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield Step(
        _OP.DELETE_ATTRIBUTE,
        payloads.DeleteAttributeRequest(unique_identifier=uid(0), attribute_name=Tag.OBJECT_GROUP),
        payloads.DeleteAttributeResponse(
            unique_identifier=uid(0), attribute=Attribute(Tag.OBJECT_GROUP, "KIT-a")
        ),
    ).claiming("without an index, Delete Attribute means the instance 0 (KMIP 1.4 §4.16)")
    left = payloads.GetAttributesResponse(
        unique_identifier=uid(0), attributes=Attributes((Attribute(Tag.OBJECT_GROUP, "KIT-b", 1),))
    )
    yield replace(read(Tag.OBJECT_GROUP), response=left).claiming(
        "the index of an instance does not change when another one is deleted (KMIP 1.4 §2.1.1, §4.16)"
    )


def _delete_wrong_index(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    request = payloads.DeleteAttributeRequest(
        unique_identifier=uid(0), attribute_name=Tag.OBJECT_GROUP, attribute_index=7
    )
    yield Step(_OP.DELETE_ATTRIBUTE, request, Refused((R.ITEM_NOT_FOUND,))).claiming(
        "an index without an instance is an error (KMIP 1.4 §4.16, §11.17)"
    )


def _modify_ambiguous(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    how = Refused(
        new=(
            R.MULTI_VALUED_ATTRIBUTE,
            R.ATTRIBUTE_INSTANCE_NOT_FOUND,
            R.INVALID_FIELD,
            R.INVALID_ATTRIBUTE,
            R.INVALID_MESSAGE,
            R.MISSING_DATA,
        )
    )
    yield modify(Tag.OBJECT_GROUP, "KIT-c").refused(
        how, "without Current Attribute, several instances are an error (KMIP 2.1 §6.1.34)"
    )


def _modify_single(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, _groups()[0])
    yield modify(Tag.OBJECT_GROUP, "KIT-c")
    yield read(Tag.OBJECT_GROUP, found=[(Tag.OBJECT_GROUP, "KIT-c")]).claiming(
        "without Current Attribute, the single instance is modified (KMIP 2.1 §6.1.34)"
    )


def _modify_current(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield Step(
        _OP.MODIFY_ATTRIBUTE,
        payloads.ModifyAttributeRequest(
            unique_identifier=uid(0),
            current_attribute=Attribute(Tag.OBJECT_GROUP, "KIT-b"),
            attribute=Attribute(Tag.OBJECT_GROUP, "KIT-c"),
        ),
        payloads.ModifyAttributeResponse(unique_identifier=uid(0)),
    )
    yield read(
        Tag.OBJECT_GROUP, found=[(Tag.OBJECT_GROUP, "KIT-a"), (Tag.OBJECT_GROUP, "KIT-c")]
    ).claiming("only the instance of Current Attribute is modified (KMIP 2.1 §6.1.34)")


def _delete_all(version: Version) -> Iterator[Step]:
    del version
    yield create_key(0, *_groups())
    yield Step(
        _OP.DELETE_ATTRIBUTE,
        payloads.DeleteAttributeRequest(
            unique_identifier=uid(0), attribute_reference=Tag.OBJECT_GROUP
        ),
        payloads.DeleteAttributeResponse(unique_identifier=uid(0)),
    )
    yield read(Tag.OBJECT_GROUP, found=[]).claiming(
        "a reference without Current Attribute deletes all instances (KMIP 2.1 §6.1.13)"
    )


def _custom_y(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    how = Refused((R.PERMISSION_DENIED, R.INVALID_FIELD), (*READ_ONLY.new, R.INVALID_FIELD))
    yield add(custom("y-KIT"), "a").refused(
        how, "a client creates no attribute whose name begins with y- (KMIP 1.4 §3.39)"
    )


def _custom_x(version: Version) -> Iterator[Step]:
    key = custom("x-KIT")
    yield create_key(0, (key, "a"))
    claim = (
        "attributes of clients can be added, changed and deleted (KMIP 1.4 §3.39, KMIP 2.1 §4.60)"
    )
    yield read(key, found=[(key, "a")]).claiming(claim)
    del version


def _namespace(version: Version) -> Iterator[Step]:
    del version
    value = ApplicationSpecificInformation(application_namespace="KIT-unknown-namespace")
    yield create_key(0, (Tag.APPLICATION_SPECIFIC_INFORMATION, value)).refused(
        Refused(
            # Invalid Field: a server need not have the attribute at all.
            (R.APPLICATION_NAMESPACE_NOT_SUPPORTED, R.INVALID_FIELD),
            (R.APPLICATION_NAMESPACE_NOT_SUPPORTED, R.INVALID_ATTRIBUTE_VALUE, R.INVALID_FIELD),
        ),
        "without Application Data, an unknown namespace is an error (KMIP 1.4 §3.36, §11.2; KMIP 2.1 §4.4)",
    )


def _state_set(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    claim = "the State is not changed by Modify Attribute (KMIP 1.4 §3.22, KMIP 2.1 §4.57)"
    yield modify(Tag.STATE, State.ACTIVE).refused(READ_ONLY, claim)
    yield read(Tag.STATE, found=[(Tag.STATE, State.PRE_ACTIVE)]).claiming(claim)


def _fresh(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield read(Tag.FRESH, found=[(Tag.FRESH, True)]).claiming(
        "a new object is fresh (KMIP 1.4 §3.34, KMIP 2.1 §4.24)"
    )


def _not_fresh(version: Version) -> Iterator[Step]:
    del version
    yield register(ObjectType.SYMMETRIC_KEY)
    yield fetch(ObjectType.SYMMETRIC_KEY, OBJECTS[ObjectType.SYMMETRIC_KEY][0])
    yield read(Tag.FRESH, found=[(Tag.FRESH, False)]).claiming(
        "an object that was served is not fresh any more (KMIP 1.4 §3.34, KMIP 2.1 §4.24)"
    )


def _created_date(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield read(Tag.ORIGINAL_CREATION_DATE, found=[(Tag.ORIGINAL_CREATION_DATE, NOW)]).claiming(
        "an object that the server generates has its Original Creation Date (KMIP 1.4 §3.43, KMIP 2.1 §4.38)"
    )


# --- asynchronous requests -------------------------------------------------------------------------

_ASYNC = "KMIP 1.4 §6.7, §6.8; KMIP 2.1 §9.1, §9.2"
_ASYNCHRONOUS = "asynchronous requests (KMIP 1.4 §6.7)"


def _pending(operation: Operation = _OP.ACTIVATE) -> Batch:
    request = lifecycle.ActivateRequest(unique_identifier=uid(0))
    step = Step(operation, request, ResultStatus.OPERATION_PENDING, asynchronous=True)
    return Batch(
        (step,),
        f"an asynchronous request is pending ({_ASYNC})",
        with_ids=False,
        optional=_ASYNCHRONOUS,
    )


def _poll(response: Any) -> Step:
    return Step(
        _OP.POLL,
        PollRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        response,
        response_operation=_OP.ACTIVATE,
    )


def _polled(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    yield _pending()
    yield _poll(lifecycle.ActivateResponse(unique_identifier=uid(0))).claiming(
        "Poll returns what the operation would have returned (KMIP 1.4 §4.28, KMIP 2.1 §6.1.38)"
    )
    yield read(Tag.STATE, found=[(Tag.STATE, State.ACTIVE)]).claiming(
        "the asynchronous operation is carried out (KMIP 1.4 §4.28, KMIP 2.1 §6.1.38)"
    )


def _canceled(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    yield _pending()
    yield Step(
        _OP.CANCEL,
        CancelRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        CancelResponse(
            asynchronous_correlation_value=CORRELATION_VALUE,
            cancellation_result=CancellationResult.CANCELED,
        ),
    ).claiming("Cancel responds with a Cancellation Result (KMIP 1.4 §4.27, KMIP 2.1 §6.1.5)")


def _poll_unknown(version: Version) -> Iterator[Step]:
    del version
    how = Refused(
        (R.ITEM_NOT_FOUND,),
        (R.INVALID_ASYNCHRONOUS_CORRELATION_VALUE, R.ITEM_NOT_FOUND, R.INVALID_FIELD),
    )
    request = PollRequest(asynchronous_correlation_value=b"KIT-unknown")
    yield Step(_OP.POLL, request, how).claiming(
        "Poll of an unknown request is refused (KMIP 1.4 §11.29, KMIP 2.1 §6.1.38)"
    )


def _mandatory(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    steps = tuple(
        Step(
            _OP.GET_ATTRIBUTES,
            payloads.GetAttributesRequest(
                unique_identifier=uid(0), attribute_references=(Tag.STATE,)
            ),
            ResultStatus.OPERATION_PENDING,
        )
        for _ in range(2)
    )
    yield Batch(
        steps,
        "with Mandatory, all items of a batch are asynchronous (KMIP 2.1 §11.3)",
        {"asynchronous_indicator": AsynchronousIndicator.MANDATORY},
        optional=_ASYNCHRONOUS,
    )


# --- Ping, Log -------------------------------------------------------------------------------------


def _ping(version: Version) -> Iterator[Step]:
    del version
    yield Step(_OP.PING, session.PingRequest(), session.PingResponse()).claiming(
        "Ping succeeds (KMIP 2.1 §6.1.36)"
    )


def _log(version: Version) -> Iterator[Step]:
    del version
    yield Step(_OP.LOG, session.LogRequest(log_message="KIT"), session.LogResponse()).claiming(
        "Log succeeds (KMIP 2.1 §6.1.29)"
    )


_OLD, _NEW = (V1_4,), (V2_1,)
_ROWS: tuple[tuple[Any, ...], ...] = (
    *(
        (f"NAME-TWICE-{name}", f"The same Name for a second object ({_NAMES}).", partial(_name_twice, name))
        for name in ("CREATE", "REGISTER", "ADD", "MODIFY")
    ),
    *(
        (
            f"ABSENT-{operation.name.replace('_', '-')}",
            "An object that does not exist (KMIP 1.4 §11, KMIP 2.1 §6.1).",
            partial(_absent, operation),
        )
        for operation in (_OP.ADD_ATTRIBUTE, _OP.MODIFY_ATTRIBUTE, _OP.DELETE_ATTRIBUTE, _OP.REVOKE)
    ),
    ("ABSENT-SET-ATTRIBUTE", "An object that does not exist (KMIP 2.1 §6.1.51).", partial(_absent, _OP.SET_ATTRIBUTE), _NEW),
    ("DELETE-ABSENT", "Delete Attribute of an attribute that is not there (KMIP 1.4 §4.16, KMIP 2.1 §6.1.13).", _delete_absent),
    ("MODIFY-ABSENT", "Modify Attribute of an attribute that is not there (KMIP 1.4 §4.15, KMIP 2.1 §6.1.34).", _modify_absent),
    ("INDEX-MODIFY", "Modify Attribute with an index (KMIP 1.4 §4.15).", _modify_index, _OLD),
    ("INDEX-MODIFY-NONE", "Modify Attribute without an index (KMIP 1.4 §4.15).", _modify_no_index, _OLD),
    ("INDEX-MODIFY-WRONG", "Modify Attribute with an index without an instance (KMIP 1.4 §4.15).", _modify_wrong_index, _OLD),
    ("INDEX-ADD", "Add Attribute with an index (KMIP 1.4 §4.14).", _add_index, _OLD),
    ("INDEX-DELETE", "Delete Attribute without an index (KMIP 1.4 §4.16).", _delete_index, _OLD),
    ("INDEX-DELETE-WRONG", "Delete Attribute with an index without an instance (KMIP 1.4 §4.16).", _delete_wrong_index, _OLD),
    ("MODIFY-AMBIGUOUS", "Modify Attribute of one of several instances (KMIP 2.1 §6.1.34).", _modify_ambiguous, _NEW),
    ("MODIFY-SINGLE", "Modify Attribute of the single instance (KMIP 2.1 §6.1.34).", _modify_single, _NEW),
    ("MODIFY-CURRENT", "Modify Attribute with Current Attribute (KMIP 2.1 §6.1.34).", _modify_current, _NEW),
    ("DELETE-ALL", "Delete Attribute by a reference (KMIP 2.1 §6.1.13).", _delete_all, _NEW),
    ("VENDOR-Y", "An attribute y- of a client (KMIP 1.4 §3.39).", _custom_y, _OLD),
    ("VENDOR-X", "An attribute of a client (KMIP 1.4 §3.39, KMIP 2.1 §4.60).", _custom_x),
    ("NAMESPACE-UNKNOWN", "An unknown Application Namespace (KMIP 1.4 §3.36, KMIP 2.1 §4.4).", _namespace),
    ("STATE-MODIFY", "Modify Attribute of the State (KMIP 1.4 §3.22, KMIP 2.1 §4.57).", _state_set),
    ("FRESH-NEW", "A new object is fresh (KMIP 1.4 §3.34, KMIP 2.1 §4.24).", _fresh),
    ("FRESH-SERVED", "An object that was served (KMIP 1.4 §3.34, KMIP 2.1 §4.24).", _not_fresh),
    ("CREATION-DATE", "The Original Creation Date (KMIP 1.4 §3.43, KMIP 2.1 §4.38).", _created_date),
    ("ASYNC-POLL", "Poll (KMIP 1.4 §4.28, KMIP 2.1 §6.1.38).", _polled),
    ("ASYNC-CANCEL", "Cancel (KMIP 1.4 §4.27, KMIP 2.1 §6.1.5).", _canceled),
    ("ASYNC-POLL-UNKNOWN", "Poll of nothing (KMIP 1.4 §11.29, KMIP 2.1 §6.1.38).", _poll_unknown),
    ("ASYNC-MANDATORY", "An asynchronous batch (KMIP 2.1 §11.3).", _mandatory, _NEW),
    ("PING", "Ping (KMIP 2.1 §6.1.36).", _ping, _NEW),
    ("LOG", "Log (KMIP 2.1 §6.1.29).", _log, _NEW),
)  # fmt: skip

CASES = (*_queries(), *(rule(*row) for row in _ROWS))
