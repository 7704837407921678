"""Faults with their parameters, and to which requests they apply."""

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from types import TracebackType
from typing import Any, Self, get_args

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version
from kmipkit_server.config import ConfigError
from kmipkit_server.config.members import member, unknown
from kmipkit_server.test_mode.faults.kinds import CONNECTION, KINDS, Kind, Parameter, Place

FILTERS = ("operations", "clients", "calls", "probability")
"""What says to which requests a fault applies; everything else is a parameter of its kind."""


@dataclass(slots=True, eq=False)
class Fault:
    """One fault of a server. As a context manager, it is removed at the end of the block."""

    name: str
    kind: Kind
    parameters: Mapping[str, Any]
    operations: frozenset[Operation] = frozenset()
    """The operations to which it applies; empty: all."""
    clients: frozenset[str] = frozenset()
    """The accounts to which it applies; empty: all."""
    calls: frozenset[int] = frozenset()
    """Which of these requests, or connections, it applies to, counted from 1; empty: all."""
    probability: float = 1.0
    """How often it applies to one of them."""
    matched: int = 0
    """How many requests, or connections, it could have applied to so far."""
    applied: int = 0
    """How often it took place."""
    _random: random.Random = field(default_factory=random.Random)
    _owner: "Faults | None" = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Let the server be right again."""
        if self._owner is not None:
            self._owner.remove(self)

    def matches(self, operations: Collection[Operation], client: str) -> bool:
        """Whether the fault applies to a request or connection, which it counts."""
        wanted = self.operations if self.kind.only is None else {self.kind.only}
        if wanted and wanted.isdisjoint(operations):
            return False
        if self.clients and client not in self.clients:
            return False
        self.matched += 1
        if self.calls and self.matched not in self.calls:
            return False
        return self.probability >= 1 or self._random.random() < self.probability

    def apply(self, *arguments: Any) -> Any:
        """What the function of its kind returns."""
        return self.kind.apply(*arguments, **self.parameters)

    def changed(self, answer: bytes, request: bytes) -> bytes | None:
        """An answer with the fault; None if it does not have what the fault is about."""
        changed: bytes | None = (
            self.apply(answer, request) if self.kind.needs_request else self.apply(answer)
        )
        return changed

    def __repr__(self) -> str:
        parameters = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        return f"<fault {self.name}{parameters}, applied {self.applied} times>"


class Faults:
    """The faults of a server, which may change while it serves."""

    def __init__(self, seed: int = 0) -> None:
        """``seed`` makes the faults with a probability the same in each run."""
        self.seed = seed
        self.settings: dict[str, tuple[str, ...]] = {}
        """What the section ``kmip`` of the server's configuration has, in place of other values."""
        self.is_paused = False
        """Whether no fault applies at the moment."""
        self._faults: tuple[Fault, ...] = ()
        self._added = 0

    def add(self, name: str, **options: Any) -> Fault:
        """Add a fault of a kind of :data:`.kinds.KINDS`.

        Args:
            operations: names of the operations to which it applies; all if not given.
            clients: accounts to which it applies; all if not given.
            calls: which of these requests it applies to, counted from 1: ``[2]`` is the second one.
            probability: how often it applies to one of them, from 0 to 1.

        All other options are parameters of the kind. ConfigError if one is not valid.
        """
        fault = make(name, options)
        # Each fault has random numbers of its own, so that it does not depend on the others.
        fault._random = random.Random(f"{self.seed}/{self._added}")  # noqa: S311 - no secret
        fault._owner = self
        self._added += 1
        self._faults += (fault,)
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove a fault, if it is there."""
        self._faults = tuple(each for each in self._faults if each is not fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults = ()

    def due(
        self, place: Place, operations: Collection[Operation] = (), client: str = ""
    ) -> list[Fault]:
        """The faults that apply at a place to a request or connection."""
        if self.is_paused:
            return []
        return [
            each
            for each in self._faults
            if each.kind.place is place and each.matches(operations, client)
        ]

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __len__(self) -> int:
        return len(self._faults)


def make(name: str, options: Mapping[str, Any]) -> Fault:
    """A fault from its options. ConfigError names one that is unknown or not valid."""
    kind = KINDS.get(name)
    if kind is None:
        raise unknown(name, "fault", KINDS)
    parameters = kind.parameters
    filters = ("calls", "probability") if kind.place in CONNECTION else FILTERS
    for option in options:
        if option in FILTERS and option not in filters:
            raise ConfigError(
                f"fault {name}: {option} cannot be given, since it comes before the first request"
            )
        if option not in parameters and option not in filters:
            raise ConfigError(f"fault {name}: {unknown(option, 'option', (*parameters, *filters))}")
    values = {
        option: _value(name, option, parameters[option], options[option])
        for option in parameters
        if option in options
    }
    return Fault(
        name,
        kind,
        values,
        frozenset(
            member(Operation, each, f"operation of fault {name}:")
            for each in _listed(options.get("operations", ()))
        ),
        frozenset(map(str, _listed(options.get("clients", ())))),
        _calls(name, options.get("calls", ())),
        _probability(name, options.get("probability", 1.0)),
    )


def _listed(value: Any) -> Iterable[Any]:
    """A list, or one value in its place."""
    return (value,) if isinstance(value, str | int | Enum) else value


def _calls(name: str, value: Any) -> frozenset[int]:
    calls = frozenset(_listed(value))
    if not all(type(each) is int and each >= 1 for each in calls):
        raise ConfigError(f"fault {name}: calls must be numbers from 1, not {value!r}")
    return calls


def _probability(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"fault {name}: probability must be from 0 to 1, not {value!r}")
    return float(value)


def _value(fault: str, name: str, parameter: Parameter, value: Any) -> Any:
    """The value of a parameter in its type."""
    place = f"fault {fault}: {name}"
    inner = get_args(parameter.type)
    if Ellipsis in inner:
        item = Parameter(inner[0], None)
        return tuple(_value(fault, name, item, each) for each in _listed(value))
    kind = inner[0] if inner else parameter.type
    if issubclass(kind, Enum):
        return member(kind, value, f"value of {place}:")
    if kind in _PARSED and isinstance(value, str):
        words, parse = _PARSED[kind]
        try:
            return parse(value)
        except (ValueError, TypeError):
            raise ConfigError(f"{place} must be {words}, not {value!r}") from None
    accepted = (int, float) if kind is float else (kind,)
    is_right = isinstance(value, bool) is (kind is bool) and isinstance(value, accepted)
    if not is_right or (isinstance(value, float) and not isfinite(value)):
        words = _WORDS.get(kind) or _PARSED[kind][0]
        raise ConfigError(f"{place} must be {words}, not {value!r}")
    return value


_WORDS = {float: "a number", int: "a whole number", str: "a string", bool: "true or false"}
_PARSED: Mapping[Any, tuple[str, Callable[[str], Any]]] = {
    Version: ("a version such as 1.4", lambda text: Version(*map(int, text.split(".")))),
    bytes: ("hexadecimal digits", bytes.fromhex),
}
