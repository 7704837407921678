"""The requests of a real vCenter, byte for byte over TLS, and those built as it is described.

Captured with vCenter 7.0.3; the rest follows the description of the same conversation: KMIP 1.1, a
header of two fields, ids of "QLKC" and a little-endian counter.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from servers import RunningServer, exchange

from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage, ResponseMessage
from kmipkit.model.payloads.attributes import AddAttributeRequest, GetAttributesRequest
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ActivateRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    ResultStatus,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1

VERSIONS_ANSWERED = [(2, 1), (2, 0), (1, 4), (1, 3), (1, 2), (1, 1), (1, 0)]


def batch_id(counter: int) -> bytes:
    return b"QLKC" + counter.to_bytes(4, "little")


def request(*items: tuple[Operation, Any]) -> bytes:
    message = RequestMessage(
        request_header=RequestHeader(
            protocol_version=ProtocolVersion.of(V1_1), batch_count=len(items)
        ),
        batch_items=tuple(
            RequestBatchItem(
                operation=operation, unique_batch_item_id=batch_id(number), request_payload=payload
            )
            for number, (operation, payload) in enumerate(items, 1)
        ),
    )
    return encode(message, V1_1)


def succeeded(data: bytes, *operations: Operation) -> list[Any]:
    """The payloads of an answer that vCenter would take."""
    message, version = decode_response(data)
    assert version == V1_1, "vCenter closes a connection that answers in another version"
    assert isinstance(message, ResponseMessage)
    assert [item.operation for item in message.batch_items] == list(operations)
    for number, item in enumerate(message.batch_items, 1):
        assert item.result_status is ResultStatus.SUCCESS
        assert item.unique_batch_item_id == batch_id(number), "echoed byte for byte"
    return [item.response_payload for item in message.batch_items]


@pytest.fixture(scope="module")
def captured(shared: Path) -> dict[str, bytes]:
    capture = json.loads((shared / "vcenter-capture.json").read_text())
    return {request["name"]: bytes.fromhex(request["hex"]) for request in capture["requests"]}


def test_the_captured_requests_get_the_answers_that_vcenter_goes_on_with(
    server: RunningServer, captured: dict[str, bytes]
) -> None:
    assert len(captured) == 3
    with server.raw("vc-captured") as stream:
        answer = exchange(stream, captured["DiscoverVersions-negotiation-no-batch-id"])
        message, version = decode_response(answer)
        assert version == V1_1
        [item] = message.batch_items
        assert item.unique_batch_item_id is None, "omitted where the request omits it"
        assert item.result_status is ResultStatus.SUCCESS
        offered = [found.version for found in item.response_payload.protocol_versions]  # type: ignore[union-attr]  # it exists, or the test fails
        assert offered == VERSIONS_ANSWERED

        [payload] = succeeded(
            exchange(stream, captured["DiscoverVersions-with-batch-id"]),
            Operation.DISCOVER_VERSIONS,
        )
        assert [found.version for found in payload.protocol_versions] == VERSIONS_ANSWERED

        [payload] = succeeded(
            exchange(stream, captured["Query-server-information"]), Operation.QUERY
        )
        assert payload.vendor_identification


CREATE = CreateRequest(
    object_type=ObjectType.SYMMETRIC_KEY,
    attributes=Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        (
            Tag.CRYPTOGRAPHIC_USAGE_MASK,
            CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT,
        ),
        (Tag.CRYPTOGRAPHIC_LENGTH, 256),
    ),
)
PRODUCT = {
    "x-Product_Version": "7.0.3 build-19480866",
    "x-Vendor": "VMware, Inc.",
    "x-Product": "VMware vSphere",
}
OWNER = {
    "x-Identifier": "4230b2ba-1cd5-2b1a-9d6a-8c2c5b4a1f11",
    "x-Component": "Virtual Machine",
    "x-Name": "Buchhaltung (größer) 仮想",
}


def test_a_machine_is_encrypted_in_the_order_of_a_real_vcenter(server: RunningServer) -> None:
    with server.raw("vc-order") as stream:

        def ask(operation: Operation, payload: Any) -> Any:
            [answer] = succeeded(exchange(stream, request((operation, payload))), operation)
            return answer

        def attribute(key: str, name: Any) -> Any:
            wanted = GetAttributesRequest(unique_identifier=key, attribute_references=(name,))
            return ask(Operation.GET_ATTRIBUTES, wanted).attributes.get(name)

        created = ask(Operation.CREATE, CREATE)
        assert created.object_type is ObjectType.SYMMETRIC_KEY
        key = created.unique_identifier
        assert ask(Operation.CREATE, CREATE).unique_identifier != key, "no deduplication"

        for tags in (PRODUCT, OWNER):
            assert [attribute(key, custom(name)) for name in tags] == [None] * 3
            items = [
                (
                    Operation.ADD_ATTRIBUTE,
                    AddAttributeRequest(
                        unique_identifier=key, attribute=Attribute(custom(name), value)
                    ),
                )
                for name, value in tags.items()
            ]
            added = succeeded(exchange(stream, request(*items)), *[Operation.ADD_ATTRIBUTE] * 3)
            assert [answer.attribute.value for answer in added] == list(tags.values())
            assert {name: attribute(key, custom(name)) for name in tags} == tags

        got = ask(Operation.GET, GetRequest(unique_identifier=key))  # before it is active
        block = got.object.key_block
        assert block.key_format_type is KeyFormatType.RAW
        assert len(block.key_value.key_material) == 32
        assert (block.cryptographic_algorithm, block.cryptographic_length) == (
            CryptographicAlgorithm.AES,
            256,
        )
        assert attribute(key, Tag.STATE) is State.PRE_ACTIVE
        assert ask(Operation.ACTIVATE, ActivateRequest(unique_identifier=key)).unique_identifier
        assert attribute(key, Tag.STATE) is State.ACTIVE
        again = ask(Operation.GET, GetRequest(unique_identifier=key))
        assert again.object == got.object, "what a host gets after its restart"

    with server.client("vc-order") as client:  # keys of deleted machines are found by their tags
        assert client.locate(attributes={"x-Name": OWNER["x-Name"]}).ids == (key,)


def test_a_response_has_the_fields_that_vcenter_needs_and_no_others(server: RunningServer) -> None:
    with server.raw("vc-fields") as stream:
        data = exchange(stream, request((Operation.CREATE, CREATE)))
    assert data[:8].hex()[:8] == "42007b01"
    # Protocol Version 1.1, then Time Stamp, then Batch Count
    assert data[8:].hex().startswith("42007a0100000048420069010000002042006a02")
    assert re.match(r"^4200920900000008.{16}42000d020000000400000001", data[56:].hex())


def test_probe_connections_leave_no_error_in_the_log(server: RunningServer) -> None:
    before = len(server.lines())
    for _ in range(20):
        with server.raw("vc-probe"):
            pass
    with server.raw("vc-probe") as stream:  # answered after all the probes have been seen
        succeeded(exchange(stream, request((Operation.CREATE, CREATE))), Operation.CREATE)
    assert [line for line in server.lines()[before:] if "vc-probe" in line or "TLS" in line] == []


def test_a_client_certificate_without_extended_key_usage_is_served(server: RunningServer) -> None:
    """vCenter's own client certificates may lack the client usage."""
    from datetime import UTC, datetime

    from cryptography import x509
    from kmipkit_certs import files, keypairs
    from kmipkit_certs.authority import distinguished_name

    authority = server.pki.authority()
    key = keypairs.generate("rsa-2048")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(distinguished_name("vc-plain"))
        .issuer_name(authority.certificate.subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.certificate.not_valid_before_utc)
        .not_valid_after(now.replace(year=now.year + 1))
        .public_key(key.public_key())
        .sign(authority.key, keypairs.signature_hash(authority.key))
    )
    written = server.pki.files("vc-plain")
    files.write_key(written.key, key)
    files.write_certificate(written.cert, certificate)
    with server.raw("vc-plain") as stream:
        succeeded(exchange(stream, request((Operation.CREATE, CREATE))), Operation.CREATE)
