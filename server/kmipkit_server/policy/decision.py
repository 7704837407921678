"""Decisions: one pure function from a question and the documents in force to what is permitted.

| what | who may do it |
| --- | --- |
| anything with an object of one's own, and operations on no object | the account |
| anything with an object of the server, or of the tenant | its administrators |
| Get Attributes and Get Attribute List of an object of another account | administrators |
| what a rule allows with an object of another account | those whom the rule names |

Whatever else concerns an object of another account is refused. A rule that denies takes precedence over
all of this, and a ticket has the rights of its account at most (:mod:`.rules`). The order of rules makes
no difference. Nothing is ever permitted across tenants: this module does not depend on it that no other
one finds objects of another tenant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import rules
from kmipkit_server.policy.actions import SESSION, Action, action_title
from kmipkit_server.policy.obligations import Obligation
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Effect, Policy, Rule
from kmipkit_server.store.owners import account_in_tenant, tenant_of

READ_BY_ADMINISTRATORS = frozenset({Operation.GET_ATTRIBUTES, Operation.GET_ATTRIBUTE_LIST})
"""What administrators may do with objects of all accounts, without any rule."""


class BuiltIn(Enum):
    """What decided, if no rule did."""

    OWNER = "owner"
    """The object belongs to the account."""
    NO_OBJECT = "no object"
    """The operation is on no object, or makes one, as everybody may."""
    ADMINISTRATOR = "administrator"
    DEFAULT = "default"
    """The object belongs to another account, and no rule allows it."""
    TICKET = "ticket"
    """The ticket of the request does not have the right."""
    UNREADABLE = "unreadable policy"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is permitted, and why."""

    is_permitted: bool
    by: Rule | BuiltIn
    """The rule that decided, or what is built in."""
    obligations: tuple[Obligation, ...] = ()
    """What must be fulfilled besides."""

    @property
    def name(self) -> str:
        """The name of what decided."""
        return self.by.name if isinstance(self.by, Rule) else self.by.value


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents in force for an account: that of the server, and that of its tenant.

    The document of the server governs accounts without a tenant. What it denies or requires holds for
    the accounts of all tenants; what it allows does not.
    """

    server: Policy = Policy()  # noqa: RUF009 - immutable
    tenant: Policy | None = None
    is_unreadable: bool = False
    """Whether one of them cannot be read, so that nobody knows what it denies."""

    def rules(self) -> Iterator[tuple[Rule, Policy]]:
        """All rules that hold, each with its document."""
        for rule in self.server.rules:
            if self.tenant is None or rule.effect is not Effect.ALLOW:
                yield rule, self.server
        if self.tenant is not None:
            yield from ((rule, self.tenant) for rule in self.tenant.rules)

    def concerning(self, identity: Identity, action: Action) -> Sequence[Rule]:
        """The rules that may apply to an action of an identity, which are remembered with it."""
        known, by_action = identity.prepared.get(_PREPARED, (None, None))
        if known is not self:
            # An identity without the time: conditions on the account do not look at it.
            by_action = {}
            identity.prepared[_PREPARED] = (self, by_action)
        found: Sequence[Rule] | None = by_action.get(action)
        if found is None:
            question = Question(identity, action, _NEVER)
            found = by_action[action] = tuple(
                rule
                for rule, _ in self.rules()
                if action in rule.actions and rule.may_concern(identity, question)
            )
        return found


_PREPARED = "policy"
_NEVER = datetime.min.replace(tzinfo=UTC)


def decide(question: Question, documents: Documents) -> Decision:
    """What is permitted."""
    identity, record, action = question.identity, question.record, question.action
    if record is not None and not question.is_own and tenant_of(record.owner) != identity.tenant:
        return Decision(False, BuiltIn.DEFAULT)
    if documents.is_unreadable and action not in SESSION:
        return Decision(False, BuiltIn.UNREADABLE)
    concerning = documents.concerning(identity, action)
    applying = [rule for rule in concerning if rule.applies(question)]
    grant = _built_in_grant(question) or _allowing(question, applying)
    if grant is None:
        # Even if a rule denies it as well: its name would tell something about the object.
        return Decision(False, BuiltIn.DEFAULT)
    for rule in applying:
        if rule.effect is Effect.DENY:
            return Decision(False, rule)
    if not (record is None or question.is_new) and not rules.covers(
        identity, question.operation or action, record.id
    ):
        return Decision(False, BuiltIn.TICKET)
    obligations = [each for rule in applying if rule.effect is Effect.REQUIRE
                   for each in rule.obligations]  # fmt: skip
    if isinstance(grant, Rule):
        obligations += grant.obligations
    return Decision(True, grant, tuple(obligations))


def _built_in_grant(question: Question) -> BuiltIn | None:
    """What permits it without a rule."""
    identity, record = question.identity, question.record
    if record is None or question.is_new:
        return BuiltIn.NO_OBJECT
    if question.is_own:
        return BuiltIn.OWNER
    if identity.is_administrator and (
        record.owner == identity.system or question.action in READ_BY_ADMINISTRATORS
    ):
        return BuiltIn.ADMINISTRATOR
    return None


def _allowing(question: Question, applying: Sequence[Rule]) -> Rule | None:
    """The rule that permits it; one without obligations, if there is one.

    What belongs to the server or a tenant itself, such as credentials and the keys of its authorities,
    is left to administrators: a rule that allows all objects does not mean these.
    """
    assert question.record is not None
    if not account_in_tenant(question.record.owner):
        return None
    allowing = [rule for rule in applying if rule.effect is Effect.ALLOW]
    return min(allowing, key=lambda rule: bool(rule.obligations), default=None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and what became of each rule."""

    decision: Decision
    rules: tuple[tuple[Rule, str], ...]
    """Each rule that holds for the account, and the condition that is not met; empty if it applies."""


def explain(question: Question, documents: Documents, *, for_tenant: bool = False) -> Explanation:
    """The same decision as :func:`decide`, with the reasons.

    ``for_tenant``: somebody of a tenant asks, who learns of a rule of the server only if it applies. The
    others may name what is of other tenants.
    """
    rules = ((rule, rule.why_not(question), policy) for rule, policy in documents.rules())
    return Explanation(
        decide(question, documents),
        tuple(
            (rule, unmet)
            for rule, unmet, policy in rules
            if not (for_tenant and unmet and policy is documents.server)
        ),
    )


def refusal(question: Question, decision: Decision) -> OperationError:
    """The error for the client."""
    what = action_title(question.action)
    if isinstance(decision.by, Rule):
        return OperationError(
            ResultReason.PERMISSION_DENIED, f"{what} is denied by the rule {decision.by.name!r}"
        )
    if decision.by is BuiltIn.TICKET:
        return OperationError(
            ResultReason.NOT_AUTHORISED, f"the ticket does not cover {what} of this object"
        )
    if decision.by is BuiltIn.UNREADABLE:
        return OperationError(
            ResultReason.PERMISSION_DENIED,
            "the server cannot read its policy; its administrator must apply the policy again",
        )
    return OperationError(
        ResultReason.PERMISSION_DENIED,
        f"{what} is not permitted: the object belongs to another account",
    )
