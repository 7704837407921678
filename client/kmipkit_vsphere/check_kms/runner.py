"""Plays the steps one after the other, and cleans up whatever happens."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from kmipkit.errors import KMIPError
from kmipkit.reports import Outcome
from kmipkit_vsphere.check_kms.findings import (
    CLIENT_NOT_TRUSTED,
    SERVER_NOT_TRUSTED,
    UNREACHABLE,
    Concern,
    Finding,
    NotPlayable,
    Symptom,
)
from kmipkit_vsphere.check_kms.operation_advice import OPERATION_ADVICE
from kmipkit_vsphere.check_kms.steps import CLEAN_UP, Step
from kmipkit_vsphere.check_kms.subject import Subject
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import (
    ClientNotTrusted,
    KeyProviderError,
    KeyServerUnreachable,
    ServerNotTrusted,
    VSphereError,
)
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused
from kmipkit_vsphere.vcenter.calls.events import AlarmName

INTERRUPTED = "interrupted"
_NOT_PASSED: Final = (Outcome.FAILED, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class View:
    """What an administrator sees in the vSphere Client."""

    colour: Color
    event: str
    """The type of the event; empty if there is none."""
    alarms: tuple[AlarmName, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a step. Without a view, all is well, or the step was not played."""

    step: Step
    outcome: Outcome
    seconds: float = 0.0
    note: str = ""
    """What was observed, or why the step was skipped."""
    problem: str = ""
    view: View | None = None
    advice: str = ""


Say = Callable[[Verdict], None]


@dataclass(frozen=True, slots=True)
class Run:
    """The verdicts on all steps, and whether the user has interrupted the check."""

    verdicts: Sequence[Verdict]
    is_interrupted: bool = False


async def play(steps: Sequence[Step], subject: Subject, say: Say) -> Run:
    """Play the steps; each verdict is given to ``say`` at once.

    The first SIGINT or SIGTERM ends the steps, and the check cleans up; the second one ends that.
    """
    work, clean_up = trio.CancelScope(), trio.CancelScope()
    verdicts: dict[str, Verdict] = {}

    def add(verdict: Verdict) -> None:
        verdicts[verdict.step.name] = verdict
        say(verdict)

    async with trio.open_nursery() as nursery:
        await nursery.start(_watch, work, clean_up)
        try:
            with work:
                for step in steps:
                    if step is not CLEAN_UP:
                        add(await _verdict(step, subject, verdicts))
            for step in steps:
                if step is not CLEAN_UP and step.name not in verdicts:
                    add(Verdict(step, Outcome.SKIPPED, note=INTERRUPTED))
        finally:  # also if a step has a defect
            with clean_up:
                add(await _attempt(CLEAN_UP, subject))
            if clean_up.cancelled_caught:
                left = ", ".join(subject.ledger.created)
                add(_warned(CLEAN_UP, Concern(f"not removed: {left}"), 0.0))
        nursery.cancel_scope.cancel()
    return Run(list(verdicts.values()), work.cancelled_caught)


async def _watch(
    work: trio.CancelScope,
    clean_up: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Cancel the scopes, one for each signal."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        scopes = iter((work, clean_up))
        async for _ in signals:
            next(scopes, clean_up).cancel()


async def _verdict(step: Step, subject: Subject, before: Mapping[str, Verdict]) -> Verdict:
    for name in step.needs:
        # A step that is not in the list is one that the caller knows to be fulfilled.
        needed = before.get(name)
        if needed is not None and needed.outcome in _NOT_PASSED:
            return Verdict(step, Outcome.SKIPPED, note=f"needs {name}, which {_ended(needed)}")
    alternatives = [before[name] for name in step.needs_any if name in before]
    if alternatives and all(verdict.outcome in _NOT_PASSED for verdict in alternatives):
        reasons = " and ".join(f"{each.step.name} {_ended(each)}" for each in alternatives)
        names = " or ".join(each.step.name for each in alternatives)
        return Verdict(step, Outcome.SKIPPED, note=f"needs {names}; {reasons}")
    obstacle = step.obstacle(subject)
    if obstacle:
        return Verdict(step, Outcome.SKIPPED, note=obstacle)
    return await _attempt(step, subject)


def _ended(verdict: Verdict) -> str:
    return "failed" if verdict.outcome is Outcome.FAILED else "was skipped"


async def _attempt(step: Step, subject: Subject) -> Verdict:
    started = trio.current_time()
    subject.forget_failures()
    try:
        note = await step.run(subject)
        if step is not CLEAN_UP:
            subject.require_no_failures()
    except NotPlayable as reason:
        return Verdict(step, Outcome.SKIPPED, trio.current_time() - started, reason.message)
    except KMIPError as failure:
        seconds = trio.current_time() - started
        if step.optional or isinstance(failure, Concern):
            return _warned(step, failure, seconds)
        return _failed(step, failure, seconds, Outcome.FAILED)
    return Verdict(step, Outcome.PASSED, trio.current_time() - started, note)


def _warned(step: Step, failure: KMIPError, seconds: float) -> Verdict:
    return _failed(step, failure, seconds, Outcome.WARNED)


def _failed(step: Step, failure: KMIPError, seconds: float, outcome: Outcome) -> Verdict:
    found = failure if isinstance(failure, Finding) else None
    symptom = (found.symptom if found is not None else None) or _symptom(step, failure)
    fault = failure if isinstance(failure, VSphereError) else KeyProviderError(str(failure))
    return Verdict(
        step,
        outcome,
        seconds,
        problem=str(failure),
        view=View(
            symptom.colour, symptom.event_type(fault), symptom.alarms(fault), symptom.message
        ),
        advice=(found.advice if found is not None else "") or _advice(step, failure),
    )


def _advice(step: Step, failure: KMIPError) -> str:
    """That of the step, unless the server has refused an operation that it is not about."""
    refusal = failure if isinstance(failure, KeyServerRefused) else failure.__cause__
    if not isinstance(refusal, KeyServerRefused) or refusal.operation is None:
        return step.advice
    if refusal.operation in step.advice_on:
        return step.advice
    return OPERATION_ADVICE.get(refusal.operation, step.advice)


_CONNECTION: Final = (UNREACHABLE, SERVER_NOT_TRUSTED, CLIENT_NOT_TRUSTED)


def _symptom(step: Step, failure: KMIPError) -> Symptom:
    """That of the step; if it is about the connection, the one that the failure has there."""
    if step.symptom not in _CONNECTION or not isinstance(failure, KeyServerUnreachable):
        return step.symptom
    if isinstance(failure, ServerNotTrusted):
        return SERVER_NOT_TRUSTED
    return CLIENT_NOT_TRUSTED if isinstance(failure, ClientNotTrusted) else UNREACHABLE
