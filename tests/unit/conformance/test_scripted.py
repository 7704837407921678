"""The client tester, with our own player as the client under test: a good one, and bad ones."""

import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kmipkit_conformance.cases import SUITE, Case, Step, load_all
from kmipkit_conformance.clock import Clock
from kmipkit_conformance.keeping import replacing
from kmipkit_conformance.markers import Marks
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.scripted import ScriptedServer
from kmipkit_conformance.streams import server_context
from kmipkit_conformance.target import Target
from kmipkit_conformance.wording import operation_title
from servers import ANSWER_TIMEOUT

from kmipkit.reports import Outcome
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0
from kmipkit.testing import shared_pki
from kmipkit.ttlv.tree import Item


@pytest.fixture(scope="module")
def pki() -> Path:
    shared_pki().client("device")
    return shared_pki().server().cert.parent


def both(pki: Path, case: Case, played: Case | None = None) -> tuple[Verdict, Verdict]:
    """The verdict on the client, which plays another case perhaps, and the client's on us."""
    context = server_context(pki / "ca.crt", pki / "server.crt", pki / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener, context, timeout=ANSWER_TIMEOUT)
        verdicts: list[Verdict] = []
        thread = threading.Thread(target=lambda: verdicts.append(server.play(case)))
        thread.start()
        files = (pki / "ca.crt", pki / "device.crt", pki / "device.key")
        target = Target("127.0.0.1", listener.getsockname()[1], *files, timeout=ANSWER_TIMEOUT)
        player_verdict = Player(
            target, repeat_timeout=1, clock=Clock(sleep=lambda seconds: None)
        ).play(played or case)
        thread.join()
    return verdicts[0], player_verdict


CASES = [
    case
    for case in load_all((SUITE,), frozenset({V1_4, V2_1, V3_0}), ())
    # Cases of many rules: those of one rule have requests that a client never sends. The Poll of ASYNC
    # may come again, and our player looks at a setting before it replaces it.
    if case.name.count("-") == 2 and "ASYNC" not in case.name and not replacing(case)
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_that_does_what_the_case_says_passes(pki: Path, case: Case) -> None:
    verdict, player_verdict = both(pki, case)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    assert (player_verdict.outcome, player_verdict.reasons) == (Outcome.PASSED, ()), (
        "and our answers are the case's"
    )


def changed(item: Item, tag: Tag, value: Any) -> Item:
    """The tree with another value wherever the tag stands."""
    if isinstance(item.value, tuple):
        inner = tuple(changed(child, tag, value) for child in item.value)
        return Item(item.tag, item.type, inner)
    return Item(item.tag, item.type, value) if item.tag == tag else item


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [
        (Tag.OPERATION, 0x18, "Operation"),
        (Tag.PROTOCOL_VERSION_MINOR, 3, "Protocol Version Minor"),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, 4, "Cryptographic Usage Mask"),
    ],
    ids=["operation", "version", "attribute"],
)
def test_a_client_that_asks_something_else_fails(pki: Path, tag: Tag, value: Any, why: str) -> None:
    case = next(candidate for candidate in CASES if candidate.name == "KIT-REGISTER-21")
    first = case.steps[0]
    wrong = Step(changed(first.request, tag, value), first.response)
    verdict, _ = both(pki, case, replace(case, steps=(wrong, *case.steps[1:])))
    assert verdict.outcome is Outcome.FAILED
    assert verdict.step == 0
    assert why in "; ".join(verdict.reasons)
    assert verdict.actual is not None


def test_a_client_that_goes_away_fails_at_that_step(pki: Path) -> None:
    case = next(candidate for candidate in CASES if candidate.name == "KIT-LIFECYCLE-21")
    verdict, _ = both(pki, case, replace(case, steps=case.steps[:2]))
    assert (verdict.outcome, verdict.step) == (Outcome.FAILED, 2)
    assert verdict.reasons == ("the client closed the connection",)


def test_a_client_is_not_told_what_servers_must_do() -> None:
    """The claim of a step is about the server; a client that does not come has broken no clause."""
    case = CASES[0]
    expected = case.steps[0]
    claiming = replace(
        expected, marks=Marks(claim="an active object is not destroyed (KMIP 1.4 §1)")
    )
    tested = replace(case, steps=(claiming,))
    other = Verdict(tested, Outcome.FAILED, ("x",), actual=expected.request, is_of_client=True)
    assert other.claim.startswith(operation_title(expected.operations[0]))
    assert "active object" not in other.claim
    assert replace(other, actual=None).claim == ""
