"""Who may do what: pure decisions from identity, operation and owner.

An object belongs to the identity that made it, and to no one else. What is not allowed is refused;
there is no default that opens anything.
"""

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit_server.identity import Identity


def allows(identity: Identity, operation: Operation, owner: str) -> bool:  # noqa: ARG001
    """Whether the identity may use this operation on an object of ``owner``."""
    return identity.name == owner


def require(identity: Identity, operation: Operation, owner: str) -> None:
    """Refuse with Permission Denied what :func:`allows` does not allow."""
    if not allows(identity, operation, owner):
        name = operation.name.replace("_", " ").title()
        raise OperationError(
            ResultReason.PERMISSION_DENIED, f"{name} is not permitted: the object is another's"
        )
