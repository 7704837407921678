"""Which function serves which operation.

A handler is a plain function from a call and a request payload to a response payload, registered
by ``@operation``. What dispatch needs to know of an operation stands beside its handler, as data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.versions import VERSIONS, Version

_Handler = TypeVar("_Handler", bound=Callable[..., Structure])


@dataclass(frozen=True, slots=True)
class Handler:
    """A served operation.

    ``writes`` says that the operation always changes the store. Others start on a read-only view
    and are run again inside a transaction when they find that they must write. ``slow`` ones are
    run in a thread, so that other connections do not wait.
    """

    operation: Operation
    function: Callable[..., Structure]
    writes: bool
    slow: bool = False

    versions: frozenset[Version] = field(init=False)
    """The protocol versions that have the operation."""

    def __post_init__(self) -> None:
        row = BY_OPERATION[self.operation]
        object.__setattr__(self, "versions", frozenset(filter(row.known_in, VERSIONS)))


HANDLERS: dict[Operation, Handler] = {}


def operation(
    code: Operation, *, writes: bool, slow: bool = False
) -> Callable[[_Handler], _Handler]:
    """Register the handler of an operation."""

    def register(function: _Handler) -> _Handler:
        assert code not in HANDLERS, f"two handlers for {code}"
        HANDLERS[code] = Handler(code, function, writes, slow)
        return function

    return register


def find(code: Any, version: Version) -> Handler | None:
    """The handler of an operation, if there is one and the version has the operation."""
    handler = HANDLERS.get(code)
    return handler if handler is not None and version in handler.versions else None
