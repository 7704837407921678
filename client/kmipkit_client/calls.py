"""One function per operation, which makes a call: the request payload, and how to read the response.

The functions do no I/O, so both clients, and batches, use the same calls.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model import operations
from kmipkit.model.attribute import AttributeKey, Attributes, attribute_key
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
from kmipkit_client.values import (
    ENCRYPT_AND_DECRYPT,
    AttributeLike,
    AttributesLike,
    Encrypted,
    Located,
)

T = TypeVar("T")
Build = Callable[[Version], Structure]

_WITHOUT_IV = (None, BlockCipherMode.ECB)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """An operation with its request payload, and how to read its response."""

    operation: Operation
    build: Build
    """The request payload for a version."""
    read: Callable[[Any], T]
    """The result from the response payload."""


def bytes_of(payload: Any, name: str) -> bytes:
    """The data that an operation has returned. RemoteProtocolError if they are missing: the field may be
    left out only where an operation is carried out in parts, or fails."""
    value: bytes | None = getattr(payload, name, None)
    if value is None:
        message = f"the response reports success, but has no {name.replace('_', ' ').title()}"
        raise RemoteProtocolError(message, cause=Cause.MISSING_FIELD)
    return value


def _call(operation: Operation, payload: Structure, read: Callable[[Any], T]) -> Call[T]:
    return Call(operation, lambda version: payload, read)


def _identifier(payload: Any) -> str:
    return str(payload.unique_identifier)


def _no_result(payload: Any) -> None:
    del payload


def discover_versions(versions: Iterable[Version] = ()) -> Call[tuple[Version, ...]]:
    """The versions that the server supports, preferred first; if there are ``versions``, only those."""
    offered = tuple(ProtocolVersion.of(version) for version in versions)
    return _call(
        Operation.DISCOVER_VERSIONS,
        DiscoverVersionsRequest(protocol_versions=offered),
        lambda payload: tuple(entry.version for entry in payload.protocol_versions),
    )


def query(functions: tuple[QueryFunction, ...] = ()) -> Call[QueryResponse]:
    """The capabilities of the server; by default its operations, object types and vendor."""
    requested = functions or (
        QueryFunction.QUERY_OPERATIONS,
        QueryFunction.QUERY_OBJECTS,
        QueryFunction.QUERY_SERVER_INFORMATION,
    )
    read: Callable[[Any], QueryResponse] = lambda payload: payload  # noqa: E731 - typed
    return _call(Operation.QUERY, QueryRequest(query_functions=requested), read)


def create(
    algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES,
    length: int = 256,
    usage: CryptographicUsageMask = ENCRYPT_AND_DECRYPT,
    name: str | None = None,
    attributes: AttributesLike | None = None,
) -> Call[str]:
    """Create a symmetric key."""
    fixed = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm),
        (Tag.CRYPTOGRAPHIC_LENGTH, length),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, usage),
    )
    request_attributes = values.attributes(attributes, name=name)
    request = CreateRequest(
        object_type=ObjectType.SYMMETRIC_KEY, attributes=Attributes((*fixed, *request_attributes))
    )
    return _call(Operation.CREATE, request, _identifier)


def register(
    value: ManagedObject,
    usage: CryptographicUsageMask | None = None,
    name: str | None = None,
    attributes: AttributesLike | None = None,
) -> Call[str]:
    """Register an object. TypeError if it is none."""
    object_type = OBJECT_TYPE_OF.get(type(value))
    if object_type is None:
        raise TypeError(
            f"register takes a managed object, not {type(value).__name__}; make one with symmetric_key,"
            " secret_data, certificate, private_key, public_key or opaque_object of kmipkit_client"
        )
    request_attributes = values.attributes(attributes, name=name)
    if usage is not None:
        request_attributes = request_attributes.plus(
            values.attribute(Tag.CRYPTOGRAPHIC_USAGE_MASK, usage)
        )
    request = RegisterRequest(object_type=object_type, attributes=request_attributes, object=value)
    return _call(Operation.REGISTER, request, _identifier)


def get(
    identifier: str,
    key_format_type: KeyFormatType | None = None,
    key_wrap_type: KeyWrapType | None = None,
    wrapping: KeyWrappingSpecification | None = None,
) -> Call[ManagedObject]:
    """Get an object."""
    request = GetRequest(
        unique_identifier=identifier,
        key_format_type=key_format_type,
        key_wrap_type=key_wrap_type,
        key_wrapping_specification=wrapping,
    )
    read: Callable[[Any], ManagedObject] = lambda payload: payload.object  # noqa: E731 - typed
    return _call(Operation.GET, request, read)


def get_attributes(identifier: str, names: tuple[AttributeLike, ...] = ()) -> Call[Attributes]:
    """Get attributes by name, or all."""
    request = GetAttributesRequest(
        unique_identifier=identifier, attribute_references=values.keys(names)
    )
    read: Callable[[Any], Attributes] = lambda payload: payload.attributes  # noqa: E731 - typed
    return _call(Operation.GET_ATTRIBUTES, request, read)


def get_attribute_list(identifier: str) -> Call[tuple[AttributeKey, ...]]:
    """List the attributes that an object has."""
    request = GetAttributeListRequest(unique_identifier=identifier)
    return _call(
        Operation.GET_ATTRIBUTE_LIST, request, lambda payload: tuple(payload.attribute_references)
    )


def add_attribute(identifier: str, name: AttributeLike, value: Any) -> Call[None]:
    """Add an attribute instance."""
    added = values.attribute(name, value)
    request = AddAttributeRequest(unique_identifier=identifier, attribute=added)
    return _call(Operation.ADD_ATTRIBUTE, request, _no_result)


def modify_attribute(
    identifier: str,
    name: AttributeLike,
    value: Any,
    index: int | None = None,
    current: Any = None,
) -> Call[None]:
    """Change the value of an instance: 1.x selects it by index, 2.x by its current value."""

    def build(version: Version) -> Structure:
        by_value = version >= V2_0 and current is not None
        return ModifyAttributeRequest(
            unique_identifier=identifier,
            current_attribute=values.attribute(name, current) if by_value else None,
            attribute=values.attribute(name, value, index if version < V2_0 else None),
        )

    return Call(Operation.MODIFY_ATTRIBUTE, build, _no_result)


def delete_attribute(
    identifier: str, name: AttributeLike, index: int | None = None, current: Any = None
) -> Call[None]:
    """Delete an instance, by index in 1.x and by current value in 2.x; without these, delete all."""
    key = attribute_key(name)

    def build(version: Version) -> Structure:
        if version < V2_0:
            return DeleteAttributeRequest(
                unique_identifier=identifier, attribute_name=key, attribute_index=index
            )
        if current is not None:
            return DeleteAttributeRequest(
                unique_identifier=identifier, current_attribute=values.attribute(name, current)
            )
        return DeleteAttributeRequest(unique_identifier=identifier, attribute_reference=key)

    return Call(Operation.DELETE_ATTRIBUTE, build, _no_result)


def set_attribute(identifier: str, name: AttributeLike, value: Any) -> Call[None]:
    """Set the value of a single-instance attribute (2.0 and later)."""
    request = SetAttributeRequest(
        unique_identifier=identifier, attribute=values.attribute(name, value)
    )
    return _call(Operation.SET_ATTRIBUTE, request, _no_result)


def locate(
    name: str | None = None,
    object_type: ObjectType | None = None,
    attributes: AttributesLike | None = None,
    maximum: int | None = None,
    offset: int | None = None,
    storage_status: StorageStatusMask | None = None,
) -> Call[Located]:
    """Find the objects that have all these attributes."""
    criteria = values.attributes(attributes, name=name)
    if object_type is not None:
        criteria = criteria.plus(values.attribute(Tag.OBJECT_TYPE, object_type))
    request = LocateRequest(
        maximum_items=maximum,
        offset_items=offset,
        storage_status_mask=storage_status,
        attributes=criteria,
    )
    return _call(
        Operation.LOCATE,
        request,
        lambda payload: Located(
            tuple(str(identifier) for identifier in payload.unique_identifiers),
            payload.located_items,
        ),
    )


def activate(identifier: str) -> Call[None]:
    """Activate an object."""
    return _call(Operation.ACTIVATE, ActivateRequest(unique_identifier=identifier), _no_result)


def revoke(
    identifier: str,
    code: RevocationReasonCode = RevocationReasonCode.UNSPECIFIED,
    message: str | None = None,
    occurred: datetime | None = None,
) -> Call[None]:
    """Revoke an object: deactivate it, or report it compromised."""
    reason = RevocationReason(revocation_reason_code=code, revocation_message=message)
    request = RevokeRequest(
        unique_identifier=identifier, revocation_reason=reason, compromise_occurrence_date=occurred
    )
    return _call(Operation.REVOKE, request, _no_result)


def destroy(identifier: str) -> Call[None]:
    """Destroy the key material."""
    return _call(Operation.DESTROY, DestroyRequest(unique_identifier=identifier), _no_result)


def check(
    identifier: str,
    usage: CryptographicUsageMask | None = None,
    usage_limits_count: int | None = None,
    lease_time: int | None = None,
) -> Call[None]:
    """Check whether a use is permitted; the operation fails with the reason if not."""
    request = CheckRequest(
        unique_identifier=identifier,
        usage_limits_count=usage_limits_count,
        cryptographic_usage_mask=usage,
        lease_time=lease_time,
    )
    return _call(Operation.CHECK, request, _no_result)


def encrypt(
    identifier: str,
    data: bytes,
    parameters: CryptographicParameters | None = None,
    iv: bytes | None = None,
    additional_data: bytes | None = None,
) -> Call[Encrypted]:
    """Encrypt with a key in the server.

    If the mode needs an IV and the caller has none, the server generates one (Random IV).
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
            bytes_of(payload, "data"),
            payload.iv_counter_nonce or iv,
            payload.authenticated_encryption_tag,
        ),
    )


