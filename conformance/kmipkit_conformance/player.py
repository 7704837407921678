"""Plays cases against a target and gives a verdict on each."""

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
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.devices import accounts
from kmipkit_conformance.errata import ERRATA
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.security import SUITES
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target, TargetConnection

FIRST_INTERVAL = 0.02
MAX_INTERVAL = 1.0
"""Seconds between two attempts at a step that is repeated; each interval doubles the one before."""


class Outcome(Enum):
    """The result of a case."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    """Failed, as the list of known deviations of the target says."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a case, and the reasons."""

    case: Case
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    step: int = 0
    """The number of the step that failed, counted from 0."""
    seconds: float = 0.0
    expected: Item | None = None
    actual: Item | None = None
    """The response of the step that failed, as expected and as received."""


@dataclass(frozen=True, slots=True)
class Player:
    """Plays cases; ``offer`` is what the target says that it supports."""

    target: Target
    offer: Offer = UNKNOWN
    clock: Clock = SYSTEM_CLOCK
    find: Callable[[str], Case | None] = lambda name: None
    """Finds the cases that others depend on."""
    repeat_timeout: float = 180.0
    """Seconds after which a step is not repeated any more."""
    encoding: str | None = None
    """The encoding of all cases; None for that of each case."""
    created: set[str] = field(default_factory=set)
    """Objects that the cases so far have created; some may have been destroyed since."""

    def play(self, case: Case) -> Verdict:
        """Play one case on a connection of its own. ConformanceError if there is no connection."""
        if case.needs:
            return Verdict(case, Outcome.SKIPPED, (f"needs {case.needs}",))
        if case.name in ERRATA:
            return Verdict(case, Outcome.SKIPPED, (f"erratum: {ERRATA[case.name]}",))
        if self.offer.versions is not None and case.version not in self.offer.versions:
            return Verdict(
                case, Outcome.SKIPPED, (f"the server does not support KMIP {case.version}",)
            )
        supported = self.offer.operations
        missing = case.operations() - supported if supported is not None else ()
        if missing:
            names = ", ".join(sorted(operation.name for operation in missing))
            return Verdict(case, Outcome.SKIPPED, (f"the server does not support {names}",))
        obstacle = self._play_dependencies(case)
        if obstacle is not None:
            return Verdict(case, Outcome.SKIPPED, (obstacle,))
        started = self.clock.now()
        suite = SUITES.get(case.transport)
        try:
            with (
                accounts(self.target, case, self.offer.operations),
                ExitStack() as connections,
            ):
                step, reasons, actual = self._steps(case, self._connections(case, connections))
        except ConformanceError as error:
            if suite is None:  # the target cannot be reached: no other case can be played either
                raise
            step, reasons, actual = 0, [str(error)], None
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].response if reasons else None
        seconds = self.clock.now() - started
        return Verdict(case, outcome, tuple(reasons), step, seconds, expected, actual)

    def _media(self, case: Case) -> str | None:
        """The media type over HTTPS; None for TTLV without HTTP."""
        encoding = self.encoding or case.encoding
        return ENCODINGS[encoding] if case.transport == "https" or encoding != "ttlv" else None

    def _play_dependencies(self, case: Case) -> str | None:
        """Play the cases that this one depends on. The result says why that is not possible."""
        for name in case.depends_on:
            dependency = self.find(name)
            if dependency is None:
                return f"needs the objects of {name}, which was not found"
            verdict = self.play(dependency)
            if verdict.outcome is not Outcome.PASSED:
                return f"needs the objects of {name}, which did not pass"
        return None

    def clean_up(self) -> None:
        """Destroy the objects that the cases created, and no others, as far as the server permits it."""
        reason = RevocationReasonCode.CESSATION_OF_OPERATION
        with self.target.client() as client:
            for identifier in sorted(self.created):
                with suppress(OperationFailed):  # objects that were never active need no revocation
                    client.revoke(identifier, reason)
                with suppress(OperationFailed):
                    client.destroy(identifier)
        self.created.clear()

    def _connections(self, case: Case, stack: ExitStack) -> Callable[[str], TargetConnection]:
        """One connection for each client of the case, opened on first use."""
        suite = SUITES.get(case.transport)

        @cache
        def connection(client: str) -> TargetConnection:  # noqa: ARG001 - the key of the cache
            return stack.enter_context(self.target.connect(suite, self._media(case)))

        return connection

    def _steps(
        self, case: Case, connection: Callable[[str], TargetConnection]
    ) -> tuple[int, list[str], Item | None]:
        """The step that failed, the reasons and the response; no reasons if all steps passed."""
        bindings = Bindings(now=int(self.clock.now()))
        comparison = Comparison(bindings)
        for number, step in enumerate(case.steps):
            deadline = self.clock.now() + self.repeat_timeout
            interval = FIRST_INTERVAL
            while True:
                comparison.bindings.at(int(self.clock.now()))
                reasons, repeat, actual = self._step(
                    step, comparison, connection(step.marks.client)
                )
                # A case may wait for a date to change the state of an object. Its file does not say
                # which step that is, so any step that only reads may be repeated.
                repeat = repeat or (bool(reasons) and case.waits and _only_reads_attributes(step))
                if not repeat or self.clock.now() >= deadline:
                    break
                self.clock.sleep(interval)
                interval = min(2 * interval, MAX_INTERVAL)
            self.created.update(comparison.created)
            if reasons:
                return number, reasons, actual
        return len(case.steps), [], None

    def _step(
        self, step: Step, comparison: Comparison, connection: TargetConnection
    ) -> tuple[list[str], bool, Item | None]:
        """How the response differs, whether to send the request again, and the response."""
        try:
            request = binary.encode(comparison.bindings.fill(step.request))
            response = binary.decode(connection.exchange(request))
        except NoAnswer as error:
            return [str(error)], False, None
        except ProtocolError as error:
            return [f"the response is malformed: {error}"], False, None
        reasons = comparison.differences(step, response)
        waits = step.marks.repeated or (is_pending(response) and not is_pending(step.response))
        return reasons, bool(reasons) and waits, response


def _only_reads_attributes(step: Step) -> bool:
    """Whether a step only reads attributes, so that it may be repeated."""
    return all(
        child.value == Operation.GET_ATTRIBUTES
        for item in children(step.request, Tag.BATCH_ITEM)
        for child in children(item, Tag.OPERATION)
    )


def is_pending(message: Item) -> bool:
    """Whether a response says that the operation is still pending."""
    return any(
        child.value == ResultStatus.OPERATION_PENDING
        for item in children(message, Tag.BATCH_ITEM)
        for child in children(item, Tag.RESULT_STATUS)
    )
