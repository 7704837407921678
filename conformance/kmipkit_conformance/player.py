"""Plays cases against a target and gives a verdict on each."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

from kmipkit_client import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import Operation, ResultStatus, RevocationReasonCode
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import ENCODINGS, Case, Step, children
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.devices import accounts
from kmipkit_conformance.errata import ERRATA
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.security import SUITES
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target, TargetConnection

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
"""Seconds between two tries of a step that is repeated; each pause is twice the one before."""


class Outcome(Enum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    """Failed, and listed among the known deviations of the target."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a case, and why."""

    case: Case
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    step: int = 0
    """The number of the step that failed, counted from 0."""
    seconds: float = 0.0
    expected: Item | None = None
    got: Item | None = None
    """The response of the step that failed: as the case has it, and as it came."""


@dataclass(frozen=True, slots=True)
class Player:
    """Plays cases; ``offer`` is what the target says that it can."""

    target: Target
    offer: Offer = UNKNOWN
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    find: Callable[[str], Case | None] = lambda name: None
    """Finds the cases that others build on."""
    patience: float = 180.0
    """Seconds that a step which is repeated may take at most."""
    encoding: str | None = None
    """In which encoding all cases are played; None for what each asks for."""
    made: set[str] = field(default_factory=set)
    """Objects of the cases played so far; some are gone already."""

    def play(self, case: Case) -> Verdict:
        """Play one case on a connection of its own. ConformanceError if there is no connection."""
        if case.needs:
            return Verdict(case, Outcome.SKIPPED, (f"needs {case.needs}",))
        if case.name in ERRATA:
            return Verdict(case, Outcome.SKIPPED, (f"erratum: {ERRATA[case.name]}",))
        if self.offer.versions is not None and case.version not in self.offer.versions:
            return Verdict(
                case, Outcome.SKIPPED, (f"the server does not speak KMIP {case.version}",)
            )
        known = self.offer.operations
        missing = case.operations() - known if known is not None else ()
        if missing:
            names = ", ".join(sorted(operation.name for operation in missing))
            return Verdict(case, Outcome.SKIPPED, (f"the server does not offer {names}",))
        failed = self._prepare(case)
        if failed is not None:
            return Verdict(case, Outcome.SKIPPED, (failed,))
        started = self.clock()
        suite = SUITES.get(case.transport)
        try:
            with (
                accounts(self.target, case, self.offer.operations),
                ExitStack() as connections,
            ):
                step, reasons, got = self._steps(case, self._connections(case, connections))
        except ConformanceError as error:
            if suite is None:  # then no case can be played
                raise
            step, reasons, got = 0, [str(error)], None
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].response if reasons else None
        seconds = self.clock() - started
        return Verdict(case, outcome, tuple(reasons), step, seconds, expected, got)

    def _media(self, case: Case) -> str | None:
        """The media type over HTTPS; None for TTLV without HTTP."""
        encoding = self.encoding or case.encoding
        return ENCODINGS[encoding] if case.transport == "https" or encoding != "ttlv" else None

    def _prepare(self, case: Case) -> str | None:
        """Play what the case builds on; why that is not possible."""
        for name in case.depends_on:
            other = self.find(name)
            if other is None:
                return f"needs the objects of {name}, which is not among the cases"
            verdict = self.play(other)
            if verdict.outcome is not Outcome.PASSED:
                return f"needs the objects of {name}, which did not pass"
        return None

    def clean_up(self) -> None:
        """Destroy what the cases have left behind, and nothing else, as far as the server lets us."""
        reason = RevocationReasonCode.CESSATION_OF_OPERATION
        with self.target.client() as client:
            for identifier in sorted(self.made):
                with suppress(OperationFailed):  # what was never active needs no revocation
                    client.revoke(identifier, reason)
                with suppress(OperationFailed):
                    client.destroy(identifier)
        self.made.clear()

    def _connections(self, case: Case, stack: ExitStack) -> Callable[[str], TargetConnection]:
        """A connection per client of the case, opened when first needed."""
        suite = SUITES.get(case.transport)

        @cache
        def connection(client: str) -> TargetConnection:  # noqa: ARG001 - tells connections apart
            return stack.enter_context(self.target.connect(suite, self._media(case)))

        return connection

    def _steps(
        self, case: Case, connection: Callable[[str], TargetConnection]
    ) -> tuple[int, list[str], Item | None]:
        """The step that failed, why, and the answer; or no reasons."""
        bindings = Bindings(now=int(self.clock()))
        comparison = Comparison(bindings)
        for number, step in enumerate(case.steps):
            until = self.clock() + self.patience
            pause = FIRST_PAUSE
            while True:
                comparison.bindings.at(int(self.clock()))
                reasons, again, got = self._step(step, comparison, connection(step.marks.client))
                again = again or (bool(reasons) and case.waits and _looks(step))
                if not again or self.clock() >= until:
                    break
                self.pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            self.made.update(comparison.made)
            if reasons:
                return number, reasons, got
        return len(case.steps), [], None

    def _step(
        self, step: Step, comparison: Comparison, connection: TargetConnection
    ) -> tuple[list[str], bool, Item | None]:
        """What is wrong with the answer, whether another may be better, and the answer."""
        try:
            request = binary.encode(comparison.bindings.fill(step.request))
            answer = binary.decode(connection.exchange(request))
        except NoAnswer as error:
            return [str(error)], False, None
        except ProtocolError as error:
            return [f"the answer cannot be read: {error}"], False, None
        reasons = comparison.differences(step, answer)
        waits = step.marks.repeated or (is_pending(answer) and not is_pending(step.response))
        return reasons, bool(reasons) and waits, answer


def _looks(step: Step) -> bool:
    """Whether a step only looks at attributes, so that it may be repeated."""
    return all(
        child.value == Operation.GET_ATTRIBUTES
        for item in children(step.request, Tag.BATCH_ITEM)
        for child in children(item, Tag.OPERATION)
    )


def is_pending(message: Item) -> bool:
    """Whether an answer says to ask again later."""
    return any(
        child.value == ResultStatus.OPERATION_PENDING
        for item in children(message, Tag.BATCH_ITEM)
        for child in children(item, Tag.RESULT_STATUS)
    )