def decrypt(
    identifier: str,
    data: bytes | Encrypted,
    parameters: CryptographicParameters | None = None,
    iv: bytes | None = None,
    additional_data: bytes | None = None,
    tag: bytes | None = None,
) -> Call[bytes]:
    """Decrypt with a key in the server; the result of Encrypt brings its IV and tag."""
    if isinstance(data, Encrypted):
        iv, tag, data = iv or data.iv, tag or data.tag, data.data
    request = DecryptRequest(
        unique_identifier=identifier,
        cryptographic_parameters=parameters,
        data=data,
        iv_counter_nonce=iv,
        authenticated_encryption_additional_data=additional_data,
        authenticated_encryption_tag=tag,
    )
    return _call(Operation.DECRYPT, request, lambda payload: bytes_of(payload, "data"))


def raw(operation: Operation, payload: Structure) -> Call[Any]:
    """Any operation with its request payload; the result is the response payload."""

    def build(version: Version) -> Structure:
        expected = operations.request_payload(operation, version)
        if expected is None:
            raise TypeError(
                f"{operation!s} is not registered, or not an operation of KMIP {version}"
            )
        if type(payload) is not expected:
            raise TypeError(
                f"{operation!s} takes a {expected.__name__}, not a {type(payload).__name__}"
            )
        return payload

    return Call(operation, build, lambda response: response)
