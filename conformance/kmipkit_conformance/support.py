"""The operations, versions and profiles of a target, as Query and Discover Versions report them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from kmipkit_client import Client, ClientError, OperationFailed

from kmipkit.spec.enums import Operation, ProfileName, QueryFunction
from kmipkit.spec.versions import V1_3, V1_4, V3_0, VERSIONS, Version
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target

_Element = TypeVar("_Element")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server reports that it supports; None for what it does not report."""

    operations: frozenset[Operation] | None
    versions: frozenset[Version] | None
    profiles: frozenset[ProfileName] | None = None


UNKNOWN = Offer(None, None)
"""The offer of a server that has not been queried."""


def query_offer(target: Target) -> Offer:
    """Ask the server for its offer. ConformanceError if it does not respond."""
    try:
        with target.client() as client:
            versions = _query(lambda: client.discover_versions(VERSIONS))
            operations = _operations(client)
            profiles = _profiles(client) or frozenset()
        for version in versions or ():
            if version in (V1_3, V1_4):  # in these versions profiles have other names
                with target.client(version) as client:
                    profiles |= _profiles(client) or frozenset()
        if operations is not None and versions is not None and V3_0 in versions:
            # A server lists the operations that 3.0 adds only to clients that use 3.0.
            with target.client(V3_0) as client:
                operations |= _operations(client) or frozenset()
        return Offer(operations, versions, profiles or None)
    except ClientError as error:
        raise ConformanceError(str(error)) from None


def _operations(client: Client) -> frozenset[Operation] | None:
    return _query(lambda: client.query(QueryFunction.QUERY_OPERATIONS).operations)


def _profiles(client: Client) -> frozenset[ProfileName] | None:
    profiles = _query(lambda: client.query(QueryFunction.QUERY_PROFILES).profile_information)
    return None if profiles is None else frozenset(profile.profile_name for profile in profiles)


def _query(request: Callable[[], Iterable[_Element]]) -> frozenset[_Element] | None:
    """The elements of a response; None if there are none, or the server refuses the request."""
    try:
        return frozenset(request()) or None
    except OperationFailed:
        return None
