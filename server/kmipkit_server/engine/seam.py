"""What surrounds each operation: small objects, called before, after and after the commit.

The order in which they are called is that of :class:`Seam`'s list, which :mod:`kmipkit_server.app`
writes down in one place.
"""

from collections.abc import Callable, Sequence

from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem


class Hook:
    """Something that looks at operations; override what it needs."""

    def before(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Look at an operation before it is carried out; OperationError refuses it."""

    def after(self, call: Call, row: ServedOperation, item: RequestBatchItem) -> None:
        """Look at an operation that succeeded, inside its transaction; OperationError undoes it."""

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Look at what the client is answered, after the commit (or after a rollback)."""


class Seam:
    """The hooks in their order; those that override nothing at a place cost nothing there."""

    def __init__(self, hooks: Sequence[Hook] = ()) -> None:
        self.before: list[Callable[[Call, ServedOperation, RequestBatchItem], None]] = [
            hook.before for hook in hooks if _overrides(hook, "before")
        ]
        self.after: list[Callable[[Call, ServedOperation, RequestBatchItem], None]] = [
            hook.after for hook in hooks if _overrides(hook, "after")
        ]
        self.finished: list[
            Callable[[Batch, RequestBatchItem | UnreadableItem, ResponseBatchItem], None]
        ] = [hook.finished for hook in hooks if _overrides(hook, "finished")]


def _overrides(hook: Hook, place: str) -> bool:
    return getattr(type(hook), place) is not getattr(Hook, place)
