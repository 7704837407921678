"""The encoded batch items of new objects, of which only the Unique Identifier differs."""

from functools import lru_cache
from typing import Any

from kmipkit.model.codec import encode
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.create import CreateResponse
from kmipkit.spec.enums import ObjectType, Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version

_SUCCESS = ResultStatus.SUCCESS

SIZE = 36
"""The length of a UUID."""


def encoded_create(version: Version, item: ResponseBatchItem) -> bytes | None:
    """A batch item, if it is the success of a Create with nothing unusual; otherwise None."""
    payload: Any = item.response_payload
    if payload.__class__ is not CreateResponse or payload.attributes is not None:
        return None
    # What a Poll returns may be undone, for example.
    if (
        item.result_status is not _SUCCESS
        or item.unique_batch_item_id is not None
        or item.result_message is not None
        or item.message_extensions
        or payload.extensions
    ):
        return None
    identifier = payload.unique_identifier
    if identifier.__class__ is not str or len(identifier) != SIZE or not identifier.isascii():
        return None
    before, after = _form(version, item.operation, payload.object_type)
    return before + identifier.encode() + after


@lru_cache(maxsize=64)
def _form(
    version: Version, operation: Operation | None, object_type: ObjectType
) -> tuple[bytes, bytes]:
    """What is before and after the Unique Identifier."""
    mark = "x" * SIZE
    item = ResponseBatchItem(
        operation=operation,
        result_status=_SUCCESS,
        response_payload=CreateResponse(object_type=object_type, unique_identifier=mark),
    )
    encoded = encode(item, version, tag=Tag.BATCH_ITEM, strict=False)
    before, _, after = encoded.partition(mark.encode())
    return before, after
