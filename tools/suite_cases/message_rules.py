"""Cases of messages: batches, the ID Placeholder, headers and extensions (KMIP 1.4 §4, §6; 2.1 §6.1, §9)."""

from collections.abc import Iterator

from kmipkit.model.attribute import Attributes
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import lifecycle, query
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BatchErrorContinuationOption,
    Operation,
    QueryFunction,
    ResultStatus,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit.ttlv.tree import Item
from suite_cases.building import (
    ANY,
    UNKNOWN_OBJECT,
    WHOLE_MESSAGE,
    Batch,
    Edit,
    R,
    Refused,
    create_key,
    read,
    replaced,
    rule,
    simple,
)
from suite_cases.steps import NOW, Case, Step, uid

_OP = Operation
_Option = BatchErrorContinuationOption
_ABSENT = "KIT-no-such-object"
_BATCH = "KMIP 1.4 §6.13, KMIP 2.1 §9.6"
_PLACEHOLDER = "KMIP 1.4 §4, KMIP 2.1 §6.1"


def _failing() -> Step:
    """An operation that fails everywhere."""
    return Step(_OP.ACTIVATE, lifecycle.ActivateRequest(unique_identifier=_ABSENT), UNKNOWN_OBJECT)


def looked(state: State, claim: str) -> Step:
    return read(Tag.STATE, found=[(Tag.STATE, state)]).claiming(claim)


