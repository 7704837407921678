"""Asking the policy: whether the operation in progress is permitted, on the object as it sees it.

Every object that an operation touches is decided about where it is loaded, and every new one where it
is made, in the transaction (or view) of the operation. Operations on no object are decided about before
they begin.
"""

from dataclasses import replace

from kmipkit.spec.enums import Operation
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.exchange import StateChanged
from kmipkit_server.identity.directory import linked_groups
from kmipkit_server.policy.actions import ADMINISTER, CHANGE_ATTRIBUTES, Action
from kmipkit_server.policy.active import NO_POLICY
from kmipkit_server.policy.boundaries import require_no_crossing
from kmipkit_server.policy.decision import Documents, decide, refusal
from kmipkit_server.policy.question import Question
from kmipkit_server.store.base import Record
from kmipkit_server.store.revision import read_revision


def require(call: Call, record: Record, action: Action | None = None) -> None:
    """Refuse what is not permitted with an existing object: Permission Denied, or Not Authorised.

    ``action`` is what the operation does with the object, if it is not the object of the operation.
    """
    identity, what = call.identity, action or call.operation
    documents = call.documents = _documents(call, record.revision)
    is_own = record.owner == identity.name and identity.rights is None
    if documents is NO_POLICY and is_own:
        return  # the usual case
    # Decided once: what the operation itself has changed meanwhile, such as a name that a replacement
    # takes over, is no reason to decide otherwise.
    decided = (record.id, what)
    if decided in call.decided:
        return
    if not is_own or documents.is_unreadable or documents.concerning(identity, what):
        _enforce(call, _question(call, record, action), documents)
    call.decided += (decided,)
    call.touched += (record,)


def require_creation(call: Call, record: Record) -> None:
    """Refuse an object that the operation would make, if a rule says so.

    What the server makes for itself meanwhile, such as a certificate authority, is nobody's request.
    """
    if record.owner == call.identity.system and call.operation not in ADMINISTER:
        return
    documents = documents_in_force(call)
    if documents is not NO_POLICY:
        # A Locate of fresh members of a group may make one, as a Create does.
        action = Operation.CREATE if call.operation is Operation.LOCATE else None
        _enforce(call, _question(call, record, action, is_new=True), documents)


def require_change(call: Call, old: Record, new: Record) -> None:
    """Refuse a change of attributes by which an object would cross the boundary of a rule."""
    if call.operation not in CHANGE_ATTRIBUTES:
        return
    documents = _documents(call, old.revision)
    if documents is not NO_POLICY:
        require_no_crossing(_question(call, old), _question(call, new), documents)


def require_operation(call: Call) -> None:
    """Refuse an operation before it begins, whatever its objects are."""
    documents = documents_in_force(call)
    if documents is not NO_POLICY:
        _enforce(call, _question(call), documents)


def require_result(call: Call, operation: Operation, identifier: str) -> None:
    """Refuse the result of an operation that was permitted when it was carried out, but is not now."""
    record = call.store.get(identifier)
    if record is None:
        return
    documents = _documents(call, record.revision)
    if documents is NO_POLICY:
        return
    question = replace(_question(call, record, operation), operation=operation)
    decision = decide(question, documents)
    if not decision.is_permitted:
        raise refusal(question, decision)


def is_permitted(call: Call, record: Record, documents: Documents) -> bool:
    """Whether the operation is permitted with an object, without obligations."""
    decision = decide(_question(call, record), documents)
    return decision.is_permitted and not decision.obligations


def documents_in_force(call: Call) -> Documents:
    """The documents in force for the account, in the view of the operation."""
    if call.documents is None:
        call.documents = _documents(call, read_revision(call.store))
    return call.documents


def _documents(call: Call, revision: bytes | None) -> Documents:
    """The documents in force at a revision, which the operation has just read.

    If it is another one than that at which the client was admitted, the client may have been blocked
    meanwhile, by another process: StateChanged.
    """
    batch = call.batch
    if revision != batch.exchange.revision and not batch.has_changed_state:
        raise StateChanged(revision)
    return batch.server.state.policies.of(call.store, batch.identity.tenant, revision)


def _question(
    call: Call, record: Record | None = None, action: Action | None = None, *, is_new: bool = False
) -> Question:
    identity = call.identity
    return Question(
        identity,
        action or call.operation,
        call.now,
        record,
        is_new=is_new,
        operation=call.operation,
        groups=lambda: linked_groups(call.store, identity),
    )


def _enforce(call: Call, question: Question, documents: Documents) -> None:
    decision = decide(question, documents)
    if not decision.is_permitted:
        raise refusal(question, decision)
    for obligation in decision.obligations:
        call.obligations += ((obligation, None if question.is_new else question.record),)
