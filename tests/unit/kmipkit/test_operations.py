"""The table of operations: its rows for the standard, and rows that vendors add."""

import subprocess
import sys
from typing import Annotated

import pytest
from kmipkit_client import calls, messages

from kmipkit.connection import Connection, Response
from kmipkit.errors import RemoteProtocolError
from kmipkit.model import operations
from kmipkit.model.codec import decode, encode, from_tree, to_tree
from kmipkit.model.envelope import decode_request
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.operations import OperationRow
from kmipkit.model.payloads.get import GetRequest, GetResponse
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.operation_spec import Side
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V1_4, V2_0, V2_1, V3_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

REWRAP = Operation(0x80005701)
LATER = Operation(0x80005702)
UNKNOWN = Operation(0x80005703)
KEY_SLOT = Tag(0x545701)
"""An item of the vendor's own."""


@structure()
class RewrapRequest(Structure):
    """Wraps all keys of a slot anew."""

    unique_identifier: Annotated[str, Wire(Tag.UNIQUE_IDENTIFIER)]
    key_slot: Annotated[int | None, Wire(KEY_SLOT, since=V2_0)] = None


@structure()
class RewrapResponse(Structure):
    """How many keys there were."""

    key_slot: Annotated[int, Wire(KEY_SLOT)]


ROW = OperationRow(
    operation=REWRAP,
    request_payload=RewrapRequest,
    response_payload=RewrapResponse,
    since=V1_2,
    may_be_repeated=True,
)
operations.register(ROW)


def request_of(operation: Operation, payload: Structure | Item, version: Version) -> RequestMessage:
    return RequestMessage(
        request_header=RequestHeader(
            protocol_version=ProtocolVersion.of(version),
            batch_count=1 if version < V3_0 else None,
        ),
        batch_items=(RequestBatchItem(operation=operation, request_payload=payload),),
    )


def payload_of(data: bytes, version: Version) -> Structure | Item:
    return decode(RequestMessage, data, version).batch_items[0].request_payload


def test_a_row_says_everything_about_an_operation() -> None:
    row = operations.row(Operation.GET)
    assert row is not None
    assert row.operation is Operation.GET
    assert row.request(V1_4) is GetRequest
    assert row.response(V2_1) is GetResponse
    assert row.sides is Side.FROM_CLIENT
    assert row.may_be_repeated


@pytest.mark.parametrize("operation", Operation, ids=lambda operation: operation.name)
def test_every_operation_of_the_standard_has_a_row(operation: Operation) -> None:
    row = operations.row(operation)
    assert row is not None
    for version in VERSIONS:
        assert row.known_in(version) == operation.known_in(version)


def test_operations_that_change_something_are_not_repeated() -> None:
    repeated = {
        operation
        for operation in Operation
        if (row := operations.row(operation)) is not None and row.may_be_repeated
    }
    assert Operation.LOCATE in repeated
    assert not repeated & {Operation.CREATE, Operation.DESTROY, Operation.ENCRYPT, Operation.POLL}


def test_sides_are_those_of_the_specification() -> None:
    sides = {
        operation: row.sides
        for operation in (Operation.NOTIFY, Operation.QUERY, Operation.LOCATE)
        if (row := operations.row(operation)) is not None
    }
    assert sides == {
        Operation.NOTIFY: Side.FROM_SERVER,
        Operation.QUERY: Side.FROM_CLIENT | Side.FROM_SERVER,
        Operation.LOCATE: Side.FROM_CLIENT,
    }


@pytest.mark.parametrize("code", [0, 0x50, UNKNOWN, 0xFFFFFFFF])
def test_a_code_that_nobody_registered_has_no_row(code: int) -> None:
    assert operations.row(code) is None
    assert operations.request_payload(Operation(code), V2_1) is None
    assert operations.response_payload(Operation(code), V2_1) is None


# --- vendors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V1_2, V1_4, V2_1, V3_0], ids=str)
def test_a_registered_payload_is_read_and_written_as_a_structure(version: Version) -> None:
    slot = 7 if version >= V2_0 else None
    message = request_of(REWRAP, RewrapRequest(unique_identifier="k", key_slot=slot), version)
    data = encode(message, version)
    assert decode(RequestMessage, data, version) == message
    assert binary.encode(to_tree(message, version)) == data
    assert from_tree(RequestMessage, binary.decode(data), version) == message


