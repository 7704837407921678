"""What a target offers, asked by Query and Discover Versions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from kmipkit_client import ClientError, OperationFailed

from kmipkit.spec.enums import Operation, QueryFunction
from kmipkit.spec.versions import Version
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server says that it can; None where it does not say."""

    operations: frozenset[Operation] | None
    versions: frozenset[Version] | None


UNKNOWN = Offer(None, None)
"""Of a server that was not asked."""


def offered(target: Target) -> Offer:
    """What the server offers. ConformanceError if it does not answer."""
    try:
        with target.client() as client:
            return Offer(
                _told(lambda: client.query(QueryFunction.QUERY_OPERATIONS).operations),
                _told(client.discover_versions),
            )
    except ClientError as error:
        raise ConformanceError(str(error)) from None


def _told(ask: Callable[[], Iterable[_Told]]) -> frozenset[_Told] | None:
    try:
        return frozenset(ask()) or None
    except OperationFailed:
        return None
