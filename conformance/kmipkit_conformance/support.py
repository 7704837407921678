"""What a target says of itself: versions, operations, object types and profiles.

Discover Versions tells the versions. A server without it, or one that does not answer it, is asked in
each version instead: it has those in which it answers as a server of that version does. Query is asked
in each version, since a server may have operations in one version that it does not have in another.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kmipkit_client import Client, OperationFailed
from kmipkit_client.errors import ConnectionFailed, TimedOut
from kmipkit_client.messages import NEGOTIATION, PREFERRED_VERSIONS

from kmipkit.errors import KMIPError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import peek_version
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.spec.enums import ObjectType, Operation, ProfileName, QueryFunction, ResultReason
from kmipkit.spec.profiles import ServerProfile
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_3, V3_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit_conformance.cases import children
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target
from kmipkit_conformance.wording import value_title

_Element = TypeVar("_Element")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server reports that it supports; None for what it does not report."""

    operations: frozenset[Operation] | None
    versions: frozenset[Version] | None
    profiles: frozenset[ProfileName] | None = None
    object_types: frozenset[ObjectType] | None = None
    vendor: str | None = None
    """The Vendor Identification."""
    by_version: Mapping[Version, frozenset[Operation]] = field(default_factory=dict)
    """The operations of each version in which Query tells them."""

    def operations_in(self, version: Version) -> frozenset[Operation] | None:
        """The operations that the server reports in a version."""
        return self.by_version.get(version, self.operations)

    @property
    def usual(self) -> Version | None:
        """The version for requests that are not part of a case: the newest one that is no draft."""
        supported = self.versions or frozenset()
        return next((each for each in (*PREFERRED_VERSIONS, V3_0) if each in supported), None)

    def facts(self) -> Iterator[tuple[str, str]]:
        """What the server says of itself, for people."""
        for name, values in (
            ("Vendor Identification", [self.vendor] if self.vendor else None),
            ("Versions", map(str, sorted(self.versions)) if self.versions else None),
            ("Profiles", _names(Tag.PROFILE_NAME, self.profiles)),
            ("Object Types", _names(Tag.OBJECT_TYPE, self.object_types)),
            ("Operations", _names(Tag.OPERATION, self.operations)),
        ):
            yield name, "not reported" if values is None else ", ".join(values)

    def claims_any(self, profile: ServerProfile) -> bool:
        """Whether Query reports a profile, for whatever version."""
        return any(
            self.profiles and name in self.profiles for v in VERSIONS for name in profile.names(v)
        )


UNKNOWN = Offer(None, None)
"""The offer of a server that has not been queried."""


def query_offer(target: Target) -> Offer:
    """Ask the server for its offer. ConformanceError if it does not respond in any version."""
    return _Survey(target, _versions(target)).offer()


def _versions(target: Target) -> frozenset[Version]:
    """The versions of the server. ConformanceError if it has none, or does not know the tester."""
    problem = "the server answers in no version of KMIP"
    for version in NEGOTIATION:
        try:
            with target.client(version) as client:
                listed = frozenset(client.discover_versions(VERSIONS))
            if listed:
                return listed
        except OperationFailed as refusal:  # such as one of a server of 1.0
            if refusal.reason is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL:
                raise ConformanceError(str(refusal)) from None
        except ConnectionFailed as error:
            if not error.request_sent or isinstance(error, TimedOut):
                raise ConformanceError(str(error)) from None
            problem = str(error)
        except KMIPError as error:
            problem = str(error)
    tried = frozenset(version for version in VERSIONS if _has_version(target, version))
    if not tried:
        raise ConformanceError(problem)
    return tried


def _has_version(target: Target, version: Version) -> bool:
    """Whether the server answers Query, or refuses it as an operation of this version.

    A server that does not have the version refuses the message: the response has another version, or its
    batch item has no Operation (KMIP 1.4 §11.1).
    """
    payload = QueryRequest(query_functions=(QueryFunction.QUERY_OPERATIONS,))
    item = RequestBatchItem(operation=Operation.QUERY, request_payload=payload)
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version), batch_count=1 if version < V3_0 else None
    )
    request = RequestMessage(request_header=header, batch_items=(item,))
    try:
        with target.connect() as connection:
            data = connection.exchange(encode(request, version))
        response = binary.decode(data)
    except KMIPError:
        return False
    operations = [
        operation.value
        for batch_item in children(response, Tag.BATCH_ITEM)
        for operation in children(batch_item, Tag.OPERATION)
    ]
    return peek_version(data) == version and operations == [Operation.QUERY]


@dataclass(slots=True)
class _Survey:
    """What Query tells in each version."""

    target: Target
    versions: frozenset[Version]
    is_silent: bool = False
    """Whether a Query had no answer in time: no further one is sent."""

    def offer(self) -> Offer:
        by_version: dict[Version, frozenset[Operation]] = {}
        object_types: frozenset[ObjectType] = frozenset()
        profiles: frozenset[ProfileName] = frozenset()
        vendor = None
        for version in sorted(self.versions):
            with self.target.client(version, retries=0) as client:
                operations = self._query(lambda: _operations(client))
                object_types |= self._query(lambda: _object_types(client))
                if version >= V1_3:
                    profiles |= self._query(lambda: _profiles(client))
                vendor = self._vendor(client) or vendor
            if operations:
                by_version[version] = operations
        every = frozenset().union(*by_version.values()) if by_version else None
        return Offer(
            every, self.versions, profiles or None, object_types or None, vendor, by_version
        )

    def _query(self, request: Callable[[], Iterable[_Element]]) -> frozenset[_Element]:
        """The elements of a response; none if there is no response, or the server refuses."""
        return frozenset(self._ask(request) or ())

    def _vendor(self, client: Client) -> str | None:
        function = QueryFunction.QUERY_SERVER_INFORMATION
        return self._ask(lambda: client.query(function).vendor_identification)

    def _ask(self, request: Callable[[], _Element]) -> _Element | None:
        """What a request returns. A server that cannot answer Query is tested nevertheless."""
        if self.is_silent:
            return None
        try:
            return request()
        except TimedOut:
            self.is_silent = True
        except ConnectionFailed as error:
            if not error.request_sent:
                raise ConformanceError(str(error)) from None
        except KMIPError:
            pass  # refused, or no response that can be read: the cases of Query judge that
        return None


def _names(tag: Tag, values: Iterable[int] | None) -> list[str] | None:
    return None if values is None else sorted(value_title(tag, value) for value in values)


def _operations(client: Client) -> Iterable[Operation]:
    return client.query(QueryFunction.QUERY_OPERATIONS).operations


def _object_types(client: Client) -> Iterable[ObjectType]:
    return client.query(QueryFunction.QUERY_OBJECTS).object_types


def _profiles(client: Client) -> Iterable[ProfileName]:
    found = client.query(QueryFunction.QUERY_PROFILES).profile_information
    return [profile.profile_name for profile in found]
