"""Request and response messages (KMIP 1.4 §7.2, KMIP 2.1 §8)."""

from typing import Annotated

from kmipkit.model import operations
from kmipkit.model.headers import RequestHeader, ResponseHeader
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0
from kmipkit.ttlv.tree import Item


@structure(Tag.MESSAGE_EXTENSION)
class MessageExtension(Structure):
    """A vendor's extension of a batch item (1.4 §6.16); an unknown critical one is an error."""

    vendor_identification: Annotated[str, Wire(Tag.VENDOR_IDENTIFICATION)]
    criticality_indicator: Annotated[bool, Wire(Tag.CRITICALITY_INDICATOR)]
    vendor_extension: Annotated[Item, Wire(Tag.VENDOR_EXTENSION)]


@structure(Tag.BATCH_ITEM)
class RequestBatchItem(Structure):
    """One operation of a request. The payload of an unknown operation is a tree."""

    operation: Annotated[Operation, Wire(Tag.OPERATION, any_version=True)]
    ephemeral: Annotated[bool | None, Wire(Tag.EPHEMERAL, since=V2_0)] = None
    unique_batch_item_id: Annotated[bytes | None, Wire(Tag.UNIQUE_BATCH_ITEM_ID)] = None
    request_payload: Annotated[
        Structure | Item,
        Wire(Tag.REQUEST_PAYLOAD, by="operation", choose=operations.request_payload),
    ]
    message_extensions: Annotated[tuple[MessageExtension, ...], Wire(Tag.MESSAGE_EXTENSION)] = ()


@structure(Tag.BATCH_ITEM)
class ResponseBatchItem(Structure):
    """The result of one operation."""

    operation: Annotated[Operation | None, Wire(Tag.OPERATION, any_version=True)] = None
    unique_batch_item_id: Annotated[bytes | None, Wire(Tag.UNIQUE_BATCH_ITEM_ID)] = None
    result_status: Annotated[ResultStatus, Wire(Tag.RESULT_STATUS)]
    result_reason: Annotated[ResultReason | None, Wire(Tag.RESULT_REASON)] = None
    result_message: Annotated[str | None, Wire(Tag.RESULT_MESSAGE)] = None
    asynchronous_correlation_value: Annotated[
        bytes | None, Wire(Tag.ASYNCHRONOUS_CORRELATION_VALUE)
    ] = None
    response_payload: Annotated[
        Structure | Item | None,
        Wire(Tag.RESPONSE_PAYLOAD, by="operation", choose=operations.response_payload),
    ] = None
    message_extensions: Annotated[tuple[MessageExtension, ...], Wire(Tag.MESSAGE_EXTENSION)] = ()


@structure(Tag.REQUEST_MESSAGE)
class RequestMessage(Structure):
    """A request: a header and one batch item or more."""

    request_header: Annotated[RequestHeader, Wire(Tag.REQUEST_HEADER)]
    batch_items: Annotated[tuple[RequestBatchItem, ...], Wire(Tag.BATCH_ITEM, required=True)]


@structure(Tag.RESPONSE_MESSAGE)
class ResponseMessage(Structure):
    """A response: a header and one batch item or more."""

    response_header: Annotated[ResponseHeader, Wire(Tag.RESPONSE_HEADER)]
    batch_items: Annotated[tuple[ResponseBatchItem, ...], Wire(Tag.BATCH_ITEM, required=True)]
