"""The operations of the server, with those of other packages that the configuration names."""

from collections.abc import Iterable, Iterator
from pkgutil import resolve_name
from typing import NamedTuple

from kmipkit.spec.enums import Operation
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.effective import offers_interop
from kmipkit_server.config.members import member
from kmipkit_server.engine.registry import Registry, ServedOperation
from kmipkit_server.engine.server import SENT
from kmipkit_server.operations.table import STANDARD


def registry(config: Config) -> Registry:
    """All of them. ConfigError if those of other packages cannot be imported."""
    excluded = frozenset() if offers_interop(config) else frozenset({Operation.INTEROP})
    return Registry((*STANDARD, *_extra_operations(config)), excluded)


class Offer(NamedTuple):
    """The operations that there are for clients."""

    clients: Registry
    """What they may ask for."""
    sent: frozenset[Operation]
    """What the server may send them."""


def offer(config: Config, served: Registry) -> Offer:
    """What the configuration leaves of all operations. ConfigError if it names one that is not there."""
    known = (*(row.operation for row in served), *SENT)

    def named(setting: str) -> frozenset[Operation]:
        names = getattr(config.kmip, setting)
        return frozenset(member(known, name, f"operation in kmip.{setting}:") for name in names)

    left = (named("only_operations") or frozenset(known)) - named("without_operations")
    return Offer(Registry(row for row in served if row.operation in left), SENT & left)


def _extra_operations(config: Config) -> Iterator[ServedOperation]:
    """The rows of operations from other packages, which the configuration names."""
    for name in config.kmip.operations:
        try:
            rows = resolve_name(name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"kmip.operations: {name!r} cannot be imported: {error}") from None
        if not isinstance(rows, Iterable):
            raise ConfigError(
                f"kmip.operations: {name!r} must be a sequence of ServedOperation, not {rows!r}"
            )
        for row in rows:
            if not isinstance(row, ServedOperation):
                raise ConfigError(
                    f"kmip.operations: {name!r} must contain only ServedOperation, not {row!r}"
                )
            yield row
