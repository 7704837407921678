"""From a message and its response to records.

What is the same for all requests of a connection is encoded once for each; names are looked up once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter
from types import MappingProxyType
from typing import Any

import msgspec
from kmipkit_certs.identity import FINGERPRINT

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import ResultReason, ResultStatus
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.audit.records import Client, Event, Outcome, Record, encode
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.identity.identity import Identity

MAX_OBJECTS = 50
"""Identifiers in one record; a Locate may find more."""
MAX_IDENTIFIER = 128
"""Characters of an identifier or correlation value, which a client may choose."""
MAX_MESSAGE = 500
"""Characters of a message, which may repeat what a client has sent."""

_OUTCOMES: Mapping[ResultStatus, Outcome] = MappingProxyType(
    {
        ResultStatus.SUCCESS: Outcome.SUCCESS,
        ResultStatus.OPERATION_FAILED: Outcome.FAILED,
        ResultStatus.OPERATION_PENDING: Outcome.PENDING,
        ResultStatus.OPERATION_UNDONE: Outcome.UNDONE,
    }
)

_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)

_PREPARED = "audit"

# Typed, since members of two enumerations are equal if their numbers are.
_title = lru_cache(maxsize=1024, typed=True)(title)


@lru_cache(maxsize=64)
def _version(version: Version) -> str:
    return str(version)


def shortened(text: str, length: int) -> str:
    """The beginning of a text, if it is too long for a record."""
    # The name by which a request of KMIP 3.0 refers to an object has a type of its own.
    return str(text) if len(text) <= length else text[: length - 1] + "…"


def encoded_client(identity: Identity) -> bytes:
    """The client of an identity, encoded; it is the same for all requests of a connection."""
    prepared: bytes | None = identity.prepared.get(_PREPARED)
    if prepared is None:
        certificate = identity.certificate
        value = Client(
            account=identity.account,
            tenant=identity.tenant,
            user=identity.user or "",
            address=identity.address,
            port=identity.port,
            certificate="" if certificate is None else f"{certificate.serial:x}",
            fingerprint=(
                "" if certificate is None else FINGERPRINT + certificate.signed_hash.hex()
            ),
        )
        prepared = identity.prepared[_PREPARED] = encode(value)
    return prepared


def records(
    exchange: Exchange,
    results: Sequence[ResponseBatchItem],
    objects: Sequence[tuple[str, ...]],
    *,
    change: bool = False,
) -> list[Record]:
    """The records of a message: one for each item, or one for a message that cannot be read."""
    request = exchange.request
    duration = int((perf_counter() - exchange.started) * 1e6)
    who = msgspec.Raw(encoded_client(exchange.identity))
    if request is None:
        return [_unreadable(exchange, who, duration)]
    version = request.version
    client_value = request.header.client_correlation_value
    server_value = exchange.correlation_value(version)
    count = len(request.items)
    if len(results) == 1 < count and _is_of_all(results[0]):
        results = [results[0]] * count
    written = []
    for position, result in enumerate(results):
        status = result.result_status
        record = Record(
            time=exchange.moment,
            event=Event.OPERATION,
            duration=duration,
            version=_version(version),
            client=who,
            change=change,
            outcome=_OUTCOMES.get(status),
        )
        if client_value is not None:
            record.client_correlation_value = shortened(client_value, MAX_IDENTIFIER)
        if server_value is not None:
            record.server_correlation_value = server_value
        if status is ResultStatus.OPERATION_FAILED:
            _add_failure(record, result)
        item = request.items[position]
        _add_operation(record, item, result)
        named = objects[position] if position < len(objects) else ()
        _add_objects(record, named or _named_in(item, result))
        if exchange.notes:
            record.notes = tuple(
                shortened(notice.text, MAX_MESSAGE)
                for item_position, notice in exchange.notes
                if item_position == position
            )
        if count > 1:
            record.item, record.items = position + 1, count
        written.append(record)
    return written


def _is_of_all(result: ResponseBatchItem) -> bool:
    """Whether a message failed as a whole, so that each of its items has this result."""
    return result.operation is None or result.result_reason is ResultReason.RESPONSE_TOO_LARGE


def _unreadable(exchange: Exchange, who: msgspec.Raw, duration: int) -> Record:
    error = exchange.error
    reason = error.reason if isinstance(error, OperationError) else getattr(error, "reason", None)
    return Record(
        time=exchange.moment,
        event=Event.MESSAGE,
        outcome=Outcome.FAILED,
        reason=_title(reason) if isinstance(reason, OpenEnum) else "",
        message=shortened(str(error), MAX_MESSAGE),
        duration=duration,
        client=who,
    )


def _add_failure(record: Record, result: ResponseBatchItem) -> None:
    reason = result.result_reason
    if isinstance(reason, ResultReason):
        record.reason = _title(reason)
    if result.result_message:
        record.message = shortened(result.result_message, MAX_MESSAGE)


def _add_operation(
    record: Record, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
) -> None:
    # The result of a Poll is that of another operation.
    operation = item.operation or result.operation
    if operation is None:
        record.event = Event.MESSAGE
    else:
        record.operation = _title(operation)


def _add_objects(record: Record, identifiers: tuple[str, ...]) -> None:
    if len(identifiers) == 2 and identifiers[0] == identifiers[1]:
        identifiers = identifiers[:1]  # the usual case: the object that was requested
    elif len(identifiers) > 1:
        if len(identifiers) <= 2 * MAX_OBJECTS:
            identifiers = tuple(dict.fromkeys(identifiers))
        if len(identifiers) > MAX_OBJECTS:
            record.object_count = len(identifiers)
            identifiers = identifiers[:MAX_OBJECTS]
    record.objects = tuple([shortened(each, MAX_IDENTIFIER) for each in identifiers])


def _named_in(
    item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
) -> tuple[str, ...]:
    """The objects of an item that was not carried out, or whose result is that of another one."""
    payloads = (getattr(item, "request_payload", None), result.response_payload)
    values = (_identifier(payload, name) for payload in payloads for name in _IDENTIFIERS)
    return tuple(value for value in values if value is not None)


def _identifier(payload: Any, name: str) -> str | None:
    value = getattr(payload, name, None)
    return value if isinstance(value, str) else None
