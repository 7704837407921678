"""Nothing outside the transaction changes in a run that is thrown away.

A batch may be undone, its commit may fail, or it may be run again because it turned out to write.
What an operation changes in memory is then as if it had not been; each row below is one that does.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from kmipkit_client import OperationFailed, calls, crypto_calls, messages
from kmipkit_client.calls import Call
from kmipkit_server.engine.unfinished import KINDS
from kmipkit_server.store.base import REVISION
from kmipkit_server.store.errors import StoreError
from laboratory import Laboratory, reasons

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.messages import RequestMessage, ResponseBatchItem
from kmipkit.model.payloads.asynchronous import CancelRequest, PollRequest, ProcessRequest
from kmipkit.model.payloads.attributes import GetAttributesRequest
from kmipkit.model.payloads.certify import CertifyRequest
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.get import GetRequest, GetResponse
from kmipkit.model.payloads.lifecycle import ActivateRequest, CheckRequest
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    SetConstraintsRequest,
)
from kmipkit.model.payloads.locate import LocateRequest, LocateResponse
from kmipkit.model.payloads.query import DiscoverVersionsRequest
from kmipkit.model.payloads.session import (
    LoginRequest,
    LogoutRequest,
    LogRequest,
)
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BatchErrorContinuationOption,
    CryptographicAlgorithm,
    HashingAlgorithm,
    ObjectGroupMember,
    ObjectType,
    Operation,
    RecommendedCurve,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, VERSIONS, Version
from kmipkit.ttlv.tree import Item

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CREATE = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None)
ALL = calls.locate(None, None, None, None, None, None)
MISSING = calls.get("no such object", None, None, None)
CONTINUE, UNDO = BatchErrorContinuationOption.CONTINUE, BatchErrorContinuationOption.UNDO
ADMINISTRATOR = "administrator"


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data", delay=1)
    yield laboratory
    laboratory.close()


def create(length: int = 128) -> Call[Any]:
    return calls.create(CryptographicAlgorithm.AES, length, BOTH, None, None)


def pair(names: tuple[str | None, str | None]) -> Call[Any]:
    usage = (CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
    curve = RecommendedCurve.P_256
    return crypto_calls.create_key_pair(
        CryptographicAlgorithm.ECDSA, None, curve, usage, names, None
    )


def login(laboratory: Laboratory) -> Any:
    return laboratory.ask(calls.raw(Operation.LOGIN, LoginRequest()), identity=ADMINISTRATOR).ticket


def deferred(laboratory: Laboratory) -> bytes:
    """The correlation value of a Create that is carried out later."""
    made = messages.request(V2_1, [CREATE])
    request = RequestMessage(
        request_header=made.request_header.replace(
            asynchronous_indicator=AsynchronousIndicator.MANDATORY
        ),
        batch_items=made.batch_items,
    )
    [item] = laboratory.send(request, identity=ADMINISTRATOR).batch_items
    assert item.asynchronous_correlation_value
    return item.asynchronous_correlation_value


def finished(laboratory: Laboratory) -> bytes:
    """The correlation value of a Create that was carried out, and whose result waits."""
    value = deferred(laboratory)
    laboratory.pass_time(seconds=2)
    discover = calls.raw(Operation.DISCOVER_VERSIONS, DiscoverVersionsRequest())
    laboratory.ask(discover, identity=ADMINISTRATOR)
    return value


def poll(value: bytes) -> Call[Any]:
    return calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))


def hashing(**fields: Any) -> Call[Any]:
    parameters = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    return calls.raw(Operation.HASH, HashRequest(cryptographic_parameters=parameters, **fields))


ONLY_256 = Constraints(
    constraints=(
        Constraint(
            object_types=None,
            object_groups=None,
            attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256)),
        ),
    )
)


def answers(laboratory: Laboratory, *asked: Call[Any]) -> list[ResponseBatchItem]:
    """What the administrator is answered; a Poll is answered as the operation that it asks about."""
    return list(laboratory.send(messages.request(V2_1, asked), identity=ADMINISTRATOR).batch_items)


class Change(NamedTuple):
    """An operation that changes something beside the objects, and how one sees it."""

    operation: str
    prepare: Callable[[Laboratory], Any]
    call: Callable[[Any], Call[Any]]
    state: Callable[[Laboratory, Any], object]
    """What an observer sees; it must not be changed by looking."""


def tables(laboratory: Laboratory, _prepared: Any) -> object:
    """All tables of the server's state, in memory and in the store."""
    state = laboratory.state
    tables = (state.computations,)
    entries = (each for kind in KINDS for each in laboratory.entries(kind))
    revision = trio.run(laboratory.store.run, lambda reader: reader.setting(REVISION))
    return (*map(dict, tables), revision, [(each.kind, each.key, each.content) for each in entries])


