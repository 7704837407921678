"""Whatever a peer sends, the tester gives a verdict, and a report that can be shown anywhere."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_conformance.cases import SUITE, Case, load_all
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.probes import Probes
from kmipkit_conformance.report import make_report
from kmipkit_conformance.running import Run
from kmipkit_conformance.scripted import Script

from kmipkit.errors import ProtocolError
from kmipkit.reports import Outcome, as_html, as_json, junit
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.versions import V1_4
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

pytestmark = pytest.mark.standard

CASES = list(load_all((SUITE,), frozenset({V1_4}), ()))
NOW = 1_000_000_000
VALUES: dict[ItemType, list[Any]] = {
    ItemType.STRUCTURE: [()],
    ItemType.INTEGER: [0, -1, 2**31 - 1],
    ItemType.LONG_INTEGER: [0, -(2**63), 2**63 - 1],
    ItemType.BIG_INTEGER: [0, 2**90],
    ItemType.ENUMERATION: [0, 1, 0x80000001, 2**32 - 1],
    ItemType.BOOLEAN: [True, False],
    ItemType.TEXT_STRING: ["", "\x1b[2J\u202e</td>", "é" * 300, "$UNIQUE_IDENTIFIER_0"],
    ItemType.BYTE_STRING: [b"", b"k" * 40],
    ItemType.DATE_TIME: [0, -(2**62), 2**62],
    ItemType.INTERVAL: [0, 2**32 - 1],
}


def damaged(item: Item, random: Random) -> Iterator[Item]:
    """An item, of which some are missing, there twice, or of another tag, type or value."""
    if isinstance(item.value, tuple):
        children = [other for child in item.value for other in damaged(child, random)]
        item = Item(item.tag, item.type, tuple(children))
    if random.random() > 0.08:
        yield item
        return
    kind = random.choice(list(VALUES))
    yield from random.choice(
        [
            [],
            [item, item],
            [Item(0x42FFFF, item.type, item.value)],
            [Item(item.tag, kind, random.choice(VALUES[kind]))],
            [Item(item.tag, item.type, random.choice(VALUES.get(item.type, [item.value])))],
        ]
    )


def received(message: Item, random: Random) -> tuple[bytes, Item] | None:
    """A damaged message as it arrives; None for one that is not TTLV any more."""
    try:
        data = binary.encode(next(damaged(message, random)))
        return data, binary.decode(data)
    except (ProtocolError, StopIteration):
        return None


def require_reports(case: Case, number: int, reasons: list[str], actual: Item) -> None:
    """All reports of a verdict can be made, and have no control characters."""
    step = case.steps[number]
    verdict = Verdict(case, Outcome.FAILED, tuple(reasons), number, 0.0, step.response, actual)
    report = make_report(Run([verdict]))
    for text in (junit(report), as_html(report), as_json(report)):
        assert not {"\x1b", "\u202e"} & set(text)


class Saying:
    """A server that responds with these bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def exchange(self, request: bytes) -> bytes:
        del request
        return self.data


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(CASES))
def test_each_response_has_a_verdict(random: Random, case: Case) -> None:
    """A defect of the server must not become a traceback of the tester."""
    number = random.randrange(len(case.steps))
    step = case.steps[number]
    script = Script(Bindings(NOW))
    script._set_server_values(step.response)
    arrived = received(script.bindings.fill(step.response), random)
    if arrived is None:
        return
    data, actual = arrived
    player = Player(None)  # type: ignore[arg-type]  # without a target
    comparison = Script(Bindings(NOW)).comparison
    reasons, _, _ = player._step(step, step.request, comparison, Saying(data))  # type: ignore[arg-type]  # a connection
    player._missing_feature(case, step, actual)
    require_reports(case, number, reasons, actual)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(CASES))
def test_each_request_has_a_verdict(random: Random, case: Case) -> None:
    """The same for a client: what it sends is judged, or answered."""
    number = random.randrange(len(case.steps))
    step = case.steps[number]
    script = Script(Bindings(NOW))
    script._set_server_values(step.request)
    arrived = received(script.bindings.fill(step.request), random)
    if arrived is None:
        return
    data, actual = arrived
    judge = Script(Bindings(NOW))
    reasons = judge.judge(step.request, actual)
    if reasons:
        Probes(case).answer(data)
    else:
        judge.answer(step.response, actual)
    require_reports(replace(case), number, reasons, actual)
