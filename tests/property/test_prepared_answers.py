"""A prepared answer is that of the ordinary way: the same bytes, seen by the same hooks.

A loss otherwise: a key that was revoked, destroyed, archived or made sensitive is given out all the
same; somebody gets the key of another account; the audit log lacks a request.
"""

import re
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
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.engine.prepared import PreparedAnswers
from kmipkit_server.engine.seam import Hook, Seam
from kmipkit_server.identity.identity import Identity
from laboratory import START, Laboratory
from lengths import examples

from bench.costly import rsa_bytes
from kmipkit.model.attribute import VendorName
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
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


class Noting(Hook):
    """Notes what a hook sees of each message."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before(self, call: Any, row: Any, item: Any) -> None:
        self.seen.append((call.operation, call.identity.name, row.operation, item))

    def after(self, call: Any, row: Any, item: Any) -> None:
        self.seen.append((call.has_loaded, call.named, row.operation, item))

    def finished(self, batch: Any, item: Any, result: Any) -> None:
        self.seen.append((item, result.operation, result.result_status, result.result_reason))

    def responding(self, exchange: Any) -> None:
        self.seen.append((exchange.identity.name, exchange.request, exchange.now))
        self.seen += [set(each) for each in exchange.objects]

    def answered(self, exchange: Any) -> None:
        self.seen += [(each.operation, each.result_status) for each in exchange.results]


class Nothing(PreparedAnswers):
    """Keeps no answer."""

    def keep(self, *_: Any) -> None:
        pass


class Counting(PreparedAnswers):
    """Counts the requests for which there was an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.found, find = 0, self.find

        def count(data: bytes) -> Any:
            prepared = find(data)
            self.found += prepared is not None
            return prepared

        self.find = count  # type: ignore[method-assign, assignment]


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


def without_number(data: bytes) -> bytes:
    """A response without the number of its Server Correlation Value."""
    return re.sub(rb"[0-9a-f]{32}-[0-9a-f]{12}", b"value", data)


class Comparison:
    """One store with two dispatchers: one with prepared answers, and one that keeps none."""

    def __init__(self, folder: Path) -> None:
        self.laboratory = laboratory = Laboratory(folder, hooks=())
        self.hooks = (Noting(), Noting())
        self.answers = Counting()
        self.dispatchers = tuple(
            Dispatcher(
                store=laboratory.store,
                server=laboratory.dispatcher.server,
                accounts=laboratory.dispatcher.accounts,
                clock=laboratory.dispatcher.clock,
                seam=Seam((Permissions(), hook)),
                prepared=answers,
            )
            for hook, answers in zip(self.hooks, (self.answers, Nothing()), strict=True)
        )

    async def change(self, call: Call[Any]) -> Any:
        """Carry out an operation of the owner."""
        data = encode(client_messages.request(V2_1, [call]), V2_1)
        answer = await self.dispatchers[1].respond(data, Identity("me"))
        response, _ = decode_response(answer.data)
        return getattr(response.batch_items[0].response_payload, "unique_identifier", None)

    async def ask(self, data: bytes, name: str) -> None:
        """The same request to both, whose answers must be the same."""
        for hook in self.hooks:
            hook.seen.clear()
        answers = [
            without_number((await dispatcher.respond(data, Identity(name))).data)
            for dispatcher in self.dispatchers
        ]
        assert answers[0] == answers[1]
        fast, ordinary = (hook.seen for hook in self.hooks)
        # What the first one has begun in vain, hooks have seen before.
        assert fast[-len(ordinary) :] == ordinary

    async def carry_out(self, steps: list[Any]) -> None:
        async with self.laboratory.serving():
            keys = [await self.change(call) for call in OBJECTS]
            assert None not in keys
            asked_before: list[tuple[bytes, str]] = []
            for kind, number, detail in steps:
                if kind == "ask":
                    payload, version, header, item_id, name, times = detail
                    payload = payload.replace(unique_identifier=keys[number])
                    data = message(payload, version, header, item_id)
                    asked_before.append((data, name))
                    for _ in range(times):
                        await self.ask(data, name)
                elif kind == "change":
                    await self.change(detail(keys[number]))
                elif kind == "wait":
                    self.laboratory.pass_time(seconds=1)
                for data, name in asked_before[-4:] if kind != "ask" else ():
                    await self.ask(data, name)
                    await self.ask(data, name)


@settings(max_examples=examples(60))
@given(_steps)
def test_prepared_answers_are_those_of_the_ordinary_way(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        try:
            trio.run(comparison.carry_out, steps)
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
            trio.run(comparison.carry_out, steps)
        finally:
            comparison.laboratory.close()
        assert comparison.answers.found >= 5 * len(steps)