NOTHING: Callable[[Laboratory], Any] = lambda laboratory: None  # noqa: E731 - a row's entry

CHANGES = (
    Change("Login", NOTHING, lambda _: calls.raw(Operation.LOGIN, LoginRequest()), tables),
    Change(
        "Logout",
        login,
        lambda ticket: calls.raw(Operation.LOGOUT, LogoutRequest(ticket=ticket)),
        tables,
    ),
    Change("Poll", finished, poll, tables),
    Change(
        "Cancel",
        deferred,
        lambda value: calls.raw(
            Operation.CANCEL, CancelRequest(asynchronous_correlation_value=value)
        ),
        tables,
    ),
    Change(
        "Process",
        finished,
        lambda value: calls.raw(
            Operation.PROCESS, ProcessRequest(asynchronous_correlation_value=value)
        ),
        tables,
    ),
    Change("Hash, first part", NOTHING, lambda _: hashing(data=b"a", init_indicator=True), tables),
    Change(
        "Set Constraints",
        NOTHING,
        lambda _: calls.raw(Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=ONLY_256)),
        tables,
    ),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.operation)
@pytest.mark.parametrize("before", [(), (CREATE,)], ids=["reading", "writing"])
def test_undo_takes_back_what_lies_outside_the_transaction(
    laboratory: Laboratory, change: Change, before: tuple[Call[Any], ...]
) -> None:
    prepared = change.prepare(laboratory)
    state = change.state(laboratory, prepared)
    results = laboratory.batch(
        *before, change.call(prepared), MISSING, identity=ADMINISTRATOR, on_error=UNDO
    )
    assert reasons(results)[-1] == "OBJECT_NOT_FOUND"
    assert change.state(laboratory, prepared) == state


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.operation)
def test_a_commit_that_fails_changes_nothing(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    prepared = change.prepare(laboratory)
    state = change.state(laboratory, prepared)

    def fail(database: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as context:
        context.setattr(type(laboratory.database), "commit", fail)
        results = laboratory.batch(CREATE, change.call(prepared), identity=ADMINISTRATOR)
    assert reasons(results)[0] == "GENERAL_FAILURE"
    assert change.state(laboratory, prepared) == state


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.operation)
def test_a_change_that_is_committed_is_seen(laboratory: Laboratory, change: Change) -> None:
    """Or the two tests above would say nothing."""
    prepared = change.prepare(laboratory)
    state = change.state(laboratory, prepared)
    answers(laboratory, CREATE, change.call(prepared))
    assert change.state(laboratory, prepared) != state


def test_a_poll_beside_a_get_of_a_fresh_object_loses_nothing(laboratory: Laboratory) -> None:
    """The Get finds out that it must write, so the batch is run again."""
    value = finished(laboratory)
    fresh = laboratory.ask(CREATE, identity=ADMINISTRATOR)
    polled, got = answers(laboratory, poll(value), calls.get(fresh, None, None, None))
    assert (polled.operation, polled.result_status) == (Operation.CREATE, ResultStatus.SUCCESS)
    assert got.result_status is ResultStatus.SUCCESS
    [again] = answers(laboratory, poll(value))
    assert again.result_reason is ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE


def test_a_poll_beside_a_key_that_is_made_for_a_group_loses_neither(
    laboratory: Laboratory,
) -> None:
    """The Locate of a fresh member makes one, for which the batch is run again."""
    value = finished(laboratory)
    group = Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "default")
    fresh = LocateRequest(
        object_group_member=ObjectGroupMember.GROUP_MEMBER_FRESH,
        attributes=Attributes((Attribute(Tag.OBJECT_GROUP, group),)),
    )
    polled, located, got = answers(
        laboratory,
        poll(value),
        calls.raw(Operation.LOCATE, fresh),
        calls.raw(Operation.GET, GetRequest()),
    )
    assert polled.operation is Operation.CREATE
    assert isinstance(located.response_payload, LocateResponse)
    assert isinstance(got.response_payload, GetResponse)
    assert located.response_payload.unique_identifiers == (got.response_payload.unique_identifier,)
    assert laboratory.record(got.response_payload.unique_identifier) is not None
    assert len(laboratory.ask(ALL, identity=ADMINISTRATOR).ids) == 2, (
        "one created, one for the group"
    )


