"""Hooks that need nothing but the engine."""

from kmipkit.model.messages import RequestBatchItem
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules


class TicketRights(Hook):
    """Refuses what a delegated ticket does not cover at all (KMIP 2.1 §6.1.12)."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Look at the rights of the request's ticket, if it has one."""
        if call.identity.rights is not None:
            rules.require_right(call.identity, row.operation)
