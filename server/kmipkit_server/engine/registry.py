"""The operations of a server: one row for each.

A handler is a plain function from a call and a request payload to a response payload. What the
protocol says about an operation (payloads, versions) is in :mod:`kmipkit.model.operations`; a row
here has what else a server must know. The engine itself knows no operation: the rows of the standard
are in :mod:`kmipkit_server.operations.table`, and other packages may add theirs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kmipkit.model import operations
from kmipkit.model.attribute import AttributeKey
from kmipkit.model.operations import OperationRow
from kmipkit.spec.enums import Data, Operation
from kmipkit.spec.versions import VERSIONS, Version

Handler = Callable[..., Any]
"""From a call and a request payload to a response payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedOperation:
    """An operation that the server carries out."""

    operation: Operation
    handler: Handler
    writes: bool = False
    """Whether it always changes the store. Other operations start on a read-only view, and run again
    in a transaction if they must write."""
    slow: bool = False
    """Whether it may take more than a few milliseconds, so that it must not run on the event loop."""
    scans: bool = False
    """Whether it may read many objects, which takes long without a computation."""
    computes: bool = False
    """Whether it usually needs a computation that takes long, as a new key pair does. Like a slow
    operation, it is carried out asynchronously if the client leaves the decision to the server."""
    is_immediate: bool = False
    """Whether it is never deferred, nor a message that has it (KMIP 1.4 §6.7)."""
    creates: bool = False
    """Whether it returns new objects. The server sends these to clients with Put, if configured."""
    changes: tuple[AttributeKey, ...] | None = None
    """For an operation of which the server notifies clients: the attributes that it always changes.
    Attributes that the request names are added."""
    output: Data | None = None
    """The symbol with which later items of the batch refer to its output (KMIP 2.1 §11.12)."""
    sets_placeholder: bool = False
    """Whether the Unique Identifier that it returns becomes the ID Placeholder (KMIP 1.4 §4)."""

    @property
    def protocol(self) -> OperationRow:
        """What the protocol says about the operation. LookupError if it is not registered there."""
        row = operations.row(self.operation)
        if row is None:
            raise LookupError(
                f"the payloads of {self.operation!s} are unknown; register them before the operation"
            )
        return row


class Registry:
    """The operations of one server."""

    def __init__(
        self, rows: Iterable[ServedOperation], excluded: frozenset[Operation] = frozenset()
    ) -> None:
        """Later rows replace earlier ones of the same operation; ``excluded`` ones are omitted."""
        self._rows = {row.operation: row for row in rows if row.operation not in excluded}
        self._by_version = {
            version: {
                code: row for code, row in self._rows.items() if row.protocol.known_in(version)
            }
            for version in VERSIONS
        }
        self._by_output = {row.output: row.operation for row in self if row.output is not None}

    def __iter__(self) -> Iterator[ServedOperation]:
        return iter(self._rows.values())

    def __contains__(self, operation: object) -> bool:
        return operation in self._rows

    def find(self, code: object, version: Version) -> ServedOperation | None:
        """The row of an operation, if the server and the version have it."""
        return self._by_version[version].get(code)  # type: ignore[call-overload, no-any-return]  # a request may have any code

    def known_in(self, version: Version) -> Iterable[ServedOperation]:
        """The operations that a version has."""
        return self._by_version[version].values()

    def with_output(self, symbol: Data) -> Operation | None:
        """The operation to whose output a symbol refers."""
        return self._by_output.get(symbol)
