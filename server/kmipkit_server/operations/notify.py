"""Notify and Put: the requests that the server sends to clients (KMIP 1.4 §5, KMIP 2.1 §6.2).

The configuration says which accounts are notified, and where: the standard leaves it to "unspecified
configuration or administrative mechanisms". A notification is queued when the change is durable. It
becomes a message only when it is sent, so that it shows the object in its state at that time.
"""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import trio

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.memo import memoized
from kmipkit.model.messages import RequestBatchItem, RequestMessage, ResponseBatchItem
from kmipkit.model.payloads.notify import NotifyRequest, PutRequest
from kmipkit.model.payloads.query import DiscoverVersionsRequest
from kmipkit.model.payloads.session import SetEndpointRoleRequest
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import EndpointRole, LinkType, Operation, PutFunction, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V3_0, Version
from kmipkit_server.engine import notifications
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.correlation import server_correlation_value
from kmipkit_server.engine.notifications import Notification, Notifications
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.request import UnreadableItem
from kmipkit_server.engine.seam import Hook
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity import blocks
from kmipkit_server.identity.identity import Identity
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.managed import Managed, for_version
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.decision import decide
from kmipkit_server.policy.question import Question
from kmipkit_server.store.base import Reader, Record, Store, Transaction
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.owners import tenant_of
from kmipkit_server.store.parts import part_of

log = logging.getLogger("kmipkit.server")

SECONDS_BETWEEN_LOOKS = 1.0
"""How often the process that sends notifications looks for those of others."""
_PAUSE_PER_LOOK = 9.0
"""How long it pauses after each look, as a multiple of how long that took: a client that is not there
may have many, and looking at them after each change must not take more than a tenth of the time."""

_PUT, _NOTIFY, _SUCCESS = Operation.PUT, Operation.NOTIFY, ResultStatus.SUCCESS

_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)


