"""The tester's own suite detects a faulty server: each mutation here breaks one handler."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
from kmipkit_conformance.cases import SUITE, Case, load_all
from kmipkit_conformance.clock import Clock
from kmipkit_conformance.player import Player
from kmipkit_conformance.target import Target
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.operations.table import STANDARD
from laboratory import Laboratory

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.reports import Outcome
from kmipkit.spec.enums import CancellationResult, Operation, ResultReason, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V2_1, V3_0

pytestmark = pytest.mark.standard


@dataclass
class InMemory:
    """A target without a network."""

    laboratory: Laboratory

    @contextmanager
    def connect(self, suite: object = None, media: object = None) -> Iterator["InMemory"]:
        del suite
        yield self

    def exchange(self, request: bytes) -> bytes:
        return self.laboratory.exchange(request)


@dataclass
class Judge:
    """Plays cases of the own suite against a server in memory."""

    folder: Path
    rows: Sequence[ServedOperation] = STANDARD
    played: int = field(default=0)

    def failed(self, cases: list[Case]) -> list[str]:
        self.played += 1
        laboratory = Laboratory(self.folder / str(self.played), rows=self.rows, delay=1)
        player = Player(
            cast("Target", InMemory(laboratory)),
            clock=Clock(
                now=lambda: float(laboratory.now.timestamp()),
                sleep=lambda seconds: laboratory.pass_time(seconds=1),
            ),
            repeat_timeout=10,
        )
        verdicts = (player.play(case) for case in cases)
        failed = (verdict.case.name for verdict in verdicts if verdict.outcome is Outcome.FAILED)
        first = list(islice(failed, 1))
        laboratory.close()
        return first


CASES = [
    *load_all((SUITE,), frozenset({V1_2, V2_1}), ()),
    *load_all((SUITE,), frozenset({V3_0}), ("KIT-MISSING",)),
]


def cases_with(operation: Operation) -> list[Case]:
    return [case for case in CASES if operation in case.operations()]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path)


Answer = Any
Mutant = Callable[[Callable[[Call, Any], Answer], Call, Any], Answer]


def with_(**fields: Any) -> Mutant:
    """A field has another value."""
    return lambda work, call, request: work(call, request).replace(**fields)


def refusing(reason: ResultReason) -> Mutant:
    """What should succeed fails."""

    def mutant(work: Callable[[Call, Any], Answer], call: Call, request: Any) -> Answer:
        raise OperationError(reason, "mutant")

    return mutant


def other_reason(work: Callable[[Call, Any], Answer], call: Call, request: Any) -> Answer:
    """What fails says why wrongly."""
    try:
        return work(call, request)
    except OperationError:
        raise OperationError(ResultReason.GENERAL_FAILURE, "mutant") from None


def forgetting(work: Callable[[Call, Any], Answer], call: Call, request: Any) -> Answer:
    """Reports success, and changes nothing."""
    update = type(call.transaction).update
    try:
        type(call.transaction).update = lambda *_: None  # type: ignore[assignment, method-assign]  # replaced for this test
        return work(call, request)
    finally:
        type(call.transaction).update = update  # type: ignore[method-assign]  # replaced for this test


def linkless(work: Callable[[Call, Any], Answer], call: Call, request: Any) -> Answer:
    """Leaves links out of its responses."""
    answer = work(call, request)
    others = tuple(attribute for attribute in answer.attributes if attribute.key != Tag.LINK)
    return answer.replace(attributes=Attributes(others))


MUTANTS: list[tuple[Operation, Mutant]] = [
    (Operation.CREATE, refusing(ResultReason.INVALID_FIELD)),
    (Operation.REGISTER, refusing(ResultReason.INVALID_FIELD)),
    (Operation.ACTIVATE, forgetting),
    (Operation.REVOKE, forgetting),
    (Operation.DESTROY, forgetting),
    (Operation.RE_KEY, forgetting),
    (Operation.GET, other_reason),
    (Operation.GET, with_(unique_identifier="another")),
    (Operation.GET_ATTRIBUTES, linkless),
    (Operation.LOCATE, with_(unique_identifiers=())),
    (Operation.CHECK, other_reason),
    (Operation.ENCRYPT, with_(data=bytes(16))),
    (Operation.DECRYPT, with_(data=bytes(16))),
    (Operation.MAC, with_(mac_data=bytes(32))),
    (Operation.MAC_VERIFY, with_(validity_indicator=ValidityIndicator.VALID)),
    (Operation.SIGNATURE_VERIFY, with_(validity_indicator=ValidityIndicator.VALID)),
    (Operation.SIGN, with_(signature_data=bytes(256))),
    (Operation.HASH, with_(data=bytes(32))),
    (Operation.RNG_RETRIEVE, refusing(ResultReason.PERMISSION_DENIED)),
    (Operation.CREATE_SPLIT_KEY, with_(unique_identifiers=("1", "2"))),
    (Operation.JOIN_SPLIT_KEY, other_reason),
    (Operation.DERIVE_KEY, forgetting),
    (Operation.ARCHIVE, forgetting),
    (Operation.RECOVER, forgetting),
    (Operation.OBTAIN_LEASE, with_(unique_identifier="another")),
    (Operation.POLL, other_reason),
    (Operation.CANCEL, with_(cancellation_result=CancellationResult.UNABLE_TO_CANCEL)),
    (Operation.CERTIFY, forgetting),
    (Operation.VALIDATE, with_(validity_indicator=ValidityIndicator.UNKNOWN)),
    (Operation.EXPORT, other_reason),
    (Operation.OBLITERATE, other_reason),
]


def test_a_correct_server_passes(judge: Judge) -> None:
    """Otherwise the next test would show nothing."""
    assert judge.failed(CASES) == []


@pytest.mark.parametrize(
    ("operation", "mutant"), MUTANTS, ids=lambda value: getattr(value, "name", "mutant")
)
def test_a_faulty_handler_is_detected(judge: Judge, operation: Operation, mutant: Mutant) -> None:
    [row] = (row for row in STANDARD if row.operation is operation)

    def broken(call: Call, request: Any) -> Any:
        return mutant(row.handler, call, request)

    judge.rows = (*STANDARD, replace(row, handler=broken))
    assert judge.failed(cases_with(operation))
