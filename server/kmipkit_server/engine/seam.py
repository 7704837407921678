"""The seam around each operation: hooks that run before it, after it, after the commit, and before the
response of its message.

:mod:`kmipkit_server.app` lists the hooks in the order in which they run.
"""

from collections.abc import Awaitable, Callable, Sequence

from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.store.base import Transaction


class Hook:
    """Runs around operations; a subclass overrides the methods that it needs."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Run before an operation; an OperationError refuses it."""

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Run after an operation that succeeded, in its transaction; an OperationError undoes it."""

    def written(
        self,
        batch: Batch,
        transaction: Transaction,
        item: RequestBatchItem | UnreadableItem,
        result: ResponseBatchItem,
    ) -> None:
        """Run at the end of the transaction of a message, for each result; a StoreError undoes all."""

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Run after the commit or rollback, with the result that the client gets."""

    def responding(self, exchange: Exchange) -> None:
        """Run once for each message, also one that is refused as a whole, before its response leaves.

        A StoreError makes the message fail; but what it has changed is durable.
        """

    def answered(self, exchange: Exchange) -> None:
        """Run once for each message, when its response is certain. It must be quick, and not fail."""

    async def settle(self, exchange: Exchange) -> None:
        """Wait until what :meth:`responding` has done is durable; a StoreError has the same effect."""


class Seam:
    """The hooks in their order. A method that a hook does not override costs nothing."""

    def __init__(self, hooks: Sequence[Hook] = ()) -> None:
        self.before: list[Callable[[Call, ServedOperation, RequestBatchItem], None]] = [
            hook.before for hook in hooks if _overrides(hook, "before")
        ]
        self.after: list[Callable[[Call, ServedOperation, RequestBatchItem], None]] = [
            hook.after for hook in hooks if _overrides(hook, "after")
        ]
        self.written: list[
            Callable[
                [Batch, Transaction, RequestBatchItem | UnreadableItem, ResponseBatchItem], None
            ]
        ] = [hook.written for hook in hooks if _overrides(hook, "written")]
        self.finished: list[
            Callable[[Batch, RequestBatchItem | UnreadableItem, ResponseBatchItem], None]
        ] = [hook.finished for hook in hooks if _overrides(hook, "finished")]
        self.responding: list[Callable[[Exchange], None]] = [
            hook.responding for hook in hooks if _overrides(hook, "responding")
        ]
        self.answered: list[Callable[[Exchange], None]] = [
            hook.answered for hook in hooks if _overrides(hook, "answered")
        ]
        self.settle: list[Callable[[Exchange], Awaitable[None]]] = [
            hook.settle for hook in hooks if _overrides(hook, "settle")
        ]


def _overrides(hook: Hook, method: str) -> bool:
    return getattr(type(hook), method) is not getattr(Hook, method)