class NotificationHook(Hook):
    """Notes for the configured accounts what they are to be notified of."""

    def __init__(self, queue: Notifications) -> None:
        self._queue = queue

    def written(
        self,
        batch: Batch,
        transaction: Transaction,
        item: RequestBatchItem | UnreadableItem,
        result: ResponseBatchItem,
    ) -> None:
        """Store the changes of a successful operation in its transaction, after which they are sent."""
        if not self._queue.is_stored:
            return
        new = self._of(batch, item, result)
        for notification in new:
            notifications.put(transaction, batch.identity.name, notification)
        if new:
            batch.after_commit(self._queue.note_stored)

    def finished(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> None:
        """Let those be sent that are not stored."""
        if self._queue.is_stored:
            return
        for notification in self._of(batch, item, result):
            self._queue.add(batch.identity.name, notification)

    def _of(
        self, batch: Batch, item: RequestBatchItem | UnreadableItem, result: ResponseBatchItem
    ) -> list[Notification]:
        """The notifications of an operation; none if it has failed."""
        account = batch.identity.name
        if account not in self._queue.accounts or result.result_status is not _SUCCESS:
            return []
        row = batch.server.registry.find(result.operation, batch.version)
        if row is None:
            return []
        request = getattr(item, "request_payload", None)
        return _notifications(row, request, result, batch)


def _notifications(
    row: ServedOperation, request: object, result: ResponseBatchItem, batch: Batch
) -> list[Notification]:
    if row.creates:
        operation: Operation = _PUT
        changes: tuple[AttributeKey, ...] = ()
    elif row.changes is not None:
        operation, changes = _NOTIFY, (*row.changes, *_attributes_named_in(request))
    else:
        return []
    if operation not in batch.server.sent:
        return []
    payload = result.response_payload
    identifiers = [getattr(payload, name) for name in _fields(type(payload))]
    identifiers += getattr(payload, "unique_identifiers", ())  # of the parts of a split key
    return [
        Notification(operation, identifier, batch.version, changes)
        for identifier in identifiers
        if isinstance(identifier, str)
    ]


@memoized
def _fields(cls: type) -> tuple[str, ...]:
    """The fields of a payload that have an identifier."""
    return tuple([name for name in _IDENTIFIERS if hasattr(cls, name)])


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
    policies: ActivePolicies = field(default_factory=ActivePolicies)
    """Decides whether the account may still have what it would be sent."""
    record: Callable[[str, Notification], None] = lambda _account, _notification: None
    """Called before a request leaves, for the audit; a StoreError prevents that."""

    async def message(self, account: str, notification: Notification) -> bytes | None:
        """The request of a notification; None if the object is deleted or must not be sent."""
        now = self.clock()

        def read(reader: Reader) -> bytes | None:
            key = notification.key
            if key and reader.entry(notifications.NOTICE, key) is None:
                return None  # the client has fetched it in another process
            record = part_of(reader, tenant_of(account)).get(notification.identifier)
            if record is None or not self._is_permitted(reader, account, notification, record):
                return None
            return _message(notification, Managed(record, now), tenant_of(account))

        try:
            data = await self.store.run(read)
            if data is not None:
                self.record(account, notification)
        except StoreError as error:  # one damaged object must not end the task for all accounts
            log.error("%s: not sent: %s", notification.identifier, error)
            return None
        return data

    def _is_permitted(
        self, reader: Reader, account: str, notification: Notification, record: Record
    ) -> bool:
        """Whether the policy permits it now: an object may belong to another account, and an account
        may be blocked.

        The server does not know from where the client will read it, so that a rule which denies all
        but some networks denies this.
        """
        if account in blocks.unpack(reader.setting(blocks.SETTING)):
            return False
        identity = Identity(account)
        documents = self.policies.of(reader, identity.tenant, record.revision)
        question = Question(identity, notification.operation, self.clock(), record)
        return decide(question, documents).is_permitted

    async def requests(self, account: str, version: Version) -> AsyncIterator[bytes]:
        """The requests to a client that has exchanged roles with the server.

        The last one exchanges the roles again.
        """
        tenant = tenant_of(account)
        yield _discover_versions(version, tenant)
        for notification in await self._take(account):
            data = await self.message(account, notification)
            if data is not None:
                yield data
        yield _return_role(version, tenant)

    async def _take(self, account: str) -> list[Notification]:
        """The notifications of an account, which leave the queue."""
        if not self.queue.is_stored:
            return self.queue.take(account)

        def take(transaction: Transaction) -> list[Notification]:
            taken = notifications.stored(transaction, account)
            notifications.remove(transaction, taken)
            return [each._replace(key=b"") for each in taken]

        if not await self.store.run(lambda reader: notifications.stored(reader, account)):
            return []
        return await self.store.run(take, writes=True)

    async def delivered(self, account: str, notification: Notification) -> None:
        """Remove a notification that the client has, or cannot have any longer."""
        if notification.key:
            work = partial(notifications.remove, notifications=[notification])
            await self.store.run(work, writes=True)
        log.debug("%s: %s is delivered", account, notification.identifier)

    async def feed(self, accounts: Collection[str]) -> None:
        """Put what is stored for these accounts into their queues, until cancelled.

        Only one process does this at a time.
        """
        known: frozenset[bytes] = frozenset()
        while True:
            new = trio.Event()
            self.queue.on_stored = new.set
            begun = trio.current_time()
            try:
                known = await self._feed(accounts, known)
            except StoreError as error:
                log.error("notifications wait: %s", error)
            await trio.sleep(_PAUSE_PER_LOOK * (trio.current_time() - begun))
            with trio.move_on_after(SECONDS_BETWEEN_LOOKS):
                await new.wait()

    async def _feed(self, accounts: Collection[str], known: frozenset[bytes]) -> frozenset[bytes]:
        """Put what is not known yet into the queues; the keys of all that is stored."""
        keys: set[bytes] = set()
        for account in accounts:
            for each in await self.store.run(
                partial(notifications.stored, account=account), slow=True
            ):
                keys.add(each.key)
                if each.key not in known:
                    self.queue.add(account, each)
        return frozenset(keys)


def _message(notification: Notification, managed: Managed, tenant: str) -> bytes | None:
    try:
        payload = _PAYLOADS[notification.operation](notification, managed)
    except OperationError as error:
        log.info("%s: no Put to the owner: %s", notification.identifier, error.message)
        return None
    return _request(notification.operation, payload, notification.version, tenant)


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


def _request(operation: Operation, payload: Structure, version: Version, tenant: str) -> bytes:
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        server_correlation_value=server_correlation_value(version, tenant),
        batch_count=1 if version < V3_0 else None,
    )
    item = RequestBatchItem(operation=operation, request_payload=payload)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), version, strict=False)


def _discover_versions(version: Version, tenant: str) -> bytes:
    """The first request to a client that is now the server: which versions it supports."""
    return _request(
        Operation.DISCOVER_VERSIONS, DiscoverVersionsRequest(), max(version, V1_1), tenant
    )


def _return_role(version: Version, tenant: str) -> bytes:
    """The request that returns the role of the client to the peer (KMIP 2.1 §6.2.5)."""
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    return _request(Operation.SET_ENDPOINT_ROLE, payload, version, tenant)
