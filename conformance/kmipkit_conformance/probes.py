"""Requests outside the case: what a client asks any server, before the steps of a case or between them.

A client that negotiates the version, or looks at what the server can do, is a good client. So the tester
answers that as a server would that has the version and the operations of the case, and no others, and
goes on to wait for the request of the step.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request, peek_version
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.query import (
    CapabilityInformation,
    DiscoverVersionsRequest,
    DiscoverVersionsResponse,
    QueryRequest,
    QueryResponse,
)
from kmipkit.model.payloads.session import InteropResponse, LogResponse, PingResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import ObjectType, Operation, QueryFunction, ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.reasons import reason_for
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0, Version
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case

PATIENCE = 3
"""How often a client may ask in a version that was refused before the case fails: it may try several
servers, or fall back step by step."""

VENDOR = "kmipkit conformance"


@dataclass(slots=True)
class Probes:
    """Answers the requests outside a case, and remembers what a verdict may have to say about them."""

    case: Case
    remarks: list[str] = field(default_factory=list)
    """What kept the client from playing the case, if it does not."""
    has_refused: bool = False
    """Whether the last answer was a refusal."""
    _refused: dict[Version, int] = field(default_factory=dict)

    def answer(self, data: bytes) -> bytes | None:
        """The response to a request outside the case; None for one that the case must judge."""
        self.has_refused = False
        with suppress(ProtocolError):
            request, version = decode_request(data)
            if all(item.operation in _ANSWERS for item in request.batch_items):
                return response(version, [self._item(item) for item in request.batch_items])
        return self._other_version(peek_version(data))

    def _item(self, item: RequestBatchItem) -> ResponseBatchItem:
        return ResponseBatchItem(
            operation=item.operation,
            unique_batch_item_id=item.unique_batch_item_id,
            result_status=ResultStatus.SUCCESS,
            response_payload=_ANSWERS[item.operation](self, item.request_payload),
        )

    def _other_version(self, version: Version | None) -> bytes | None:
        """A refusal of a version that the case does not have, so that the client can fall back."""
        if version is None or version == self.case.version:
            return None
        self._refused[version] = self._refused.get(version, 0) + 1
        if self._refused[version] > PATIENCE:
            return None
        self.has_refused = True
        self._remark(f"the client used KMIP {version}; the tester refused that, as the case is")
        failure = ResponseBatchItem(
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=reason_for(ResultReason.UNSUPPORTED_PROTOCOL_VERSION, self.case.version),
            result_message=f"this server supports KMIP {self.case.version}, not {version}",
        )
        return response(self.case.version, [failure])

    def _remark(self, text: str) -> None:
        remark = f"{text} KMIP {self.case.version}"
        if remark not in self.remarks:
            self.remarks.append(remark)

    def versions(self, payload: DiscoverVersionsRequest) -> DiscoverVersionsResponse:
        """The version of the case, unless the client lists versions without it (KMIP 1.4 §4.26)."""
        own = ProtocolVersion.of(self.case.version)
        listed = payload.protocol_versions
        if listed and own not in listed:
            self._remark("Discover Versions of the client does not list")
            return DiscoverVersionsResponse()
        return DiscoverVersionsResponse(protocol_versions=(own,))

    def query(self, payload: QueryRequest) -> QueryResponse:
        """What the request asks for, of a server that can do what the case needs (KMIP 1.4 §4.25)."""
        fields: dict[str, Any] = {}
        for function in payload.query_functions:
            if function in _QUERIES:
                fields |= _QUERIES[function](self.case)
        return QueryResponse(**fields)


def _operations(case: Case) -> dict[str, Any]:
    known = (operation for operation in _ANSWERS if operation.known_in(case.version))
    return {"operations": tuple(sorted({*case.operations(), *known}))}


def _server_information(_case: Case) -> dict[str, Any]:
    information = Item(Tag.SERVER_INFORMATION, ItemType.STRUCTURE, ())
    return {"vendor_identification": VENDOR, "server_information": information}


def _objects(case: Case) -> dict[str, Any]:
    return {"object_types": tuple(each for each in ObjectType if each.known_in(case.version))}


_QUERIES: Mapping[QueryFunction, Callable[[Case], dict[str, Any]]] = MappingProxyType(
    {
        QueryFunction.QUERY_OPERATIONS: _operations,
        QueryFunction.QUERY_OBJECTS: _objects,
        QueryFunction.QUERY_SERVER_INFORMATION: _server_information,
        QueryFunction.QUERY_CAPABILITIES: lambda _: {
            "capability_information": (CapabilityInformation(),)
        },
    }
)
"""The fields of a response for each function; those of all others may be left out."""

_ANSWERS: Mapping[Operation, Callable[[Probes, Any], Structure]] = MappingProxyType(
    {
        Operation.DISCOVER_VERSIONS: Probes.versions,
        Operation.QUERY: Probes.query,
        Operation.INTEROP: lambda _probes, _payload: InteropResponse(),
        Operation.LOG: lambda _probes, _payload: LogResponse(),
        Operation.PING: lambda _probes, _payload: PingResponse(),
    }
)
"""What clients may ask besides a case; none of it changes an object (Interop: Profiles 2.1 §4.1.2)."""


def response(version: Version, items: Iterable[ResponseBatchItem]) -> bytes:
    """A response of now in this version, without what the version does not have."""
    batch_items = tuple(items)
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=datetime.now(UTC),
        batch_count=len(batch_items) if version < V3_0 else None,
    )
    message = ResponseMessage(response_header=header, batch_items=batch_items)
    return encode(message, version, strict=False)
