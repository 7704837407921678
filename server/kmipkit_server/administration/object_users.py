"""Who may use an object: its owner, and those to whom rules of the policy permit it."""

from itertools import islice

from kmipkit.spec.enums import Operation
from kmipkit_server.administration.context import Context
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.active import NO_POLICY, ActivePolicies
from kmipkit_server.policy.decision import Documents, decide
from kmipkit_server.policy.question import Question
from kmipkit_server.store.base import Record
from kmipkit_server.store.inventory import Inventory
from kmipkit_server.store.owners import is_system, tenant_of

MAX_ACCOUNTS = 1000
"""Accounts that are asked about, besides the owner."""

USES = (
    Operation.GET,
    Operation.EXPORT,
    Operation.ENCRYPT,
    Operation.DECRYPT,
    Operation.SIGN,
    Operation.SIGNATURE_VERIFY,
    Operation.MAC,
    Operation.MAC_VERIFY,
    Operation.DERIVE_KEY,
)
"""Operations that use the material of an object."""


def who_may_use(context: Context, reader: Inventory, record: Record) -> tuple[str, ...]:
    """The accounts that may use an object, its owner first; of those that the server knows.

    What else rules ask for, such as an address, is not known here: a rule that depends on it does not
    count.
    """
    if is_system(record.owner):
        return ("administrators",)
    tenant = tenant_of(record.owner)
    policies = _policies(context)
    documents = policies.of(reader, tenant, record.revision)
    if documents is NO_POLICY:
        return (context.scope.account(record.owner),)
    others = sorted(
        owner
        for owner in {*reader.owner_numbers(), *_seen(context)}
        if tenant_of(owner) == tenant and not is_system(owner) and owner != record.owner
    )
    asked = (record.owner, *islice(others, MAX_ACCOUNTS))
    return tuple(
        context.scope.account(owner)
        for owner in asked
        if _may_use(context, Identity(owner), record, documents)
    )


def _may_use(context: Context, identity: Identity, record: Record, documents: Documents) -> bool:
    return any(
        decide(Question(identity, operation, context.now, record), documents).is_permitted
        for operation in USES
    )


def _policies(context: Context) -> ActivePolicies:
    live = context.parts.live
    return ActivePolicies() if live is None else live.dispatcher.server.state.policies


def _seen(context: Context) -> tuple[str, ...]:
    live = context.parts.live
    return () if live is None else live.dispatcher.server.state.sightings.accounts
