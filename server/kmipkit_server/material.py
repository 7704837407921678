"""The bytes of a key that the server itself is to work with."""

from kmipkit.errors import OperationError
from kmipkit.model.keyblock import KeyValue, TransparentSymmetricKey
from kmipkit.spec.enums import ResultReason
from kmipkit_server.managed import Managed


def key_bytes(managed: Managed) -> bytes:
    """The Key Material of an unwrapped key. OperationError where the server cannot see it."""
    value = managed.key_block.key_value
    if value is None:
        raise OperationError(
            ResultReason.KEY_VALUE_NOT_PRESENT, "the server has only attributes of this key"
        )
    if not isinstance(value, KeyValue):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key was registered wrapped, so the server cannot use it",
        )
    if isinstance(value.key_material, TransparentSymmetricKey):
        return value.key_material.key
    if isinstance(value.key_material, bytes):
        return value.key_material
    raise OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"a key kept as {managed.key_block.key_format_type.name} cannot be used by the server",
    )
