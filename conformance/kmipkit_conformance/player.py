"""Plays cases against a target and gives a verdict on each."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from kmipkit_client import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import RevocationReasonCode
from kmipkit.ttlv import binary
from kmipkit_conformance.cases import ENCODINGS, Case
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.errata import ERRATA
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.security import SUITES
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target, TargetConnection


class Outcome(Enum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
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


@dataclass(frozen=True, slots=True)
class Player:
    """Plays cases; ``offer`` is what the target says that it can."""

    target: Target
    offer: Offer = UNKNOWN
    clock: Callable[[], float] = time.time
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
        started = self.clock()
        suite = SUITES.get(case.transport)
        try:
            with self.target.connect(suite, self._media(case)) as connection:
                step, reasons = self._steps(case, connection)
        except ConformanceError as error:
            if suite is None:  # then no case can be played
                raise
            step, reasons = 0, [str(error)]
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        return Verdict(case, outcome, tuple(reasons), step, self.clock() - started)

    def _media(self, case: Case) -> str | None:
        """The media type over HTTPS; None for TTLV without HTTP."""
        encoding = self.encoding or case.encoding
        return ENCODINGS[encoding] if case.transport == "https" or encoding != "ttlv" else None

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

    def _steps(self, case: Case, connection: TargetConnection) -> tuple[int, list[str]]:
        """The step that failed and why, or no reasons."""
        bindings = Bindings(now=int(self.clock()))
        comparison = Comparison(bindings)
        for number, step in enumerate(case.steps):
            try:
                request = binary.encode(bindings.fill(step.request))
                answer = binary.decode(connection.exchange(request))
            except NoAnswer as error:
                return number, [str(error)]
            except ProtocolError as error:
                return number, [f"the answer cannot be read: {error}"]
            reasons = comparison.differences(step, answer)
            self.made.update(comparison.made)
            if reasons:
                return number, reasons
        return len(case.steps), []
