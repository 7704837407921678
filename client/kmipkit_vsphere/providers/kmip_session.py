"""The KMIP messages of a vCenter, exactly as recorded, one method each (vsphere.md §3).

Always KMIP 1.1; a header of version and batch count only; the first message of a connection is
Discover Versions without a batch item id, all later items carry one: ``QLKC`` and a 32-bit
little-endian counter that begins at 1 in every message. Only Add Attribute comes in batches. The
letters a to h are those of the table in vsphere.md §3.3.

The transport is a :class:`KeyServerConnection`, which takes a request message and returns the
response to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.credentials import Authentication, Credential, UsernameAndPassword
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.keyblock import KeyValue
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    GetAttributesRequest,
    ModifyAttributeRequest,
)
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ActivateRequest
from kmipkit.model.payloads.query import DiscoverVersionsRequest, QueryRequest
from kmipkit.spec.enums import (
    CredentialType,
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    QueryFunction,
    ResultReason,
    ResultStatus,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, Version
from kmipkit_vsphere.model.errors import KeyProviderError
from kmipkit_vsphere.model.keys import Secret

VERSION: Final = V1_1
ID_PREFIX: Final = b"QLKC"
KEY_BITS: Final = 256

_USAGE: Final = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
_NEW_KEY: Final = Attributes.of(
    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, _USAGE),
    (Tag.CRYPTOGRAPHIC_LENGTH, KEY_BITS),
)
"""The template of every new key, in the order of the recorded request: no name, no dates."""


class Login(NamedTuple):
    """User name and password of a key provider, sent in the header of operations (§3.1)."""

    user_name: str
    password: Secret


class KeyServerConnection(Protocol):
    """An open connection to a key server, TLS handshake done."""

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate, DER; None where the connection has none."""

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request and return its response, or raise KeyServerUnreachable."""

    async def aclose(self) -> None:
        """Close; never raises because of the peer."""


class KeyServer(Protocol):
    """A key server to which vCenter can connect."""

    @property
    def name(self) -> str:
        """Its name in error messages."""

    @property
    def login(self) -> Login | None:
        """The user name and password to send, if any."""

    async def connect(self) -> KeyServerConnection:
        """Connect and shake hands, or raise KeyServerUnreachable."""

    async def retrieve_certificate(self) -> bytes | None:
        """The server's certificate (DER), trusted or not; None if the server does not answer."""


