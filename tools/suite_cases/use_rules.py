"""Cases of the use of keys: Usage Limits, leases, Check, and cryptographic operations."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.payloads import crypto, lifecycle
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    PaddingMethod,
    UsageLimitsUnit,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from suite_cases.building import (
    ANY,
    READ_ONLY,
    WRONG_USE,
    R,
    Refused,
    create_key,
    delete,
    modify,
    read,
    revoke,
    rule,
    simple,
)
from suite_cases.cryptography import ABC, HI, HI_CODE, PKCS1, SHA_256
from suite_cases.objects import register
from suite_cases.state_rules import decrypt, encrypt, mac, usage_allocation
from suite_cases.steps import NOW, Case, Step, create_pair, register_key, symbol, uid

_OP = Operation
_Mask = CryptographicUsageMask
_LIMITS = "KMIP 1.4 §3.21, KMIP 2.1 §4.59"
_ALLOCATION = "KMIP 1.4 §4.18, KMIP 2.1 §6.1.23"
_LEASE = "KMIP 1.4 §4.17, KMIP 2.1 §6.1.35"
_CHECK = "KMIP 1.4 §4.10, KMIP 2.1 §6.1.7"


# --- Usage Limits ----------------------------------------------------------------------------------


def _limits(total: int, count: int | None) -> UsageLimits:
    return UsageLimits(
        usage_limits_total=total, usage_limits_count=count, usage_limits_unit=UsageLimitsUnit.BYTE
    )


def _limited(total: int = 100, count: int | None = None) -> tuple[Step, ...]:
    """An active key with Usage Limits and known bytes."""
    key = register(ObjectType.SYMMETRIC_KEY, 0, (Tag.USAGE_LIMITS, _limits(total, count)))
    return key, simple(_OP.ACTIVATE)


def _left(count: int, total: int = 100) -> Step:
    return read(Tag.USAGE_LIMITS, found=[(Tag.USAGE_LIMITS, _limits(total, count))])


_EXCEEDED = Refused((R.PERMISSION_DENIED,), (R.USAGE_LIMIT_EXCEEDED, R.PERMISSION_DENIED))
_NO_LIMITS = Refused(
    (R.ILLEGAL_OPERATION,),
    (
        *(R.ATTRIBUTE_NOT_FOUND, R.INVALID_OBJECT_TYPE, R.ILLEGAL_OBJECT_TYPE, R.PERMISSION_DENIED),
        *(R.INVALID_FIELD, R.INVALID_ATTRIBUTE, R.USAGE_LIMIT_EXCEEDED),
    ),
)
_NO_CHANGE = Refused(
    (R.PERMISSION_DENIED, R.INVALID_FIELD),
    (*READ_ONLY.new, R.INVALID_ATTRIBUTE_VALUE, R.INVALID_FIELD, R.WRONG_KEY_LIFECYCLE_STATE),
)
_NO_COUNT = Refused(_NO_CHANGE.old, _NO_CHANGE.new, or_success=True)
"""A server may also succeed and leave the count as it is."""

_ENCRYPT = "KMIP 1.4 §4.29, KMIP 2.1 §6.1.17"
_USAGE: Mapping[str, tuple[str, tuple[Step, ...]]] = {
    "TOTAL": (
        f"a new object has the whole total of its Usage Limits left ({_LIMITS})",
        (*_limited(), _left(100)),
    ),
    "COUNT-IGNORED": (
        f"the Usage Limits Count of a request that creates an object is ignored ({_LIMITS})",
        (*_limited(100, 7), _left(100)),
    ),
    "ALLOCATED": (
        f"an allocation is taken from the Usage Limits Count ({_ALLOCATION})",
        (*_limited(), usage_allocation(0, 30), _left(70)),
    ),
    "EXCEEDED": (
        f"an allocation that exceeds what is left is refused ({_ALLOCATION}; KMIP 1.4 §11.19)",
        (*_limited(), usage_allocation(0, 101).refused(_EXCEEDED), _left(100)),
    ),
    "NONE": (
        f"an object without Usage Limits has no allocation ({_ALLOCATION}; KMIP 1.4 §11.19)",
        (create_key(), simple(_OP.ACTIVATE), usage_allocation().refused(_NO_LIMITS)),
    ),
    "PRE-ACTIVE": (
        f"before the Activation Date there is no allocation ({_ALLOCATION})",
        (_limited()[0], usage_allocation().refused(ANY)),
    ),
    "DEACTIVATED": (
        f"a deactivated object has no allocation ({_ALLOCATION})",
        (*_limited(), revoke(), usage_allocation().refused(ANY)),
    ),
    "ENCRYPT": (
        f"Encrypt takes what it uses from the Usage Limits ({_ENCRYPT})",
        (*_limited(), encrypt(), _left(84)),
    ),
    "ENCRYPT-EXCEEDED": (
        f"Encrypt is denied when the Usage Limits are used up ({_ENCRYPT})",
        (*_limited(8), encrypt().refused(_EXCEEDED)),
    ),
    "DECRYPT": (
        f"Decrypt takes nothing from the Usage Limits, which count protection only ({_LIMITS})",
        (*_limited(), decrypt(), _left(100)),
    ),
    "MODIFY": (
        f"the total can be corrected before an allocation ({_LIMITS})",
        (
            *_limited(),
            modify(Tag.USAGE_LIMITS, _limits(200, None)).needing("this change (server policy)"),
            _left(200, 200),
        ),
    ),
    "MODIFY-USED": (
        f"the total is not changed after an allocation ({_LIMITS})",
        (
            *_limited(),
            usage_allocation(0, 30),
            modify(Tag.USAGE_LIMITS, _limits(200, None)).refused(_NO_CHANGE),
            _left(70),
        ),
    ),
    "MODIFY-COUNT": (
        f"a client does not change the Usage Limits Count ({_LIMITS})",
        (*_limited(), modify(Tag.USAGE_LIMITS, _limits(100, 50)).refused(_NO_COUNT), _left(100)),
    ),
}


def _delete_used(version: Version) -> Iterator[Step]:
    yield from _limited()
    yield usage_allocation(0, 30)
    yield delete(Tag.USAGE_LIMITS, _limits(100, 70), version).refused(
        _NO_CHANGE, f"Usage Limits are not deleted after an allocation ({_LIMITS})"
    )
    yield _left(70)


# --- leases and Check ------------------------------------------------------------------------------


def _lease() -> Step:
    return Step(
        _OP.OBTAIN_LEASE,
        lifecycle.ObtainLeaseRequest(unique_identifier=uid(0)),
        lifecycle.ObtainLeaseResponse(unique_identifier=uid(0), lease_time=1, last_change_date=NOW),
    )


def _check(response: bool = True, **asked: Any) -> Step:
    return Step(
        _OP.CHECK,
        lifecycle.CheckRequest(unique_identifier=uid(0), **asked),
        lifecycle.CheckResponse(unique_identifier=uid(0)) if response else WRONG_USE,
    )


_LEASED: Mapping[str, tuple[str, tuple[Step, ...]]] = {
    "LEASE": (
        f"a lease has a Lease Time and the Last Change Date ({_LEASE})",
        (create_key(), simple(_OP.ACTIVATE), _lease()),
    ),
    "CHECK-MASK": (
        f"Check permits a use that the mask of the key has ({_CHECK})",
        (create_key(), simple(_OP.ACTIVATE), _check(cryptographic_usage_mask=_Mask.ENCRYPT)),
    ),
    "CHECK-MASK-DENIED": (
        f"Check denies a use that the mask of the key lacks ({_CHECK}; KMIP 1.4 §11.11)",
        (
            create_key(),
            simple(_OP.ACTIVATE),
            _check(response=False, cryptographic_usage_mask=_Mask.SIGN),
        ),
    ),
    "CHECK-LIMITS": (
        f"Check permits a use within the Usage Limits ({_CHECK})",
        (*_limited(), _check(usage_limits_count=50), _left(100)),
    ),
    "CHECK-LIMITS-DENIED": (
        f"Check denies a use beyond the Usage Limits ({_CHECK}; KMIP 1.4 §11.11)",
        (
            *_limited(),
            _check(usage_limits_count=101).refused(
                Refused((R.PERMISSION_DENIED,), (R.USAGE_LIMIT_EXCEEDED, R.PERMISSION_DENIED))
            ),
        ),
    ),
}


# --- cryptography ----------------------------------------------------------------------------------

_RSA = PKCS1.replace(cryptographic_algorithm=CryptographicAlgorithm.RSA)
_SIGNATURE = symbol("SIGNATURE_DATA")


def _mac_key(
    mask: CryptographicUsageMask = _Mask.MAC_GENERATE | _Mask.MAC_VERIFY,
) -> tuple[Step, ...]:
    key = register_key(0, b"\x0b" * 20, mask, CryptographicAlgorithm.HMAC_SHA256)
    return key, simple(_OP.ACTIVATE)


def _mac_verify(code: bytes, verdict: ValidityIndicator) -> Step:
    return Step(
        _OP.MAC_VERIFY,
        crypto.MACVerifyRequest(unique_identifier=uid(0), data=HI, mac_data=code),
        crypto.MACVerifyResponse(unique_identifier=uid(0), validity_indicator=verdict),
    )


def _sign() -> Step:
    return Step(
        _OP.SIGN,
        crypto.SignRequest(unique_identifier=uid(0), cryptographic_parameters=_RSA, data=b"abc"),
        crypto.SignResponse(unique_identifier=uid(0), signature_data=_SIGNATURE),
    )


def _verify(data: bytes, verdict: ValidityIndicator, signature: bytes = _SIGNATURE) -> Step:
    return Step(
        _OP.SIGNATURE_VERIFY,
        crypto.SignatureVerifyRequest(
            unique_identifier=uid(1),
            cryptographic_parameters=_RSA,
            data=data,
            signature_data=signature,
        ),
        crypto.SignatureVerifyResponse(unique_identifier=uid(1), validity_indicator=verdict),
    )


_KEYS = (create_pair(_Mask.SIGN, _Mask.VERIFY), simple(_OP.ACTIVATE, 0), simple(_OP.ACTIVATE, 1))
_WRONG_CODE = bytes([HI_CODE[0] ^ 0x80]) + HI_CODE[1:]
_VALID, _INVALID = ValidityIndicator.VALID, ValidityIndicator.INVALID
_TTLV_PARAMETERS = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)


def _cipher_key(mask: CryptographicUsageMask) -> tuple[Step, ...]:
    return register(ObjectType.SYMMETRIC_KEY, 0, mask=mask), simple(_OP.ACTIVATE)


def _with_parameters_of_key() -> Iterator[Step]:
    """A key with Cryptographic Parameters, which requests leave out."""
    yield register(ObjectType.SYMMETRIC_KEY, 0, (Tag.CRYPTOGRAPHIC_PARAMETERS, _TTLV_PARAMETERS))
    yield simple(_OP.ACTIVATE)
    step = encrypt()
    request = step.request.replace(cryptographic_parameters=None)  # type: ignore[union-attr]  # a structure
    yield Step(step.operation, request, step.response)


def _hash(data: bytes = b"abc", digest: bytes = ABC) -> Step:
    return Step(
        _OP.HASH,
        crypto.HashRequest(cryptographic_parameters=SHA_256, data=data),
        crypto.HashResponse(data=digest),
    )


def _random() -> Step:
    return Step(
        _OP.RNG_RETRIEVE,
        crypto.RNGRetrieveRequest(data_length=16),
        crypto.RNGRetrieveResponse(data=bytes(16)),
    )


_CRYPTOGRAPHY: Mapping[str, tuple[str, tuple[Step, ...]]] = {
    "ENCRYPT-MASK": (
        "Encrypt needs a key with the usage Encrypt (KMIP 1.4 §3.19, §11.30; KMIP 2.1 §4.17, §6.1.17)",
        (*_cipher_key(_Mask.DECRYPT), encrypt().refused(WRONG_USE)),
    ),
    "DECRYPT-MASK": (
        "Decrypt needs a key with the usage Decrypt (KMIP 1.4 §3.19, §11.31; KMIP 2.1 §4.17, §6.1.11)",
        (*_cipher_key(_Mask.ENCRYPT), decrypt().refused(WRONG_USE)),
    ),
    "MAC-MASK": (
        "MAC needs a key with the usage MAC Generate (KMIP 1.4 §3.19, §11.34; KMIP 2.1 §4.17, §6.1.32)",
        (*_mac_key(_Mask.MAC_VERIFY), mac().refused(WRONG_USE)),
    ),
    "MAC-VERIFY-MASK": (
        "MAC Verify needs a key with the usage MAC Verify (KMIP 1.4 §3.19, §11.35; KMIP 2.1 §4.17,"
        " §6.1.33)",
        (*_mac_key(_Mask.MAC_GENERATE), _mac_verify(HI_CODE, _VALID).refused(WRONG_USE)),
    ),
    "SIGN-MASK": (
        "Sign needs a key with the usage Sign (KMIP 1.4 §3.19, §11.32; KMIP 2.1 §4.17, §6.1.55)",
        (
            create_pair(_Mask.DECRYPT, _Mask.ENCRYPT),
            simple(_OP.ACTIVATE, 0),
            _sign().refused(WRONG_USE),
        ),
    ),
    "ENCRYPT-DATA": (
        f"Encrypt gives the ciphertext of the algorithm and mode ({_ENCRYPT})",
        (*_cipher_key(_Mask.ENCRYPT), encrypt()),
    ),
    "DECRYPT-DATA": (
        "Decrypt gives the data again (KMIP 1.4 §4.30, KMIP 2.1 §6.1.11)",
        (*_cipher_key(_Mask.DECRYPT), decrypt()),
    ),
    "ENCRYPT-KEY-PARAMETERS": (
        f"without Cryptographic Parameters, those of the key are used ({_ENCRYPT})",
        tuple(_with_parameters_of_key()),
    ),
    "MAC-DATA": (
        "MAC gives the code of RFC 4231 §4.2 (KMIP 1.4 §4.33, KMIP 2.1 §6.1.32)",
        (
            *_mac_key(),
            Step(
                _OP.MAC,
                crypto.MACRequest(unique_identifier=uid(0), data=HI),
                crypto.MACResponse(unique_identifier=uid(0), mac_data=HI_CODE),
            ),
        ),
    ),
    "MAC-VERIFY-VALID": (
        "MAC Verify returns the Validity Indicator Valid (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33)",
        (*_mac_key(), _mac_verify(HI_CODE, _VALID)),
    ),
    "MAC-VERIFY-INVALID": (
        "MAC Verify returns the Validity Indicator Invalid (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33)",
        (*_mac_key(), _mac_verify(_WRONG_CODE, _INVALID)),
    ),
    "SIGNATURE-VALID": (
        "Signature Verify accepts a signature of the key (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56)",
        (*_KEYS, _sign(), _verify(b"abc", _VALID)),
    ),
    "SIGNATURE-INVALID": (
        "Signature Verify rejects a signature of other data (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56)",
        (*_KEYS, _sign(), _verify(b"abd", _INVALID)),
    ),
    "HASH-DATA": (
        "Hash gives the digest of FIPS 180-4 (KMIP 1.4 §4.37, KMIP 2.1 §6.1.24)",
        (_hash(),),
    ),
    "RNG-LENGTH": (
        "RNG Retrieve gives as many bytes as the request asks for (KMIP 1.4 §4.35, KMIP 2.1 §6.1.49)",
        (_random(),),
    ),
    "ENCRYPT-TYPE": (
        f"an object that is no key encrypts nothing ({_ENCRYPT}; KMIP 1.4 §11.30)",
        (
            register(ObjectType.OPAQUE_OBJECT),
            encrypt().refused(
                Refused(
                    (R.PERMISSION_DENIED,),
                    (
                        *(R.INVALID_OBJECT_TYPE, R.ILLEGAL_OBJECT_TYPE, R.PERMISSION_DENIED),
                        *(R.WRONG_KEY_LIFECYCLE_STATE, R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK),
                    ),
                )
            ),
        ),
    ),
    "DECRYPT-DAMAGED": (
        "a ciphertext that cannot be is a Cryptographic Failure (KMIP 1.4 §11.31, KMIP 2.1 §6.1.11)",
        (
            *_cipher_key(_Mask.DECRYPT),
            Step(
                _OP.DECRYPT,
                crypto.DecryptRequest(
                    unique_identifier=uid(0),
                    cryptographic_parameters=_TTLV_PARAMETERS.replace(
                        cryptographic_algorithm=CryptographicAlgorithm.AES
                    ),
                    data=b"not sixteen",
                    iv_counter_nonce=bytes(16),
                ),
                Refused(
                    (R.CRYPTOGRAPHIC_FAILURE, R.INVALID_FIELD),
                    (R.CRYPTOGRAPHIC_FAILURE, R.INVALID_FIELD, R.BAD_CRYPTOGRAPHIC_PARAMETERS),
                ),
            ),
        ),
    ),
}


# --- streaming -------------------------------------------------------------------------------------

_STREAM = "KMIP 1.4 §4, KMIP 2.1 §6.1"
_CORRELATED = symbol("CORRELATION_VALUE")
_STREAMING = "operations in several parts (KMIP 1.4 §4, KMIP 2.1 §6.1)"


def _hash_part(data: bytes | None, response: Any, **fields: Any) -> Step:
    return Step(
        _OP.HASH,
        crypto.HashRequest(cryptographic_parameters=SHA_256, data=data, **fields),
        response,
    )


def _hash_parts(version: Version) -> Iterator[Step]:
    del version
    claim = f"the digest of parts is that of the whole ({_STREAM}; KMIP 1.4 §2.1.15, KMIP 2.1 §7.8)"
    more = crypto.HashResponse(correlation_value=_CORRELATED)
    yield _hash_part(b"a", more, init_indicator=True).needing(_STREAMING)
    yield _hash_part(b"b", more, correlation_value=_CORRELATED)
    yield _hash_part(
        b"c", crypto.HashResponse(data=ABC), correlation_value=_CORRELATED, final_indicator=True
    ).claiming(claim)


_NO_STREAM = Refused(
    (R.ITEM_NOT_FOUND, R.INVALID_FIELD),
    (R.INVALID_CORRELATION_VALUE, R.ITEM_NOT_FOUND, R.INVALID_FIELD),
)


def _hash_unknown(version: Version) -> Iterator[Step]:
    del version
    more = crypto.HashResponse(correlation_value=_CORRELATED)
    yield _hash_part(b"a", more, init_indicator=True).needing(_STREAMING)
    yield _hash_part(b"b", _NO_STREAM, correlation_value=b"KIT-unknown").claiming(
        f"a part with an unknown Correlation Value is refused ({_STREAM}; KMIP 1.4 §2.1.15, §11.30; KMIP 2.1 §7.8)"
    )


def _verify_parts(version: Version) -> Iterator[Step]:
    del version
    claim = "only the last part of MAC Verify has a Validity Indicator (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33)"
    yield from _mac_key()
    yield (
        Step(
            _OP.MAC_VERIFY,
            crypto.MACVerifyRequest(
                unique_identifier=uid(0), data=HI[:3], mac_data=HI_CODE, init_indicator=True
            ),
            crypto.MACVerifyResponse(unique_identifier=uid(0), correlation_value=_CORRELATED),
        )
        .needing(_STREAMING)
        .claiming(claim)
    )
    yield Step(
        _OP.MAC_VERIFY,
        crypto.MACVerifyRequest(
            unique_identifier=uid(0),
            data=HI[3:],
            mac_data=HI_CODE,
            correlation_value=_CORRELATED,
            final_indicator=True,
        ),
        crypto.MACVerifyResponse(unique_identifier=uid(0), validity_indicator=_VALID),
    ).claiming(claim)


def _signature_parts(version: Version) -> Iterator[Step]:
    del version
    claim = "only the last part of Signature Verify has a Validity Indicator (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56)"
    yield from _KEYS
    yield _sign()

    def part(data: bytes, response: dict[str, Any], **fields: Any) -> Step:
        return Step(
            _OP.SIGNATURE_VERIFY,
            crypto.SignatureVerifyRequest(
                unique_identifier=uid(1),
                cryptographic_parameters=_RSA,
                data=data,
                signature_data=_SIGNATURE,
                **fields,
            ),
            crypto.SignatureVerifyResponse(unique_identifier=uid(1), **response),
        )

    yield (
        part(b"a", {"correlation_value": _CORRELATED}, init_indicator=True)
        .needing(_STREAMING)
        .claiming(claim)
    )
    yield part(
        b"bc", {"validity_indicator": _VALID}, correlation_value=_CORRELATED, final_indicator=True
    ).claiming(claim)


def _fixed(claim: str, steps: tuple[Step, ...], version: Version) -> Iterator[Step]:
    del version
    *before, last = steps
    yield from before
    yield last.claiming(claim)


def _table(prefix: str, rows: Mapping[str, tuple[str, tuple[Step, ...]]]) -> Iterator[Case]:
    for name, (claim, steps) in rows.items():
        yield rule(
            f"{prefix}{name}", f"{claim[0].upper()}{claim[1:]}.", partial(_fixed, claim, steps)
        )


CASES = (
    *_table("USAGE-", _USAGE),
    rule("USAGE-DELETE-USED", f"Usage Limits after an allocation ({_LIMITS}).", _delete_used),
    *_table("", _LEASED),
    *_table("CRYPTO-", _CRYPTOGRAPHY),
    rule("STREAM-HASH", f"Hash in parts ({_STREAM}; KMIP 1.4 §4.37, KMIP 2.1 §6.1.24).", _hash_parts),
    rule("STREAM-UNKNOWN", f"A part of nothing ({_STREAM}).", _hash_unknown),
    rule("STREAM-MAC-VERIFY", "MAC Verify in parts (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33).", _verify_parts),
    rule("STREAM-SIGNATURE-VERIFY", "Signature Verify in parts (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56).", _signature_parts),
)  # fmt: skip
