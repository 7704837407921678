"""Rules and documents, as they are evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import Action
from kmipkit_server.policy.conditions import DYNAMIC, OF_CONNECTION, Condition
from kmipkit_server.policy.obligations import Obligation
from kmipkit_server.policy.question import Question


class Effect(Enum):
    """What a rule does if it applies."""

    ALLOW = "allow"
    """It permits what belongs to another account."""
    DENY = "deny"
    """It refuses, whatever permits."""
    REQUIRE = "require"
    """It permits nothing, but what is permitted has its obligations."""


Conditions = Mapping[str, Condition]
"""Conditions by the name of their key, such as ``accounts``."""


@dataclass(frozen=True, slots=True)
class Clause:
    """Conditions on who asks, on the object and on the time; all of them must be met."""

    who: Conditions = field(default_factory=dict)
    objects: Conditions = field(default_factory=dict)
    when: Conditions = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.who or self.objects or self.when)

    def unmet(self, question: Question) -> str:
        """The first condition that is not met, such as ``objects.names``; empty if all are."""
        for part in ("who", "when", "objects"):
            for key, condition in getattr(self, part).items():
                if (part == "objects" and question.record is None) or not condition.is_met(
                    question
                ):
                    return f"{part}.{key}"
        return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a document."""

    name: str
    effect: Effect
    actions: frozenset[Action]
    clause: Clause = field(default_factory=Clause)
    unless: Clause | None = None
    """If all of these conditions are met, the rule does not apply."""
    obligations: tuple[Obligation, ...] = ()
    needs_object: bool = field(init=False, compare=False)
    """Whether it is about objects, so that it says nothing about an operation on none."""
    _rest: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    """The conditions that :meth:`may_concern` has not judged."""

    def __post_init__(self) -> None:
        clause = self.clause
        needs_object = bool(clause.objects or (self.unless and self.unless.objects))
        dynamic = (each for each in clause.who.values() if isinstance(each, DYNAMIC))
        rest = (*clause.when.values(), *clause.objects.values(), *dynamic)
        object.__setattr__(self, "needs_object", needs_object)
        object.__setattr__(self, "_rest", rest)

    def applies(self, question: Question) -> bool:
        """Whether a rule that may concern the account and the action applies to the question."""
        if question.record is None and self.needs_object:
            return False
        for condition in self._rest:  # a loop, since each request of an account runs it
            if not condition.is_met(question):
                return False
        return self.unless is None or bool(self.unless.unmet(question))

    def why_not(self, question: Question) -> str:
        """Why it does not apply: what is not met; empty if it applies."""
        if question.action not in self.actions:
            return self.effect.value
        if question.record is None and self.needs_object:
            return "objects"
        if question.identity.is_internal and self.is_about_connections:
            return "who"
        unmet = self.clause.unmet(question)
        if unmet:
            return unmet
        return "unless" if self.unless is not None and not self.unless.unmet(question) else ""

    @property
    def is_about_connections(self) -> bool:
        """Whether it has a condition on the address or certificate of a client."""
        clauses = (self.clause,) if self.unless is None else (self.clause, self.unless)
        return any(
            isinstance(each, OF_CONNECTION) for clause in clauses for each in clause.who.values()
        )

    def may_concern(self, identity: Identity, question: Question) -> bool:
        """Whether the account meets the conditions that do not change during a connection."""
        if identity.is_internal and self.is_about_connections:
            return False
        return all(
            isinstance(each, DYNAMIC) or each.is_met(question) for each in self.clause.who.values()
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A document, read."""

    tenant: str = ""
    rules: tuple[Rule, ...] = ()
    sections: Mapping[str, Any] = field(default_factory=dict)
    """What the sections besides groups and rules say, as they were read."""
