"""One pure function per operation: arguments in, a request payload out, and how its answer is read.

Nothing here does I/O, so both clients, and batches, are built from the same calls.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from kmipkit.model import operations
from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.model.attributes import CryptographicParameters, RevocationReason
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.keyblock import KeyWrappingSpecification
from kmipkit.model.objects import OBJECT_TYPE_OF, ManagedObject
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    DeleteAttributeRequest,
    GetAttributeListRequest,
    GetAttributesRequest,
    ModifyAttributeRequest,
    SetAttributeRequest,
)
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.crypto import DecryptRequest, EncryptRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import (
    ActivateRequest,
    CheckRequest,
    DestroyRequest,
    RevokeRequest,
)
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.query import DiscoverVersionsRequest, QueryRequest, QueryResponse
from kmipkit.model.payloads.register import RegisterRequest
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    QueryFunction,
    RevocationReasonCode,
)
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit_client import values
from kmipkit_client.values import AttributeLike, AttributesLike, Encrypted, Located

T = TypeVar("T")
Build = Callable[[Version], Structure]

_WITHOUT_IV = (None, BlockCipherMode.ECB)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """An operation to ask for, and what its answer means."""

    operation: Operation
    build: Build
    """The request payload for a version."""
    read: Callable[[Any], T]
    """The result from the response payload."""


def _call(operation: Operation, payload: Structure, read: Callable[[Any], T]) -> Call[T]:
    return Call(operation, lambda version: payload, read)


def _identifier(payload: Any) -> str:
    return str(payload.unique_identifier)


def _nothing(payload: Any) -> None:
    del payload


def discover_versions(versions: Iterable[Version] = ()) -> Call[tuple[Version, ...]]:
    """Which versions the server speaks, best first; of those given, if any are."""
    offered = tuple(ProtocolVersion.of(version) for version in versions)
    return _call(
        Operation.DISCOVER_VERSIONS,
        DiscoverVersionsRequest(protocol_versions=offered),
        lambda payload: tuple(found.version for found in payload.protocol_versions),
    )


def query(functions: tuple[QueryFunction, ...]) -> Call[QueryResponse]:
    """What the server is and can do; by default its operations, objects and vendor."""
    wanted = functions or (
        QueryFunction.QUERY_OPERATIONS,
        QueryFunction.QUERY_OBJECTS,
        QueryFunction.QUERY_SERVER_INFORMATION,
    )
    read: Callable[[Any], QueryResponse] = lambda payload: payload  # noqa: E731 - typed
    return _call(Operation.QUERY, QueryRequest(query_functions=wanted), read)


def create(
    algorithm: CryptographicAlgorithm,
    length: int,
    usage: CryptographicUsageMask,
    name: str | None,
    attributes: AttributesLike | None,
) -> Call[str]:
    """A new symmetric key."""
    fixed = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm),
        (Tag.CRYPTOGRAPHIC_LENGTH, length),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, usage),
    )
    given = values.attributes(attributes, name=name)
    request = CreateRequest(
        object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes((*fixed, *given))
    )
    return _call(Operation.CREATE, request, _identifier)


def register(
    value: ManagedObject,
    usage: CryptographicUsageMask | None,
    name: str | None,
    attributes: AttributesLike | None,
) -> Call[str]:
    """Hand over an object."""
    given = values.attributes(attributes, name=name)
    if usage is not None:
        given = given.plus(values.attribute(Tag.CRYPTOGRAPHIC_USAGE_MASK, usage))
    request = RegisterRequest(
        object_type=OBJECT_TYPE_OF[type(value)], attributes=given, object=value
    )
    return _call(Operation.REGISTER, request, _identifier)


def get(
    identifier: str,
    key_format_type: KeyFormatType | None,
    key_wrap_type: KeyWrapType | None,
    wrapping: KeyWrappingSpecification | None,
) -> Call[ManagedObject]:
    """The object itself."""
    request = GetRequest(
        unique_identifier=identifier,
        key_format_type=key_format_type,
        key_wrap_type=key_wrap_type,
        key_wrapping_specification=wrapping,
    )
    read: Callable[[Any], ManagedObject] = lambda payload: payload.object  # noqa: E731 - typed
    return _call(Operation.GET, request, read)


def get_attributes(identifier: str, names: tuple[AttributeLike, ...]) -> Call[Attributes]:
    """Attributes by name, or all."""
    request = GetAttributesRequest(
        unique_identifier=identifier, attribute_references=values.keys(names)
    )
    read: Callable[[Any], Attributes] = lambda payload: payload.attributes  # noqa: E731 - typed
    return _call(Operation.GET_ATTRIBUTES, request, read)


def get_attribute_list(identifier: str) -> Call[tuple[AttributeKey, ...]]:
    """Which attributes an object has."""
    request = GetAttributeListRequest(unique_identifier=identifier)
    return _call(
        Operation.GET_ATTRIBUTE_LIST, request, lambda payload: tuple(payload.attribute_references)
    )


def add_attribute(identifier: str, name: AttributeLike, value: Any) -> Call[None]:
    """One more attribute instance."""
    added = values.attribute(name, value)
    request = AddAttributeRequest(unique_identifier=identifier, attribute=added)
    return _call(Operation.ADD_ATTRIBUTE, request, _nothing)


def modify_attribute(
    identifier: str, name: AttributeLike, value: Any, index: int | None, current: Any
) -> Call[None]:
    """Another value for an instance: 1.x finds it by index, 2.x by its current value."""

    def build(version: Version) -> Structure:
        new = version >= V2_0
        old = values.attribute(name, current) if new and current is not None else None
        return ModifyAttributeRequest(
            unique_identifier=identifier,
            current_attribute=old,
            attribute=values.attribute(name, value, None if new else index),
        )

    return Call(Operation.MODIFY_ATTRIBUTE, build, _nothing)


def delete_attribute(
    identifier: str, name: AttributeLike, index: int | None, current: Any
) -> Call[None]:
    """Take an instance away: 1.x finds it by index, 2.x by its current value, else all go."""
    key = values.attribute_key(name)

    def build(version: Version) -> Structure:
        if version < V2_0:
            return DeleteAttributeRequest(
                unique_identifier=identifier, attribute_name=key, attribute_index=index
            )
        if current is not None:
            old = values.attribute(name, current)
            return DeleteAttributeRequest(unique_identifier=identifier, current_attribute=old)
        return DeleteAttributeRequest(unique_identifier=identifier, attribute_reference=key)

    return Call(Operation.DELETE_ATTRIBUTE, build, _nothing)


def set_attribute(identifier: str, name: AttributeLike, value: Any) -> Call[None]:
    """The only value of an attribute (2.0 and later)."""
    new = values.attribute(name, value)
    request = SetAttributeRequest(unique_identifier=identifier, attribute=new)
    return _call(Operation.SET_ATTRIBUTE, request, _nothing)


def locate(
    name: str | None,
    object_type: ObjectType | None,
    attributes: AttributesLike | None,
    maximum: int | None,
    offset: int | None,
    storage_status: StorageStatusMask | None,
) -> Call[Located]:
    """Objects that have all these attributes."""
    wanted = values.attributes(attributes, name=name)
    if object_type is not None:
        wanted = wanted.plus(values.attribute(Tag.OBJECT_TYPE, object_type))
    request = LocateRequest(
        maximum_items=maximum,
        offset_items=offset,
        storage_status_mask=storage_status,
        attributes=wanted,
    )
    return _call(
        Operation.LOCATE,
        request,
        lambda payload: Located(
            tuple(str(found) for found in payload.unique_identifiers), payload.located_items
        ),
    )


def activate(identifier: str) -> Call[None]:
    """Make an object active."""
    return _call(Operation.ACTIVATE, ActivateRequest(unique_identifier=identifier), _nothing)


def revoke(
    identifier: str, code: RevocationReasonCode, message: str | None, occurred: datetime | None
) -> Call[None]:
    """End the use of an object, or report it compromised."""
    reason = RevocationReason(revocation_reason_code=code, revocation_message=message)
    request = RevokeRequest(
        unique_identifier=identifier, revocation_reason=reason, compromise_occurrence_date=occurred
    )
    return _call(Operation.REVOKE, request, _nothing)


def destroy(identifier: str) -> Call[None]:
    """Destroy the key material."""
    return _call(Operation.DESTROY, DestroyRequest(unique_identifier=identifier), _nothing)


def check(
    identifier: str,
    usage: CryptographicUsageMask | None,
    usage_limits_count: int | None,
    lease_time: int | None,
) -> Call[None]:
    """Whether a use is permitted; refused with the reason if not."""
    request = CheckRequest(
        unique_identifier=identifier,
        usage_limits_count=usage_limits_count,
        cryptographic_usage_mask=usage,
        lease_time=lease_time,
    )
    return _call(Operation.CHECK, request, _nothing)


def encrypt(
    identifier: str,
    data: bytes,
    parameters: CryptographicParameters | None,
    iv: bytes | None,
    additional_data: bytes | None,
) -> Call[Encrypted]:
    """Encrypt with a key of the server.

    Where a mode needs an IV and none is given, the server is asked to make one (Random IV).
    """
    needs_iv = parameters is not None and parameters.block_cipher_mode not in _WITHOUT_IV
    if parameters is not None and needs_iv and iv is None and parameters.random_iv is None:
        parameters = parameters.replace(random_iv=True)
    request = EncryptRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        iv_counter_nonce=iv,
        authenticated_encryption_additional_data=additional_data,
    )
    return _call(
        Operation.ENCRYPT,
        request,
        lambda payload: Encrypted(
            payload.data, payload.iv_counter_nonce or iv, payload.authenticated_encryption_tag
        ),
    )


def decrypt(
    identifier: str,
    data: bytes,
    parameters: CryptographicParameters | None,
    iv: bytes | None,
    additional_data: bytes | None,
    tag: bytes | None,
) -> Call[bytes]:
    """Decrypt with a key of the server."""
    request = DecryptRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        iv_counter_nonce=iv,
        authenticated_encryption_additional_data=additional_data,
        authenticated_encryption_tag=tag,
    )
    return _call(Operation.DECRYPT, request, lambda payload: bytes(payload.data))


def raw(operation: Operation, payload: Structure) -> Call[Any]:
    """Any operation by its payload; the answer is the response payload."""

    def build(version: Version) -> Structure:
        expected = operations.request_payload(operation, version)
        if type(payload) is not expected:
            raise TypeError(f"{operation!s} takes another payload than {type(payload).__name__}")
        return payload

    return Call(operation, build, lambda answer: answer)
