"""Hooks that depend on the engine only."""

from kmipkit.model.messages import RequestBatchItem
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules


class TicketRights(Hook):
    """Refuses operations that a delegated ticket does not cover at all (KMIP 2.1 §6.1.12)."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Check the rights of the ticket, if the request has one."""
        if call.identity.rights is not None:
            rules.require_right(call.identity, row.operation)
