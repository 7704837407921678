"""A small key server of another vendor, whose faults a test chooses.

Its operations are functions in a table, which a mutant replaces. It has no socket, thread or clock of
its own: vCenter connects to a :class:`Wire` in memory, so that a test can move the clock.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import trio
from kmipkit_client.values import symmetric_key
from kmipkit_vsphere.model.errors import KeyServerUnreachable
from kmipkit_vsphere.providers.kmip_session import Login

from kmipkit.connection import Connection, Response
from kmipkit.errors import ProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import RequestMessage, ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.attributes import (
    AddAttributeResponse,
    GetAttributesResponse,
    ModifyAttributeResponse,
)
from kmipkit.model.payloads.create import CreateResponse
from kmipkit.model.payloads.crypto import DecryptResponse, EncryptResponse
from kmipkit.model.payloads.get import GetResponse
from kmipkit.model.payloads.lifecycle import ActivateResponse, DestroyResponse, RevokeResponse
from kmipkit.model.payloads.query import DiscoverVersionsResponse, QueryResponse
from kmipkit.spec.enums import (
    ObjectType,
    Operation,
    ResultReason,
    ResultStatus,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, Version

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TIMEOUT = 30.0


class Refusal(Exception):
    """The failure of an operation."""

    def __init__(self, reason: ResultReason, message: str = "refused\x1b[2J") -> None:
        super().__init__(message)
        self.reason = reason


class Dropped(Exception):
    """The connection is closed without an answer."""


@dataclass
class StoredKey:
    """A key on the server; ``data`` is empty once it is destroyed."""

    data: bytes
    state: State = State.PRE_ACTIVE
    attributes: dict[Any, Any] = field(default_factory=dict)


Handler = Callable[[Any], Any]


class ForeignServer:
    """The server. ``handlers`` are its operations, ``delays`` the seconds that an answer takes.

    ``damages`` change the bytes of the answers to an operation.
    """

    def __init__(
        self,
        vendor: str = "Acme KMS 7.2",
        keys: dict[str, StoredKey] | None = None,
        password: str | None = None,
    ) -> None:
        """``password`` is what every user must have; None if nobody is asked for one."""
        self.vendor = vendor
        self.password = password
        self.keys = {} if keys is None else keys
        self.versions = [V1_2, V1_1, V1_0]
        self.answer_version: Version | None = None
        self.delays: dict[Operation, float] = {}
        self.max_connections = 1000
        self.requests: list[bytes] = []
        self.damages: dict[Operation, Callable[[bytes], bytes]] = {}
        self.connections = 0
        self.with_ids = True
        self.handlers: dict[Operation, Handler] = {
            Operation.DISCOVER_VERSIONS: self._discover,
            Operation.QUERY: lambda _: QueryResponse(vendor_identification=self.vendor),
            Operation.CREATE: self._create,
            Operation.GET: self._get,
            Operation.GET_ATTRIBUTES: self._get_attributes,
            Operation.ADD_ATTRIBUTE: self._add_attribute,
            Operation.MODIFY_ATTRIBUTE: self._modify_attribute,
            Operation.ACTIVATE: self._activate,
            Operation.REVOKE: self._revoke,
            Operation.DESTROY: self._destroy,
            Operation.ENCRYPT: self._encrypt,
            Operation.DECRYPT: self._decrypt,
        }

    def respond(self, data: bytes) -> bytes:
        """The response to a request, both encoded."""
        self.requests.append(data)
        request, version = decode_request(data)
        knows = self._knows(request.request_header.authentication)
        items = tuple(self._item(item, knows) for item in request.batch_items)
        header = ResponseHeader(
            protocol_version=ProtocolVersion.of(self.answer_version or version),
            time_stamp=NOW,
            batch_count=len(items),
        )
        message = ResponseMessage(response_header=header, batch_items=items)
        data = encode(message, self.answer_version or version)
        damage = self.damages.get(request.batch_items[0].operation)
        return data if damage is None else damage(data)

    def _knows(self, authentication: Any) -> bool:
        if self.password is None:
            return True
        credentials = () if authentication is None else authentication.credentials
        return any(each.credential_value.password == self.password for each in credentials)

    def _item(self, item: Any, knows: bool) -> ResponseBatchItem:
        shared = {
            "operation": item.operation,
            "unique_batch_item_id": item.unique_batch_item_id if self.with_ids else None,
        }
        try:
            handler = self.handlers.get(item.operation, _not_supported)
            if not knows and item.operation is not Operation.DISCOVER_VERSIONS:
                handler = _not_authenticated
            payload = handler(item.request_payload)
        except Refusal as refusal:
            return ResponseBatchItem(
                result_status=ResultStatus.OPERATION_FAILED,
                result_reason=refusal.reason,
                result_message=str(refusal),
                **shared,
            )
        return ResponseBatchItem(
            result_status=ResultStatus.SUCCESS, response_payload=payload, **shared
        )

    def stored(self, identifier: str) -> StoredKey:
        key = self.keys.get(identifier)
        if key is None:
            raise Refusal(ResultReason.ITEM_NOT_FOUND, f"unknown: {identifier}")
        return key

    def _discover(self, _: Any) -> Any:
        return DiscoverVersionsResponse(
            protocol_versions=tuple(ProtocolVersion.of(version) for version in self.versions)
        )

    def _create(self, request: Any) -> Any:
        identifier = f"acme-{secrets.token_hex(6)}"
        self.keys[identifier] = StoredKey(
            secrets.token_bytes(request.attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) // 8),
            attributes={Tag.INITIAL_DATE: NOW},
        )
        return CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=identifier)

    def _get(self, request: Any) -> Any:
        key = self.stored(request.unique_identifier)
        if not key.data:
            raise Refusal(ResultReason.ITEM_NOT_FOUND, "destroyed")
        return got(request.unique_identifier, key.data)

    def _get_attributes(self, request: Any) -> Any:
        key = self.stored(request.unique_identifier)
        values = {**key.attributes, Tag.STATE: key.state}
        found = [(name, values[name]) for name in request.attribute_references if name in values]
        return GetAttributesResponse(
            unique_identifier=request.unique_identifier, attributes=Attributes.of(*found)
        )

    def _add_attribute(self, request: Any) -> Any:
        attribute = request.attribute
        self.stored(request.unique_identifier).attributes[attribute.key] = attribute.value
        return AddAttributeResponse(
            unique_identifier=request.unique_identifier, attribute=attribute
        )

    def _modify_attribute(self, request: Any) -> Any:
        attribute = request.attribute
        self.stored(request.unique_identifier).attributes[attribute.key] = attribute.value
        return ModifyAttributeResponse(
            unique_identifier=request.unique_identifier, attribute=attribute
        )

    def _activate(self, request: Any) -> Any:
        key = self.stored(request.unique_identifier)
        if key.state is not State.PRE_ACTIVE:
            raise Refusal(ResultReason.PERMISSION_DENIED, "not Pre-Active")
        key.state = State.ACTIVE
        return ActivateResponse(unique_identifier=request.unique_identifier)

    def _revoke(self, request: Any) -> Any:
        self.stored(request.unique_identifier).state = State.DEACTIVATED
        return RevokeResponse(unique_identifier=request.unique_identifier)

    def _destroy(self, request: Any) -> Any:
        key = self.stored(request.unique_identifier)
        if key.state is State.ACTIVE:
            raise Refusal(ResultReason.PERMISSION_DENIED, "the key is active")
        key.data, key.state = b"", State.DESTROYED
        return DestroyResponse(unique_identifier=request.unique_identifier)

    def _encrypt(self, request: Any) -> Any:
        self.stored(request.unique_identifier)
        return EncryptResponse(
            unique_identifier=request.unique_identifier, data=_inverted(request.data)
        )

    def _decrypt(self, request: Any) -> Any:
        self.stored(request.unique_identifier)
        return DecryptResponse(
            unique_identifier=request.unique_identifier, data=_inverted(request.data)
        )

    @property
    def living(self) -> set[str]:
        """The keys that are not destroyed."""
        return {identifier for identifier, key in self.keys.items() if key.data}


def got(identifier: str, data: bytes) -> GetResponse:
    """The payload of a response to Get."""
    return GetResponse(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifier=identifier,
        object=symmetric_key(data),
    )


def _not_supported(_: Any) -> Any:
    raise Refusal(ResultReason.OPERATION_NOT_SUPPORTED, "no such operation")


def _not_authenticated(_: Any) -> Any:
    raise Refusal(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, "user or password is wrong")


def _inverted(data: bytes) -> bytes:
    """As good as encrypted, for a test."""
    return bytes(byte ^ 0xFF for byte in data)


class Wire:
    """A foreign server to which vCenter connects; a :class:`KeyServer` in memory."""

    def __init__(
        self, server: ForeignServer, name: str = "kms1", login: Login | None = None
    ) -> None:
        self.server = server
        self.name = name
        self.login = login

    async def retrieve_certificate(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return None

    async def connect(self) -> "WireConnection":
        await trio.lowlevel.checkpoint()
        if self.server.connections >= self.server.max_connections:
            raise KeyServerUnreachable(f"{self.name}: connection refused")
        self.server.connections += 1
        return WireConnection(self.server, self.name)


class WireConnection:
    """One connection, which pairs responses with requests as a real one does."""

    certificate: bytes | None = None

    def __init__(self, server: ForeignServer, name: str) -> None:
        self._server = server
        self._name = name
        self._connection = Connection(tolerant=True)
        self._is_open = True

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        data = self._connection.send_request(request)
        delay = self._server.delays.get(request.batch_items[0].operation, 0.0)
        with _broken(self._name):
            answer = self._server.respond(data)
            if delay >= TIMEOUT:
                await trio.sleep(TIMEOUT)
                raise KeyServerUnreachable(f"{self._name}: no answer within {TIMEOUT:.0f} s")
            await trio.sleep(delay)
            self._connection.receive_data(answer)
            event = self._connection.next_event()
        if not isinstance(event, Response):
            raise KeyServerUnreachable(f"{self._name}: no answer within {TIMEOUT:.0f} s")
        return event.message

    async def aclose(self) -> None:
        try:
            await trio.lowlevel.checkpoint()  # others may connect before it is closed
        finally:
            self._server.connections -= self._is_open
            self._is_open = False


@contextmanager
def _broken(name: str) -> Iterator[None]:
    try:
        yield
    except Dropped:
        raise KeyServerUnreachable(f"{name}: the connection broke") from None
    except ProtocolError as error:
        raise KeyServerUnreachable(f"{name}: {error}") from None