def test_a_bad_vendor_payload_is_refused_like_any_other() -> None:
    surplus = Item(KEY_SLOT, ItemType.TEXT_STRING, "seven")
    name = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "k")
    payload = Item(Tag.REQUEST_PAYLOAD, ItemType.STRUCTURE, (name, surplus))
    data = encode(request_of(REWRAP, payload, V2_1), V2_1)
    with pytest.raises(RemoteProtocolError, match="must be an Integer, not a Text String"):
        payload_of(data, V2_1)


def test_a_version_before_the_operation_leaves_the_payload_generic() -> None:
    name = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "k")
    payload = Item(Tag.REQUEST_PAYLOAD, ItemType.STRUCTURE, (name,))
    data = encode(request_of(REWRAP, payload, V1_1), V1_1)
    assert isinstance(payload_of(data, V1_1), Item)


def test_registration_holds_for_what_was_read_before() -> None:
    number = Item(KEY_SLOT, ItemType.INTEGER, 3)
    name = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "k")
    payload = Item(Tag.REQUEST_PAYLOAD, ItemType.STRUCTURE, (name, number))
    data = encode(request_of(LATER, payload, V2_1), V2_1)
    assert isinstance(payload_of(data, V2_1), Item)
    operations.register(
        OperationRow(
            operation=LATER, request_payload=RewrapRequest, response_payload=RewrapResponse
        )
    )
    assert payload_of(data, V2_1) == RewrapRequest(unique_identifier="k", key_slot=3)
    assert encode(decode(RequestMessage, data, V2_1), V2_1) == data


@pytest.mark.parametrize("code", [Operation.GET, Operation(0x50), Operation(0x90000000)])
def test_codes_of_the_standard_cannot_be_registered(code: Operation) -> None:
    before = operations.row(code)
    with pytest.raises(ValueError, match="belongs to the standard"):
        operations.register(
            OperationRow(operation=code, request_payload=RewrapRequest, response_payload=None)
        )
    assert operations.row(code) is before


def test_a_code_is_registered_once() -> None:
    operations.register(ROW)  # the same row again, as when a plug-in is loaded twice
    with pytest.raises(ValueError, match="0x80005701 is already registered"):
        operations.register(
            OperationRow(operation=REWRAP, request_payload=GetRequest, response_payload=None)
        )
    assert operations.row(REWRAP) == ROW


def test_a_vendor_row_may_name_its_classes_by_module() -> None:
    row = OperationRow(
        operation=Operation(0x80005704),
        request_payload="kmipkit.model.payloads.get:GetRequest",
        response_payload=None,
        sides=Side.FROM_CLIENT | Side.FROM_SERVER,
        until=V1_4,
    )
    assert (row.request(V1_4), row.response(V1_4), row.request(V2_0)) == (GetRequest, None, None)
    assert Side.FROM_SERVER in row.sides


def test_both_sides_of_a_connection_speak_a_registered_operation() -> None:
    client = Connection()
    call = calls.raw(REWRAP, RewrapRequest(unique_identifier="k", key_slot=1))
    request, version = decode_request(client.send_request(messages.request(V2_1, [call])))
    assert version == V2_1
    assert request.batch_items[0].request_payload == call.build(V2_1)

    answer = ResponseMessage(
        response_header=ResponseHeader(
            protocol_version=ProtocolVersion.of(V2_1), time_stamp=EPOCH, batch_count=1
        ),
        batch_items=(
            ResponseBatchItem(
                operation=REWRAP,
                result_status=ResultStatus.SUCCESS,
                response_payload=RewrapResponse(key_slot=12),
            ),
        ),
    )
    client.receive_data(encode(answer, V2_1))
    event = client.next_event()
    assert isinstance(event, Response)
    assert messages.results([call], event.message) == [RewrapResponse(key_slot=12)]
    assert messages.may_repeat([call])


def test_an_unregistered_operation_is_never_repeated() -> None:
    call = calls.raw(UNKNOWN, RewrapRequest(unique_identifier="k"))
    assert not messages.may_repeat([call])
    with pytest.raises(TypeError, match="0x80005703"):
        call.build(V2_1)


def test_payload_classes_are_imported_on_first_use() -> None:
    script = (
        "import sys; from kmipkit.model import messages, payloads;"
        "print(*(name for name in sys.modules if name.startswith(payloads.__name__ + '.')))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == ""
