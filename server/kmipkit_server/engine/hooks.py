"""Hooks that depend on the engine only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine import obligations, permission
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.seam import Hook
from kmipkit_server.policy import rules
from kmipkit_server.policy.actions import ALWAYS_LOADING
from kmipkit_server.store.base import Transaction, Usage


class Permissions(Hook):
    """Refuses operations that the policy denies, or that a delegated ticket does not cover (KMIP 2.1
    §6.1.12, §7.34).

    Loading an object checks whether policy and ticket permit the operation with that object.
    """

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Check the rights of the ticket, if the request has one, and ask the policy."""
        if call.identity.rights is not None:
            rules.require_right(call.identity, row.operation)
        if row.operation not in ALWAYS_LOADING:
            permission.require_operation(call)

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Undo an operation on no object, if the ticket covers only certain objects, and one whose
        obligations are not fulfilled.

        Which objects an operation loads depends on the request, so this shows only afterwards.
        """
        if call.identity.rights is not None and not call.has_loaded:
            rules.require_right_without_object(call.identity, row.operation)
        if call.obligations:
            obligations.fulfil_all(call, item)


LIFE_CYCLE_BYTES = 512
"""By how much an operation of the life cycle may exceed the quota of bytes. Activate and Revoke store
dates and reasons, and must not be refused to an account that cannot store anything else."""


class _Quota(NamedTuple):
    """How much somebody may have in the store; None is no limit."""

    who: str
    """An account or a tenant."""
    objects: int | None
    """Objects that are not destroyed."""
    size: int | None
    """Bytes of material and attributes."""
    usage: Usage
    """What there is before the operation."""

    def require_room(self) -> None:
        """Refuse a new object, whatever its size."""
        if self.objects is not None and self.usage.objects >= self.objects:
            self._refuse_object()
        if self.size is not None and self.usage.size >= self.size:
            self._refuse_size()

    def require_not_exceeded(self, now: Usage, allowance: int) -> None:
        """Refuse what has exceeded the quota; ``allowance`` is in bytes."""
        if self.objects is not None and now.objects > max(self.usage.objects, self.objects):
            self._refuse_object()
        if self.size is not None and now.size > max(self.usage.size + allowance, self.size):
            self._refuse_size()

    def _refuse_object(self) -> NoReturn:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server stores {self.objects} objects of one {self.who} at most; destroy some first",
            f"objects_per_{self.who}",
        )

    def _refuse_size(self) -> NoReturn:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server stores {self.size} bytes of one {self.who} at most, in the material and"
            " attributes of its objects; destroy some objects first",
            f"bytes_per_{self.who}",
        )


@dataclass(frozen=True, slots=True)
class Quotas(Hook):
    """Limits how much each account, and each tenant, has in the store; None is no limit.

    It looks at what an operation has done, so that no operation can be forgotten: one after which the
    account has more than before, and more than its quota, is undone. An account that is over its quota
    for another reason, such as a new configuration, can still use and destroy what it has.
    """

    objects: int | None = None
    """Objects of an account, unless its tenant has another limit for its accounts."""
    size: int | None = None
    """Bytes of an account, likewise."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Note what there is, and refuse long computations whose result has no room."""
        transaction = call.batch.transaction
        if transaction is None:
            return  # a view; whoever wants to write runs again in a transaction
        call.quotas = tuple(self._quotas(call, transaction))
        if row.creates and row.computes:
            for quota in call.quotas:
                quota.require_room()

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:  # noqa: ARG002
        """Undo an operation with which a quota is exceeded."""
        transaction = call.batch.transaction
        if not call.quotas or transaction is None:
            return
        # "changes" is empty for operations on the attributes that the request names.
        is_chosen = row.creates or row.changes == ()
        allowance = 0 if is_chosen else LIFE_CYCLE_BYTES
        for quota, now in zip(call.quotas, self._quotas(call, transaction), strict=True):
            quota.require_not_exceeded(now.usage, allowance)

    def _quotas(self, call: Call, store: Transaction) -> Iterator[_Quota]:
        identity = call.identity
        own = call.batch.server.state.tenants.limits_of(identity.tenant)
        objects = own.objects_per_account or self.objects
        size = own.bytes_per_account or self.size
        if objects is not None or size is not None:
            yield _Quota("account", objects, size, store.usage(identity.name))
        if own.objects is not None or own.bytes is not None:
            usage = store.usage_of_tenant(identity.tenant)
            yield _Quota("tenant", own.objects, own.bytes, usage)
