"""What a target offers, asked by Query and Discover Versions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from kmipkit_client import Client, ClientError, OperationFailed

from kmipkit.spec.enums import Operation, ProfileName, QueryFunction
from kmipkit.spec.versions import V1_3, V1_4, V3_0, VERSIONS, Version
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server says that it can; None where it does not say."""

    operations: frozenset[Operation] | None
    versions: frozenset[Version] | None
    profiles: frozenset[ProfileName] | None = None


UNKNOWN = Offer(None, None)
"""Of a server that was not asked."""


def offered(target: Target) -> Offer:
    """What the server offers. ConformanceError if it does not answer."""
    try:
        with target.client() as client:
            versions = _told(lambda: client.discover_versions(VERSIONS))
            operations = _operations(client)
            profiles = _profiles(client) or frozenset()
        for version in versions or ():
            if version in (V1_3, V1_4):  # their profiles have other names
                with target.client(version) as client:
                    profiles |= _profiles(client) or frozenset()
        if operations is not None and versions is not None and V3_0 in versions:
            # What 3.0 adds is told in 3.0 only.
            with target.client(V3_0) as client:
                operations |= _operations(client) or frozenset()
        return Offer(operations, versions, profiles or None)
    except ClientError as error:
        raise ConformanceError(str(error)) from None


def _operations(client: Client) -> frozenset[Operation] | None:
    return _told(lambda: client.query(QueryFunction.QUERY_OPERATIONS).operations)


def _profiles(client: Client) -> frozenset[ProfileName] | None:
    told = _told(lambda: client.query(QueryFunction.QUERY_PROFILES).profile_information)
    return None if told is None else frozenset(one.profile_name for one in told)


def _told(ask: Callable[[], Iterable[_Told]]) -> frozenset[_Told] | None:
    try:
        return frozenset(ask()) or None
    except OperationFailed:
        return None
