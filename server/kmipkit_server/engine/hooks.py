"""Hooks that depend on the engine only."""

from dataclasses import dataclass
from typing import NoReturn

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules
from kmipkit_server.store.base import Transaction


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


LIFE_CYCLE_BYTES = 512
"""By how much an operation of the life cycle may exceed the quota of bytes. Activate and Revoke store
dates and reasons, and must not be refused to an account that cannot store anything else."""


@dataclass(frozen=True, slots=True)
class Quotas(Hook):
    """Limits how much each account has in the store; None is no limit.

    It looks at what an operation has done, so that no operation can be forgotten: one after which the
    account has more than before, and more than its quota, is undone. An account that is over its quota
    for another reason, such as a new configuration, can still use and destroy what it has.
    """

    objects: int | None = None
    """Objects that are not destroyed."""
    size: int | None = None
    """Bytes of material and attributes."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Note what the account has, and refuse long computations whose result has no room."""
        if not isinstance(call.store, Transaction):
            return  # a view; whoever wants to write runs again in a transaction
        call.usage = usage = call.store.usage(call.identity.name)
        if row.creates and row.computes:
            if self.objects is not None and usage.objects >= self.objects:
                self._refuse_object()
            if self.size is not None and usage.size >= self.size:
                self._refuse_size()

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Undo an operation with which the account exceeds its quota."""
        if not isinstance(call.store, Transaction) or call.usage is None:
            return
        old, new = call.usage, call.store.usage(call.identity.name)
        if self.objects is not None and new.objects > max(old.objects, self.objects):
            self._refuse_object()
        if self.size is not None:
            # "changes" is empty for operations on the attributes that the request names.
            is_chosen = row.creates or row.changes == ()
            allowance = 0 if is_chosen else LIFE_CYCLE_BYTES
            if new.size > max(old.size + allowance, self.size):
                self._refuse_size()

    def _refuse_object(self) -> NoReturn:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server stores {self.objects} objects of one account at most; destroy some first",
            "objects_per_account",
        )

    def _refuse_size(self) -> NoReturn:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server stores {self.size} bytes of one account at most, in the material and"
            " attributes of its objects; destroy some objects first",
            "bytes_per_account",
        )
