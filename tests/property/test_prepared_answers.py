"""A prepared answer is that of the ordinary way: the same bytes, seen by the same hooks.

A loss otherwise: a key that was revoked, destroyed, archived or made sensitive is given out all the
same; somebody gets the key of another account; the audit log lacks a request.
"""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import trio
from hypothesis import given, settings, target
from hypothesis import strategies as st
from kmipkit_client import calls, opaque_object, private_key, secret_data, symmetric_key
from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from laboratory import START
from lengths import examples
from prepared_comparison import Comparison

from bench.costly import rsa_bytes
from kmipkit.model.attribute import VendorName
from kmipkit.model.codec import encode
from kmipkit.model.messages import RequestMessage
from kmipkit.model.payloads.attributes import GetAttributesRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ArchiveRequest, RecoverRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    KeyWrapType,
    Operation,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, V2_1, V3_0

USAGE = CryptographicUsageMask.ENCRYPT
ONE_SECOND = {Tag.ACTIVATION_DATE: START + timedelta(seconds=1)}
SOON = {**ONE_SECOND, Tag.DEACTIVATION_DATE: START + timedelta(seconds=3)}

RSA_KEY = private_key(rsa_bytes(1024), CryptographicAlgorithm.RSA, 1024, KeyFormatType.PKCS_1)

OBJECTS: tuple[Call[str], ...] = (
    calls.create(CryptographicAlgorithm.AES, 256, USAGE, "created", None),
    calls.create(CryptographicAlgorithm.AES, 128, USAGE, "soon", SOON),
    calls.register(symmetric_key(bytes(16)), USAGE, "zeros", None),
    calls.register(secret_data(b"1"), USAGE, "short", None),
    calls.register(secret_data(b"a password"), USAGE, None, None),
    calls.register(opaque_object(b"opaque" * 20), None, None, None),
    calls.register(RSA_KEY, USAGE, None, None),
    calls.register(symmetric_key(b"sixteen bytes..."), USAGE, None, {Tag.SENSITIVE: True}),
)


def revoke(identifier: str, code: RevocationReasonCode) -> Call[Any]:
    return calls.revoke(identifier, code, None, START)


CHANGES: tuple[Callable[[str], Call[Any]], ...] = (
    calls.activate,
    calls.destroy,
    lambda identifier: revoke(identifier, RevocationReasonCode.KEY_COMPROMISE),
    lambda identifier: revoke(identifier, RevocationReasonCode.CESSATION_OF_OPERATION),
    lambda identifier: calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=identifier)),
    lambda identifier: calls.raw(Operation.RECOVER, RecoverRequest(unique_identifier=identifier)),
    lambda identifier: calls.add_attribute(identifier, VendorName("x", "note"), "a note"),
    lambda identifier: calls.set_attribute(identifier, Tag.SENSITIVE, True),
    lambda identifier: calls.set_attribute(identifier, Tag.EXTRACTABLE, False),
)

_formats = st.sampled_from([None, None, None, KeyFormatType.RAW, KeyFormatType.PKCS_1])
_gets = st.builds(
    GetRequest,
    key_format_type=_formats,
    key_wrap_type=st.sampled_from([None, None, None, KeyWrapType.NOT_WRAPPED]),
)
_references = st.lists(
    st.sampled_from([Tag.STATE, Tag.NAME, Tag.FRESH, Tag.OBJECT_TYPE, VendorName("x", "note")]),
    max_size=2,
    unique=True,
)
_attribute_gets = st.builds(
    GetAttributesRequest, attribute_references=st.just(()) | _references.map(tuple)
)
_versions = st.sampled_from([V1_0, V1_2, V1_4, V2_0, V2_1, V3_0])
_headers = st.fixed_dictionaries(
    {"maximum_response_size": st.sampled_from([None, None, 200, 4000])}
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Any, ...]:
    """A request, its client, and how often it comes."""
    return (
        draw(_gets | _attribute_gets),
        draw(_versions),
        draw(_headers),
        draw(st.binary(max_size=2)),
        draw(st.sampled_from(["me", "me", "me", "other", "administrator"])),
        draw(st.integers(1, 4)),
    )


_number = st.integers(0, len(OBJECTS) - 1)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), _number, asked()),
        st.tuples(st.just("ask"), _number, asked()),
        st.tuples(st.just("change"), _number, st.sampled_from(CHANGES)),
        st.tuples(st.just("again"), _number, st.none()),
        st.tuples(st.just("wait"), _number, st.none()),
    ),
    min_size=4,
    max_size=24,
)


def message(payload: Any, version: Any, header: Any, item_id: bytes) -> bytes:
    operation = Operation.GET if isinstance(payload, GetRequest) else Operation.GET_ATTRIBUTES
    request: RequestMessage = client_messages.request(version, [calls.raw(operation, payload)])
    [item] = request.batch_items
    if version < V3_0 and item_id:
        item = item.replace(unique_batch_item_id=item_id)
    header = request.request_header.replace(**header)
    return encode(
        request.replace(request_header=header, batch_items=(item,)), version, strict=False
    )


async def carry_out(comparison: Comparison, steps: list[Any]) -> None:
    async with comparison.laboratory.serving():
        keys = [await comparison.change(call) for call in OBJECTS]
        assert None not in keys
        asked_before: list[tuple[bytes, str]] = []
        for kind, number, detail in steps:
            if kind == "ask":
                payload, version, header, item_id, name, times = detail
                payload = payload.replace(unique_identifier=keys[number])
                data = message(payload, version, header, item_id)
                asked_before.append((data, name))
                for _ in range(times):
                    await comparison.ask(data, name)
            elif kind == "change":
                await comparison.change(detail(keys[number]))
            elif kind == "wait":
                comparison.laboratory.pass_time(seconds=1)
            for data, name in asked_before[-4:] if kind != "ask" else ():
                await comparison.ask(data, name)
                await comparison.ask(data, name)


@settings(max_examples=examples(60))
@given(_steps)
def test_prepared_answers_are_those_of_the_ordinary_way(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        try:
            trio.run(carry_out, comparison, steps)
        finally:
            comparison.laboratory.close()
        target(comparison.answers.found)


def test_most_of_these_answers_are_prepared() -> None:
    """The test above compares something: a plain request that comes again is answered so."""
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        plain = GetRequest(), V1_2, {"maximum_response_size": None}, b"", "me", 8
        attributes = GetAttributesRequest(), V2_1, {"maximum_response_size": None}, b"1", "me", 8
        steps = [
            ("ask", number, each) for number in (0, 1, 2, 4, 5, 6) for each in (plain, attributes)
        ]
        try:
            trio.run(carry_out, comparison, steps)
        finally:
            comparison.laboratory.close()
        assert comparison.answers.found >= 5 * len(steps)
