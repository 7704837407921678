"""The sans-I/O connection: the same events however the bytes arrive, and answers that belong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import calls, messages

from kmipkit.connection import (
    Connection,
    Framer,
    Response,
    Signal,
)
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ResponseHeader
from kmipkit.model.messages import MessageExtension, ResponseBatchItem, ResponseMessage
from kmipkit.spec.enums import ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item

REQUESTS = [
    messages.request(V1_0, [calls.query(())]),
    messages.request(V1_4, [calls.get_attributes("größe", ("State", "x-Größe"))]),
    messages.request(V2_1, [calls.activate("a"), calls.destroy("b")]),
]
STREAM = b"".join(
    encode(request, request.request_header.protocol_version.version) for request in REQUESTS
)


def failure(request: object, items: int = 1, identifier: bytes | None = None) -> ResponseMessage:
    version = request.request_header.protocol_version  # type: ignore[attr-defined]  # the test knows the class
    header = ResponseHeader(protocol_version=version, time_stamp=EPOCH, batch_count=items)
    item = ResponseBatchItem(
        unique_batch_item_id=identifier,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.GENERAL_FAILURE,
    )
    return ResponseMessage(response_header=header, batch_items=(item,) * items)


def cut(chunks: list[bytes]) -> list[object]:
    """The messages that a framer cuts from these bytes, then the signal at their end."""
    framer = Framer()
    events: list[object] = []
    for chunk in [*chunks, b""]:
        framer.feed(chunk)
        while isinstance(message := framer.next_message(), bytes):
            events.append(message)
    return [*events, message]


def test_one_byte_at_a_time_gives_the_same_messages_as_the_whole() -> None:
    whole = cut([STREAM])
    assert whole == cut([STREAM[i : i + 1] for i in range(len(STREAM))])
    assert [
        decode_request(message)[0] for message in whole if isinstance(message, bytes)
    ] == REQUESTS
    assert whole[-1] is Signal.CLOSED


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_chunks_give_the_same_messages(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(edges) if a < b]
    assert cut(chunks) == cut([STREAM])


def test_a_message_of_a_megabyte_in_single_bytes_is_taken_in_linear_time() -> None:
    framer = Framer(Limits(max_message=1 << 20))
    body = bytes(200_000)
    data = bytes.fromhex("42007801") + len(body).to_bytes(4, "big") + body
    for position in range(len(data)):
        framer.feed(data[position : position + 1])
    assert framer.next_message() == data


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (bytes.fromhex("4200780180000000"), Cause.TOO_LARGE),
        (b"GET / HTTP/1.1\r\n\r\n", Cause.NOT_KMIP),
    ],
)
def test_what_cannot_be_a_message_is_refused_from_its_first_bytes(
    data: bytes, cause: Cause
) -> None:
    framer = Framer()
    framer.feed(data)
    with pytest.raises(RemoteProtocolError) as refusal:
        framer.next_message()
    assert refusal.value.cause is cause


def test_a_close_inside_a_message_says_how_far_it_came() -> None:
    framer = Framer()
    framer.feed(STREAM[:30])
    framer.feed(b"")
    with pytest.raises(RemoteProtocolError, match="after 30 of"):
        framer.next_message()


def test_answers_come_in_the_order_of_the_questions() -> None:
    connection = Connection()
    for request in REQUESTS[:2]:
        connection.send_request(request)
    for request in REQUESTS[:2]:
        version = request.request_header.protocol_version.version
        connection.receive_data(encode(failure(request), version))
    first, second = connection.next_event(), connection.next_event()
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert [first.request, second.request] == REQUESTS[:2]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failure(REQUESTS[2], items=3), "the response has 3 batch items, the request 2"),
        (failure(REQUESTS[2], identifier=b"another"), "another Unique Batch Item ID"),
    ],
)
def test_an_answer_to_something_else_is_refused(answer: ResponseMessage, words: str) -> None:
    connection = Connection()
    connection.send_request(REQUESTS[2])
    connection.receive_data(encode(answer, V2_1))
    with pytest.raises(RemoteProtocolError, match=words):
        connection.next_event()


@pytest.mark.parametrize("is_critical", [True, False])
def test_an_extension_that_must_be_understood_rejects_the_message(is_critical: bool) -> None:
    """A client that goes on takes for a success what a vendor has made something else."""
    extension = MessageExtension(
        vendor_identification="vendor",
        criticality_indicator=is_critical,
        vendor_extension=Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, ()),
    )
    answer = failure(REQUESTS[0])
    [item] = answer.batch_items
    answer = answer.replace(batch_items=(item.replace(message_extensions=(extension,)),))
    connection = Connection()
    connection.send_request(REQUESTS[0])
    connection.receive_data(encode(answer, V1_0))
    if is_critical:
        with pytest.raises(RemoteProtocolError, match="a critical extension of 'vendor'"):
            connection.next_event()
    else:
        assert isinstance(connection.next_event(), Response)


def test_an_answer_without_a_question_is_refused() -> None:
    connection = Connection()
    connection.receive_data(encode(failure(REQUESTS[0]), V1_0))
    with pytest.raises(RemoteProtocolError, match="no request is open"):
        connection.next_event()


def test_a_close_instead_of_an_answer_is_told_apart_from_a_close_in_between() -> None:
    connection = Connection()
    connection.receive_data(b"")
    assert connection.next_event() is Signal.CLOSED
    connection = Connection()
    connection.send_request(REQUESTS[0])
    connection.receive_data(b"")
    with pytest.raises(RemoteProtocolError) as refusal:
        connection.next_event()
    assert refusal.value.cause is Cause.CLOSED
