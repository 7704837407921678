"""Get: the object, converted and wrapped as requested (KMIP 1.4 §4.11, KMIP 2.1 §6.1.19)."""

from typing import get_type_hints

from kmipkit.errors import OperationError
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.memo import memoized
from kmipkit.model.objects import (
    Certificate,
    CertificateRequest,
    ManagedObject,
    OpaqueObject,
    Template,
)
from kmipkit.model.payloads.get import GetRequest, GetResponse
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import EncodingOption, KeyFormatType, KeyWrapType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title, title_with_article
from kmipkit.spec.versions import Version
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.conversion import conversion_cost, convert_key_block
from kmipkit_server.keys.pkcs12 import to_pkcs_12
from kmipkit_server.keys.wrapping import unwrap_key_block, wrap_key_block
from kmipkit_server.keys.wrapping_mac import ENCRYPTING
from kmipkit_server.objects.access import load
from kmipkit_server.objects.claims import format_of
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.foreign_values import require_known
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.repetition import note_repeatable
from kmipkit_server.objects.same_material import objects_with_material


def require_get_permitted(managed: Managed, request: GetRequest) -> None:
    """Refuse an object that is not extractable, or that is sensitive and not to be wrapped."""
    specification = request.key_wrapping_specification
    is_wrapped = (specification is not None and specification.wrapping_method in ENCRYPTING) or (
        request.key_wrap_type == KeyWrapType.AS_REGISTERED and _is_wrapped(managed)
    )
    require_extractable(managed, wrapped=is_wrapped)


def _clear_fresh(call: Call, managed: Managed) -> None:
    """Set Fresh to False: the client gets the object for the first time (KMIP 1.4 §3.34).

    On a full disk, the client gets its key all the same, and a later Get sets Fresh.
    """
    if managed.get(Tag.FRESH) and (transaction := call.optional_transaction) is not None:
        transaction.update(managed.record, managed.with_attribute(Tag.FRESH, False).record)


@memoized
def _types_in(kind: type[Structure]) -> tuple[str, ...]:
    """The fields of an object that have a type, such as the Certificate Type."""
    hints = get_type_hints(kind)
    return tuple(
        name
        for name in field_names(kind)
        if isinstance(hints[name], type) and issubclass(hints[name], OpenEnum)
    )


def _require_known_types(value: ManagedObject, version: Version) -> None:
    """Refuse an object with a type that the version lacks."""
    for name in _types_in(type(value)):
        require_known(getattr(value, name), version)


def _object_without_key(
    managed: Managed, value: ManagedObject, request: GetRequest
) -> ManagedObject:
    """A certificate or the like, which is neither wrapped nor converted."""
    if request.key_wrapping_specification is not None:
        raise OperationError(ResultReason.INVALID_OBJECT_TYPE, "only keys can be wrapped")
    if request.key_format_type not in (None, format_of(value)):
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            f"{title_with_article(managed.object_type)} cannot be retrieved in the Key Format"
            f" Type {request.key_format_type.name}",
        )
    return value


def _require_known_encoding(block: KeyBlock, version: Version) -> None:
    """Refuse a wrapped key of which the client could not see that it is not encoded.

    "If not present, the wrapped Key Value SHALL be TTLV encoded" (KMIP 1.1 §2.1.5); in 1.0 the option
    cannot be present.
    """
    data = block.key_wrapping_data
    option = data.encoding_option if data is not None else None
    if option == EncodingOption.NO_ENCODING and not Tag.ENCODING_OPTION.known_in(version):
        raise OperationError(
            ResultReason.ENCODING_OPTION_ERROR,
            f"the wrapped key has no encoding; KMIP {version} has no Encoding Option",
        )


def converted_object(call: Call, managed: Managed, request: GetRequest) -> ManagedObject:
    """The object in the requested format and wrapping."""
    if not managed.object_type.known_in(call.version):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"KMIP {call.version} has no {title(managed.object_type)}",
        )
    value = managed.object
    _require_known_types(value, call.version)
    block = getattr(value, "key_block", None)
    if not isinstance(block, KeyBlock):
        return _object_without_key(managed, value, request)
    if block.key_value is None:
        _require_no_conversion(block, request)
        return value
    if request.key_wrap_type == KeyWrapType.NOT_WRAPPED:
        block = _unwrapped(call, block, request)
    if request.key_format_type == KeyFormatType.PKCS_12 != block.key_format_type:
        block = to_pkcs_12(call, managed)
    else:
        cost = conversion_cost(block, request)
        if cost:
            block = call.compute(convert_key_block, block, value, request, cost=cost)
        else:
            block = convert_key_block(block, value, request)
    if request.key_wrapping_specification is not None:
        block = wrap_key_block(call, managed, block, request.key_wrapping_specification)
    _require_known_encoding(block, call.version)
    if not block.key_format_type.known_in(call.version):
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            f"KMIP {call.version} does not have the Key Format Type of the key,"
            f" {title(block.key_format_type)}; request another one",
        )
    return value if block is getattr(value, "key_block", None) else value.replace(key_block=block)


def _require_no_conversion(block: KeyBlock, request: GetRequest) -> None:
    """Refuse to convert or wrap a key whose value is not on the server.

    Get returns the rest of its Key Block, as the official cases TC-MDO-1 and -3 expect.
    """
    requested = request.key_format_type
    if request.key_wrapping_specification is not None or requested not in (
        None,
        block.key_format_type,
    ):
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT,
            "the server stores only the attributes of this key, not its value",
        )


def _unwrapped(call: Call, block: KeyBlock, request: GetRequest) -> KeyBlock:
    """The key block unwrapped, unless the key is that of an object that must not leave in clear."""
    unwrapped = unwrap_key_block(call, block)
    if unwrapped is not block:
        specification = request.key_wrapping_specification
        is_wrapped = specification is not None and specification.wrapping_method in ENCRYPTING
        for same in objects_with_material(call, unwrapped):
            require_extractable(same, wrapped=is_wrapped)
    return unwrapped


def get(call: Call, request: GetRequest) -> GetResponse:
    """Return an object."""
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    require_get_permitted(managed, request)
    value = converted_object(call, managed, request)
    if request.key_wrapping_specification is not None:
        # Wrapping may have counted a use of this very object.
        managed = load(call, managed.id)
    _clear_fresh(call, managed)
    if _is_as_stored(request):
        _note_repeatable(call, managed, value)
    return GetResponse(
        object_type=managed.object_type, unique_identifier=call.returns(managed.id), object=value
    )


def _is_as_stored(request: GetRequest) -> bool:
    """Whether the request asks for the object as it is, so that no other object matters."""
    return request.key_wrapping_specification is None and request.key_wrap_type is None


def _note_repeatable(call: Call, managed: Managed, value: ManagedObject) -> None:
    """Note that the response can be repeated, if what is secret in it is one piece."""
    if isinstance(value, Certificate | CertificateRequest | Template):
        note_repeatable(call, managed)
        return
    secret: object
    if isinstance(value, OpaqueObject):
        secret = value.opaque_data_value
    else:
        key = value.key_block.key_value
        secret = key.key_material if isinstance(key, KeyValue) else key
    if isinstance(secret, bytes) and secret:
        note_repeatable(call, managed, secret)


def _is_wrapped(managed: Managed) -> bool:
    block = getattr(managed.object, "key_block", None)
    data = block.key_wrapping_data if isinstance(block, KeyBlock) else None
    return data is not None and data.wrapping_method in ENCRYPTING
