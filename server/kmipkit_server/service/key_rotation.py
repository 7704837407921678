"""Rotations of keys in the audit log."""

from collections.abc import Callable

from kmipkit_server.audit.administration import AdminRequest, AuditedChange
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.key_rotation import Rotation


def recorder(clock: Clock) -> Callable[[Rotation], AuditedChange]:
    """Makes the record of a rotation that has ended, for its last transaction."""

    def record(rotation: Rotation) -> AuditedChange:
        request = AdminRequest(Identity(rotation.account, is_internal=True), clock())
        request.action = f"keys rotate-{rotation.kind} ended"
        request.subject = str(rotation.total)
        return AuditedChange(request, None)

    return record
