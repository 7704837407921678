"""Get: the object, converted and wrapped as requested (KMIP 1.4 §4.11, KMIP 2.1 §6.1.19)."""

from kmipkit.errors import OperationError
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import ManagedObject
from kmipkit.model.payloads.get import GetRequest, GetResponse
from kmipkit.spec.enums import KeyFormatType, KeyWrapType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.conversion import conversion_cost, convert_key_block
from kmipkit_server.keys.pkcs12 import to_pkcs_12
from kmipkit_server.keys.wrapping import unwrap_key_block, wrap_key_block
from kmipkit_server.keys.wrapping_mac import ENCRYPTING
from kmipkit_server.objects.access import load
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.managed import Managed


def require_get_permitted(managed: Managed, request: GetRequest) -> None:
    """Refuse an object that is not extractable, or that is sensitive and not to be wrapped."""
    specification = request.key_wrapping_specification
    is_wrapped = (specification is not None and specification.wrapping_method in ENCRYPTING) or (
        request.key_wrap_type == KeyWrapType.AS_REGISTERED and _is_wrapped(managed)
    )
    require_extractable(managed, wrapped=is_wrapped)


def _clear_fresh(call: Call, managed: Managed) -> None:
    """Set Fresh to False: the client gets the object for the first time (KMIP 1.4 §3.34)."""
    if managed.get(Tag.FRESH):
        call.transaction.update(managed.record, managed.with_attribute(Tag.FRESH, False).record)


def converted_object(call: Call, managed: Managed, request: GetRequest) -> ManagedObject:
    """The object in the requested format and wrapping."""
    if not managed.object_type.known_in(call.version):
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE,
            f"KMIP {call.version} has no {title(managed.object_type)}",
        )
    value = managed.object
    block = getattr(value, "key_block", None)
    if not isinstance(block, KeyBlock):
        if request.key_wrapping_specification is not None:
            raise OperationError(ResultReason.ILLEGAL_OPERATION, "only keys can be wrapped")
        return value
    if block.key_value is None:
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT,
            "the server stores only the attributes of this key, not its value",
        )
    if request.key_wrap_type == KeyWrapType.NOT_WRAPPED:
        block = unwrap_key_block(call, block)
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
    return value if block is getattr(value, "key_block", None) else value.replace(key_block=block)


def get(call: Call, request: GetRequest) -> GetResponse:
    """Return an object."""
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    require_get_permitted(managed, request)
    value = converted_object(call, managed, request)
    _clear_fresh(call, managed)
    return GetResponse(
        object_type=managed.object_type, unique_identifier=call.returns(managed.id), object=value
    )


def _is_wrapped(managed: Managed) -> bool:
    block = getattr(managed.object, "key_block", None)
    data = block.key_wrapping_data if isinstance(block, KeyBlock) else None
    return data is not None and data.wrapping_method in ENCRYPTING