def test_a_line_for_the_log_is_written_once(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    fresh = laboratory.ask(CREATE)
    caplog.set_level(logging.INFO, "kmipkit.server")
    logged = calls.raw(Operation.LOG, LogRequest(log_message="backup begins"))
    laboratory.batch(logged, calls.get(fresh, None, None, None))
    assert [line for line in caplog.messages if "backup begins" in line] == [
        "me says: 'backup begins'"
    ]


def test_rules_that_are_undone_bind_nobody(laboratory: Laboratory) -> None:
    rule = calls.raw(Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=ONLY_256))
    results = laboratory.batch(rule, create(256), MISSING, identity=ADMINISTRATOR, on_error=UNDO)
    assert reasons(results)[-1] == "OBJECT_NOT_FOUND"
    assert laboratory.ask(create(128)), "nobody has put the rule into force"
    laboratory.ask(rule, identity=ADMINISTRATOR)
    with pytest.raises(OperationFailed, match="CONSTRAINT_VIOLATION"):
        laboratory.ask(create(128))


def test_rules_bind_the_rest_of_their_own_batch(laboratory: Laboratory) -> None:
    rule = calls.raw(Operation.SET_CONSTRAINTS, SetConstraintsRequest(constraints=ONLY_256))
    results = laboratory.batch(rule, create(128), identity=ADMINISTRATOR)
    assert reasons(results) == ["", "CONSTRAINT_VIOLATION"]


# --- the ID Placeholder (KMIP 1.4 §4) ----------------------------------------------------------------


def test_a_failed_item_does_not_set_the_placeholder(laboratory: Laboratory) -> None:
    """Only an operation that "successfully completes" does: what follows means the object before."""
    taken = laboratory.ask(calls.create(CryptographicAlgorithm.AES, 128, BOTH, "taken", None))
    good = calls.create(CryptographicAlgorithm.AES, 128, BOTH, "good", None)
    bad = calls.create(CryptographicAlgorithm.AES, 128, BOTH, "taken", None)
    first, second, activated = laboratory.batch(
        good, bad, calls.raw(Operation.ACTIVATE, ActivateRequest()), on_error=CONTINUE
    )
    assert isinstance(second, OperationFailed)
    assert activated.unique_identifier == first != taken


def test_an_operation_that_fails_after_it_has_made_something_leaves_no_trace(
    laboratory: Laboratory,
) -> None:
    """The first key of a pair exists when the name of the second one turns out to be taken."""
    laboratory.ask(calls.create(CryptographicAlgorithm.AES, 128, BOTH, "taken", None))
    first, failed, nth, placeholder = laboratory.batch(
        CREATE,
        pair((None, "taken")),
        calls.raw(Operation.GET_ATTRIBUTES, GetAttributesRequest(unique_identifier=-1)),
        calls.raw(Operation.GET_ATTRIBUTES, GetAttributesRequest()),
        on_error=CONTINUE,
    )
    assert isinstance(failed, OperationFailed)
    assert nth.unique_identifier == placeholder.unique_identifier == first
    assert len(laboratory.ask(ALL).ids) == 2


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_only_operations_that_the_standard_names_set_the_placeholder(
    laboratory: Laboratory, version: Version
) -> None:
    """A Get of another key in between does not change which key is activated."""
    other = laboratory.ask(CREATE)
    made, _, activated = laboratory.batch(
        CREATE,
        calls.get(other, None, None, None),
        calls.raw(Operation.ACTIVATE, ActivateRequest()),
        version=version,
    )
    assert activated.unique_identifier == made


def test_a_denied_check_empties_the_placeholder(laboratory: Laboratory) -> None:
    """KMIP 1.4 §4.10: so that the Get behind it does not give out what may not be used."""
    signs = CheckRequest(cryptographic_usage_mask=CryptographicUsageMask.SIGN)
    results = laboratory.batch(
        CREATE,
        calls.raw(Operation.CHECK, signs),
        calls.raw(Operation.GET, GetRequest()),
        on_error=CONTINUE,
    )
    assert reasons(results) == ["", "INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK", "OBJECT_NOT_FOUND"]


def test_the_first_certify_leaves_the_certificate_as_placeholder(laboratory: Laboratory) -> None:
    """And not the key of the certificate authority, which is made on the way."""
    made, certified, got = laboratory.batch(
        pair(("signs", "verifies")),
        calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=1)),
        calls.raw(Operation.GET, GetRequest()),
    )
    assert reasons([made, certified, got]) == [""] * 3, (made, certified, got)
    assert got.unique_identifier == certified.unique_identifier
    assert got.object_type is ObjectType.CERTIFICATE