def _batch_stop(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = f"without an option, a batch stops at the first failure ({_BATCH})"
    yield Batch((_failing(), simple(_OP.ACTIVATE)), claim, answered=1)
    yield looked(State.PRE_ACTIVE, f"what follows the failure is not carried out ({_BATCH})")


def _batch_stop_keeps(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = f"with Stop, what was done before the failure stays ({_BATCH})"
    header = {"batch_error_continuation_option": _Option.STOP}
    yield Batch((simple(_OP.ACTIVATE), _failing()), claim, header)
    yield looked(State.ACTIVE, claim)


def _batch_continue(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = f"with Continue, the operations after a failure are carried out ({_BATCH})"
    header = {"batch_error_continuation_option": _Option.CONTINUE}
    steps = (_failing(), simple(_OP.ACTIVATE))
    yield Batch(steps, claim, header, optional="Continue in batches (KMIP 1.4 §6.13)")
    yield looked(State.ACTIVE, claim)


def _batch_undo(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = f"with Undo, a failure undoes the operations before it ({_BATCH})"
    header = {"batch_error_continuation_option": _Option.UNDO}
    undone = Step(
        _OP.ACTIVATE,
        lifecycle.ActivateRequest(unique_identifier=uid(0)),
        ResultStatus.OPERATION_UNDONE,
    )
    yield Batch((undone, _failing()), claim, header, optional="Undo in batches (KMIP 1.4 §6.13)")
    yield looked(State.PRE_ACTIVE, claim)


def _batch_undo_success(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    header = {"batch_error_continuation_option": _Option.UNDO}
    claim = f"with Undo, a batch without a failure is carried out ({_BATCH})"
    steps = (simple(_OP.ACTIVATE), _get_state(State.ACTIVE))
    yield Batch(steps, claim, header, optional="Undo in batches (KMIP 1.4 §6.13)")


def _get_state(state: State, number: int | None = 0, answered: int = 0) -> Step:
    """Read the state of an object, or of that of the ID Placeholder."""
    return Step(
        _OP.GET_ATTRIBUTES,
        payloads.GetAttributesRequest(
            unique_identifier=None if number is None else uid(number),
            attribute_references=(Tag.STATE,),
        ),
        payloads.GetAttributesResponse(
            unique_identifier=uid(answered if number is None else number),
            attributes=Attributes.of((Tag.STATE, state)),
        ),
    )


def _batch_order(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = "with the Batch Order Option, operations are carried out in their order (KMIP 1.4 §6.12, KMIP 2.1 §9.8)"
    yield Batch(
        (create_key(), simple(_OP.ACTIVATE, None), _get_state(State.ACTIVE, None)),
        claim,
        {"batch_order_option": True},
        optional="the Batch Order Option (KMIP 1.4 §6.12)",
    )


def _batch_ids(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = (
        "each result has the Unique Batch Item ID of its request (KMIP 1.4 §6.4, KMIP 2.1 §9.21)"
    )
    yield Batch((_get_state(State.PRE_ACTIVE), _get_state(State.PRE_ACTIVE)), claim)


def _single_id(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = "the result has the Unique Batch Item ID of its request (KMIP 1.4 §6.4, KMIP 2.1 §9.21)"
    yield Batch((_get_state(State.PRE_ACTIVE),), claim)


def _wrong_count(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = "a Batch Count that is not the number of items is an error (KMIP 1.4 §6.14, §11.1; KMIP 2.1 §9.5)"
    yield Batch(
        (simple(_OP.ACTIVATE).refused(ANY),),
        claim,
        with_ids=False,
        accept=WHOLE_MESSAGE,
        edit=replaced(Tag.BATCH_COUNT, 2),
    )
    yield looked(State.PRE_ACTIVE, claim)


# --- headers ---------------------------------------------------------------------------------------


def _header(name: str, about: str, optional: str = "", **header: object) -> Case:
    """A request with something in its header that changes nothing."""

    def steps(version: Version) -> Iterator[Step | Batch]:
        fields = {
            key: value(version) if callable(value) else value for key, value in header.items()
        }
        yield create_key()
        yield Batch(
            (_get_state(State.PRE_ACTIVE),), about, fields, with_ids=False, optional=optional
        )

    return rule(f"HEADER-{name}", f"{about}.", steps)


def _prohibited(version: Version) -> object:
    return False if version < V2_0 else AsynchronousIndicator.PROHIBITED


def _major(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = "a message of an unknown major version is refused as a whole (KMIP 1.4 §6.1, §11.1; KMIP 2.1 §9.16)"
    how = Refused((R.INVALID_MESSAGE, R.UNSUPPORTED_PROTOCOL_VERSION))
    yield Batch(
        (_query().refused(how),),
        claim,
        with_ids=False,
        accept=WHOLE_MESSAGE,
        edit=replaced(Tag.PROTOCOL_VERSION_MAJOR, 9),
    )


def _query(*functions: QueryFunction) -> Step:
    return Step(
        _OP.QUERY,
        query.QueryRequest(query_functions=functions or (QueryFunction.QUERY_OPERATIONS,)),
        query.QueryResponse(operations=(_OP.QUERY,)),
    )


def _too_large(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = "a response that exceeds the Maximum Response Size is not sent (KMIP 1.4 §6.3, §11.1; KMIP 2.1 §9.12)"
    functions = (QueryFunction.QUERY_OPERATIONS, QueryFunction.QUERY_OBJECTS)
    yield Batch(
        (_query(*functions).refused(Refused((R.RESPONSE_TOO_LARGE,))),),
        claim,
        {"maximum_response_size": 256},
        with_ids=False,
        accept=WHOLE_MESSAGE,
    )


def _extension(*, is_critical: bool) -> Edit:
    """Append a Message Extension of a vendor that nobody knows to each batch item."""
    inner = (
        Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "KIT-unknown-vendor"),
        Item(Tag.CRITICALITY_INDICATOR, ItemType.BOOLEAN, is_critical),
        Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, ()),
    )
    extension = Item(Tag.MESSAGE_EXTENSION, ItemType.STRUCTURE, inner)

    def edit(item: Item) -> Item:
        if not isinstance(item.value, tuple):
            return item
        more = (extension,) if item.tag == Tag.BATCH_ITEM else ()
        return Item(item.tag, item.type, (*map(edit, item.value), *more))

    return edit


def _critical(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    how = Refused(
        (R.FEATURE_NOT_SUPPORTED,), (R.UNKNOWN_MESSAGE_EXTENSION, R.FEATURE_NOT_SUPPORTED)
    )
    claim = "a message with a critical extension that the server does not understand is refused (KMIP 1.4 §6.16, §11.1; KMIP 2.1 §9.13)"
    yield Batch(
        (simple(_OP.ACTIVATE).refused(how),),
        claim,
        with_ids=False,
        accept=WHOLE_MESSAGE,
        edit=_extension(is_critical=True),
    )
    yield looked(State.PRE_ACTIVE, claim)


def _not_critical(version: Version) -> Iterator[Step | Batch]:
    del version
    yield create_key()
    claim = "an extension that is not critical is ignored (KMIP 1.4 §6.16, KMIP 2.1 §9.13)"
    yield Batch(
        (_get_state(State.PRE_ACTIVE),), claim, with_ids=False, edit=_extension(is_critical=False)
    )


def _unknown_header_field(version: Version) -> Iterator[Step | Batch]:
    del version
    how = Refused(
        (R.INVALID_FIELD, R.INVALID_MESSAGE),
        (R.INVALID_FIELD, R.INVALID_MESSAGE, R.UNKNOWN_TAG, R.CODEC_ERROR),
    )
    unknown = Item(0x42FF01, ItemType.INTEGER, 1)

    def edit(item: Item) -> Item:
        if not isinstance(item.value, tuple):
            return item
        more = (unknown,) if item.tag == Tag.REQUEST_HEADER else ()
        return Item(item.tag, item.type, (*map(edit, item.value), *more))

    yield Batch(
        (_query().refused(how),),
        "a field in the header that the version does not have is refused (KMIP 1.4 §11.1, KMIP 2.1 §8.2)",
        with_ids=False,
        accept=WHOLE_MESSAGE,
        edit=edit,
    )


# --- Discover Versions -----------------------------------------------------------------------------

_DISCOVER = "KMIP 1.4 §4.26, KMIP 2.1 §6.1.16"


def _versions(*versions: Version | tuple[int, int]) -> tuple[ProtocolVersion, ...]:
    return tuple(
        ProtocolVersion(protocol_version_major=major, protocol_version_minor=minor)
        for major, minor in versions
    )


def _discover(
    claim: str, asked: tuple[ProtocolVersion, ...], told: tuple[ProtocolVersion, ...]
) -> Step:
    return Step(
        _OP.DISCOVER_VERSIONS,
        query.DiscoverVersionsRequest(protocol_versions=asked),
        query.DiscoverVersionsResponse(protocol_versions=told),
    ).claiming(f"{claim} ({_DISCOVER})")


def _discover_common(version: Version) -> Iterator[Step]:
    yield _discover(
        "only versions that both sides support are returned",
        _versions((9, 9), version),
        _versions(version),
    )


def _discover_none(version: Version) -> Iterator[Step]:
    del version
    yield _discover("no version in common is an empty list", _versions((9, 9), (8, 0)), ())


def _discover_all(version: Version) -> Iterator[Step]:
    yield _discover("without a list, the server returns its versions", (), _versions(version))


_CASES = (
    ("BATCH-STOP", f"A batch stops at the first failure ({_BATCH}).", _batch_stop),
    ("BATCH-STOP-KEEPS", f"A batch that stops keeps what it has done ({_BATCH}).", _batch_stop_keeps),
    ("BATCH-CONTINUE", f"A batch continues after a failure ({_BATCH}).", _batch_continue),
    ("BATCH-UNDO", f"A batch with a failure is undone ({_BATCH}).", _batch_undo),
    ("BATCH-UNDO-SUCCESS", f"A batch with Undo and no failure ({_BATCH}).", _batch_undo_success),
    ("BATCH-ORDER", "A batch in order (KMIP 1.4 §6.12, KMIP 2.1 §9.8).", _batch_order),
    ("BATCH-IDS", "Unique Batch Item IDs (KMIP 1.4 §6.4, KMIP 2.1 §9.21).", _batch_ids),
    ("BATCH-ID", "One Unique Batch Item ID (KMIP 1.4 §6.4, KMIP 2.1 §9.21).", _single_id),
    ("BATCH-COUNT", "A wrong Batch Count (KMIP 1.4 §6.14, KMIP 2.1 §9.5).", _wrong_count),
    ("HEADER-MAJOR-VERSION", "A message of an unknown major version (KMIP 1.4 §6.1, §11.1; KMIP 2.1 §9.16).", _major),
    ("HEADER-RESPONSE-TOO-LARGE", "A Maximum Response Size that is exceeded (KMIP 1.4 §6.3, KMIP 2.1 §9.12).", _too_large),
    ("HEADER-UNKNOWN-FIELD", "A header with a field that the version does not have (KMIP 1.4 §11.1, KMIP 2.1 §8.2).", _unknown_header_field),
    ("EXTENSION-CRITICAL", "A critical Message Extension of an unknown vendor (KMIP 1.4 §6.16, KMIP 2.1 §9.13).", _critical),
    ("EXTENSION-IGNORED", "A Message Extension that is not critical (KMIP 1.4 §6.16, KMIP 2.1 §9.13).", _not_critical),
    ("DISCOVER-COMMON", f"Discover Versions with a list ({_DISCOVER}).", _discover_common),
    ("DISCOVER-NONE", f"Discover Versions with unknown versions only ({_DISCOVER}).", _discover_none),
    ("DISCOVER-ALL", f"Discover Versions without a list ({_DISCOVER}).", _discover_all),
)  # fmt: skip

CASES = (
    *(rule(*row) for row in _CASES),
    _header(
        "SYNCHRONOUS",
        "a client that wants no asynchronous response gets none (KMIP 1.4 §6.7, KMIP 2.1 §9.2)",
        asynchronous_indicator=_prohibited,
    ),
    _header(
        "TIME-STAMP",
        "a Time Stamp in a request is permitted (KMIP 1.4 §6.5, KMIP 2.1 §8.2)",
        time_stamp=NOW,
    ),
    _header(
        "CLIENT-CORRELATION",
        "a Client Correlation Value is permitted (KMIP 1.4 §6.18, KMIP 2.1 §9.7)",
        client_correlation_value="KIT",
    ),
    _header(
        "ATTESTATION",
        "an Attestation Capable Indicator is permitted (KMIP 1.4 §6.17, KMIP 2.1 §9.3)",
        attestation_capable_indicator=False,
    ),
    _header(
        "RESPONSE-SIZE",
        "a Maximum Response Size that is large enough changes nothing (KMIP 1.4 §6.3, KMIP 2.1 §9.12)",
        maximum_response_size=10000,
    ),
)
