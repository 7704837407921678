"""Result Reasons are rows with versions: which reason a version has in the place of another.

The rest of the package raises the most precise reason that any version has. A row says what versions
that lack it, or do not use it for that operation, return instead: the error tables of KMIP 1.4 §11
for reasons that became more precise in 2.0, KMIP 2.1 §11.46 for the two that 2.0 removed, and the
official cases of 2.0, which still expect reasons of 1.x in places.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.spec.enums import Operation as Op
from kmipkit.spec.enums import ResultReason as R
from kmipkit.spec.versions import V1_0, V1_4, V2_0, V2_1, V3_0, Version


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """In versions up to ``until``, ``replacement`` stands for ``reason``."""

    reason: R
    replacement: R
    operations: frozenset[Op] | None = None
    """The operations to which the row applies; ``None`` for those that no other row names."""
    since: Version | None = None
    """The first version of the row, and ..."""
    until: Version | None = None
    """... the last one; ``None`` for both means all versions that lack the reason."""

    def applies(self, version: Version, operation: Op | None) -> bool:
        """Whether the row decides for this version and operation."""
        if self.operations is not None and operation not in self.operations:
            return False
        if self.since is None and self.until is None:
            return not self.reason.known_in(version)
        return (self.since or V1_0) <= version and (self.until is None or version <= self.until)


def _all(
    reasons: Iterable[R],
    replacement: R,
    *operations: Op,
    since: Version | None = None,
    until: Version | None = None,
) -> tuple[ReasonRow, ...]:
    chosen = frozenset(operations) or None
    return tuple(ReasonRow(reason, replacement, chosen, since, until) for reason in reasons)


_OBJECT_TYPE = (R.INVALID_OBJECT_TYPE, R.ILLEGAL_OBJECT_TYPE)
_ATTRIBUTE = (R.INVALID_ATTRIBUTE, R.UNSUPPORTED_ATTRIBUTE)
_CIPHERS = (Op.ENCRYPT, Op.DECRYPT, Op.SIGN, Op.SIGNATURE_VERIFY, Op.MAC, Op.MAC_VERIFY)
_REPLACE = (Op.RE_KEY, Op.RE_KEY_KEY_PAIR, Op.CERTIFY, Op.RE_CERTIFY)
_CHANGE = (Op.ADD_ATTRIBUTE, Op.MODIFY_ATTRIBUTE, Op.DELETE_ATTRIBUTE)
_CHANGE_2 = (*_CHANGE, Op.SET_ATTRIBUTE, Op.ADJUST_ATTRIBUTE)

ROWS: tuple[ReasonRow, ...] = (
    # Rows for single operations come first (KMIP 1.4 §11.2 to §11.42).
    *_all(_OBJECT_TYPE, R.PERMISSION_DENIED, *_CIPHERS, *_REPLACE),
    *_all(
        _OBJECT_TYPE,
        R.ILLEGAL_OPERATION,
        *(Op.ACTIVATE, Op.REVOKE, Op.CHECK, Op.GET, Op.EXPORT, Op.GET_USAGE_ALLOCATION),
    ),
    *_all([R.ATTRIBUTE_NOT_FOUND], R.ILLEGAL_OPERATION, Op.GET_USAGE_ALLOCATION),
    *_all([R.ATTRIBUTE_NOT_FOUND], R.INVALID_FIELD, Op.MODIFY_ATTRIBUTE),
    *_all(_ATTRIBUTE, R.PERMISSION_DENIED, Op.ADD_ATTRIBUTE),
    *_all([R.ATTRIBUTE_SINGLE_VALUED], R.ILLEGAL_OPERATION, Op.ADD_ATTRIBUTE),
    *_all(
        [R.NON_UNIQUE_NAME_ATTRIBUTE], R.ILLEGAL_OPERATION, Op.ADD_ATTRIBUTE, Op.MODIFY_ATTRIBUTE
    ),
    *_all([R.BAD_CRYPTOGRAPHIC_PARAMETERS], R.ITEM_NOT_FOUND, Op.GET, Op.EXPORT),
    *_all([R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK], R.INVALID_FIELD, Op.DERIVE_KEY),
    *_all(_OBJECT_TYPE, R.INVALID_MESSAGE, Op.VALIDATE),
    # A method that the server does not support (KMIP 1.4 §11.7, §11.39, §11.40).
    *_all(
        [R.FEATURE_NOT_SUPPORTED],
        R.INVALID_FIELD,
        *(Op.DERIVE_KEY, Op.CREATE_SPLIT_KEY, Op.JOIN_SPLIT_KEY),
        until=V1_4,
    ),
    # KMIP 2.1 §11.46 has one reason for Check alone (§6.1.7), and two for read-only attributes: one
    # where an operation would give an attribute a value, the other where it would change one.
    *_all([R.INVALID_OBJECT_TYPE], R.ILLEGAL_OBJECT_TYPE, Op.CHECK, until=V3_0),
    *_all(
        [R.ATTRIBUTE_READ_ONLY],
        R.READ_ONLY_ATTRIBUTE,
        *(Op.ADD_ATTRIBUTE, Op.SET_ATTRIBUTE, Op.ADJUST_ATTRIBUTE),
        until=V3_0,
    ),
    # KMIP 2.0 has the reason, but the tables of these operations got it in 2.1 (KMIP 2.0 §6.1.2,
    # §6.1.3, §6.1.13, §6.1.33, §6.1.47), and so expect the cases AKLC-M-3-20 and SKLC-M-3.
    *_all([R.WRONG_KEY_LIFECYCLE_STATE], R.PERMISSION_DENIED, *_CHANGE_2, until=V2_0),
    # The tables of 2.0 have both reasons; AKLC-M-2-20, CS-AC-M-8-20, CS-BC-M-14-20 expect this one.
    *_all([R.WRONG_KEY_LIFECYCLE_STATE], R.PERMISSION_DENIED, Op.DESTROY, *_CIPHERS, until=V2_0),
    # The table of Get has no reason for a destroyed object (KMIP 1.4 §11.12), unlike that of Destroy
    # (§11.22); the case TC-314 expects this one.
    *_all([R.OBJECT_DESTROYED], R.ITEM_NOT_FOUND, Op.GET),
    # "Key Format Type is PKCS#12, but [the password is] not Active" (KMIP 2.1 §11.46); the case
    # TC-PKCS12-2 of 1.4 and 2.0 has the other reasons.
    *_all([R.WRONG_KEY_LIFECYCLE_STATE], R.BAD_PASSWORD, Op.REGISTER, since=V2_1),
    # The mandatory case BL-M-20 of 3.0, after Obliterate; Get has Object Not Found (BL-M-4).
    *_all([R.OBJECT_NOT_FOUND], R.ITEM_NOT_FOUND, Op.GET_ATTRIBUTES, since=V3_0),
    # More precise since 2.0.
    *_all(
        (
            R.OBJECT_NOT_FOUND,
            R.WRAPPING_OBJECT_NOT_FOUND,
            R.ATTRIBUTE_NOT_FOUND,
            R.ATTRIBUTE_INSTANCE_NOT_FOUND,
            R.INVALID_CORRELATION_VALUE,
            R.INVALID_ASYNCHRONOUS_CORRELATION_VALUE,
        ),
        R.ITEM_NOT_FOUND,
    ),
    *_all(
        (
            R.OBJECT_DESTROYED,
            R.WRAPPING_OBJECT_DESTROYED,
            R.WRONG_KEY_LIFECYCLE_STATE,
            R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK,
            R.ATTRIBUTE_READ_ONLY,
            R.READ_ONLY_ATTRIBUTE,
            R.NOT_AUTHORISED,
            R.USAGE_LIMIT_EXCEEDED,
        ),
        R.PERMISSION_DENIED,
    ),
    *_all(
        (
            *_OBJECT_TYPE,
            *_ATTRIBUTE,
            R.ATTRIBUTE_SINGLE_VALUED,
            R.MULTI_VALUED_ATTRIBUTE,
            R.INVALID_ATTRIBUTE_VALUE,
            R.INVALID_DATA_TYPE,
            R.NUMERIC_RANGE,
            R.NON_UNIQUE_NAME_ATTRIBUTE,
            R.BAD_CRYPTOGRAPHIC_PARAMETERS,
            R.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
            R.BAD_PASSWORD,
            R.INVALID_CSR,
            R.UNKNOWN_ENUMERATION,
            R.UNKNOWN_TAG,
            R.UNKNOWN_OBJECT_GROUP,
            R.DUPLICATE_PROCESS_REQUEST,
        ),
        R.INVALID_FIELD,
    ),
    *_all(
        (R.MISSING_INITIALIZATION_VECTOR, R.CODEC_ERROR, R.UNSUPPORTED_PROTOCOL_VERSION),
        R.INVALID_MESSAGE,
    ),
    ReasonRow(R.WRAPPING_OBJECT_ARCHIVED, R.OBJECT_ARCHIVED),
    *_all((R.KEY_WRAP_TYPE_NOT_SUPPORTED, R.UNKNOWN_MESSAGE_EXTENSION), R.FEATURE_NOT_SUPPORTED),
    *_all((R.SERVER_LIMIT_EXCEEDED, R.INTERNAL_SERVER_ERROR), R.GENERAL_FAILURE),
    # Added between 1.1 and 1.4, or in 2.1.
    *_all((R.ENCODING_OPTION_ERROR, R.OBJECT_ALREADY_EXISTS), R.INVALID_FIELD),
    ReasonRow(R.KEY_VALUE_NOT_PRESENT, R.ILLEGAL_OPERATION),
    *_all(
        (
            R.ATTESTATION_REQUIRED,
            R.ATTESTATION_FAILED,
            R.SENSITIVE,
            R.NOT_EXTRACTABLE,
            R.CONSTRAINT_VIOLATION,
        ),
        R.PERMISSION_DENIED,
    ),
    # Removed in 2.0.
    ReasonRow(R.ILLEGAL_OPERATION, R.PERMISSION_DENIED),
    ReasonRow(R.INDEX_OUT_OF_BOUNDS, R.SERVER_LIMIT_EXCEEDED),
)


def _by_reason() -> Mapping[R, tuple[ReasonRow, ...]]:
    rows: dict[R, tuple[ReasonRow, ...]] = {}
    for row in ROWS:
        rows[row.reason] = (*rows.get(row.reason, ()), row)
    return MappingProxyType(rows)


_ROWS_OF = _by_reason()


def reason_for(reason: R, version: Version, operation: Op | None = None) -> R:
    """The reason with which an operation fails in this version."""
    for row in _ROWS_OF.get(reason, ()):
        if row.applies(version, operation) and row.replacement.known_in(version):
            return row.replacement
    return reason if reason.known_in(version) else R.GENERAL_FAILURE
