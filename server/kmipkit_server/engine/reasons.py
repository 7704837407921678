"""Result Reasons by version: which reason replaces one that the client's version does not have.

Handlers raise the most precise reason that any version has. Where the client's version lacks it,
one table gives the nearest one: KMIP 1.4 §11 for reasons that became more precise in 2.0, KMIP 2.1
§11.46 for the two reasons that 2.0 removed. Another one has the versions that answer a single
operation in another way than the rest.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enums import Operation
from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.versions import V1_0, V1_4, V2_0, V2_1, V3_0, Version

NEAREST: Mapping[R, R] = MappingProxyType(
    {
        # More precise since 2.0; the 1.x reason is that of the tables in KMIP 1.4 §11.
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
        R.INVALID_CORRELATION_VALUE: R.ITEM_NOT_FOUND,
        R.INVALID_CSR: R.INVALID_FIELD,
        R.BAD_PASSWORD: R.INVALID_FIELD,
        R.UNKNOWN_ENUMERATION: R.INVALID_FIELD,
        R.UNKNOWN_MESSAGE_EXTENSION: R.FEATURE_NOT_SUPPORTED,
        R.UNKNOWN_TAG: R.INVALID_FIELD,
        R.INVALID_ASYNCHRONOUS_CORRELATION_VALUE: R.ITEM_NOT_FOUND,
        R.DUPLICATE_PROCESS_REQUEST: R.INVALID_FIELD,
        R.CODEC_ERROR: R.INVALID_MESSAGE,
        R.UNSUPPORTED_PROTOCOL_VERSION: R.INVALID_MESSAGE,
        R.INTERNAL_SERVER_ERROR: R.GENERAL_FAILURE,
        # Added between 1.1 and 1.4, or in 2.1.
        R.ENCODING_OPTION_ERROR: R.INVALID_FIELD,
        R.KEY_VALUE_NOT_PRESENT: R.ILLEGAL_OPERATION,
        R.ATTESTATION_REQUIRED: R.PERMISSION_DENIED,
        R.ATTESTATION_FAILED: R.PERMISSION_DENIED,
        R.SENSITIVE: R.PERMISSION_DENIED,
        R.NOT_EXTRACTABLE: R.PERMISSION_DENIED,
        R.OBJECT_ALREADY_EXISTS: R.INVALID_FIELD,
        R.CONSTRAINT_VIOLATION: R.PERMISSION_DENIED,
        # Removed in 2.0.
        R.ILLEGAL_OPERATION: R.PERMISSION_DENIED,
        R.INDEX_OUT_OF_BOUNDS: R.SERVER_LIMIT_EXCEEDED,
    }
)


_STATE_MATTERS = (
    Operation.DESTROY,
    Operation.ADD_ATTRIBUTE,
    Operation.MODIFY_ATTRIBUTE,
    Operation.DELETE_ATTRIBUTE,
    Operation.SET_ATTRIBUTE,
    Operation.ADJUST_ATTRIBUTE,
    Operation.ENCRYPT,
    Operation.DECRYPT,
    Operation.SIGN,
    Operation.SIGNATURE_VERIFY,
    Operation.MAC,
    Operation.MAC_VERIFY,
)

OF_OPERATION: Mapping[tuple[Operation, R], tuple[Version, Version, R]] = MappingProxyType(
    {
        # The table of Get has no reason for a destroyed object (KMIP 1.4 §11.12), unlike that of
        # Destroy (§11.22); the official case TC-314 expects Item Not Found.
        (Operation.GET, R.OBJECT_DESTROYED): (V1_0, V1_4, R.ITEM_NOT_FOUND),
        # "Key Format Type is PKCS#12, but [the password is] not Active" (KMIP 2.1 §11.46); the case
        # TC-PKCS12-2 of 1.4 and 2.0 has the other reasons.
        (Operation.REGISTER, R.WRONG_KEY_LIFECYCLE_STATE): (V2_1, V3_0, R.BAD_PASSWORD),
        # The mandatory case BL-M-20 of 3.0, after Obliterate; Get has Object Not Found (BL-M-4).
        (Operation.GET_ATTRIBUTES, R.OBJECT_NOT_FOUND): (V3_0, V3_0, R.ITEM_NOT_FOUND),
        # 2.0 still answers as 1.4 if the state of an object forbids the operation: the table of
        # Modify Attribute lacks Wrong Key Lifecycle State (KMIP 2.0 §6.1.33.1), those of the others
        # have both reasons, and the mandatory cases AKLC-M-2, -3, CS-BC-M-14 and CS-AC-M-8 expect
        # Permission Denied.
        **{
            (operation, R.WRONG_KEY_LIFECYCLE_STATE): (V2_0, V2_0, R.PERMISSION_DENIED)
            for operation in _STATE_MATTERS
        },
    }
)
"""First version, last version and reason, by the operation and the reason that its handler raises."""


def reason_for(reason: R, version: Version, operation: Operation | None = None) -> R:
    """The reason itself if the version has it, otherwise the nearest one that it has.

    The operation, if it is known, may have a reason of its own.
    """
    row = OF_OPERATION.get((operation, reason)) if operation is not None else None
    if row is not None and row[0] <= version <= row[1]:
        return row[2]
    if reason.known_in(version):
        return reason
    nearest = NEAREST.get(reason)
    return nearest if nearest is not None and nearest.known_in(version) else R.GENERAL_FAILURE
