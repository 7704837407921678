"""Further cases of single clauses, which belong to no table."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters, Digest, RNGParameters, UsageLimits
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import crypto, query
from kmipkit.model.payloads.asynchronous import PollRequest, ProcessRequest, ProcessResponse
from kmipkit.model.payloads.lifecycle import ActivateRequest, ActivateResponse
from kmipkit.model.payloads.register import ExportRequest
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.spec.enums import (
    AdjustmentType,
    BlockCipherMode,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    ObjectGroupMember,
    ObjectType,
    Operation,
    QueryFunction,
    ResultStatus,
    RNGAlgorithm,
    State,
    UsageLimitsUnit,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version
from suite_cases.attribute_values import PAST
from suite_cases.building import (
    READ_ONLY,
    Batch,
    R,
    Refused,
    create_key,
    fixed,
    modify,
    read,
    rule,
    simple,
)
from suite_cases.cryptography import HI, HI_CODE, PKCS1
from suite_cases.derive_rules import derive
from suite_cases.key_rules import certified, join_parts, re_certify, split_in_parts
from suite_cases.locate_rules import locate
from suite_cases.material import PRIVATE_KEY
from suite_cases.object_rules import exported, fetch, imported
from suite_cases.objects import OBJECTS, register
from suite_cases.placeholder_rules import ORDERED, type_of
from suite_cases.steps import CORRELATION_VALUE, KEY, Case, Step, register_key, uid
from suite_cases.wrap_rules import (
    RAW,
    WRAP_CLAUSES,
    WRAPPED,
    get_wrapped,
    secret,
    specification_for,
)

_OP = Operation
_Type = ObjectType
_Mask = CryptographicUsageMask
_PAST = "an Activation Date that is past, which a server may refuse (KMIP 1.4 §3.22)"


# --- the ID Placeholder of further operations ------------------------------------------------------


def _certify_placeholder(*, renews: bool) -> Callable[[Version], Iterator[Step | Batch]]:
    pair, first = certified()
    clause = "KMIP 1.4 §4.8, KMIP 2.1 §6.1.45" if renews else "KMIP 1.4 §4.7, KMIP 2.1 §6.1.6"
    claim = f"the new certificate is the object of the ID Placeholder ({clause})"
    if renews:
        batch = Batch((re_certify(), type_of(_Type.CERTIFICATE, 3)), claim, ORDERED)
        return fixed(pair, first, batch)
    return fixed(pair, Batch((first, type_of(_Type.CERTIFICATE, 2)), claim, ORDERED))


def _split_placeholder(version: Version) -> Iterator[Step | Batch]:
    yield create_key()
    claim = "the first part is the object of the ID Placeholder (KMIP 1.4 §4.38, KMIP 2.1 §6.1.10)"
    yield Batch(
        (split_in_parts(version), type_of(_Type.SPLIT_KEY, 1)),
        claim,
        ORDERED,
        optional="Polynomial Sharing GF(2^16)",
    )


def _join_placeholder(version: Version) -> Iterator[Step | Batch]:
    yield create_key()
    yield split_in_parts(version).needing("Polynomial Sharing GF(2^16)")
    claim = "the joined key is the object of the ID Placeholder (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27)"
    yield Batch((join_parts(1, 2), type_of(_Type.SYMMETRIC_KEY, 9)), claim, ORDERED)


def _export_placeholder(version: Version) -> Iterator[Step | Batch]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    claim = "the exported object is that of the ID Placeholder (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18)"
    yield Batch((exported(), type_of(_Type.SYMMETRIC_KEY, 0)), claim, ORDERED)


def _import_placeholder(version: Version) -> Iterator[Step | Batch]:
    name = "$UNIQUE_IDENTIFIER_RANDOM_0"
    claim = "the imported object is that of the ID Placeholder (KMIP 1.4 §4.41, KMIP 2.1 §6.1.25)"
    told = payloads.GetAttributesResponse(
        unique_identifier=name, attributes=Attributes.of((Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY))
    )
    asked = replace(type_of(_Type.SYMMETRIC_KEY, 0), response=told)
    yield Batch((imported(0, version), asked), claim, ORDERED)


def _signature() -> bytes:
    """The signature of "abc" with the private key of the suite: PKCS#1 v1.5 has no randomness."""
    key = load_der_private_key(PRIVATE_KEY, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(b"abc", padding.PKCS1v15(), hashes.SHA256())


_RSA = PKCS1.replace(cryptographic_algorithm=CryptographicAlgorithm.RSA)
_ACTIVE = (Tag.ACTIVATION_DATE, PAST)


def _sign_placeholder(version: Version) -> Iterator[Step | Batch]:
    del version
    sign = Step(
        _OP.SIGN,
        crypto.SignRequest(cryptographic_parameters=_RSA, data=b"abc"),
        crypto.SignResponse(unique_identifier=uid(0), signature_data=_signature()),
    )
    claim = "Sign without a Unique Identifier uses the object of the ID Placeholder (KMIP 1.4 §4.31, KMIP 2.1 §6.1.55)"
    yield Batch((register(_Type.PRIVATE_KEY, 0, _ACTIVE), sign), claim, ORDERED, optional=_PAST)


def _verify_placeholder(version: Version) -> Iterator[Step | Batch]:
    del version
    verify = Step(
        _OP.SIGNATURE_VERIFY,
        crypto.SignatureVerifyRequest(
            cryptographic_parameters=_RSA, data=b"abc", signature_data=_signature()
        ),
        crypto.SignatureVerifyResponse(
            unique_identifier=uid(0), validity_indicator=ValidityIndicator.VALID
        ),
    )
    claim = "Signature Verify without a Unique Identifier uses the object of the ID Placeholder (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56)"
    yield Batch((register(_Type.PUBLIC_KEY, 0, _ACTIVE), verify), claim, ORDERED, optional=_PAST)


def _mac_verify_placeholder(version: Version) -> Iterator[Step | Batch]:
    del version
    key = register_key(0, b"\x0b" * 20, _Mask.MAC_VERIFY, CryptographicAlgorithm.HMAC_SHA256)
    request: Any = key.request
    active = request.replace(attributes=request.attributes.plus(*Attributes.of(_ACTIVE)))
    verify = Step(
        _OP.MAC_VERIFY,
        crypto.MACVerifyRequest(data=HI, mac_data=HI_CODE),
        crypto.MACVerifyResponse(
            unique_identifier=uid(0), validity_indicator=ValidityIndicator.VALID
        ),
    )
    claim = "MAC Verify without a Unique Identifier uses the object of the ID Placeholder (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33)"
    yield Batch((replace(key, request=active), verify), claim, ORDERED, optional=_PAST)


# --- attributes ------------------------------------------------------------------------------------

_ALGORITHM = RNGParameters(rng_algorithm=RNGAlgorithm.UNSPECIFIED)


def _generator(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield read(
        Tag.RANDOM_NUMBER_GENERATOR, found=[(Tag.RANDOM_NUMBER_GENERATOR, _ALGORITHM)]
    ).claiming(
        "a key that the server generates has its Random Number Generator (KMIP 1.4 §3.44, KMIP 2.1 §4.46)"
    )


def _generator_kept(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield modify(Tag.RANDOM_NUMBER_GENERATOR, _ALGORITHM).refused(
        READ_ONLY, "the Random Number Generator does not change (KMIP 1.4 §3.44, KMIP 2.1 §4.46)"
    )


def _creation_kept(version: Version) -> Iterator[Step]:
    del version
    yield create_key()
    yield modify(Tag.ORIGINAL_CREATION_DATE, PAST).refused(
        READ_ONLY, "the Original Creation Date does not change (KMIP 1.4 §3.43, KMIP 2.1 §4.38)"
    )


def _adjust(version: Version) -> Iterator[Step]:
    del version
    claim = "Adjust Attribute changes no read-only attribute (KMIP 2.1 §6.1.3)"
    yield create_key()
    how = Refused(new=(*READ_ONLY.new, R.INVALID_FIELD, R.INVALID_DATA_TYPE))
    request = payloads.AdjustAttributeRequest(
        unique_identifier=uid(0),
        attribute_reference=Tag.CRYPTOGRAPHIC_LENGTH,
        adjustment_type=AdjustmentType.INCREMENT,
    )
    yield Step(_OP.ADJUST_ATTRIBUTE, request, how).claiming(claim)
    yield read(Tag.CRYPTOGRAPHIC_LENGTH, found=[(Tag.CRYPTOGRAPHIC_LENGTH, 128)]).claiming(claim)


_TRANSPARENT = KeyFormatType.TRANSPARENT_SYMMETRIC_KEY


def _transparent_digest(version: Version) -> Iterator[Step]:
    del version
    # The Key Material of a transparent symmetric key: a structure with the field Key.
    encoded = bytes.fromhex("420043010000001842003F0800000010") + KEY
    value = SymmetricKey(
        key_block=KeyBlock(
            key_format_type=_TRANSPARENT,
            key_value=KeyValue(key_material=TransparentSymmetricKey(key=KEY)),
            cryptographic_algorithm=CryptographicAlgorithm.AES,
            cryptographic_length=128,
        )
    )
    digest = Digest(
        hashing_algorithm=HashingAlgorithm.SHA_256,
        digest_value=hashlib.sha256(encoded).digest(),
        key_format_type=_TRANSPARENT,
    )
    yield register(_Type.SYMMETRIC_KEY, value=value).needing("transparent symmetric keys")
    yield read(Tag.DIGEST, found=[(Tag.DIGEST, digest)]).claiming(
        "the Digest of a transparent key is that of its TTLV (KMIP 1.4 §3.17, KMIP 2.1 §4.21)"
    )


def _created_format(version: Version) -> Iterator[Step]:
    del version
    pair = (Tag.KEY_FORMAT_TYPE, _TRANSPARENT)
    yield create_key(0, pair)
    yield read(Tag.KEY_FORMAT_TYPE, found=[pair]).claiming(
        "a server that accepts a Key Format Type makes a key of that format (KMIP 2.1 §4.26)"
    )


# --- usage, wrapping, derivation -------------------------------------------------------------------


def _signed_usage(version: Version) -> Iterator[Step]:
    del version
    claim = "Sign takes from the Usage Limits, and is denied when they are used up (KMIP 1.4 §4.31, KMIP 2.1 §6.1.55)"
    limits = UsageLimits(usage_limits_total=1, usage_limits_unit=UsageLimitsUnit.OBJECT)
    sign = Step(
        _OP.SIGN,
        crypto.SignRequest(unique_identifier=uid(0), cryptographic_parameters=_RSA, data=b"abc"),
        crypto.SignResponse(unique_identifier=uid(0), signature_data=_signature()),
    )
    yield register(_Type.PRIVATE_KEY, 0, (Tag.USAGE_LIMITS, limits))
    yield simple(_OP.ACTIVATE)
    yield sign
    left = limits.replace(usage_limits_count=0)
    yield read(Tag.USAGE_LIMITS, found=[(Tag.USAGE_LIMITS, left)]).claiming(claim)
    how = Refused((R.PERMISSION_DENIED,), (R.USAGE_LIMIT_EXCEEDED, R.PERMISSION_DENIED))
    yield sign.refused(how, claim)


_NIST = CryptographicParameters(block_cipher_mode=BlockCipherMode.NISTKEYWRAP)
_CBC = CryptographicParameters(block_cipher_mode=BlockCipherMode.CBC)


def _wrapping_key(*modes: CryptographicParameters) -> Iterator[Step]:
    pairs = [(Tag.CRYPTOGRAPHIC_PARAMETERS, mode) for mode in modes]
    yield register(_Type.SYMMETRIC_KEY, 0, *pairs, mask=_Mask.WRAP_KEY)
    yield simple(_OP.ACTIVATE)
    yield secret()


def _wrap_other_parameters(version: Version) -> Iterator[Step]:
    del version
    yield from _wrapping_key(_CBC)
    how = Refused(
        (R.ITEM_NOT_FOUND,),
        (
            R.BAD_CRYPTOGRAPHIC_PARAMETERS,
            R.ITEM_NOT_FOUND,
            R.INVALID_FIELD,
            R.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
        ),
    )
    yield get_wrapped(WRAPPED, RAW, RAW).refused(
        how,
        f"parameters that are not among those of the wrapping key are refused ({WRAP_CLAUSES}; KMIP 1.4 §11.12)",
    )


def _wrap_default_parameters(version: Version) -> Iterator[Step]:
    del version
    yield from _wrapping_key(_NIST)
    specification = specification_for(RAW)
    information: Any = specification.encryption_key_information
    specification = specification.replace(
        encryption_key_information=information.replace(cryptographic_parameters=None)
    )
    usual = get_wrapped(WRAPPED, RAW, RAW)
    request: Any = usual.request
    yield (
        replace(usual, request=request.replace(key_wrapping_specification=specification))
        .needing("wrapping with AES Key Wrap")
        .claiming(f"without parameters, those of the wrapping key are used ({WRAP_CLAUSES})")
    )


def _derive_both(version: Version) -> Iterator[Step]:
    del version
    yield create_key(mask=_Mask.DERIVE_KEY)
    yield simple(_OP.ACTIVATE)
    yield register(_Type.SECRET_DATA, 1)
    yield simple(_OP.ACTIVATE, 1)
    how = Refused((R.INVALID_MESSAGE,), (R.INVALID_MESSAGE, R.INVALID_FIELD))
    parameters = DerivationParameters(
        cryptographic_parameters=CryptographicParameters(
            hashing_algorithm=HashingAlgorithm.SHA_256
        ),
        derivation_data=(b"data",),
    )
    yield derive(bases=(0, 1), new=2, parameters=parameters).refused(
        how, "Derivation Data excludes a Secret Data object (KMIP 1.4 §4.6, §11.7; KMIP 2.1 §7.12)"
    )


def _derive_from_secret(version: Version) -> Iterator[Step]:
    del version
    yield create_key(mask=_Mask.DERIVE_KEY)
    yield simple(_OP.ACTIVATE)
    yield register(_Type.SECRET_DATA, 1)
    yield simple(_OP.ACTIVATE, 1)
    by_hmac = partial(derive, DerivationMethod.HMAC, 256)
    yield by_hmac(new=2).needing("the Derivation Method HMAC")
    parameters = DerivationParameters(
        cryptographic_parameters=CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
    )
    yield by_hmac(bases=(0, 1), new=3, parameters=parameters).claiming(
        "Secret Data is the Derivation Data (KMIP 1.4 §4.6, KMIP 2.1 §7.12)"
    )


# --- Locate, Export, Query, Process ----------------------------------------------------------------


def _locate_fresh(version: Version) -> Iterator[Step]:
    group = (Tag.OBJECT_GROUP, f"KIT-LOCATE-FRESH-{version}")
    yield register(_Type.SYMMETRIC_KEY, 0, group)
    yield register(_Type.SYMMETRIC_KEY, 1, group)
    yield fetch(_Type.SYMMETRIC_KEY, OBJECTS[_Type.SYMMETRIC_KEY][0])
    yield locate(
        group,
        found=[1],
        object_group_member=ObjectGroupMember.GROUP_MEMBER_FRESH,
        claim="Group Member Fresh finds fresh objects only",
    )


def _export_destroyed(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    yield simple(_OP.DESTROY)
    without_material = SymmetricKey(
        key_block=KeyBlock(
            key_format_type=KeyFormatType.RAW,
            cryptographic_algorithm=CryptographicAlgorithm.AES,
            cryptographic_length=128,
        )
    )
    told: Any = exported().response
    yield (
        Step(
            _OP.EXPORT,
            ExportRequest(unique_identifier=uid(0)),
            told.replace(
                object=without_material, attributes=Attributes.of((Tag.STATE, State.DESTROYED))
            ),
        )
        .needing("destroyed objects in Export (KMIP 1.4 §3)")
        .claiming(
            "Export of a destroyed object has no key material (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18)"
        )
    )


def _query_generators(version: Version) -> Iterator[Step]:
    del version
    yield Step(
        _OP.QUERY,
        query.QueryRequest(query_functions=(QueryFunction.QUERY_RNGS,)),
        query.QueryResponse(rng_parameters=(_ALGORITHM,)),
    ).claiming(
        "Query tells the random number generators of the server (KMIP 1.4 §4.25, KMIP 2.1 §6.1.40)"
    )


def _processed(version: Version) -> Iterator[Step | Batch]:
    del version
    claim = "after Process, Poll returns the result (KMIP 2.1 §6.1.39)"
    yield create_key()
    pending = Step(
        _OP.ACTIVATE,
        ActivateRequest(unique_identifier=uid(0)),
        ResultStatus.OPERATION_PENDING,
        asynchronous=True,
    )
    yield Batch((pending,), with_ids=False, optional="asynchronous requests (KMIP 2.1 §9.2)")
    yield Step(
        _OP.PROCESS,
        ProcessRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        ProcessResponse(),
    ).claiming(claim)
    yield Step(
        _OP.POLL,
        PollRequest(asynchronous_correlation_value=CORRELATION_VALUE),
        ActivateResponse(unique_identifier=uid(0)),
        response_operation=_OP.ACTIVATE,
    ).claiming(claim)


_NEW, _OLD = (V2_1,), (V1_4,)
_ROWS: tuple[tuple[Any, ...], ...] = (
    ("PLACEHOLDER-CERTIFY", "Certify sets the ID Placeholder (KMIP 1.4 §4.7, KMIP 2.1 §6.1.6).", _certify_placeholder(renews=False)),
    ("PLACEHOLDER-RE-CERTIFY", "Re-certify sets the ID Placeholder (KMIP 1.4 §4.8, KMIP 2.1 §6.1.45).", _certify_placeholder(renews=True)),
    ("PLACEHOLDER-CREATE-SPLIT-KEY", "Create Split Key sets the ID Placeholder (KMIP 1.4 §4.38, KMIP 2.1 §6.1.10).", _split_placeholder),
    ("PLACEHOLDER-JOIN-SPLIT-KEY", "Join Split Key sets the ID Placeholder (KMIP 1.4 §4.39, KMIP 2.1 §6.1.27).", _join_placeholder),
    ("PLACEHOLDER-EXPORT", "Export sets the ID Placeholder (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18).", _export_placeholder),
    ("PLACEHOLDER-IMPORT", "Import sets the ID Placeholder (KMIP 1.4 §4.41, KMIP 2.1 §6.1.25).", _import_placeholder),
    ("PLACEHOLDER-USE-SIGN", "Sign uses the ID Placeholder (KMIP 1.4 §4.31, KMIP 2.1 §6.1.55).", _sign_placeholder),
    ("PLACEHOLDER-USE-SIGNATURE-VERIFY", "Signature Verify uses the ID Placeholder (KMIP 1.4 §4.32, KMIP 2.1 §6.1.56).", _verify_placeholder),
    ("PLACEHOLDER-USE-MAC-VERIFY", "MAC Verify uses the ID Placeholder (KMIP 1.4 §4.34, KMIP 2.1 §6.1.33).", _mac_verify_placeholder),
    ("RNG-ATTRIBUTE", "The Random Number Generator of a generated key (KMIP 1.4 §3.44, KMIP 2.1 §4.46).", _generator),
    ("RNG-ATTRIBUTE-KEPT", "The Random Number Generator does not change (KMIP 1.4 §3.44, KMIP 2.1 §4.46).", _generator_kept),
    ("CREATION-DATE-KEPT", "The Original Creation Date does not change (KMIP 1.4 §3.43, KMIP 2.1 §4.38).", _creation_kept),
    ("ADJUST-READ-ONLY", "Adjust Attribute of a read-only attribute (KMIP 2.1 §6.1.3).", _adjust, _NEW),
    ("DIGEST-TRANSPARENT", "The Digest of a transparent key (KMIP 1.4 §3.17, KMIP 2.1 §4.21).", _transparent_digest),
    ("FORMAT-CREATED", "Create with a Key Format Type (KMIP 2.1 §4.26).", _created_format, _NEW),
    ("USAGE-SIGN", "Sign with Usage Limits (KMIP 1.4 §4.31, KMIP 2.1 §6.1.55).", _signed_usage),
    ("WRAP-PARAMETERS", f"Wrapping with parameters that the key does not have ({WRAP_CLAUSES}).", _wrap_other_parameters),
    ("WRAP-KEY-PARAMETERS", f"Wrapping with the parameters of the key ({WRAP_CLAUSES}).", _wrap_default_parameters),
    ("DERIVE-BOTH", "Derivation Data and Secret Data (KMIP 1.4 §4.6, KMIP 2.1 §7.12).", _derive_both),
    ("DERIVE-SECRET-DATA", "Secret Data as Derivation Data (KMIP 1.4 §4.6, KMIP 2.1 §7.12).", _derive_from_secret),
    ("LOCATE-FRESH", "Locate of fresh objects of a group (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28).", _locate_fresh),
    ("EXPORT-DESTROYED", "Export of a destroyed object (KMIP 1.4 §4.40, KMIP 2.1 §6.1.18).", _export_destroyed),
    ("QUERY-RNGS", "Query tells the random number generators (KMIP 1.4 §4.25, KMIP 2.1 §6.1.40).", _query_generators),
    ("ASYNC-PROCESS", "Process (KMIP 2.1 §6.1.39).", _processed, _NEW),
)  # fmt: skip

CASES: tuple[Case, ...] = tuple(rule(*row) for row in _ROWS)
