"""What an operation says about a response that it would give again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kmipkit.spec.tags import Tag


class Stored(Protocol):
    """The record of an object in the store."""

    @property
    def version(self) -> object:
        """See :class:`kmipkit_server.store.base.Record`."""

    @property
    def material(self) -> bytes | None:
        """The object itself."""


class Loaded(Protocol):
    """An object that an operation has loaded."""

    @property
    def record(self) -> Stored:
        """Its record."""


Values = tuple[bytes, ...]
"""The contents of byte strings in a message, in their order."""


@dataclass(frozen=True, slots=True, repr=False)
class Varying:
    """That the response has values which follow from values of the request, such as an output.

    A request that differs in these values only, each of the same length, gets a response that differs
    in its values only.
    """

    fields: tuple[tuple[str, Tag], ...]
    """The fields of the payload with the values, in the order of the message."""
    results: tuple[tuple[Tag, bytes], ...]
    """The values of the response, in the order of the message."""
    compute: Callable[[Any, Any, Values], Values | None]
    """The values of the response from the call, the object and the values of the request. None or
    OperationError if the request must go the ordinary way."""


@dataclass(frozen=True, slots=True, repr=False)
class Repeatable:
    """That the response follows from the request and from one object.

    To the same request of anybody who may have it, the operation would respond the same: as long as the
    store has the same version of the object, and within these times.
    """

    load: Callable[[Any, Any], Loaded]
    """Loads the object that the payload of a request names, with all checks of the identity."""
    version: object
    """The version of the object's record."""
    since: datetime
    until: datetime | None
    """When its state, or what it may be used for, changes by itself; None for never."""
    secret: bytes = b""
    """The part of the response that nobody may keep, if there is one: it is in the material, too."""
    offset: int = 0
    """Where it is in the material."""
    varying: Varying | None = None
    """What is another one each time."""
