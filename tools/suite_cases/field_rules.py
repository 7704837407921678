"""Cases of optional fields of requests, and of Result Reasons, that no other case looks at."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509.oid import NameOID

from kmipkit.model.attribute import AttributeKey, Attributes, custom
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.objects import Certificate, SecretData, SymmetricKey
from kmipkit.model.payloads import certify, crypto, rekey
from kmipkit.model.payloads.register import ExportRequest, ExportResponse, RegisterResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CertificateRequestType,
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    SecretDataType,
    State,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version
from suite_cases.building import (
    UNREADABLE,
    R,
    Refused,
    read,
    replaced,
    rule,
    simple,
)
from suite_cases.cryptography import HI
from suite_cases.key_rules import certified, join_parts, re_certify, split_in_parts
from suite_cases.locate_rules import locate
from suite_cases.material import CERTIFICATE, PRIVATE_KEY
from suite_cases.object_rules import exported, fetch, imported
from suite_cases.objects import block, register
from suite_cases.part_rules import CBC, GCM, GCM_NEEDED
from suite_cases.steps import KEY, NOW, Case, Step, create_pair, register_key, symbol, uid
from suite_cases.wrap_rules import RAW, specification_for, wrapped_block, wrapping_key

_OP = Operation
_Type = ObjectType
_Mask = CryptographicUsageMask
_EXPORT = "KMIP 1.4 §4.40, KMIP 2.1 §6.1.18"
_ENCRYPT = "KMIP 1.4 §4.29, KMIP 2.1 §6.1.17"
_MAC = "KMIP 1.4 §4.33, KMIP 2.1 §6.1.32"
_MAC_VERIFY = "KMIP 1.4 §4.34, KMIP 2.1 §6.1.33"
_VALIDATE = "KMIP 1.4 §4.24, KMIP 2.1 §6.1.57"
_CERTIFY = "KMIP 1.4 §4.7, KMIP 2.1 §6.1.6"
_RE_CERTIFY = "KMIP 1.4 §4.8, KMIP 2.1 §6.1.45"
_RE_KEY_PAIR = "KMIP 1.4 §4.5, KMIP 2.1 §6.1.47"
_JOIN = "KMIP 1.4 §4.39, KMIP 2.1 §6.1.27"
_WRAP_TYPE = "KMIP 1.4 §4.11, §9.1.3.2.48; KMIP 2.1 §6.1.19, §11.29"


# --- Result Reasons and refusals -------------------------------------------------------------------


def _locate_unknown(version: Version) -> Iterator[Step]:
    del version
    criterion = (custom("x-KIT"), "a")
    step = locate(criterion, found=[]).edited(replaced(Tag.ATTRIBUTE_NAME, "KIT No Attribute"))
    yield step.refused(
        Refused((R.INVALID_FIELD,)),
        "Locate refuses an attribute that does not exist (KMIP 1.4 §4.9, §11.10)",
    )


def _import_other_type(version: Version) -> Iterator[Step]:
    how = Refused(new=(*UNREADABLE.new, R.INVALID_OBJECT_TYPE), whole=True)
    edited = imported(0, version).edited(replaced(Tag.OBJECT_TYPE, int(_Type.SECRET_DATA)))
    yield edited.refused(
        how, "the Object Type of an Import is that of the object (KMIP 2.1 §6.1.25)"
    )


def _export_attributes(version: Version) -> Iterator[Step]:
    del version
    step = exported()
    response: Any = step.response
    attributes = Attributes.of(
        (Tag.UNIQUE_IDENTIFIER, uid(0)),
        (Tag.OBJECT_TYPE, _Type.SYMMETRIC_KEY),
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        (Tag.CRYPTOGRAPHIC_LENGTH, 128),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, _Mask.ENCRYPT | _Mask.DECRYPT),
        (Tag.STATE, State.PRE_ACTIVE),
    )
    yield register(_Type.SYMMETRIC_KEY)
    yield replace(step, response=response.replace(attributes=attributes)).claiming(
        f"Export returns all attributes of the object ({_EXPORT})"
    )


def _validate_value(version: Version) -> Iterator[Step]:
    del version
    yield Step(
        _OP.VALIDATE,
        certify.ValidateRequest(
            certificates=(
                Certificate(certificate_type=CertificateType.X_509, certificate_value=CERTIFICATE),
            ),
            validity_date=datetime(1990, 1, 1, tzinfo=UTC),
        ),
        certify.ValidateResponse(validity_indicator=ValidityIndicator.INVALID),
    ).claiming(
        f"a certificate in the request is validated: before its time, it is not valid ({_VALIDATE})"
    )


# --- ciphers and codes -----------------------------------------------------------------------------


def _authenticated(version: Version) -> Iterator[Step]:
    del version
    tag = symbol("AUTHENTICATED_ENCRYPTION_TAG")
    common: dict[str, Any] = {
        "unique_identifier": uid(0),
        "cryptographic_parameters": GCM.parameters,
        "iv_counter_nonce": GCM.iv,
    }
    yield register_key(0, GCM.key, _Mask.ENCRYPT | _Mask.DECRYPT)
    yield simple(_OP.ACTIVATE)
    yield Step(
        _OP.ENCRYPT,
        crypto.EncryptRequest(
            data=GCM.plain, authenticated_encryption_additional_data=GCM.more, **common
        ),
        crypto.EncryptResponse(
            unique_identifier=uid(0), data=GCM.secret, authenticated_encryption_tag=tag
        ),
    ).needing(GCM_NEEDED)
    for more, response in (
        (GCM.more, crypto.DecryptResponse(unique_identifier=uid(0), data=GCM.plain)),
        (b"other data", Refused()),
    ):
        yield Step(
            _OP.DECRYPT,
            crypto.DecryptRequest(
                data=GCM.secret,
                authenticated_encryption_additional_data=more,
                authenticated_encryption_tag=tag,
                **common,
            ),
            response,
        ).claiming(f"the tag authenticates the additional data of the request ({_ENCRYPT})")


def _random_iv(version: Version) -> Iterator[Step]:
    del version
    parameters = CBC.parameters.replace(random_iv=True)
    claim = f"with Random IV, the response has the IV that the server has generated ({_ENCRYPT})"
    yield register_key(0, CBC.key, _Mask.ENCRYPT | _Mask.DECRYPT)
    yield simple(_OP.ACTIVATE)
    yield (
        Step(
            _OP.ENCRYPT,
            crypto.EncryptRequest(
                unique_identifier=uid(0), cryptographic_parameters=parameters, data=CBC.plain
            ),
            crypto.EncryptResponse(
                unique_identifier=uid(0),
                data=symbol("DATA"),
                iv_counter_nonce=symbol("IV_COUNTER_NONCE"),
            ),
        )
        .needing("Random IV (KMIP 1.4 §3.6, KMIP 2.1 §4.16)")
        .claiming(claim)
    )
    yield Step(
        _OP.DECRYPT,
        crypto.DecryptRequest(
            unique_identifier=uid(0),
            cryptographic_parameters=CBC.parameters,
            data=symbol("DATA"),
            iv_counter_nonce=symbol("IV_COUNTER_NONCE"),
        ),
        crypto.DecryptResponse(unique_identifier=uid(0), data=CBC.plain),
    ).claiming(claim)


_SHA_512 = CryptographicParameters(cryptographic_algorithm=CryptographicAlgorithm.HMAC_SHA512)
_HI_512 = bytes.fromhex(
    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
)
"""The code of RFC 4231 §4.2 with SHA-512."""
_OTHER_MAC = "a MAC method other than that of the key"


def _mac_key() -> Iterator[Step]:
    mask = _Mask.MAC_GENERATE | _Mask.MAC_VERIFY
    yield register_key(0, b"\x0b" * 20, mask, CryptographicAlgorithm.HMAC_SHA256)
    yield simple(_OP.ACTIVATE)


def _mac(version: Version) -> Iterator[Step]:
    del version
    yield from _mac_key()
    yield (
        Step(
            _OP.MAC,
            crypto.MACRequest(unique_identifier=uid(0), cryptographic_parameters=_SHA_512, data=HI),
            crypto.MACResponse(unique_identifier=uid(0), mac_data=_HI_512),
        )
        .needing(_OTHER_MAC)
        .claiming(f"a MAC is by the method that the request names ({_MAC})")
    )


def _mac_verify(version: Version) -> Iterator[Step]:
    del version
    yield from _mac_key()
    yield (
        Step(
            _OP.MAC_VERIFY,
            crypto.MACVerifyRequest(
                unique_identifier=uid(0),
                cryptographic_parameters=_SHA_512,
                data=HI,
                mac_data=_HI_512,
            ),
            crypto.MACVerifyResponse(
                unique_identifier=uid(0), validity_indicator=ValidityIndicator.VALID
            ),
        )
        .needing(_OTHER_MAC)
        .claiming(f"a code is verified by the method that the request names ({_MAC_VERIFY})")
    )


# --- keys and certificates -------------------------------------------------------------------------


def _export_format(version: Version) -> Iterator[Step]:
    del version
    yield register(_Type.SYMMETRIC_KEY)
    how = Refused(
        (R.KEY_FORMAT_TYPE_NOT_SUPPORTED,), (R.KEY_FORMAT_TYPE_NOT_SUPPORTED, R.INVALID_FIELD)
    )
    request = ExportRequest(unique_identifier=uid(0), key_format_type=KeyFormatType.X_509)
    yield Step(_OP.EXPORT, request, how).claiming(
        f"a format that the key cannot have is refused ({_EXPORT}; KMIP 1.4 §11.41)"
    )


def _wrapped_object(version: Version) -> Iterator[Step]:
    """The keys 0, which wraps, and 1, which is registered as wrapped by it."""
    del version
    yield from wrapping_key()
    step = register(_Type.SYMMETRIC_KEY, 1, value=wrapped_block(aes_key_wrap(_KEK, _KEY), RAW))
    assert isinstance(step.response, RegisterResponse)
    yield step.needing("wrapped keys in Register")


_KEK = bytes(range(16))
_KEY = bytes(range(64, 80))
"""No other case has this key, because a server may protect all copies of a key alike."""


def _get_wrap_type(version: Version) -> Iterator[Step]:
    yield from _wrapped_object(version)
    yield (
        fetch(
            _Type.SYMMETRIC_KEY,
            SymmetricKey(key_block=block(_KEY)),
            1,
            key_wrap_type=KeyWrapType.NOT_WRAPPED,
        )
        .needing("Get of a wrapped key without its wrapping")
        .claiming(f"with Not Wrapped, a wrapped key is returned in the clear ({_WRAP_TYPE})")
    )


def _export(value: SymmetricKey, **fields: Any) -> Step:
    return Step(
        _OP.EXPORT,
        ExportRequest(unique_identifier=uid(1), **fields),
        ExportResponse(
            object_type=_Type.SYMMETRIC_KEY,
            unique_identifier=uid(1),
            attributes=Attributes.of((Tag.STATE, State.PRE_ACTIVE)),
            object=value,
        ),
    )


def _export_wrap_type(version: Version) -> Iterator[Step]:
    yield from _wrapped_object(version)
    yield (
        _export(SymmetricKey(key_block=block(_KEY)), key_wrap_type=KeyWrapType.NOT_WRAPPED)
        .needing("Export of a wrapped key without its wrapping")
        .claiming(f"with Not Wrapped, a wrapped key is exported in the clear ({_EXPORT})")
    )


def _export_wrapped(version: Version) -> Iterator[Step]:
    del version
    yield from wrapping_key()
    yield register(_Type.SYMMETRIC_KEY, 1, value=SymmetricKey(key_block=block(_KEY)))
    yield (
        _export(
            wrapped_block(aes_key_wrap(_KEK, _KEY), RAW),
            key_wrapping_specification=specification_for(RAW),
        )
        .needing("wrapping with AES Key Wrap in Export")
        .claiming(f"a key is exported as the Key Wrapping Specification says ({_EXPORT})")
    )


Pair = tuple[AttributeKey, Any]
_CONTACT: Pair = (Tag.CONTACT_INFORMATION, "KIT")
_PARTS = {"common": (2, 3), "private_key": (2,), "public_key": (3,)}
"""The attributes of Re-key Key Pair, and the keys of the new pair that have them."""


def _re_key_pair(part: str, version: Version) -> Iterator[Step]:
    del version
    yield create_pair(_Mask.SIGN, _Mask.VERIFY)
    yield Step(
        _OP.RE_KEY_KEY_PAIR,
        rekey.ReKeyKeyPairRequest(
            private_key_unique_identifier=uid(0),
            **{f"{part}_attributes": Attributes.of(_CONTACT)},  # type: ignore[arg-type]  # by name
        ),
        rekey.ReKeyKeyPairResponse(
            private_key_unique_identifier=uid(2), public_key_unique_identifier=uid(3)
        ),
    ).needing("Contact Information in Re-key Key Pair")
    for number in (2, 3):
        found = [_CONTACT] if number in _PARTS[part] else []
        yield read(Tag.CONTACT_INFORMATION, found=found, number=number).claiming(
            f"a new pair has the attributes of the request ({_RE_KEY_PAIR})"
        )


def _joined_secret(version: Version) -> Iterator[Step]:
    yield register(_Type.SYMMETRIC_KEY)
    yield split_in_parts(version).needing("Polynomial Sharing GF(2^16)")
    join = join_parts(1, 2)
    request: Any = join.request
    yield replace(
        join,
        request=request.replace(
            object_type=_Type.SECRET_DATA, secret_data_type=SecretDataType.SEED
        ),
    ).needing("Secret Data in Join Split Key")
    secret = SecretData(
        secret_data_type=SecretDataType.SEED,
        key_block=block(KEY, KeyFormatType.RAW, None),
    )
    yield (
        fetch(_Type.SECRET_DATA, secret, 9, key_format_type=KeyFormatType.RAW)
        .needing("Secret Data in the format Raw")
        .claiming(f"the joined object has the Secret Data Type of the request ({_JOIN})")
    )


@cache
def _request(name: str) -> bytes:
    """A certificate request for the key of this suite; RSA signatures are the same each time."""
    key: Any = load_der_private_key(PRIVATE_KEY, None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return signed.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


_REQUESTED: dict[str, Any] = {
    "certificate_request_type": CertificateRequestType.PKCS_10,
    "certificate_request": _request("kmipkit suite request"),
}


def _subject(number: int, claim: str) -> Step:
    """The certificate exists; which names it has is up to the authority."""
    found: list[Pair] = [
        (Tag.OBJECT_TYPE, _Type.CERTIFICATE),
        (Tag.CERTIFICATE_TYPE, CertificateType.X_509),
    ]
    return read(Tag.OBJECT_TYPE, Tag.CERTIFICATE_TYPE, found=found, number=number).claiming(claim)


def _certify_request(version: Version) -> Iterator[Step]:
    del version
    request: Structure = certify.CertifyRequest(**_REQUESTED)
    claim = f"a certificate is made from a Certificate Request alone ({_CERTIFY})"
    yield Step(_OP.CERTIFY, request, certify.CertifyResponse(unique_identifier=uid(2))).claiming(
        claim
    )
    yield _subject(2, claim)


def _re_certify_attributes(version: Version) -> Iterator[Step]:
    del version
    step = re_certify()
    request: Any = step.request
    yield from certified()
    yield replace(step, request=request.replace(attributes=Attributes.of(_CONTACT))).needing(
        "Contact Information in Re-certify"
    )
    yield read(Tag.CONTACT_INFORMATION, found=[_CONTACT], number=3).claiming(
        f"the new certificate has the attributes of the request ({_RE_CERTIFY})"
    )


_HOUR = 3600


def _re_certify_offset(version: Version) -> Iterator[Step]:
    del version
    pair, certify_key = certified()
    given: Any = certify_key.request
    attributes = Attributes.of(
        (Tag.CERTIFICATE_TYPE, CertificateType.X_509),
        (Tag.ACTIVATION_DATE, NOW + timedelta(days=30)),
    )
    yield pair
    yield replace(certify_key, request=given.replace(attributes=attributes)).needing(
        "an Activation Date in Certify"
    )
    step = re_certify()
    request: Any = step.request
    yield replace(step, request=request.replace(offset=_HOUR))
    date = (Tag.ACTIVATION_DATE, NOW + timedelta(seconds=_HOUR))
    yield read(Tag.ACTIVATION_DATE, found=[date], number=3).claiming(
        f"an Offset is the time from the Initial Date to the Activation Date ({_RE_CERTIFY})"
    )


_OLD, _NEW = (V1_4,), (V2_1,)
_ROWS: tuple[tuple[Any, ...], ...] = (
    ("LOCATE-UNKNOWN", "Locate by an attribute that does not exist (KMIP 1.4 §11.10).", _locate_unknown, _OLD),
    ("IMPORT-MISMATCH", "Import as another Object Type (KMIP 2.1 §6.1.25).", _import_other_type, _NEW),
    ("EXPORT-ATTRIBUTES", f"The attributes of an Export ({_EXPORT}).", _export_attributes),
    ("EXPORT-FORMAT", f"Export in a format that the key cannot have ({_EXPORT}).", _export_format),
    ("EXPORT-WRAP-TYPE", f"Export of a wrapped key in the clear ({_EXPORT}).", _export_wrap_type),
    ("EXPORT-WRAPPED", f"Export of a key that is to be wrapped ({_EXPORT}).", _export_wrapped),
    ("GET-WRAP-TYPE", f"Get of a wrapped key in the clear ({_WRAP_TYPE}).", _get_wrap_type),
    ("VALIDATE-VALUE", f"Validate with a certificate in the request ({_VALIDATE}).", _validate_value),
    ("CRYPTO-ENCRYPT-ADDITIONAL", f"Additional data of Encrypt ({_ENCRYPT}).", _authenticated),
    ("CRYPTO-ENCRYPT-RANDOM-IV", f"Encrypt with Random IV ({_ENCRYPT}).", _random_iv),
    ("CRYPTO-MAC-PARAMETERS", f"MAC with Cryptographic Parameters ({_MAC}).", _mac),
    ("CRYPTO-MAC-VERIFY-PARAMETERS", f"MAC Verify with Cryptographic Parameters ({_MAC_VERIFY}).", _mac_verify),
    *(
        (
            f"RE-KEY-PAIR-{part.split('_')[0].upper()}",
            f"Attributes in Re-key Key Pair ({_RE_KEY_PAIR}).",
            partial(_re_key_pair, part),
        )
        for part in _PARTS
    ),
    ("JOIN-SECRET-DATA", f"Join Split Key to Secret Data ({_JOIN}).", _joined_secret),
    ("CERTIFY-REQUEST", f"Certify with a Certificate Request ({_CERTIFY}).", _certify_request),
    ("RE-CERTIFY-OFFSET", f"Re-certify with an Offset ({_RE_CERTIFY}).", _re_certify_offset),
    ("RE-CERTIFY-ATTRIBUTES", f"Attributes in Re-certify ({_RE_CERTIFY}).", _re_certify_attributes),
)  # fmt: skip

CASES: tuple[Case, ...] = tuple(rule(*row) for row in _ROWS)
