"""Plays cases against a target and gives a verdict on each."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache

from kmipkit_client import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.reports import Outcome
from kmipkit.spec.enums import ResultStatus, RevocationReasonCode
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import waiting
from kmipkit_conformance.accounts import accounts
from kmipkit_conformance.cases import ENCODINGS, Case, Step, children
from kmipkit_conformance.chains import Library
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.errata import ERRATA, alternatives_of
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.listening import NO_MAILBOX, Mail, Mailbox
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.security import SUITES
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target, TargetConnection

FIRST_INTERVAL = 0.02
MAX_INTERVAL = 1.0
"""Seconds between two attempts at a step that is repeated; each interval doubles the one before."""


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
    library: Library = field(default_factory=lambda: Library(()))
    """All cases at hand, among which are those that others depend on."""
    mailbox: Mailbox = NO_MAILBOX
    """Where Notify and Put requests of the target arrive."""
    repeat_timeout: float = 180.0
    """Seconds after which a step is not repeated any more."""
    encoding: str | None = None
    """The encoding of all cases; None for that of each case."""
    created: set[str] = field(default_factory=set)
    """Objects that the cases so far have created; some may have been destroyed since."""
    generated: set[str] = field(default_factory=set)
    """Those of them whose value the server chose. A case may look at an object of another one."""

    def play(self, case: Case) -> Verdict:
        """Play one case on a connection of its own. ConformanceError if there is no connection."""
        obstacle = self._obstacle(case)
        if obstacle is not None:
            return Verdict(case, Outcome.SKIPPED, (obstacle,))
        obstacle = self._play_dependencies(case)
        if obstacle is not None:
            return Verdict(case, Outcome.SKIPPED, (obstacle,))
        seconds = waiting.shift(case)
        verdict = self._attempt(case, seconds)
        if seconds and verdict.outcome is Outcome.FAILED:
            # The target may not accept dates in the past: wait as long as the case does.
            self.clean_up()
            verdict = self._attempt(case, 0)
        return verdict if verdict.outcome is Outcome.PASSED else self._or_alternative(verdict)

    def _obstacle(self, case: Case) -> str | None:
        """Why the case cannot be played, apart from the objects of other cases."""
        if case.name in ERRATA:
            return f"erratum: {ERRATA[case.name]}"
        if self.offer.versions is not None and case.version not in self.offer.versions:
            return f"the server does not support KMIP {case.version}"
        supported = self.offer.operations
        missing = case.operations() - supported if supported is not None else ()
        if missing:
            names = ", ".join(sorted(operation.name for operation in missing))
            return f"the server does not support {names}"
        if self.mailbox is NO_MAILBOX and any(step.is_from_server for step in case.steps):
            return "the server sends requests; use --listen, or a server with Set Endpoint Role"
        return None

    def _or_alternative(self, verdict: Verdict) -> Verdict:
        """The verdict on a failed case, unless the target passes an alternative to it."""
        names, reason = alternatives_of(verdict.case.name)
        for name in names:
            alternative = self.library.named(name)
            if alternative is None:
                continue
            self.clean_up()
            if self._play_dependencies(alternative) is None and (
                self._attempt(alternative, 0).outcome is Outcome.PASSED
            ):
                return Verdict(
                    verdict.case, Outcome.SKIPPED, (f"the server behaves as in {name}: {reason}",)
                )
        return verdict

    def _attempt(self, case: Case, shift: int) -> Verdict:
        """Play the steps of a case, with dates that lie so many seconds further in the past."""
        started = self.clock.now()
        suite = SUITES.get(case.transport)
        try:
            with (
                accounts(self.target, case, self.offer.operations),
                ExitStack() as connections,
            ):
                steps = self._steps(case, self._connections(case, connections), shift)
        except ConformanceError as error:
            if suite is None:  # the target cannot be reached: no other case can be played either
                raise
            steps = 0, [str(error)], None
        step, reasons, actual = steps
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
        providers, are_all = self.library.providers(case)
        if not are_all:
            return "needs objects that another case leaves, which was not found"
        for provider in providers:
            obstacle = self._obstacle(provider) or self._play_dependencies(provider)
            if obstacle is not None:
                return f"needs the objects of {provider.name}: {obstacle}"
            if self._attempt(provider, 0).outcome is not Outcome.PASSED:
                return f"needs the objects of {provider.name}, which did not pass"
        return None

    def clean_up(self) -> None:
        """Destroy the objects that the cases created, and no others, as far as the server permits it."""
        if not self.created:
            return
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
        self, case: Case, connection: Callable[[str], TargetConnection], shift: int
    ) -> tuple[int, list[str], Item | None]:
        """The step that failed, the reasons and the response; no reasons if all steps passed."""
        bindings = Bindings(now=int(self.clock.now()), shift=shift)
        comparison = Comparison(bindings, self.generated)
        waits = waiting.waiting_step(case)
        mail = Mail(self.mailbox, comparison)
        if any(step.is_from_server for step in case.steps):
            self.mailbox.collect()  # what earlier cases have caused
        for number, step in enumerate(case.steps):
            deadline = self.clock.now() + self.repeat_timeout
            interval = FIRST_INTERVAL
            while True:
                comparison.bindings.at(int(self.clock.now()))
                if step.is_from_server:
                    reasons, repeat, actual = mail.step(step)
                else:
                    result = self._step(step, comparison, connection(step.marks.client))
                    reasons, repeat, actual = result
                repeat = repeat or (bool(reasons) and number == waits)
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


def is_pending(message: Item) -> bool:
    """Whether a response says that the operation is still pending."""
    return any(
        child.value == ResultStatus.OPERATION_PENDING
        for item in children(message, Tag.BATCH_ITEM)
        for child in children(item, Tag.RESULT_STATUS)
    )
