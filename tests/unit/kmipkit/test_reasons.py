"""Result Reasons by version: KMIP 1.4 §11, KMIP 2.1 §11.46, and the official cases."""

import itertools

import pytest

from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.reasons import ROWS, reason_for
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, V2_1, V3_0, VERSIONS, Version

pytestmark = pytest.mark.standard

R, Op = ResultReason, Operation


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_version_gets_a_reason_that_it_has(version: Version) -> None:
    for operation, reason in itertools.product([None, *Op], R):
        replacement = reason_for(reason, version, operation)
        assert replacement.known_in(version)
        bounded = any(row.reason is reason and (row.since or row.until) for row in ROWS)
        if reason.known_in(version) and not bounded:
            assert replacement is reason


def test_no_reason_of_the_standard_lacks_a_row() -> None:
    """No reason becomes General Failure only because nobody thought of it."""
    own = {R.GENERAL_FAILURE, *(row.reason for row in ROWS)}
    late = {reason for reason in R if not reason.known_in(V1_0)} - own
    # The operations that fail with these are of 2.0 or later, or answer 2.0 or later only.
    assert late == {
        R.INVALID_TICKET,
        R.PROTECTION_STORAGE_UNAVAILABLE,
        R.PRIVATE_PROTECTION_STORAGE_UNAVAILABLE,
        R.PUBLIC_PROTECTION_STORAGE_UNAVAILABLE,
        R.PKCS_11_CODEC_ERROR,
        R.PKCS_11_INVALID_FUNCTION,
        R.PKCS_11_INVALID_INTERFACE,
        R.CIRCULAR_LINK_ERROR,
    }


@pytest.mark.parametrize(
    ("reason", "operation", "version", "expected"),
    [
        # KMIP 1.4 §11, table by table.
        (R.INVALID_OBJECT_TYPE, Op.CREATE, V1_4, R.INVALID_FIELD),
        (R.NON_UNIQUE_NAME_ATTRIBUTE, Op.CREATE, V1_4, R.INVALID_FIELD),
        (R.INVALID_OBJECT_TYPE, Op.RE_KEY, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_OBJECT_TYPE, Op.RE_KEY_KEY_PAIR, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_OBJECT_TYPE, Op.DERIVE_KEY, V1_0, R.INVALID_FIELD),
        (R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, Op.DERIVE_KEY, V1_0, R.INVALID_FIELD),
        (R.INVALID_OBJECT_TYPE, Op.CERTIFY, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_CSR, Op.CERTIFY, V1_0, R.INVALID_FIELD),
        (R.ILLEGAL_OBJECT_TYPE, Op.CHECK, V1_4, R.ILLEGAL_OPERATION),
        (R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, Op.CHECK, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_OBJECT_TYPE, Op.GET, V1_4, R.ILLEGAL_OPERATION),
        (R.BAD_CRYPTOGRAPHIC_PARAMETERS, Op.GET, V1_4, R.ITEM_NOT_FOUND),
        (R.WRAPPING_OBJECT_NOT_FOUND, Op.GET, V1_4, R.ITEM_NOT_FOUND),
        (R.WRAPPING_OBJECT_ARCHIVED, Op.GET, V1_4, R.OBJECT_ARCHIVED),
        (R.ATTRIBUTE_SINGLE_VALUED, Op.ADD_ATTRIBUTE, V1_4, R.ILLEGAL_OPERATION),
        (R.ATTRIBUTE_SINGLE_VALUED, Op.CREATE, V1_4, R.INVALID_FIELD),
        (R.NON_UNIQUE_NAME_ATTRIBUTE, Op.ADD_ATTRIBUTE, V1_4, R.ILLEGAL_OPERATION),
        (R.UNSUPPORTED_ATTRIBUTE, Op.ADD_ATTRIBUTE, V1_4, R.PERMISSION_DENIED),
        (R.ATTRIBUTE_NOT_FOUND, Op.MODIFY_ATTRIBUTE, V1_4, R.INVALID_FIELD),
        (R.ATTRIBUTE_INSTANCE_NOT_FOUND, Op.MODIFY_ATTRIBUTE, V1_4, R.ITEM_NOT_FOUND),
        (R.NON_UNIQUE_NAME_ATTRIBUTE, Op.MODIFY_ATTRIBUTE, V1_4, R.ILLEGAL_OPERATION),
        (R.ATTRIBUTE_NOT_FOUND, Op.DELETE_ATTRIBUTE, V1_4, R.ITEM_NOT_FOUND),
        (R.ATTRIBUTE_NOT_FOUND, Op.GET_USAGE_ALLOCATION, V1_4, R.ILLEGAL_OPERATION),
        (R.USAGE_LIMIT_EXCEEDED, Op.GET_USAGE_ALLOCATION, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_OBJECT_TYPE, Op.ACTIVATE, V1_4, R.ILLEGAL_OPERATION),
        (R.INVALID_OBJECT_TYPE, Op.REVOKE, V1_4, R.ILLEGAL_OPERATION),
        (R.OBJECT_DESTROYED, Op.DESTROY, V1_4, R.PERMISSION_DENIED),
        (R.INVALID_OBJECT_TYPE, Op.ENCRYPT, V1_2, R.PERMISSION_DENIED),
        (R.INVALID_CORRELATION_VALUE, Op.ENCRYPT, V1_4, R.ITEM_NOT_FOUND),
        (R.OBJECT_ALREADY_EXISTS, Op.IMPORT, V1_4, R.OBJECT_ALREADY_EXISTS),
        # A method that the server does not support.
        (R.FEATURE_NOT_SUPPORTED, Op.CREATE_SPLIT_KEY, V1_4, R.INVALID_FIELD),
        (R.FEATURE_NOT_SUPPORTED, Op.DERIVE_KEY, V1_4, R.INVALID_FIELD),
        (R.FEATURE_NOT_SUPPORTED, Op.CREATE_SPLIT_KEY, V2_1, R.FEATURE_NOT_SUPPORTED),
        # The official cases of 2.0.
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.DESTROY, V2_0, R.PERMISSION_DENIED),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.MODIFY_ATTRIBUTE, V2_0, R.PERMISSION_DENIED),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.SIGN, V2_0, R.PERMISSION_DENIED),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.DECRYPT, V2_0, R.PERMISSION_DENIED),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.REGISTER, V2_0, R.WRONG_KEY_LIFECYCLE_STATE),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.ACTIVATE, V2_0, R.WRONG_KEY_LIFECYCLE_STATE),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.DESTROY, V2_1, R.WRONG_KEY_LIFECYCLE_STATE),
        (R.WRONG_KEY_LIFECYCLE_STATE, Op.DESTROY, V3_0, R.WRONG_KEY_LIFECYCLE_STATE),
    ],
)
def test_reason(
    reason: ResultReason, operation: Operation, version: Version, expected: ResultReason
) -> None:
    assert reason_for(reason, version, operation) is expected
