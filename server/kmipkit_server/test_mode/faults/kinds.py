"""The table of faults: what each is called, where it hooks in, and what its parameters are."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, get_type_hints

from kmipkit.spec.enums import Operation
from kmipkit_server.test_mode.faults import answers, connections, quirks


class Place(Enum):
    """Where a fault hooks in."""

    HANDSHAKE = auto()
    """Before the TLS handshake."""
    CERTIFICATE = auto()
    """In the server's certificate."""
    REQUEST = auto()
    """In the bytes of a request, which is refused."""
    OPERATION = auto()
    """Instead of an operation."""
    WAITING = auto()
    """Before a response."""
    ANSWER = auto()
    """In the bytes of a response."""
    SENDING = auto()
    """While a response is sent."""


CONNECTION = frozenset({Place.HANDSHAKE, Place.CERTIFICATE})
"""Places that come before any request: nothing is known of a client yet."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A keyword argument of a fault."""

    type: Any
    default: Any


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table."""

    place: Place
    apply: Callable[..., Any]
    only: Operation | None = None
    """The operation whose responses it is about, if there is only one."""
    needs_request: bool = False
    """Whether a response with the fault depends on what was asked for."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters of the fault: the keyword arguments of its function."""
        types = get_type_hints(self.apply)
        return {
            each.name: Parameter(types[each.name], each.default)
            for each in inspect.signature(self.apply).parameters.values()
            if each.kind is each.KEYWORD_ONLY
        }

    @property
    def meaning(self) -> str:
        """What the fault does, in a sentence."""
        return " ".join((self.apply.__doc__ or "").split())


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "slow-handshake": Kind(Place.HANDSHAKE, connections.slow_handshake),
        "no-handshake": Kind(Place.HANDSHAKE, connections.no_handshake),
        "certificate": Kind(Place.CERTIFICATE, connections.certificate),
        "failure": Kind(Place.OPERATION, answers.failure),
        "delay": Kind(Place.WAITING, answers.delay),
        "silence": Kind(Place.WAITING, answers.silence),
        "tag": Kind(Place.ANSWER, answers.tag),
        "type": Kind(Place.ANSWER, answers.item_type),
        "length": Kind(Place.ANSWER, answers.length),
        "garbage": Kind(Place.ANSWER, answers.garbage),
        "twice": Kind(Place.ANSWER, answers.twice),
        "identifier": Kind(Place.ANSWER, answers.identifier),
        "operation": Kind(Place.ANSWER, answers.operation),
        "version": Kind(Place.ANSWER, answers.version),
        "time-stamp": Kind(Place.ANSWER, answers.time_stamp),
        "batch-count": Kind(Place.ANSWER, answers.batch_count),
        "correlation": Kind(Place.ANSWER, answers.correlation),
        "query": Kind(Place.ANSWER, answers.query, Operation.QUERY, needs_request=True),
        "versions": Kind(Place.ANSWER, answers.versions, Operation.DISCOVER_VERSIONS),
        "unsupported-version": Kind(Place.REQUEST, quirks.unsupported_version),
        "unsupported-operation": Kind(Place.OPERATION, quirks.unsupported_operation),
        "missing-attribute": Kind(Place.OPERATION, quirks.missing_attribute),
        "object-type": Kind(Place.ANSWER, quirks.object_type, Operation.REGISTER),
        "server-correlation": Kind(Place.ANSWER, quirks.server_correlation),
        "query-order": Kind(Place.ANSWER, quirks.query_order, Operation.QUERY),
        "reason": Kind(Place.ANSWER, quirks.reason),
        "drop": Kind(Place.SENDING, connections.drop),
        "split": Kind(Place.SENDING, connections.split),
        "half-close": Kind(Place.SENDING, connections.half_close),
    }
)
