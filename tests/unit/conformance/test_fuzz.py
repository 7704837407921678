"""The fuzzer: what it sends can be sent again, and what it finds is made small."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from click.testing import CliRunner
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.fuzz import DAMAGE, Fuzzer
from kmipkit_conformance.target import Target
from servers import RunningServer

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv import binary
from kmipkit.ttlv.framing import HEADER_SIZE
from kmipkit.ttlv.tree import Item

CASES = [
    case for case in load_all((SUITE,), frozenset({V2_1}), ()) if case.name.count("-") == 2
]  # cases of many rules; those of one rule have zeros that look like the weakness
REQUEST = CASES[0].steps[0].request
ANSWER = binary.encode(Item(Tag.RESPONSE_MESSAGE, ItemType.STRUCTURE, ()))


@dataclass
class Weak:
    """A target that hangs up on messages that hold some bytes."""

    weakness: bytes
    requests: list[bytes] = field(default_factory=list)
    dead: bool = False

    @contextmanager
    def connect(self) -> Iterator["Weak"]:
        if self.dead:
            raise ConformanceError("connection refused")
        yield self

    def exchange(self, request: bytes) -> bytes:
        self.requests.append(request)
        if self.weakness in request:
            raise NoAnswer("the server closed the connection without an answer")
        return ANSWER


def fuzzer(target: Weak, seed: int = 0) -> Fuzzer:
    return Fuzzer(cast("Target", target), CASES, seed)


def test_the_same_seed_sends_the_same_messages() -> None:
    first, again, other = (Weak(b"\0" * 999) for _ in range(3))
    for target, seed in ((first, 1), (again, 1), (other, 2)):
        assert not list(fuzzer(target, seed).run(100))
    assert first.requests == again.requests
    assert first.requests != other.requests
    assert len(set(first.requests)) > 90


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_leaves_a_frame_that_a_server_must_answer(name: str) -> None:
    good = binary.encode(REQUEST)
    damaged = {DAMAGE[name](REQUEST, random.Random(seed)) for seed in range(50)}
    assert damaged != {good}
    for message in damaged:
        assert message[:4] == good[:4]
        assert int.from_bytes(message[4:8], "big") == len(message) - HEADER_SIZE


def test_a_finding_is_made_as_small_as_it_can_be() -> None:
    weakness = (0x42005C05).to_bytes(4, "big")  # an Operation
    finding = next(fuzzer(Weak(weakness)).run(100))
    assert "without an answer" in finding.problem
    assert weakness in finding.message
    operation = Item(Tag.OPERATION, ItemType.ENUMERATION, 1)
    assert len(finding.message) < 256 + len(binary.encode(operation))


def test_a_target_that_dies_is_told_with_the_message_that_did_it() -> None:
    target = Weak((0x42005C05).to_bytes(4, "big"))

    def die(request: bytes) -> bytes:
        target.dead = True
        raise NoAnswer("closed")

    target.exchange = die  # type: ignore[method-assign]  # replaced for this test
    with pytest.raises(ConformanceError, match="the last message was 420078"):
        list(fuzzer(target).run(10))


@pytest.mark.parametrize(
    ("count", "seed"), [("300", "3"), pytest.param("10000", "4", marks=pytest.mark.long)]
)
def test_our_server_bears_it(server: RunningServer, count: str, seed: str) -> None:
    arguments = ["fuzz", "--target", f"127.0.0.1:{server.port}", "--count", count, "--seed", seed]
    for name, path in server.credentials("fuzzer").items():
        arguments += [f"--{name}", str(path)]
    result = CliRunner().invoke(conformance, arguments)
    assert result.exit_code == 0, result.output
    assert f"{count} messages with seed {seed}, 0 findings" in result.output
    assert "defect" not in server.log.read_text()
