"""Changes of attributes that would take an object out of a rule, or put it under one.

A client that may change attributes must not do with a change what a rule refuses otherwise. It cannot
rename an object to escape a rule that denies something to it, and it cannot change an object of another
account so that a rule newly allows something. Only conditions on attributes matter here: who may change
the state of an object, or replace it, is a matter of other operations.
"""

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason
from kmipkit_server.policy.conditions import OF_ATTRIBUTES
from kmipkit_server.policy.decision import Documents
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Clause, Effect, Rule


def require_no_crossing(old: Question, new: Question, documents: Documents) -> None:
    """Permission Denied if the change from one state of an object to another crosses a boundary."""
    for rule, _ in documents.rules():
        if not _is_about_attributes(rule) or not _binds(rule, old):
            continue
        was_met, is_met = _is_met(rule, old), _is_met(rule, new)
        if rule.effect is Effect.ALLOW:
            if is_met and not was_met and not old.is_own:
                raise OperationError(
                    ResultReason.PERMISSION_DENIED,
                    f"the change would put the object under the rule {rule.name!r}; only its owner"
                    " may do that",
                )
        elif was_met and not is_met:
            raise OperationError(
                ResultReason.PERMISSION_DENIED,
                f"the change would take the object out of the rule {rule.name!r}",
            )


def _is_about_attributes(rule: Rule) -> bool:
    clauses = (rule.clause,) if rule.unless is None else (rule.clause, rule.unless)
    return any(
        isinstance(each, OF_ATTRIBUTES) for clause in clauses for each in clause.objects.values()
    )


def _binds(rule: Rule, question: Question) -> bool:
    """Whether a rule is about the account, now or at another time."""
    if Clause(who=rule.clause.who).unmet(question):
        return False
    exempt = rule.unless
    return exempt is None or not exempt.who or bool(Clause(who=exempt.who).unmet(question))


def _is_met(rule: Rule, question: Question) -> bool:
    """Whether a rule is about the object."""
    if Clause(objects=rule.clause.objects).unmet(question):
        return False
    exempt = rule.unless
    return exempt is None or not exempt.objects or bool(
        Clause(objects=exempt.objects).unmet(question)
    )  # fmt: skip
