"""Notify and Put: what the server sends clients of its own accord (KMIP 1.4 §5, KMIP 2.1 §6.2).

Which accounts are notified, and where, is configuration: the standard leaves it to "unspecified
configuration or administrative mechanisms". A notification is queued when the change is durable and
becomes a message when it is sent, so that it shows the object as it then is.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage, ResponseBatchItem
from kmipkit.model.payloads.notify import NotifyRequest, PutRequest
from kmipkit.model.payloads.query import DiscoverVersionsRequest
from kmipkit.model.payloads.session import SetEndpointRoleRequest
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import EndpointRole, LinkType, Operation, PutFunction, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V3_0, Version
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.engine.seam import Hook
from kmipkit_server.engine.settings import Clock
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.managed import Managed, for_version
from kmipkit_server.store.base import Reader, Store

log = logging.getLogger("kmipkit.server")

_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)


class NotificationHook(Hook):
    """Queues notifications for the accounts that are configured to get them."""

    def __init__(self, queue: Notifications) -> None:
        self._queue = queue

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Queue what a successful operation has changed."""
        account = batch.identity.name
        if account not in self._queue.accounts or result.result_status is not ResultStatus.SUCCESS:
            return
        row = batch.server.registry.find(result.operation, batch.version)
        if row is not None:
            request = getattr(item, "request_payload", None)
            for notification in _notifications(row, request, result, batch.version):
                self._queue.add(account, notification)


def _notifications(
    row: ServedOperation, request: object, result: ResponseBatchItem, version: Version
) -> Iterator[Notification]:
    payload = result.response_payload
    found = [getattr(payload, name, None) for name in _IDENTIFIERS]
    found += getattr(payload, "unique_identifiers", ())  # of the parts of a split key
    for identifier in (value for value in found if isinstance(value, str)):
        if row.creates:
            yield Notification(Operation.PUT, identifier, version)
        elif row.changes is not None:
            changed = (*row.changes, *_named_attributes(request))
            yield Notification(Operation.NOTIFY, identifier, version, changed)


def _named_attributes(request: object) -> Iterator[AttributeKey]:
    """The attribute that an attribute operation is about."""
    for name in ("attribute", "current_attribute"):
        attribute = getattr(request, name, None)
        if isinstance(attribute, Attribute):
            yield attribute.key
    for name in ("attribute_name", "attribute_reference"):
        key = getattr(request, name, None)
        if key is not None:
            yield key


@dataclass(frozen=True, slots=True)
class Outbox:
    """Turns what waits for an account into requests to its client."""

    store: Store
    queue: Notifications
    clock: Clock

    async def message(self, notification: Notification) -> bytes | None:
        """The request of a notification; None if the object is gone or must not be sent."""
        now = self.clock()

        def read(reader: Reader) -> bytes | None:
            record = reader.get(notification.identifier)
            return None if record is None else _message(notification, Managed(record, now))

        return await self.store.run(read)

    async def requests(self, account: str, version: Version) -> AsyncIterator[bytes]:
        """What the server asks and tells a client that has taken its role; last, to take it back."""
        yield _greeting(version)
        for notification in self.queue.take(account):
            data = await self.message(notification)
            if data is not None:
                yield data
        yield _farewell(version)


def _message(notification: Notification, managed: Managed) -> bytes | None:
    try:
        payload = _PAYLOADS[notification.operation](notification, managed)
    except OperationError as error:
        log.info("%s is not put to its owner: %s", notification.identifier, error.message)
        return None
    return _request(notification.operation, payload, notification.version)


def _put(notification: Notification, managed: Managed) -> PutRequest:
    require_extractable(managed, wrapped=False)
    replaced = next(
        (
            attribute.value.linked_object_identifier
            for attribute in managed.instances(Tag.LINK)
            if attribute.value.link_type == LinkType.REPLACED_OBJECT_LINK
        ),
        None,
    )
    return PutRequest(
        unique_identifier=managed.id,
        put_function=PutFunction.NEW if replaced is None else PutFunction.REPLACE,
        replaced_unique_identifier=replaced,
        object=managed.object,
        attributes=Attributes(
            tuple(for_version(notification.version, each) for each in managed.all_attributes())
        ),
    )


def _notify(notification: Notification, managed: Managed) -> NotifyRequest:
    """Values that changed, Last Change Date among them; deleted ones by name (§5.1)."""
    version = notification.version
    keys = dict.fromkeys((*notification.changed, Tag.LAST_CHANGE_DATE))
    present = [for_version(version, each) for key in keys for each in managed.instances(key)]
    deleted = [key for key in keys if not managed.instances(key)]
    if version < (2, 0):
        present += [Attribute(key, None) for key in deleted]
        deleted = []
    return NotifyRequest(
        unique_identifier=managed.id,
        attributes=Attributes(tuple(present)),
        attribute_references=tuple(deleted),
    )


_PAYLOADS: Mapping[Operation, Callable[[Notification, Managed], Structure]] = MappingProxyType(
    {Operation.PUT: _put, Operation.NOTIFY: _notify}
)
"""How the payload of each kind of notification is made."""

SENT_OPERATIONS = frozenset(_PAYLOADS)
"""The operations that the server sends."""


def _request(operation: Operation, payload: Structure, version: Version) -> bytes:
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        batch_count=1 if version < V3_0 else None,
    )
    item = RequestBatchItem(operation=operation, request_payload=payload)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), version, strict=False)


def _greeting(version: Version) -> bytes:
    """The first request to a client that has taken the server's role: which versions it serves."""
    asked = max(version, V1_1)
    return _request(Operation.DISCOVER_VERSIONS, DiscoverVersionsRequest(), asked)


def _farewell(version: Version) -> bytes:
    """The request that gives the client its own role back (KMIP 2.1 §6.2.5)."""
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    return _request(Operation.SET_ENDPOINT_ROLE, payload, version)
