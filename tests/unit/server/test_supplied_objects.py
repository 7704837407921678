"""Objects that clients supply: Register and Import compare them with what the client says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from kmipkit_client import calls
from laboratory import Laboratory, reasons
from malformed_certificates import MALFORMED, certificate, x_509

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentRSAPublicKey
from kmipkit.model.objects import OBJECT_TYPE_OF, ManagedObject, PrivateKey, PublicKey, SymmetricKey
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CryptographicAlgorithm,
    KeyFormatType,
    Operation,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_0, V2_1, V3_0, VERSIONS, Version

A, F = CryptographicAlgorithm, KeyFormatType
USAGE = CryptographicUsageMask.VERIFY
RSA_KEY = rsa.generate_private_key(65537, 1024)
PKCS_8 = RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
SPKI = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def block(key_format: KeyFormatType, material: Any, *claims: Any) -> KeyBlock:
    algorithm, length = claims or (None, None)
    return KeyBlock(
        key_format_type=key_format,
        key_value=KeyValue(key_material=material),
        cryptographic_algorithm=algorithm,
        cryptographic_length=length,
    )


FALSE: list[tuple[ManagedObject, dict[Tag, Any]]] = [
    (SymmetricKey(key_block=block(F.RAW, bytes(16), A.AES, 256)), {}),
    (SymmetricKey(key_block=block(F.RAW, b"", A.AES, 128)), {}),
    (SymmetricKey(key_block=block(F.RAW, bytes(16))), {}),
    (SymmetricKey(key_block=block(F.PKCS_1, bytes(16), A.AES, 128)), {}),
    (PublicKey(key_block=block(F.PKCS_8, SPKI, A.RSA, 1024)), {}),
    (PublicKey(key_block=block(F.X_509, SPKI, A.RSA, 2048)), {}),
    (PublicKey(key_block=block(F.X_509, SPKI[:-1], A.RSA, 1024)), {}),
    (PublicKey(key_block=block(F.X_509, SPKI, A.RSA, 0)), {}),
    (PrivateKey(key_block=block(F.PKCS_8, PKCS_8, A.ECDSA, 1024)), {}),
    (PrivateKey(key_block=block(F.PKCS_1, PKCS_8, A.RSA, 1024)), {}),
    (
        PrivateKey(key_block=block(F.PKCS_8, PKCS_8)),
        {Tag.CRYPTOGRAPHIC_ALGORITHM: A.DSA, Tag.CRYPTOGRAPHIC_LENGTH: 1024},
    ),
    (
        x_509(certificate(bytes)),
        {Tag.CRYPTOGRAPHIC_ALGORITHM: A.RSA, Tag.CRYPTOGRAPHIC_LENGTH: 256},
    ),
    (
        x_509(certificate(bytes)),
        {Tag.CRYPTOGRAPHIC_ALGORITHM: A.ECDSA, Tag.CRYPTOGRAPHIC_LENGTH: 384},
    ),
    (x_509(b""), {Tag.CRYPTOGRAPHIC_ALGORITHM: A.ECDSA, Tag.CRYPTOGRAPHIC_LENGTH: 256}),
    (x_509(certificate(MALFORMED["unknown curve"])), {}),
]


def attributes(values: dict[Tag, Any]) -> Attributes:
    return Attributes(tuple(Attribute(tag, value) for tag, value in values.items()))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_register_refuses_false_claims(laboratory: Laboratory, version: Version) -> None:
    found = laboratory.batch(
        *(calls.register(value, None, None, attributes(claims)) for value, claims in FALSE),
        version=version,
        on_error=BatchErrorContinuationOption.CONTINUE,
    )
    assert reasons(found) == ["INVALID_FIELD"] * len(FALSE)


@pytest.mark.parametrize("version", [V1_4, V2_1, V3_0], ids=str)
def test_import_refuses_false_claims(laboratory: Laboratory, version: Version) -> None:
    requests = [
        ImportRequest(
            unique_identifier=f"imported-{number}",
            object_type=OBJECT_TYPE_OF[type(value)] if version >= V2_0 else None,
            object=value,
            attributes=attributes({Tag.CRYPTOGRAPHIC_USAGE_MASK: USAGE} | claims),
        )
        for number, (value, claims) in enumerate(FALSE)
    ]
    found = laboratory.batch(
        *(calls.raw(Operation.IMPORT, request) for request in requests),
        version=version,
        on_error=BatchErrorContinuationOption.CONTINUE,
    )
    assert reasons(found) == ["INVALID_FIELD"] * len(FALSE)


@pytest.mark.parametrize("version", [V1_0, V1_4, V2_1], ids=str)
def test_a_certificate_that_the_library_cannot_read_is_stored(
    laboratory: Laboratory, version: Version
) -> None:
    for change, claims in (
        ("unsupported alternative name", {}),
        ("unknown curve", {Tag.CRYPTOGRAPHIC_ALGORITHM: A.ECDSA, Tag.CRYPTOGRAPHIC_LENGTH: 239}),
    ):
        value = x_509(certificate(MALFORMED[change]))
        made = laboratory.ask(
            calls.register(value, None, None, attributes(claims)), version=version
        )
        assert laboratory.ask(calls.get(made, None, None, None), version=version) == value
        shown = laboratory.ask(calls.get_attributes(made, ()), version=version)
        assert shown.get(Tag.CRYPTOGRAPHIC_ALGORITHM) == A.ECDSA
        assert shown.get(Tag.CRYPTOGRAPHIC_LENGTH) == (239 if claims else 256)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_modulus_without_leading_zero(laboratory: Laboratory, version: Version) -> None:
    modulus = RSA_KEY.public_key().public_numbers().n
    key = TransparentRSAPublicKey(modulus=modulus - (1 << 1024), public_exponent=65537)
    value = PublicKey(key_block=block(F.TRANSPARENT_RSA_PUBLIC_KEY, key))
    made = laboratory.ask(calls.register(value, None, None, None), version=version)
    assert laboratory.ask(calls.get(made, None, None, None), version=version) == value
    converted = laboratory.ask(calls.get(made, F.X_509, None, None), version=version)
    assert converted.key_block.key_value.key_material == SPKI
    shown = laboratory.ask(calls.get_attributes(made, ()), version=version)
    assert shown.get(Tag.CRYPTOGRAPHIC_LENGTH) == 1024
