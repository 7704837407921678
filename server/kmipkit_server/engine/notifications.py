"""What the server tells clients of its own accord: Notify and Put (KMIP 1.4 §5, KMIP 2.1 §6.2).

Which accounts are told, and where, is configuration: the standard leaves it to "unspecified
configuration or administrative mechanisms". A notice is noted when the change is durable and made
into a message when it is sent, so that it tells the object as it then is.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from kmipkit_server.objects.extractable import require_leave
from kmipkit_server.objects.managed import Managed, shown
from kmipkit_server.store.base import Reader

log = logging.getLogger("kmipkit.server")

MOST = 1000
"""Notices that wait for one account; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an account is to be told of an object."""

    operation: Operation
    """Notify or Put."""
    identifier: str
    version: Version
    """That of the request which has led to it."""
    changed: tuple[AttributeKey, ...] = ()


_NEW = frozenset(
    {
        Operation.CREATE,
        Operation.REGISTER,
        Operation.DERIVE_KEY,
        Operation.RE_KEY,
        Operation.CREATE_KEY_PAIR,
        Operation.RE_KEY_KEY_PAIR,
        Operation.CERTIFY,
        Operation.RE_CERTIFY,
        Operation.IMPORT,
        Operation.JOIN_SPLIT_KEY,
    }
)
"""Operations whose objects are put to the client."""

_CHANGING: Mapping[Operation, tuple[AttributeKey, ...]] = MappingProxyType(
    {
        Operation.ACTIVATE: (Tag.STATE, Tag.ACTIVATION_DATE),
        Operation.REVOKE: (Tag.STATE, Tag.REVOCATION_REASON),
        Operation.DESTROY: (Tag.STATE, Tag.DESTROY_DATE),
        Operation.DEACTIVATE: (Tag.STATE, Tag.DEACTIVATION_DATE),
        Operation.ADD_ATTRIBUTE: (),
        Operation.MODIFY_ATTRIBUTE: (),
        Operation.SET_ATTRIBUTE: (),
        Operation.ADJUST_ATTRIBUTE: (),
        Operation.DELETE_ATTRIBUTE: (),
    }
)
"""Operations of which the client is notified, and the attributes that they change always."""

_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)


def notices(request: object, answer: ResponseBatchItem, version: Version) -> Iterator[Notice]:
    """What a successful operation gives to tell."""
    operation, payload = answer.operation, answer.response_payload
    if answer.result_status is not ResultStatus.SUCCESS or operation is None:
        return
    found = (getattr(payload, name, None) for name in _IDENTIFIERS)
    for identifier in (one for one in found if isinstance(one, str)):
        if operation in _NEW:
            yield Notice(Operation.PUT, identifier, version)
        elif operation in _CHANGING:
            changed = (*_CHANGING[operation], *_named(request))
            yield Notice(Operation.NOTIFY, identifier, version, changed)


def _named(request: object) -> Iterator[AttributeKey]:
    """The attribute that an attribute operation is about."""
    for name in ("attribute", "current_attribute"):
        attribute = getattr(request, name, None)
        if isinstance(attribute, Attribute):
            yield attribute.key
    for name in ("attribute_name", "attribute_reference"):
        key = getattr(request, name, None)
        if key is not None:
            yield key


class Notices:
    """What waits to be told, by account; nothing is kept for accounts that are not to be told."""

    def __init__(self, accounts: frozenset[str] = frozenset()) -> None:
        self.accounts = accounts
        self._waiting: dict[str, deque[Notice]] = {
            account: deque(maxlen=MOST) for account in accounts
        }
        self.woken: Callable[[str], None] = lambda account: None
        """Called when an account has something to be told."""

    def add(self, account: str, notice: Notice) -> None:
        """Let a notice wait."""
        self._waiting[account].append(notice)
        self.woken(account)

    def take(self, account: str) -> list[Notice]:
        """All that waits for an account; it waits no more."""
        waiting = self._waiting.get(account)
        taken = list(waiting or ())
        if waiting is not None:
            waiting.clear()
        return taken


def message(notice: Notice, reader: Reader, now: datetime) -> bytes | None:
    """The request that tells a notice; None where the object is gone or may not be given."""
    record = reader.get(notice.identifier)
    if record is None:
        return None
    managed = Managed(record, now)
    try:
        payload = _MAKERS[notice.operation](notice, managed)
    except OperationError as error:
        log.info("%s is not put to its owner: %s", notice.identifier, error.message)
        return None
    return _request(notice.operation, payload, notice.version)


def _put(notice: Notice, managed: Managed) -> PutRequest:
    require_leave(managed, wrapped=False)
    replaced = next(
        (
            one.value.linked_object_identifier
            for one in managed.all(Tag.LINK)
            if one.value.link_type == LinkType.REPLACED_OBJECT_LINK
        ),
        None,
    )
    return PutRequest(
        unique_identifier=managed.id,
        put_function=PutFunction.NEW if replaced is None else PutFunction.REPLACE,
        replaced_unique_identifier=replaced,
        object=managed.object,
        attributes=Attributes(tuple(shown(one, notice.version) for one in managed.everything())),
    )


def _notify(notice: Notice, managed: Managed) -> NotifyRequest:
    """Values that changed, Last Change Date among them; what is deleted by name (§5.1)."""
    keys = dict.fromkeys((*notice.changed, Tag.LAST_CHANGE_DATE))
    there = [shown(one, notice.version) for key in keys for one in managed.all(key)]
    gone = [key for key in keys if not managed.all(key)]
    if notice.version < (2, 0):
        there += [Attribute(key, None) for key in gone]
        gone = []
    return NotifyRequest(
        unique_identifier=managed.id,
        attributes=Attributes(tuple(there)),
        attribute_references=tuple(gone),
    )


_MAKERS: Mapping[Operation, Callable[[Notice, Managed], Structure]] = MappingProxyType(
    {Operation.PUT: _put, Operation.NOTIFY: _notify}
)
"""How each kind of notice is made; what the server can send."""

SENT = frozenset(_MAKERS)


def _request(operation: Operation, payload: Structure, version: Version) -> bytes:
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        batch_count=1 if version < V3_0 else None,
    )
    item = RequestBatchItem(operation=operation, request_payload=payload)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), version, strict=False)


def greeting(version: Version) -> bytes:
    """The first question to a client that has taken the server's role: what does it speak?"""
    asked = max(version, V1_1)
    return _request(Operation.DISCOVER_VERSIONS, DiscoverVersionsRequest(), asked)


def farewell(version: Version) -> bytes:
    """The request that gives the client its own role back (KMIP 2.1 §6.2.5)."""
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    return _request(Operation.SET_ENDPOINT_ROLE, payload, version)
