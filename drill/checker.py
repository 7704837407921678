"""Whether a history can be that of a correct service: nothing lost, nothing revoked used, one order.

Pure functions. For each object, there must be an order of its operations in which each takes place
between its beginning and its end, and does what the model says (linearizability; the search is that of
Wing and Gong, with the memory of Lowe). An operation without an answer may take place at any time after
it was sent, or never.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from drill.history import Action, Operation, Outcome, by_name
from drill.model import Impossible, step
from kmipkit.spec.enums import State

_REVOCATIONS = frozenset({Action.REVOKE, Action.COMPROMISE})
_ABSENT = frozenset({"ITEM_NOT_FOUND", "OBJECT_NOT_FOUND"})


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost"
    """An object whose Create was acknowledged is not there."""
    USED = "used after revocation"
    """A key has encrypted in an operation that began when its revocation had been acknowledged."""
    CONTRADICTION = "no order"
    """There is no order of the operations that explains all outcomes."""
    MATERIAL = "other material"
    """Two Gets of one object have returned different keys."""
    TWICE = "done twice"
    """One Create has made several objects."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a correct service does not do."""

    kind: Kind
    name: str
    """Of the object."""
    evidence: tuple[Operation, ...]
    detail: str = ""

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.kind}{': ' if self.detail else ''}{self.detail}"]
        return "\n".join([*lines, *(f"    {each}" for each in self.evidence)])


def check(
    history: Sequence[Operation], found: Mapping[str, Sequence[str]] | None = None
) -> list[Finding]:
    """All that is wrong with a history.

    ``found`` has the identifiers of the objects with each name, as they were in the end.
    """
    findings: list[Finding] = []
    for name, operations in by_name(history).items():
        for rule in (_lost, _used, _material, _order):
            findings += rule(name, operations)
    for name, identifiers in (found or {}).items():
        if len(identifiers) > 1:
            findings.append(Finding(Kind.TWICE, name, (), ", ".join(identifiers)))
    return findings


def _lost(name: str, operations: Sequence[Operation]) -> list[Finding]:
    created = _acknowledged(operations, frozenset({Action.CREATE}))
    if created is None:
        return []
    missing = [
        each
        for each in operations
        if each.begun > created.ended and each.outcome is Outcome.REFUSED and each.value in _ABSENT
    ]
    return [Finding(Kind.LOST, name, (created, missing[0]))] if missing else []


def _used(name: str, operations: Sequence[Operation]) -> list[Finding]:
    revoked = _acknowledged(operations, _REVOCATIONS)
    if revoked is None:
        return []
    used = [
        each
        for each in operations
        if each.action is Action.ENCRYPT
        and each.outcome is Outcome.DONE
        and each.begun > revoked.ended
    ]
    return [Finding(Kind.USED, name, (revoked, used[0]))] if used else []


def _material(name: str, operations: Sequence[Operation]) -> list[Finding]:
    read = {
        each.value: each
        for each in operations
        if each.action is Action.GET and each.outcome is Outcome.DONE
    }
    return [Finding(Kind.MATERIAL, name, tuple(read.values()))] if len(read) > 1 else []


def _acknowledged(operations: Sequence[Operation], actions: frozenset[Action]) -> Operation | None:
    """The first operation of this kind that was acknowledged."""
    done = [each for each in operations if each.action in actions and each.outcome is Outcome.DONE]
    return min(done, key=lambda each: each.ended, default=None)


def _order(name: str, operations: Sequence[Operation]) -> list[Finding]:
    contradiction = _Search(operations).contradiction()
    if contradiction is None:
        return []
    state, evidence = contradiction
    reached = "does not exist" if state is None else f"is {state.name}"
    detail = f"when the object {reached}, none of these can be the next"
    return [Finding(Kind.CONTRADICTION, name, evidence, detail)]


class _Search:
    """The search for an order of the operations on one object."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        # What has failed has changed nothing, and neither has a use without an answer.
        self._operations = [
            each
            for each in operations
            if each.outcome is not Outcome.FAILED
            and (each.is_change or each.outcome is not Outcome.UNKNOWN)
        ]
        self._ends = [
            inf if each.outcome is Outcome.UNKNOWN else each.ended for each in self._operations
        ]
        self._required = sum(1 << i for i, end in enumerate(self._ends) if end < inf)

    def contradiction(self) -> tuple[State | None, tuple[Operation, ...]] | None:
        """Where the longest order ends: its state, and what could be next. None if one is complete."""
        required = self._required
        stack: list[tuple[int, State | None]] = [(0, None)]
        seen = set(stack)
        longest = -1
        deepest: tuple[int, State | None] = (0, None)
        while stack:
            done, state = place = stack.pop()
            if done & required == required:
                return None
            length = (done & required).bit_count()
            if length > longest:
                longest, deepest = length, place
            for index in reversed(self._candidates(done)):
                operation = self._operations[index]
                try:
                    after = step(state, operation)
                except Impossible:
                    continue
                following = (done | 1 << index, after)
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        done, state = deepest
        return state, tuple(self._operations[index] for index in self._candidates(done))

    def _candidates(self, done: int) -> list[int]:
        """The operations that may be next: no other one has ended before they began."""
        operations, ends = self._operations, self._ends
        first = (~done & (done + 1)).bit_length() - 1  # the lowest that is not done
        horizon = inf
        pending: list[int] = []
        for index in range(first, len(operations)):
            if operations[index].begun > horizon:
                break
            if not done >> index & 1:
                pending.append(index)
                horizon = min(horizon, ends[index])
        return [index for index in pending if operations[index].begun <= horizon]
