"""One message while it is carried out: what its items share, and what they change in memory.

A batch runs inside one transaction of the store. It may run twice: first on a read-only view, or
again after a conflict with others. So each run has a Batch of its own. What a run changes outside
the transaction is staged: it is published after the commit, and discarded with a rollback.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from kmipkit.model.messages import ResponseBatchItem
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
from kmipkit_server.engine.computing import Computing, Results
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.multipart import Computations
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.response import Repeated
from kmipkit_server.engine.server import Server
from kmipkit_server.engine.staging import Staged
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.parts import part_of

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Batch:
    """One run of a message; see the head of this module."""

    # These defaults are class attributes, since every request makes a Batch and most requests
    # change none of them: an instance attribute is made only when it is set.
    placeholder: str | None = None
    """The ID Placeholder (KMIP 1.4 §4)."""
    identifiers: tuple[str, ...] = ()
    """Identifiers that earlier items have returned (KMIP 2.1 §4.58)."""
    outputs: tuple[tuple[Operation, bytes], ...] = ()
    """Data that earlier items have returned, each with its operation (KMIP 2.1 §7.9)."""
    size: int = 0
    """Bytes of the encoded results."""
    message: bytes | None = None
    """The encoded response, if the message has one item and that succeeded."""
    has_failures: bool = False
    """Whether an item has failed."""
    limits_reached: tuple[str, ...] = ()
    """The limits for which items were refused."""
    repeated: Repeated | None = None
    """The only result, if it may be given again."""
    has_changed_state: bool = False
    """Whether it has changed something that processes keep in memory; see :mod:`.store.revision`."""
    exchanges_roles: bool = False
    """Whether client and server exchange their roles after the response (KMIP 2.1 §6.1.54)."""
    _computing: Computing | None = None
    _staged: dict[int, Staged[Any, Any]] | None = None
    _effects: tuple[Callable[[], None], ...] = ()
    _cleanups: tuple[Callable[[], None], ...] = ()

    def __init__(
        self,
        server: Server,
        exchange: Exchange,
        version: Version,
        store: Reader | Transaction,
        results: Results | None = None,
        *,
        is_single: bool,
        can_write: bool = True,
    ) -> None:
        """``results`` are those of the computations of the message, if it has run before."""
        self.server = server
        self.exchange = exchange
        self.identity = exchange.identity
        self.version = version
        self.now = exchange.now
        """The time of the request, in whole seconds."""
        tenant = self.identity.tenant
        # Without tenants, a store has nothing that the rules do not know.
        self.store = part_of(store, tenant) if tenant or server.state.tenants else store
        self.transaction = self.store.transaction
        """The store for writing; None on a read-only view."""
        self.is_single = is_single
        """Whether the message has one item only."""
        self.can_write = can_write
        """Whether the store can write; otherwise what can be noted another time is left out."""
        self.results: list[ResponseBatchItem] = []
        """The results so far."""
        self.objects: list[tuple[str, ...]] = []
        """The Unique Identifiers that each item named and returned."""
        self.encoded: list[bytes | None] = []
        """The results of several items in their encoding; None for a failure, which is encoded last."""
        self._task_results = results
        if results is not None and results.resumed:
            self._restore(results)

    @property
    def computing(self) -> Computing:
        """The computations of this run that take long."""
        if self._computing is None:
            self._computing = Computing(self._task_results or Results())
        return self._computing

    def _restore(self, results: Results) -> None:
        """Restore the operations in several parts that an earlier run has continued.

        That run has taken them from the shared table, since a cipher cannot undo a part.
        """
        for value, computation in results.resumed.items():
            restored = computation.copy()
            assert restored is not None
            self.staged(self.server.state.computations)[value] = restored

    # --- changes outside the transaction ---------------------------------------------------------

    def staged(self, shared: MutableMapping[_Key, _Value]) -> Staged[_Key, _Value]:
        """This batch's view of a table of the server's state."""
        if self._staged is None:
            self._staged = {}
        table = self._staged.get(id(shared))
        if table is None:
            table = self._staged[id(shared)] = Staged(shared)
        return table

    def view(self, shared: MutableMapping[_Key, _Value]) -> Mapping[_Key, _Value]:
        """The same for reading only, which costs nothing if this batch has changed no table."""
        return shared if self._staged is None else self.staged(shared)

    @property
    def computations(self) -> Computations:
        """The operations in several parts, with this batch's changes."""
        shared = self.server.state.computations
        return Computations(self.staged(shared), shared)

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Call a function after the commit; never, if the batch or the item is rolled back."""
        self._effects += (effect,)

    def at_end(self, cleanup: Callable[[], None]) -> None:
        """Call a function when the batch ends, with or without a commit."""
        self._cleanups += (cleanup,)

    # --- items, commit and end -------------------------------------------------------------------

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """One item of several: if it ends with an exception, all its changes are rolled back."""
        staged, effects, transaction = self._staged or {}, self._effects, self.transaction
        savepoints = {key: table.savepoint() for key, table in staged.items()}
        try:
            with nullcontext() if transaction is None else transaction.savepoint():
                yield
        except BaseException:  # whatever ends the item: an error, a WriteRequired, a defect
            for key, table in (self._staged or {}).items():
                # A table that this item staged first had no savepoint: all of it is rolled back.
                table.rollback(savepoints.get(key, 0))
            self._effects = effects
            raise

    def accept(
        self, identifiers: tuple[str, ...], outputs: tuple[bytes, ...], row: ServedOperation
    ) -> None:
        """Keep what a successful operation has returned, for the following items.

        A single identifier becomes the ID Placeholder. Of several, the first one does if they are
        new objects: Create Key Pair sets it to the private key, Create Split Key to the first part
        (KMIP 1.4 §4.2, §4.38). A Locate that finds several objects leaves it empty (§4.9).
        """
        self.identifiers += identifiers
        self.outputs += tuple((row.operation, output) for output in outputs)
        if row.sets_placeholder:
            is_unambiguous = identifiers and (row.creates or len(identifiers) == 1)
            self.placeholder = identifiers[0] if is_unambiguous else None

    def publish(self) -> None:
        """Make the changes visible to others; called after the commit."""
        if self._staged is not None:
            for table in self._staged.values():
                table.publish()
        for effect in self._effects:
            effect()

    def end(self) -> None:
        """Call the clean-up functions. What was not published is lost."""
        for cleanup in self._cleanups:
            cleanup()
