"""What bounds all decisions: the rights of tickets, and what only administrators may do.

A delegated ticket has fewer rights than its account, never more.
"""

from kmipkit.errors import OperationError
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.titles import title
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import KeyUse


def covers(identity: Identity, operation: Operation | KeyUse, identifier: str) -> bool:
    """Whether the rights of the ticket, if the request has one, cover an operation on an object."""
    rights = identity.rights
    return rights is None or any(
        _covers_operation(right, operation) and _covers_object(right, identifier)
        for right in rights
    )


def _covers_operation(right: Right, operation: Operation | KeyUse) -> bool:
    return right.operations is None or operation in right.operations.operations


def _covers_object(right: Right, identifier: str) -> bool:
    """Whether a right covers this object. Object groups are not supported, so they cover nothing."""
    if right.object_groups is not None:
        return False
    return right.objects is None or identifier in right.objects.unique_identifiers


def require_right(identity: Identity, operation: Operation) -> None:
    """Refuse an operation that a delegated ticket does not cover for any object."""
    rights = identity.rights
    if rights is not None and not any(_covers_operation(right, operation) for right in rights):
        raise OperationError(
            ResultReason.NOT_AUTHORISED, f"the ticket does not cover {title(operation)}"
        )


def require_right_without_object(identity: Identity, operation: Operation) -> None:
    """Refuse an operation on no object, such as Create, for rights that are limited to objects."""
    rights = identity.rights
    if rights is not None and not any(
        _covers_operation(right, operation)
        and right.objects is None
        and right.object_groups is None
        for right in rights
    ):
        raise OperationError(
            ResultReason.NOT_AUTHORISED,
            f"the ticket covers {title(operation)} of certain objects only",
        )


def require_administrator(identity: Identity) -> None:
    """Refuse an operation that only administrators may use."""
    if not identity.is_administrator:
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            f"the operation needs an administrator, which the account {identity.account!r} is not",
        )
