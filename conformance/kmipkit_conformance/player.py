"""Plays cases against a target and gives a verdict on each."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from kmipkit.errors import ProtocolError
from kmipkit.reports import Outcome
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.profiles import SERVER_PROFILES
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
from kmipkit_conformance.keeping import CannotKeep, kept
from kmipkit_conformance.listening import NO_MAILBOX, Mail, Mailbox
from kmipkit_conformance.markers import OF_TYPE
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.removing import Remover
from kmipkit_conformance.security import SUITES
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target, TargetConnection
from kmipkit_conformance.wording import listed, value_title

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
    sent: Item | None = None
    """The request of that step."""
    is_of_client: bool = False
    """Whether a client was tested. The claims of a case are about servers."""

    @property
    def claim(self) -> str:
        """The claim that the failed step breaks; empty if no step failed."""
        failed = self.outcome in (Outcome.FAILED, Outcome.KNOWN)
        if self.is_of_client:
            return self.case.requested(self.step) if failed and self.actual is not None else ""
        return self.case.claim(self.step) if failed else ""


class Played(NamedTuple):
    """How far a case got: the step that failed, and why; no reasons if all steps passed."""

    step: int
    reasons: list[str] = []  # noqa: RUF012 - a default of a tuple's field, which nobody changes
    actual: Item | None = None
    sent: Item | None = None
    missing: str = ""
    """The optional feature that the server refused, so that the rest of the case cannot be played."""


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
    https: bool = False
    """Whether the user says that the target has HTTPS, so that it need not claim it."""
    created: set[str] = field(default_factory=set)
    """Objects that the cases so far have created; some may have been destroyed since."""
    generated: set[str] = field(default_factory=set)
    """Those of them whose value the server chose. A case may look at an object of another one."""
    silent: set[Operation] = field(default_factory=set)
    """Operations of the clean-up to which the server has not responded in time."""
    remarks: dict[str, None] = field(default_factory=dict)
    """What went wrong in the clean-up, so that objects may be left."""

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
            return f"the published case contradicts itself: {ERRATA[case.name]}"
        if self.offer.versions is not None and case.version not in self.offer.versions:
            return f"the server does not support KMIP {case.version}"
        supported = self.offer.operations_in(case.version)
        missing = case.operations() - supported if supported is not None else ()
        if missing:
            return f"the server does not support {listed(missing)}"
        types = case.object_types() - (self.offer.object_types or case.object_types())
        if types:
            names = ", ".join(sorted(value_title(Tag.OBJECT_TYPE, each) for each in types))
            return f"the server does not list {names} among its object types"
        if self._media(case) is not None and not self._has_https(case):
            return (
                "the server does not claim this profile over HTTPS in Query; use --https to play it"
            )
        if self.mailbox is NO_MAILBOX and any(step.is_from_server for step in case.steps):
            return (
                "the server would send the requests of this case; use --listen, or a server that"
                " supports Set Endpoint Role"
            )
        return None

    def _has_https(self, case: Case) -> bool:
        """Whether the target has HTTPS: the user says so, or the profile of the case is claimed."""
        profiles = (
            profile for profile in SERVER_PROFILES if case.name.startswith(profile.cases or ("\0",))
        )
        is_requested = self.https or self.encoding is not None
        return is_requested or any(self.offer.claims_any(profile) for profile in profiles)

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
                kept(self.target, case),
                accounts(self.target, case, self.offer.operations),
                ExitStack() as connections,
            ):
                played = self._steps(case, self._connections(case, connections), shift)
        except CannotKeep as obstacle:
            outcome = Outcome.FAILED if obstacle.is_failure else Outcome.SKIPPED
            return Verdict(case, outcome, (str(obstacle),))
        except ConformanceError as error:
            if suite is None:  # the target cannot be reached: no other case can be played either
                raise
            played = Played(0, [str(error)])
        step, reasons, actual, sent, missing = played
        if missing:
            return Verdict(case, Outcome.SKIPPED, (f"the server does not offer {missing}",), step)
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].response if reasons else None
        seconds = self.clock.now() - started
        return Verdict(case, outcome, tuple(reasons), step, seconds, expected, actual, sent)

    def _media(self, case: Case) -> str | None:
        """The media type over HTTPS; None for TTLV without HTTP."""
        encoding = self.encoding or case.encoding
        return ENCODINGS[encoding] if case.transport == "https" or encoding != "ttlv" else None

    def _play_dependencies(self, case: Case) -> str | None:
        """Play the cases that this one depends on. The result says why that is not possible."""
        providers, are_all = self.library.providers(case)
        if not are_all:
            return "the case needs objects that another case leaves, which is not in --cases"
        for provider in providers:
            obstacle = self._obstacle(provider) or self._play_dependencies(provider)
            if obstacle is not None:
                return f"the case needs the objects of {provider.name}: {obstacle}"
            verdict = self._attempt(provider, 0)
            if verdict.outcome is not Outcome.PASSED:
                why = "; ".join(verdict.reasons)
                return (
                    f"the case needs the objects of {provider.name}, which failed at step"
                    f" {verdict.step}: {why}"
                )
        return None

    def clean_up(self) -> None:
        """Destroy the objects that the cases created, and no others, as far as the server permits it.

        ConformanceError if the server cannot be reached any more.
        """
        if self.created:
            remover = Remover(self.target, self.offer.usual, self.silent, self.remarks)
            remover.remove(self.created)

    def _connections(self, case: Case, stack: ExitStack) -> Callable[[str], TargetConnection]:
        """One connection for each client of the case, opened on first use."""
        suite = SUITES.get(case.transport)

        @cache
        def connection(client: str) -> TargetConnection:  # noqa: ARG001 - the key of the cache
            return stack.enter_context(self.target.connect(suite, self._media(case)))

        return connection

    def _steps(
        self, case: Case, connection: Callable[[str], TargetConnection], shift: int
    ) -> Played:
        """Play the steps until one fails."""
        bindings = Bindings(now=int(self.clock.now()), shift=shift)
        comparison = Comparison(bindings, self.generated)
        waits = waiting.waiting_step(case)
        mail = Mail(self.mailbox, comparison)
        if any(step.is_from_server for step in case.steps):
            self.mailbox.collect()  # what earlier cases have caused
        for number, step in enumerate(case.steps):
            deadline = self.clock.now() + self.repeat_timeout
            interval = FIRST_INTERVAL
            sent = None
            while True:
                comparison.bindings.at(int(self.clock.now()))
                if step.is_from_server:
                    reasons, repeat, actual = mail.step(step)
                else:
                    sent = comparison.bindings.fill(step.request)
                    result = self._step(step, sent, comparison, connection(step.marks.client))
                    reasons, repeat, actual = result
                repeat = repeat or (bool(reasons) and number == waits)
                if not repeat or self.clock.now() >= deadline:
                    break
                self.clock.sleep(interval)
                interval = min(2 * interval, MAX_INTERVAL)
            self.created.update(comparison.created)
            if reasons:
                refused = self._missing_feature(case, step, actual)
                return Played(number, reasons, actual, sent, refused)
        return Played(len(case.steps))

    def _missing_feature(self, case: Case, step: Step, actual: Item | None) -> str:
        """The optional feature that the server refused; empty if it claims it, or refused none."""
        feature = step.marks.optional
        types = self.offer.object_types
        is_claimed = feature.startswith(OF_TYPE) and types and case.object_types() <= types
        return feature if _is_refused(step, actual) and not is_claimed else ""

    def _step(
        self, step: Step, sent: Item, comparison: Comparison, connection: TargetConnection
    ) -> tuple[list[str], bool, Item | None]:
        """How the response differs, whether to send the request again, and the response."""
        try:
            response = binary.decode(connection.exchange(binary.encode(sent)))
        except NoAnswer as error:
            return [f"{listed(step.operations)}: {error}"], False, None
        except ProtocolError as error:
            return [f"{listed(step.operations)}: the response is malformed: {error}"], False, None
        reasons = comparison.differences(step, response)
        waits = step.marks.repeated or (is_pending(response) and not is_pending(step.response))
        return reasons, bool(reasons) and waits, response


def _is_refused(step: Step, actual: Item | None) -> bool:
    """Whether the server refused what the case expects to succeed."""
    failed = ResultStatus.OPERATION_FAILED
    if actual is None or not _has(actual, failed):
        return False
    items = [children(message, Tag.BATCH_ITEM) for message in (step.response, actual)]
    if len(items[0]) != len(items[1]):
        return True
    return any(
        _status(received) == failed and _status(expected) != failed
        for expected, received in zip(*items, strict=True)
    )


def _status(batch_item: Item) -> object:
    return next((child.value for child in children(batch_item, Tag.RESULT_STATUS)), None)


def is_pending(message: Item) -> bool:
    """Whether a response says that the operation is still pending."""
    return _has(message, ResultStatus.OPERATION_PENDING)


def _has(message: Item, status: ResultStatus) -> bool:
    """Whether a batch item of a response has this Result Status."""
    return any(
        child.value == status
        for item in children(message, Tag.BATCH_ITEM)
        for child in children(item, Tag.RESULT_STATUS)
    )
