"""Hooks that need nothing but the engine: rights of tickets, extensions, the log of refusals."""

import logging

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.spec.enums import ResultReason, ResultStatus
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.engine.response import title
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules

log = logging.getLogger("kmipkit.server")


class TicketRights(Hook):
    """Refuses what a delegated ticket does not cover at all (KMIP 2.1 §6.1.12)."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Look at the rights of the request's ticket, if it has one."""
        if call.identity.rights is not None:
            rules.require_right(call.identity, row.operation)


class CriticalExtensions(Hook):
    """Refuses items with a Message Extension that must be understood (KMIP 1.4 §6.16)."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Look at the extensions of the item; none is known here."""
        for extension in item.message_extensions:
            if extension.criticality_indicator:
                raise OperationError(
                    ResultReason.FEATURE_NOT_SUPPORTED,
                    f"the critical Message Extension of {extension.vendor_identification!r}"
                    " is unknown",
                )


class RefusalLog(Hook):
    """Writes one line to the log for each operation that is refused."""

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Log a failure."""
        if result.result_status is ResultStatus.OPERATION_FAILED:
            reason = result.result_reason.name if result.result_reason else ""
            operation = title(item.operation)
            message = result.result_message
            log.info("%s: %s refused: %s: %s", batch.identity.name, operation, reason, message)
