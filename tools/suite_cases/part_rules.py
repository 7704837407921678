"""Cases of ciphers and signatures in parts, authenticated encryption, and data that the client has hashed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads import crypto
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Operation,
    PaddingMethod,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import Version
from suite_cases.building import Refused, fixed, rule
from suite_cases.cryptography import ABC, HI, HI_CODE, PKCS1
from suite_cases.steps import (
    Case,
    Step,
    activate_object,
    create_pair,
    register_key,
    symbol,
    uid,
)

_OP = Operation
_MASK = CryptographicUsageMask
_CORRELATED = symbol("CORRELATION_VALUE")
_SIGNATURE = symbol("SIGNATURE_DATA")
_ENCRYPT = "KMIP 1.4 §4.29, KMIP 2.1 §6.1.17"
_DECRYPT = "KMIP 1.4 §4.30, KMIP 2.1 §6.1.11"
_MAC = "KMIP 1.4 §4.33, KMIP 2.1 §6.1.32"
_SIGN = "KMIP 1.4 §4.31, KMIP 2.1 §6.1.55"
_VERIFY = "KMIP 1.4 §4.32, KMIP 2.1 §6.1.56"
_STREAMING = "operations in several parts (KMIP 1.4 §4, KMIP 2.1 §6.1)"


@dataclass(frozen=True)
class Cipher:
    """A published example of a cipher."""

    key: bytes
    iv: bytes
    plain: bytes
    secret: bytes
    parameters: CryptographicParameters
    more: bytes | None = None
    """Additional data, which is authenticated only."""
    tag: bytes | None = None


CBC = Cipher(
    bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"),
    bytes(range(16)),
    bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"),
    bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
    CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC,
        padding_method=PaddingMethod.NONE,
        cryptographic_algorithm=CryptographicAlgorithm.AES,
    ),
)
"""NIST SP 800-38A F.2.1, its first two blocks."""

GCM = Cipher(
    bytes.fromhex("feffe9928665731c6d6a8f9467308308"),
    bytes.fromhex("cafebabefacedbaddecaf888"),
    bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    ),
    bytes.fromhex(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
    ),
    CryptographicParameters(
        block_cipher_mode=BlockCipherMode.GCM,
        cryptographic_algorithm=CryptographicAlgorithm.AES,
        tag_length=16,
    ),
    bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    bytes.fromhex("5bc94fbc3221a5db94fae95ae7121a47"),
)
"""Test case 4 of McGrew and Viega, The Galois/Counter Mode of Operation."""


def _key(cipher: Cipher) -> Iterator[Step]:
    yield register_key(0, cipher.key, _MASK.ENCRYPT | _MASK.DECRYPT)
    yield activate_object(0)


def _encrypt(cipher: Cipher, data: bytes, response: Any, **fields: Any) -> Step:
    request = crypto.EncryptRequest(
        unique_identifier=uid(0), cryptographic_parameters=cipher.parameters, data=data, **fields
    )
    return Step(_OP.ENCRYPT, request, response)


def _decrypt(cipher: Cipher, data: bytes, response: Any, **fields: Any) -> Step:
    request = crypto.DecryptRequest(
        unique_identifier=uid(0), cryptographic_parameters=cipher.parameters, data=data, **fields
    )
    return Step(_OP.DECRYPT, request, response)


def _encrypted(data: bytes, **fields: Any) -> crypto.EncryptResponse:
    return crypto.EncryptResponse(unique_identifier=uid(0), data=data, **fields)


def _decrypted(data: bytes, **fields: Any) -> crypto.DecryptResponse:
    return crypto.DecryptResponse(unique_identifier=uid(0), data=data, **fields)


def _encrypt_parts(version: Version) -> Iterator[Step]:
    del version
    claim = f"the encrypted parts are those of the whole ({_ENCRYPT})"
    yield from _key(CBC)
    first = _encrypted(CBC.secret[:16], correlation_value=_CORRELATED)
    part = _encrypt(CBC, CBC.plain[:16], first, iv_counter_nonce=CBC.iv, init_indicator=True)
    yield part.needing(_STREAMING).claiming(claim)
    last = {"correlation_value": _CORRELATED, "final_indicator": True}
    yield _encrypt(CBC, CBC.plain[16:], _encrypted(CBC.secret[16:]), **last).claiming(claim)


def _decrypt_parts(version: Version) -> Iterator[Step]:
    del version
    claim = f"the decrypted parts are those of the whole ({_DECRYPT})"
    yield from _key(CBC)
    first = _decrypted(CBC.plain[:16], correlation_value=_CORRELATED)
    part = _decrypt(CBC, CBC.secret[:16], first, iv_counter_nonce=CBC.iv, init_indicator=True)
    yield part.needing(_STREAMING).claiming(claim)
    last = {"correlation_value": _CORRELATED, "final_indicator": True}
    yield _decrypt(CBC, CBC.secret[16:], _decrypted(CBC.plain[16:]), **last).claiming(claim)


GCM_NEEDED = "AES with GCM (KMIP 1.4 §9.1.3.2.14, KMIP 2.1 §11.5)"
_AUTHENTICATED = {
    "iv_counter_nonce": GCM.iv,
    "authenticated_encryption_additional_data": GCM.more,
}


def _encrypt_authenticated(version: Version) -> Iterator[Step]:
    del version
    yield from _key(GCM)
    response = _encrypted(GCM.secret, authenticated_encryption_tag=GCM.tag)
    yield (
        _encrypt(GCM, GCM.plain, response, **_AUTHENTICATED)
        .needing(GCM_NEEDED)
        .claiming(f"GCM gives the published data and tag ({_ENCRYPT})")
    )


def _decrypt_authenticated(version: Version) -> Iterator[Step]:
    del version
    yield from _key(GCM)
    yield _encrypt(
        GCM,
        GCM.plain,
        _encrypted(GCM.secret, authenticated_encryption_tag=GCM.tag),
        **_AUTHENTICATED,
    ).needing(GCM_NEEDED)
    tag = {"authenticated_encryption_tag": GCM.tag}
    yield _decrypt(GCM, GCM.secret, _decrypted(GCM.plain), **_AUTHENTICATED, **tag).claiming(
        f"GCM gives the published data ({_DECRYPT})"
    )
    wrong = {"authenticated_encryption_tag": bytes(16)}
    yield _decrypt(GCM, GCM.secret, Refused(), **_AUTHENTICATED, **wrong).claiming(
        f"data with a wrong tag are not decrypted ({_DECRYPT})"
    )


def _mac_parts(version: Version) -> Iterator[Step]:
    del version
    claim = f"the code of parts is that of the whole ({_MAC})"
    yield register_key(0, b"\x0b" * 20, _MASK.MAC_GENERATE, CryptographicAlgorithm.HMAC_SHA256)
    yield activate_object(0)

    def part(data: bytes, response: dict[str, Any], **fields: Any) -> Step:
        return Step(
            _OP.MAC,
            crypto.MACRequest(unique_identifier=uid(0), data=data, **fields),
            crypto.MACResponse(unique_identifier=uid(0), **response),
        ).claiming(claim)

    yield part(HI[:3], {"correlation_value": _CORRELATED}, init_indicator=True).needing(_STREAMING)
    last = {"correlation_value": _CORRELATED, "final_indicator": True}
    yield part(HI[3:], {"mac_data": HI_CODE}, **last)


_PAIR = (create_pair(_MASK.SIGN, _MASK.VERIFY), activate_object(0), activate_object(1))


def _sign(response: dict[str, Any], **fields: Any) -> Step:
    return Step(
        _OP.SIGN,
        crypto.SignRequest(unique_identifier=uid(0), cryptographic_parameters=PKCS1, **fields),
        crypto.SignResponse(unique_identifier=uid(0), **response),
    )


def _verify(**fields: Any) -> Step:
    return Step(
        _OP.SIGNATURE_VERIFY,
        crypto.SignatureVerifyRequest(
            unique_identifier=uid(1),
            cryptographic_parameters=PKCS1,
            signature_data=_SIGNATURE,
            **fields,
        ),
        crypto.SignatureVerifyResponse(
            unique_identifier=uid(1), validity_indicator=ValidityIndicator.VALID
        ),
    )


def _sign_parts(version: Version) -> Iterator[Step]:
    del version
    claim = f"the signature of parts is that of the whole ({_SIGN})"
    yield from _PAIR
    yield _sign({"correlation_value": _CORRELATED}, data=b"a", init_indicator=True).needing(
        _STREAMING
    )
    last = {"correlation_value": _CORRELATED, "final_indicator": True}
    yield _sign({"signature_data": _SIGNATURE}, data=b"bc", **last).claiming(claim)
    yield _verify(data=b"abc").claiming(claim)


_DIGESTED = "Digested Data (KMIP 1.4 §4.31, KMIP 2.1 §6.1.55)"

CASES: tuple[Case, ...] = (
    rule("STREAM-ENCRYPT", f"Encrypt in parts ({_ENCRYPT}).", _encrypt_parts),
    rule("STREAM-DECRYPT", f"Decrypt in parts ({_DECRYPT}).", _decrypt_parts),
    rule("STREAM-MAC", f"MAC in parts ({_MAC}).", _mac_parts),
    rule("STREAM-SIGN", f"Sign in parts ({_SIGN}).", _sign_parts),
    rule("CRYPTO-ENCRYPT-GCM", f"Authenticated encryption ({_ENCRYPT}).", _encrypt_authenticated),
    rule("CRYPTO-DECRYPT-GCM", f"Authenticated decryption ({_DECRYPT}).", _decrypt_authenticated),
    rule(
        "CRYPTO-SIGN-DIGESTED",
        f"The signature of data that the client has hashed ({_SIGN}).",
        fixed(
            *_PAIR,
            _sign({"signature_data": _SIGNATURE}, digested_data=ABC).needing(_DIGESTED),
            _verify(data=b"abc").claiming(
                f"the signature of a digest is that of its data ({_SIGN})"
            ),
        ),
    ),
    rule(
        "CRYPTO-VERIFY-DIGESTED",
        f"A signature and data that the client has hashed ({_VERIFY}).",
        fixed(
            *_PAIR,
            _sign({"signature_data": _SIGNATURE}, data=b"abc"),
            _verify(digested_data=ABC)
            .needing(_DIGESTED)
            .claiming(f"a signature is valid for the digest of its data ({_VERIFY})"),
        ),
    ),
)
