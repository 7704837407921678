"""Operations of KMIP, carried out for the administrator who asks: with policy, audit and hooks."""

from typing import Any

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    NameType,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0
from kmipkit_server.administration.context import Context
from kmipkit_server.engine.request import Request

Call = tuple[Operation, Any]
"""An operation with its payload."""


async def carry_out(context: Context, *calls: Call) -> tuple[Any, ...]:
    """The payloads of the responses. OperationError if one has failed; then none has an effect."""
    version = ProtocolVersion(protocol_version_major=V3_0.major, protocol_version_minor=V3_0.minor)
    header = RequestHeader(
        protocol_version=version,
        batch_error_continuation_option=BatchErrorContinuationOption.UNDO,
    )
    items = tuple(
        RequestBatchItem(
            operation=operation,
            request_payload=payload,
            unique_batch_item_id=bytes([number]) if len(calls) > 1 else None,
        )
        for number, (operation, payload) in enumerate(calls)
    )
    batch = await context.live.dispatcher.run_for(Request(V3_0, header, items), context.identity)
    for result in batch.results:
        if result.result_status is ResultStatus.OPERATION_FAILED:
            reason = result.result_reason or ResultReason.GENERAL_FAILURE
            raise OperationError(reason, result.result_message or "the operation failed")
    return tuple(result.response_payload for result in batch.results)


def named(name: str, *further: tuple[Tag, Any]) -> Attributes:
    """Attributes with a Name."""
    value = Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Attributes.of((Tag.NAME, value), *further)
