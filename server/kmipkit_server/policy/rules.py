"""Who may do what: pure decisions from identity, operation and owner.

An object belongs to the identity that made it, and to no one else; what belongs to the server is its
administrators' affair. A delegated ticket allows less than its account may, never more. What is not
allowed is refused; there is no default that opens anything.
"""

from kmipkit.errors import OperationError
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.titles import title


def allows(identity: Identity, operation: Operation, owner: str, identifier: str) -> bool:
    """Whether the identity may use this operation on an object of ``owner``."""
    owns = identity.name == owner or (identity.is_administrator and owner == SYSTEM.name)
    rights = identity.rights
    return owns and (
        rights is None
        or any(_covers(right, operation) and _reaches(right, identifier) for right in rights)
    )


def _covers(right: Right, operation: Operation) -> bool:
    return right.operations is None or operation in right.operations.operations


def _reaches(right: Right, identifier: str) -> bool:
    """Whether a right is about this object; groups are not looked at, so they reach nothing."""
    if right.object_groups is not None:
        return False
    return right.objects is None or identifier in right.objects.unique_identifiers


def require(identity: Identity, operation: Operation, owner: str, identifier: str) -> None:
    """Refuse what :func:`allows` does not allow: Permission Denied, or Not Authorised by a ticket."""
    if identity.name == owner and identity.rights is None:  # nearly always
        return
    if allows(identity, operation, owner, identifier):
        return
    if identity.name == owner:
        reason, why = ResultReason.NOT_AUTHORISED, "the ticket does not cover it"
    else:
        reason, why = ResultReason.PERMISSION_DENIED, "it is another's"
    raise OperationError(reason, f"{title(operation)} of this object: {why}")


def require_right(identity: Identity, operation: Operation) -> None:
    """Refuse an operation that a delegated ticket does not cover at all."""
    rights = identity.rights
    if rights is not None and not any(_covers(right, operation) for right in rights):
        raise OperationError(
            ResultReason.NOT_AUTHORISED, f"the ticket does not cover {title(operation)}"
        )


def require_administrator(identity: Identity) -> None:
    """Refuse what only administrators may do."""
    if not identity.is_administrator:
        raise OperationError(
            ResultReason.PERMISSION_DENIED, f"{identity.name} is not an administrator"
        )
