"""What a server was asked, for the tests of a client."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import overload

from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.engine.seam import Hook

KEPT = 10_000
"""Requests that are kept; older ones are dropped."""


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """One operation of a request. Its ``repr`` shows no secrets."""

    operation: Operation | None
    """None if the item of the request cannot be read."""
    payload: Structure | Item | None
    """The request payload; an item for an operation that the server does not know."""
    account: str
    version: Version
    moment: datetime
    """By the clock of the server."""
    reason: ResultReason | None
    """Why it failed; None for a success."""
    message: str | None
    """The Result Message of a failure."""

    @property
    def succeeded(self) -> bool:
        """Whether the operation was carried out."""
        return self.reason is None

    def __repr__(self) -> str:
        name = "unreadable" if self.operation is None else title(self.operation)
        outcome = "" if self.reason is None else f", {self.reason.name}"
        return f"<{name} by {self.account} in {self.version}{outcome}: {self.payload!r}>"


class RequestRecords(Hook, Sequence[Received]):
    """All operations that were asked for, in their order; a hook of the server adds them."""

    def __init__(self) -> None:
        self._received: deque[Received] = deque(maxlen=KEPT)
        self.is_paused = False
        """Whether requests are not added at the moment."""

    def answered(self, exchange: Exchange) -> None:
        """Add the items of a message, also one that was refused as a whole."""
        request = exchange.request
        if request is None or self.is_paused:
            return
        account = exchange.identity.name
        for number, item in enumerate(request.items):
            # The only result of a message that fails as a whole is that of all of its items.
            at = min(number, len(exchange.results) - 1)
            result = exchange.results[at] if at >= 0 else None
            self._received.append(
                Received(
                    item.operation,
                    None if isinstance(item, UnreadableItem) else item.request_payload,
                    account,
                    request.version,
                    exchange.moment,
                    None if result is None else result.result_reason,
                    None if result is None else result.result_message,
                )
            )

    def of(self, operation: Operation) -> list[Received]:
        """Those of one operation."""
        return [each for each in self if each.operation is operation]

    def clear(self) -> None:
        """Forget all of them."""
        self._received.clear()

    def __len__(self) -> int:
        return len(self._received)

    def __iter__(self) -> Iterator[Received]:
        return iter(tuple(self._received))

    @overload
    def __getitem__(self, index: int) -> Received: ...
    @overload
    def __getitem__(self, index: slice) -> list[Received]: ...
    def __getitem__(self, index: int | slice) -> Received | list[Received]:
        return list(self._received)[index]

    def __repr__(self) -> str:
        return repr(list(self))
