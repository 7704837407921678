"""Notify and Put: the requests that the server sends to clients (KMIP 1.4 §5, KMIP 2.1 §6.2).

The configuration says which accounts are notified, and where: the standard leaves it to "unspecified
configuration or administrative mechanisms". A notification is queued when the change is durable. It
becomes a message only when it is sent, so that it shows the object in its state at that time.
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
from kmipkit_server.engine.correlation import server_correlation_value
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.engine.seam import Hook
from kmipkit_server.engine.settings import Clock
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.managed import Managed, for_version
from kmipkit_server.store.base import Reader, Store, StoreError

log = logging.getLogger("kmipkit.server")

_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)


class NotificationHook(Hook):
    """Queues notifications for the configured accounts."""

    def __init__(self, queue: Notifications) -> None:
        self._queue = queue

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Queue the changes of a successful operation."""
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
    if not row.creates and row.changes is None:
        return
    payload = result.response_payload
    identifiers = [getattr(payload, name, None) for name in _IDENTIFIERS]
    identifiers += getattr(payload, "unique_identifiers", ())  # of the parts of a split key
    for identifier in identifiers:
        if not isinstance(identifier, str):
            continue
        if row.creates:
            yield Notification(Operation.PUT, identifier, version)
        elif row.changes is not None:
            changes = (*row.changes, *_attributes_named_in(request))
            yield Notification(Operation.NOTIFY, identifier, version, changes)


def _attributes_named_in(request: object) -> Iterator[AttributeKey]:
    """The attribute that an attribute operation names."""
    for name in ("attribute", "current_attribute"):
        attribute = getattr(request, name, None)
        if isinstance(attribute, Attribute):
            yield attribute.key
    for name in ("attribute_name", "attribute_reference"):
        key = getattr(request, name, None)
        if key is not None:
            yield key


@dataclass(frozen=True, slots=True)
class RequestSource:
    """Turns the queued notifications of an account into requests to its client."""

    store: Store
    queue: Notifications
    clock: Clock
    record: Callable[[str, Notification], None] = lambda _account, _notification: None
    """Called before a request leaves, for the audit; a StoreError prevents that."""

    async def message(self, account: str, notification: Notification) -> bytes | None:
        """The request of a notification; None if the object is deleted or must not be sent."""
        now = self.clock()

        def read(reader: Reader) -> bytes | None:
            record = reader.get(notification.identifier)
            return None if record is None else _message(notification, Managed(record, now))

        try:
            data = await self.store.run(read)
            if data is not None:
                self.record(account, notification)
        except StoreError as error:  # one damaged object must not end the task for all accounts
            log.error("%s: not sent: %s", notification.identifier, error)
            return None
        return data

    async def requests(self, account: str, version: Version) -> AsyncIterator[bytes]:
        """The requests to a client that has exchanged roles with the server.

        The last one exchanges the roles again.
        """
        yield _discover_versions(version)
        for notification in self.queue.take(account):
            data = await self.message(account, notification)
            if data is not None:
                yield data
        yield _return_role(version)


def _message(notification: Notification, managed: Managed) -> bytes | None:
    try:
        payload = _PAYLOADS[notification.operation](notification, managed)
    except OperationError as error:
        log.info("%s: no Put to the owner: %s", notification.identifier, error.message)
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
            tuple([for_version(notification.version, each) for each in managed.all_attributes()])
        ),
    )


def _notify(notification: Notification, managed: Managed) -> NotifyRequest:
    """The changed attributes, Last Change Date included; deleted ones by name (KMIP 1.4 §5.1)."""
    version = notification.version
    keys = dict.fromkeys((*notification.changes, Tag.LAST_CHANGE_DATE))
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
"""The functions that make the payloads."""

SENT_OPERATIONS = frozenset(_PAYLOADS)
"""The operations that the server sends."""


def _request(operation: Operation, payload: Structure, version: Version) -> bytes:
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        server_correlation_value=server_correlation_value(version),
        batch_count=1 if version < V3_0 else None,
    )
    item = RequestBatchItem(operation=operation, request_payload=payload)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), version, strict=False)


def _discover_versions(version: Version) -> bytes:
    """The first request to a client that is now the server: which versions it supports."""
    return _request(Operation.DISCOVER_VERSIONS, DiscoverVersionsRequest(), max(version, V1_1))


def _return_role(version: Version) -> bytes:
    """The request that returns the role of the client to the peer (KMIP 2.1 §6.2.5)."""
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    return _request(Operation.SET_ENDPOINT_ROLE, payload, version)