class KeyServerRefused(KeyProviderError):
    """The key server answered ``operation`` with a failure; ``reason`` is its result reason."""

    def __init__(
        self, message: str, reason: ResultReason | None, operation: Operation | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.operation = operation


class KMIPSession:
    """The messages of one connection. All methods raise KeyServerRefused, KeyServerUnreachable."""

    def __init__(
        self, connection: KeyServerConnection, server: str, login: Login | None = None
    ) -> None:
        self._connection = connection
        self._authentication = _authentication(login)
        self._server_versions: frozenset[Version] = frozenset()
        self.version = VERSION
        self.server = server

    async def negotiate(self) -> None:
        """a: Discover Versions without a batch item id; the first message of every connection."""
        item = RequestBatchItem(**_item(Operation.DISCOVER_VERSIONS, _NO_VERSIONS))
        [payload] = await self._exchange(_message([item], None, self.version))
        self._check_versions(payload)

    async def discover_versions(self) -> None:
        """b: Discover Versions; refused unless the server speaks 1.1."""
        self._check_versions(await self._ask(Operation.DISCOVER_VERSIONS, _NO_VERSIONS))

    def _check_versions(self, payload: Any) -> None:
        self._server_versions = frozenset(v.version for v in payload.protocol_versions)
        if VERSION not in self._server_versions:
            raise KeyServerRefused(
                f"{self.server} does not speak KMIP {VERSION}", None, Operation.DISCOVER_VERSIONS
            )

    async def vendor(self) -> str:
        """c: Query Server Information; the Vendor Identification, empty if there is none."""
        functions = (QueryFunction.QUERY_SERVER_INFORMATION,)
        payload = await self._ask(Operation.QUERY, QueryRequest(query_functions=functions))
        return payload.vendor_identification or ""

    async def create(self) -> str:
        """d: Create an AES key of 256 bits for encryption and decryption; its identifier."""
        request = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=_NEW_KEY)
        return str((await self._ask(Operation.CREATE, request)).unique_identifier)

    async def get(self, key: str) -> Secret:
        """e: the bytes of a key; refused unless they are a plain AES key of 256 bits."""
        payload = await self._ask(Operation.GET, GetRequest(unique_identifier=key))
        material = _material(payload.object)
        if material is None:
            raise KeyServerRefused(f"{self.server} gave no plain AES-256 key for {key}", None)
        return Secret(material)

    async def state(self, key: str) -> State | None:
        """f: the State of a key, None if the server does not tell."""
        state = await self._attribute(key, Tag.STATE)
        return None if state is None else State(state)

    async def attribute(self, key: str, name: str) -> str | None:
        """f: a custom attribute of a key by its full name (``x-...``), None if it is not set."""
        value = await self._attribute(key, custom(name))
        return value if isinstance(value, str) else None

    async def _attribute(self, key: str, reference: Any) -> Any:
        request = GetAttributesRequest(unique_identifier=key, attribute_references=(reference,))
        payload = await self._ask(Operation.GET_ATTRIBUTES, request)
        return payload.attributes.get(reference)

    async def activate(self, key: str) -> None:
        """g: Activate a key."""
        await self._ask(Operation.ACTIVATE, ActivateRequest(unique_identifier=key))

    async def add_attributes(self, key: str, attributes: Mapping[str, str]) -> None:
        """h: Add custom attributes to a key, all in one message."""
        requests = [
            AddAttributeRequest(unique_identifier=key, attribute=Attribute(custom(name), value))
            for name, value in attributes.items()
        ]
        await self._ask_all([(Operation.ADD_ATTRIBUTE, request) for request in requests])

    async def modify_attribute(self, key: str, name: str, value: str) -> None:
        """Change the value of a custom attribute."""
        attribute = Attribute(custom(name), value)
        request = ModifyAttributeRequest(unique_identifier=key, attribute=attribute)
        await self._ask(Operation.MODIFY_ATTRIBUTE, request)

    async def _ask(self, operation: Operation, payload: Any) -> Any:
        [answer] = await self._ask_all([(operation, payload)])
        return answer

    async def _ask_all(self, requests: Sequence[tuple[Operation, Any]]) -> list[Any]:
        return await self._exchange(_numbered(requests, self._authentication, self.version))

    async def _exchange(self, request: RequestMessage) -> list[Any]:
        """The payloads of the answers, in the order of the requests."""
        response = await self._connection.exchange(request)
        return self._payloads(request.batch_items, response.batch_items)

    def _payloads(
        self, asked: Sequence[RequestBatchItem], answers: Sequence[ResponseBatchItem]
    ) -> list[Any]:
        operation = asked[0].operation  # the requests of one message have the same one
        for answer in answers:
            if answer.result_status is not ResultStatus.SUCCESS:
                problem = answer.result_message or answer.result_reason
                raise KeyServerRefused(
                    f"{self.server} answers {operation.name} with: {problem}",
                    answer.result_reason,
                    operation,
                )
        expected = [(item.operation, item.unique_batch_item_id) for item in asked]
        if [(item.operation, item.unique_batch_item_id) for item in answers] != expected:
            raise KeyServerRefused(
                f"the answer of {self.server} does not fit the request", None, operation
            )
        payloads = [answer.response_payload for answer in answers]
        if None in payloads:
            raise KeyServerRefused(
                f"{self.server} answers {operation.name} without a payload", None, operation
            )
        return payloads


_NO_VERSIONS: Final = DiscoverVersionsRequest()


def batch_item_id(counter: int) -> bytes:
    """The batch item id of the n-th item of a message, counted from 1."""
    return ID_PREFIX + counter.to_bytes(4, "little")


def _item(operation: Operation, payload: Any) -> dict[str, Any]:
    return {"operation": operation, "request_payload": payload}


def _numbered(
    requests: Sequence[tuple[Operation, Any]],
    authentication: Authentication | None,
    version: Version,
) -> RequestMessage:
    items = [
        RequestBatchItem(unique_batch_item_id=batch_item_id(number), **_item(*request))
        for number, request in enumerate(requests, 1)
    ]
    return _message(items, authentication, version)


def _message(
    items: Sequence[RequestBatchItem], authentication: Authentication | None, version: Version
) -> RequestMessage:
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        authentication=authentication,
        batch_count=len(items),
    )
    return RequestMessage(request_header=header, batch_items=tuple(items))


def _authentication(login: Login | None) -> Authentication | None:
    if login is None:
        return None
    value = UsernameAndPassword(username=login.user_name, password=login.password.reveal().decode())
    kind = CredentialType.USERNAME_AND_PASSWORD
    return Authentication(credentials=(Credential(credential_type=kind, credential_value=value),))


def _material(key: Any) -> bytes | None:
    """The bytes of an unwrapped AES-256 key in format Raw; None for anything else."""
    if not isinstance(key, SymmetricKey):
        return None
    block = key.key_block
    value = block.key_value
    if not isinstance(value, KeyValue) or not isinstance(value.key_material, bytes):
        return None
    fits = (
        block.key_format_type is KeyFormatType.RAW
        and block.cryptographic_algorithm is CryptographicAlgorithm.AES
        and len(value.key_material) * 8 == KEY_BITS
    )
    return value.key_material if fits else None
