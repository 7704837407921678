"""Result Reasons by version: what an older or newer client is told instead.

Handlers raise the most precise reason that any version has. Where the client's version lacks it,
this table gives the nearest one that it has: KMIP 1.4 §11 for what became finer in 2.0, KMIP 2.1
§11.46 for the two reasons that 2.0 took away.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.versions import Version

NEAREST: Mapping[R, R] = MappingProxyType(
    {
        # Finer since 2.0; the 1.x reason is that of the tables in 1.4 §11.
        R.OBJECT_NOT_FOUND: R.ITEM_NOT_FOUND,
        R.WRAPPING_OBJECT_NOT_FOUND: R.ITEM_NOT_FOUND,
        R.ATTRIBUTE_NOT_FOUND: R.ITEM_NOT_FOUND,
        R.ATTRIBUTE_INSTANCE_NOT_FOUND: R.ITEM_NOT_FOUND,
        R.OBJECT_DESTROYED: R.PERMISSION_DENIED,
        R.WRAPPING_OBJECT_DESTROYED: R.PERMISSION_DENIED,
        R.WRAPPING_OBJECT_ARCHIVED: R.OBJECT_ARCHIVED,
        R.WRONG_KEY_LIFECYCLE_STATE: R.PERMISSION_DENIED,
        R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK: R.PERMISSION_DENIED,
        R.ATTRIBUTE_READ_ONLY: R.PERMISSION_DENIED,
        R.READ_ONLY_ATTRIBUTE: R.PERMISSION_DENIED,
        R.ATTRIBUTE_SINGLE_VALUED: R.ILLEGAL_OPERATION,
        R.MULTI_VALUED_ATTRIBUTE: R.INVALID_FIELD,
        R.UNSUPPORTED_ATTRIBUTE: R.INVALID_FIELD,
        R.INVALID_ATTRIBUTE: R.INVALID_FIELD,
        R.INVALID_ATTRIBUTE_VALUE: R.INVALID_FIELD,
        R.INVALID_DATA_TYPE: R.INVALID_FIELD,
        R.NUMERIC_RANGE: R.INVALID_FIELD,
        R.NON_UNIQUE_NAME_ATTRIBUTE: R.INVALID_FIELD,
        R.BAD_CRYPTOGRAPHIC_PARAMETERS: R.INVALID_FIELD,
        R.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS: R.INVALID_FIELD,
        R.MISSING_INITIALIZATION_VECTOR: R.INVALID_MESSAGE,
        R.ILLEGAL_OBJECT_TYPE: R.ILLEGAL_OPERATION,
        R.INVALID_OBJECT_TYPE: R.INVALID_FIELD,
        R.KEY_WRAP_TYPE_NOT_SUPPORTED: R.FEATURE_NOT_SUPPORTED,
        R.NOT_AUTHORISED: R.PERMISSION_DENIED,
        R.SERVER_LIMIT_EXCEEDED: R.GENERAL_FAILURE,
        R.USAGE_LIMIT_EXCEEDED: R.PERMISSION_DENIED,
        R.UNKNOWN_ENUMERATION: R.INVALID_FIELD,
        R.UNKNOWN_MESSAGE_EXTENSION: R.FEATURE_NOT_SUPPORTED,
        R.UNKNOWN_TAG: R.INVALID_FIELD,
        R.CODEC_ERROR: R.INVALID_MESSAGE,
        R.UNSUPPORTED_PROTOCOL_VERSION: R.INVALID_MESSAGE,
        R.INTERNAL_SERVER_ERROR: R.GENERAL_FAILURE,
        # Newer than 1.0 but not of 2.0.
        R.ENCODING_OPTION_ERROR: R.INVALID_FIELD,
        R.KEY_VALUE_NOT_PRESENT: R.ILLEGAL_OPERATION,
        R.ATTESTATION_REQUIRED: R.PERMISSION_DENIED,
        R.ATTESTATION_FAILED: R.PERMISSION_DENIED,
        R.SENSITIVE: R.PERMISSION_DENIED,
        R.NOT_EXTRACTABLE: R.PERMISSION_DENIED,
        R.OBJECT_ALREADY_EXISTS: R.INVALID_FIELD,
        R.CONSTRAINT_VIOLATION: R.PERMISSION_DENIED,
        # Gone in 2.0.
        R.ILLEGAL_OPERATION: R.PERMISSION_DENIED,
        R.INDEX_OUT_OF_BOUNDS: R.SERVER_LIMIT_EXCEEDED,
    }
)


def reason_for(reason: R, version: Version) -> R:
    """The reason itself where the version has it, else the nearest that it has."""
    if reason.known_in(version):
        return reason
    nearest = NEAREST.get(reason)
    return nearest if nearest is not None and nearest.known_in(version) else R.GENERAL_FAILURE
