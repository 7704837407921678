"""The requests of a mix: well-formed in every version and encoding, as often as the weights say."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from kmipkit_client.settings import LIMITS
from kmipkit_load import mixes
from kmipkit_load.encoding import ENCODINGS, Encoding
from kmipkit_load.mixes import Line, Mix
from kmipkit_load.operations import OPERATIONS, Prepared
from kmipkit_load.source import STAGES, Request, Source

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import RequestMessage, ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.create import CreateResponse
from kmipkit.spec.enums import ObjectType, Operation, ResultReason, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, VERSIONS, Version
from kmipkit.ttlv.media import JSON, MEDIA, TTLV, XML

TARGET = Prepared("id-1", "name-1", "public-1", b"data", b"iv" * 8, b"proof")
SECOND = Prepared("id-2", "name-2", "public-2", b"data", b"iv" * 8, b"proof")


def source(mix: Mix, version: Version = V1_4, encoding: Encoding = Encoding()) -> Source:  # noqa: B008
    stock = {line: [TARGET, SECOND] for line in mix.lines}
    return Source(mix, stock, version, encoding, "run-0-", Random(1))


def decoded(request: Request, media: str) -> RequestMessage:
    message, _ = decode_request(MEDIA[media].to_ttlv(request.body, LIMITS), limits=LIMITS)
    return message


def response(
    reason: ResultReason | None = None,
    *,
    identified: bool = True,
    operation: Operation | None = Operation.CREATE,
) -> bytes:
    item = ResponseBatchItem(
        operation=operation,
        result_status=ResultStatus.SUCCESS if reason is None else ResultStatus.OPERATION_FAILED,
        result_reason=reason,
        response_payload=None
        if reason is not None or not identified or operation is not Operation.CREATE
        else CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier="made-1"),
    )
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(V1_4),
        time_stamp=datetime(2026, 11, 29, tzinfo=UTC),
        batch_count=1,
    )
    return encode(ResponseMessage(response_header=header, batch_items=(item,)), V1_4)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_request_in_every_version_that_has_it(
    name: str, version: Version
) -> None:
    if version < OPERATIONS[name].since:
        return
    mix = mixes.find(name)
    # CBC, which is used before 1.4, has no tag.
    sealed = TARGET if version >= V1_4 or name != "decrypt" else replace(TARGET, proof=None)
    requests = Source(mix, {mix.lines[0]: [sealed]}, version, Encoding(), "run-0-", Random(1))
    [item] = decoded(next(requests), ENCODINGS["ttlv"]).batch_items
    operation = "create" if name == "life-cycle" else name
    assert item.operation is Operation[operation.upper().replace("-", "_")]


@pytest.mark.parametrize("media", ENCODINGS.values())
@pytest.mark.parametrize("name", ["create", "register", "create-key-pair", "life-cycle"])
def test_new_objects_have_names_of_their_own(name: str, media: str) -> None:
    """Requests are made from one pattern; each must be what the encoder would have made of it."""
    requests = source(mixes.find(name), V2_1, Encoding(media))
    made = [next(requests) for _ in range(3)]
    assert [request.creates for request in made] == [f"run-0-{n:010d}" for n in range(3)]
    for request in made:
        payload = decoded(request, media).batch_items[0].request_payload
        attributes = getattr(payload, "attributes", None) or payload.private_key_attributes  # type: ignore[union-attr]
        assert attributes.get(Tag.NAME).name_value == request.creates


def test_requests_are_as_frequent_as_their_weights() -> None:
    lines = tuple(
        Line(OPERATIONS[name], weight) for name, weight in (("get", 6), ("locate", 3), ("query", 1))
    )
    requests = source(Mix("test", lines))
    counts = Counter(next(requests).label for _ in range(10_000))
    assert counts["get"] == pytest.approx(6000, rel=0.05)
    assert counts["locate"] == pytest.approx(3000, rel=0.05)
    assert counts["query"] == pytest.approx(1000, rel=0.15)


def test_all_prepared_objects_are_used() -> None:
    requests = source(mixes.find("get"))
    bodies = Counter(next(requests).body for _ in range(100))
    assert sorted(bodies.values()) == [50, 50]


def test_a_life_cycle_goes_from_create_to_destroy() -> None:
    requests = source(mixes.find("life-cycle"))
    seen = []
    for stage, _ in STAGES:
        request = next(requests)
        seen.append(request.label)
        if stage == "revoke":
            assert requests.objects.made == {"made-1": True}, "it must be revoked before Destroy"
        assert requests.answered(request, response(operation=request.operation)) is None
    assert seen == [f"life-cycle: {stage}" for stage, _ in STAGES]
    assert len(requests.objects) == 0
    assert next(requests).creates == "run-0-0000000001"


def test_an_object_whose_life_is_cut_off_is_not_forgotten() -> None:
    requests = source(mixes.find("life-cycle"))
    requests.answered(next(requests), response())
    failure = requests.answered(next(requests), response(ResultReason.PERMISSION_DENIED))
    assert failure is not None
    assert failure.reason == "Permission Denied"
    assert requests.objects.made == {"made-1": False}
    assert next(requests).creates, "a new life begins"


def test_an_activation_without_response_may_have_taken_effect() -> None:
    """A server does not destroy active objects: the key would be left there."""
    requests = source(mixes.find("life-cycle"))
    requests.answered(next(requests), response())
    requests.unanswered(next(requests), may_have_arrived=True)
    assert requests.objects.made == {"made-1": True}


def test_a_creation_without_identifier_is_a_failure() -> None:
    """Later requests would go to an object without identifier, and the key would be left."""
    requests = source(mixes.find("create"))
    failure = requests.answered(next(requests), response(identified=False))
    assert failure == ("malformed response", "the response has no Unique Identifier")
    assert requests.objects.made == {}
    assert requests.objects.uncertain == ["run-0-0000000000"]


def test_a_creation_without_response_is_uncertain() -> None:
    requests = source(mixes.find("create"))
    requests.unanswered(next(requests), may_have_arrived=False)
    assert requests.objects.uncertain == []  # nobody needs to look for it
    requests.unanswered(next(requests), may_have_arrived=True)
    requests.answered(next(requests), response(ResultReason.PERMISSION_DENIED))
    assert requests.objects.uncertain == ["run-0-0000000001"]
    assert requests.objects.made == {}


def test_a_creation_whose_response_is_malformed_may_have_taken_effect() -> None:
    requests = source(mixes.find("create"))
    failure = requests.answered(next(requests), response()[:8] + bytes(100))
    assert failure is not None
    assert failure.reason == "malformed response"
    assert requests.objects.uncertain == ["run-0-0000000000"]


@pytest.mark.parametrize("media", [TTLV, XML, JSON])
def test_the_response_to_another_operation_is_no_success(media: str) -> None:
    """A server that answers out of order, or with what it has ready, would look fast."""
    encoding = Encoding(media)
    body = encoding.body(response())
    assert encoding.failure(body, Operation.CREATE) is None
    assert encoding.failure(body) is None
    assert encoding.failure(body, Operation.GET) == (
        "malformed response", "it is the response to Create",
    )  # fmt: skip
