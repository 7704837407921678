"""Hooks that depend on the engine only."""

from kmipkit.model.messages import RequestBatchItem
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules


class TicketRights(Hook):
    """Refuses operations that a delegated ticket does not cover (KMIP 2.1 §6.1.12, §7.34).

    Loading an object checks whether the ticket covers that object.
    """

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Check the rights of the ticket, if the request has one."""
        if call.identity.rights is not None:
            rules.require_right(call.identity, row.operation)

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Undo an operation on no object, if the ticket covers only certain objects.

        Whether an operation loads an object depends on the request, so this shows only afterwards.
        """
        if call.identity.rights is not None and not call.has_loaded:
            rules.require_right_without_object(call.identity, row.operation)
