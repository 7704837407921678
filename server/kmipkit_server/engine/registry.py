"""Which operations a server has: one row of facts for each.

A handler is a plain function from a call and a request payload to a response payload. What the
protocol says of an operation (payloads, versions) stands in :mod:`kmipkit.model.operations`; what a
server must know besides stands in its row here. The engine itself knows no operation: the rows of
the standard are in :mod:`kmipkit_server.operations.table`, and others may come from outside.
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
    """Whether it always changes the store. Others start on a read-only view, and are run again in a
    transaction if they find that they must write."""
    slow: bool = False
    """Whether it may take more than a few milliseconds, so that others must not wait for it."""
    is_immediate: bool = False
    """Whether it is never deferred, nor a message that has it (KMIP 1.4 §6.7)."""
    creates: bool = False
    """Whether it returns new objects, which are put to clients that listen for them."""
    changes: tuple[AttributeKey, ...] | None = None
    """If it changes an object, of which listening clients are notified: the attributes that it
    always changes. Those that the request names are added."""
    output: Data | None = None
    """The symbol by which later items of the batch mean its output (KMIP 2.1 §11.12)."""
    sets_placeholder: bool = False
    """Whether the Unique Identifier that it returns becomes the ID Placeholder (KMIP 1.4 §4)."""

    @property
    def facts(self) -> OperationRow:
        """What the protocol says of the operation. LookupError if nobody has registered it."""
        row = operations.row(self.operation)
        if row is None:
            raise LookupError(f"register the payloads of {self.operation!s} before you serve it")
        return row


class Registry:
    """The operations of one server."""

    def __init__(
        self, rows: Iterable[ServedOperation], withheld: frozenset[Operation] = frozenset()
    ) -> None:
        """Later rows replace earlier ones of the same operation; ``withheld`` ones are left out."""
        self._rows = {row.operation: row for row in rows if row.operation not in withheld}
        self._by_version = {
            version: {code: row for code, row in self._rows.items() if row.facts.known_in(version)}
            for version in VERSIONS
        }
        self._by_output = {row.output: row.operation for row in self if row.output is not None}

    def __iter__(self) -> Iterator[ServedOperation]:
        return iter(self._rows.values())

    def find(self, code: object, version: Version) -> ServedOperation | None:
        """The row of an operation, if the server and the version have it."""
        return self._by_version[version].get(code)  # type: ignore[call-overload, no-any-return]  # any code may be asked for

    def known_in(self, version: Version) -> Iterable[ServedOperation]:
        """The operations that a version has."""
        return self._by_version[version].values()

    def with_output(self, symbol: Data) -> Operation | None:
        """The operation whose output a symbol means."""
        return self._by_output.get(symbol)
