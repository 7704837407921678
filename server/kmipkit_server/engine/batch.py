"""One message while it is carried out: what its items share, and what they change in memory.

A batch is run inside one transaction of the store. It may be run twice (first on a view that only
reads, or again where others were in the way), so each run has a batch of its own. What a run changes
outside the transaction is staged: it is published after the commit and forgotten with a rollback.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
from kmipkit_server.engine.asynchronous import AsynchronousRequests
from kmipkit_server.engine.multipart import Computations
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.settings import Settings
from kmipkit_server.engine.staging import Staged
from kmipkit_server.engine.state import ServerState
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.tickets import Tickets
from kmipkit_server.store.base import Reader, Transaction

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True, eq=False)
class Batch:
    """One run of a message; see the head of this module."""

    identity: Identity
    version: Version
    now: datetime
    """The time of the request, in whole seconds."""
    store: Reader | Transaction
    settings: Settings
    registry: Registry
    state: ServerState
    is_single: bool = False
    """Whether the message has one item only."""

    placeholder: str | None = None
    """The ID Placeholder (KMIP 1.4 §4)."""
    identifiers: list[str] = field(default_factory=list)
    """Identifiers that earlier items have returned (KMIP 2.1 §4.58)."""
    outputs: list[tuple[Operation, bytes]] = field(default_factory=list)
    """Data that earlier items have returned, and by which operation (KMIP 2.1 §7.9)."""
    results: list[ResponseBatchItem] = field(default_factory=list)
    """The answers so far."""
    exchanges_roles: bool = False
    """Whether client and server exchange their roles after the answer (KMIP 2.1 §6.1.54)."""

    _staged: dict[int, Staged[Any, Any]] = field(default_factory=dict)
    _effects: list[Callable[[], None]] = field(default_factory=list)
    _cleanups: list[Callable[[], None]] = field(default_factory=list)

    # --- what lives outside the transaction ------------------------------------------------------

    def staged(self, shared: MutableMapping[_Key, _Value]) -> Staged[_Key, _Value]:
        """This batch's view of a table of the server's state."""
        table = self._staged.get(id(shared))
        if table is None:
            table = self._staged[id(shared)] = Staged(shared)
        return table

    @property
    def tickets(self) -> Tickets:
        """The tickets of Login."""
        return Tickets(self.staged(self.state.sessions))

    @property
    def computations(self) -> Computations:
        """Operations in several parts."""
        shared = self.state.computations
        return Computations(self.staged(shared), shared)

    @property
    def asynchronous(self) -> AsynchronousRequests:
        """Asynchronous requests."""
        return AsynchronousRequests(self.staged(self.state.deferrals))

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Have something done once the batch is committed; never, if it is rolled back."""
        self._effects.append(effect)

    def at_end(self, cleanup: Callable[[], None]) -> None:
        """Have something done when the batch has ended, however it ended."""
        self._cleanups.append(cleanup)

    # --- how it goes -----------------------------------------------------------------------------

    @contextmanager
    def part(self) -> Iterator[None]:
        """One item of several: if it ends with an exception, it leaves nothing behind."""
        savepoints = {key: table.savepoint() for key, table in self._staged.items()}
        effects = len(self._effects)
        store = self.store
        try:
            with store.savepoint() if isinstance(store, Transaction) else nullcontext():
                yield
        except BaseException:
            for key, table in self._staged.items():
                table.rollback(savepoints.get(key, 0))
            del self._effects[effects:]
            raise

    def accept(self, identifiers: list[str], outputs: list[bytes], row: ServedOperation) -> None:
        """Take what an operation has returned that succeeded, for the items that follow.

        One identifier becomes the ID Placeholder; of several the first one, if they are new
        objects, and none, if they were found (KMIP 1.4 §4, §4.2, §4.9, §4.38).
        """
        self.identifiers += identifiers
        self.outputs += [(row.operation, output) for output in outputs]
        if row.sets_placeholder:
            is_clear = identifiers and (row.creates or len(identifiers) == 1)
            self.placeholder = identifiers[0] if is_clear else None

    def publish(self) -> None:
        """After the commit: show all what the batch has changed."""
        for table in self._staged.values():
            table.publish()
        for effect in self._effects:
            effect()
        self.end()

    def end(self) -> None:
        """Clean up. What was not published is forgotten."""
        cleanups, self._cleanups = self._cleanups, []
        for cleanup in cleanups:
            cleanup()
