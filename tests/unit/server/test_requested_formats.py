"""The Key Format Type that a client requests is honoured or refused (KMIP 2.1 §4.26, §4.21)."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, symmetric_key
from kmipkit_client.calls import Call
from laboratory import Laboratory, reasons
from malformed_certificates import certificate, x_509

from kmipkit.keys.claims import FORMATS
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicDomainParameters, CryptographicParameters
from kmipkit.model.codec import to_tree
from kmipkit.model.payloads.create import (
    CreateKeyPairRequest,
    CreateRequest,
    CreateSplitKeyRequest,
)
from kmipkit.model.payloads.rekey import DerivationParameters, DeriveKeyRequest, ReKeyRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    KeyFormatType,
    ObjectType,
    Operation,
    RecommendedCurve,
    SplitKeyMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version
from kmipkit.ttlv import binary

A, F, T = CryptographicAlgorithm, KeyFormatType, ObjectType
MASK = CryptographicUsageMask


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def attributes(**values: Any) -> Attributes:
    return Attributes(
        tuple(Attribute(Tag[name], value) for name, value in values.items() if value is not None)
    )


def _create(key_format: KeyFormatType) -> Call[Any]:
    wanted = attributes(
        CRYPTOGRAPHIC_ALGORITHM=A.AES, CRYPTOGRAPHIC_LENGTH=128, KEY_FORMAT_TYPE=key_format
    )
    return calls.raw(
        Operation.CREATE, CreateRequest(object_type=T.SYMMETRIC_KEY, attributes=wanted)
    )


def _create_secret(key_format: KeyFormatType) -> Call[Any]:
    wanted = attributes(CRYPTOGRAPHIC_LENGTH=128, KEY_FORMAT_TYPE=key_format)
    return calls.raw(Operation.CREATE, CreateRequest(object_type=T.SECRET_DATA, attributes=wanted))


def _split(key_format: KeyFormatType) -> Call[Any]:
    wanted = attributes(
        CRYPTOGRAPHIC_ALGORITHM=A.AES, CRYPTOGRAPHIC_LENGTH=128, KEY_FORMAT_TYPE=key_format
    )
    request = CreateSplitKeyRequest(
        object_type=T.SPLIT_KEY,
        split_key_parts=2,
        split_key_threshold=2,
        split_key_method=SplitKeyMethod.XOR,
        attributes=wanted,
    )
    return calls.raw(Operation.CREATE_SPLIT_KEY, request)


REQUESTS: dict[str, Callable[[KeyFormatType], Call[Any]]] = {
    "Create a key": _create,
    "Create a secret": _create_secret,
    "Create Split Key": _split,
}
_SYMMETRIC = {F.RAW, F.OPAQUE, F.TRANSPARENT_SYMMETRIC_KEY}


def identifier_of(payload: Any) -> str:
    several = getattr(payload, "unique_identifiers", None)
    return str(several[0] if several else payload.unique_identifier)


@pytest.mark.parametrize("key_format", [each for each in F if each.known_in(V2_1)])
@pytest.mark.parametrize("name", REQUESTS)
def test_symmetric_objects(laboratory: Laboratory, name: str, key_format: KeyFormatType) -> None:
    call = REQUESTS[name](key_format)
    if key_format not in _SYMMETRIC:
        assert reasons(laboratory.batch(call)) == ["KEY_FORMAT_TYPE_NOT_SUPPORTED"]
        return
    made = identifier_of(laboratory.ask(call))
    value = laboratory.ask(calls.get(made, None, None, None))
    assert value.key_block.key_format_type is key_format
    shown = laboratory.ask(calls.get_attributes(made, ()))
    assert shown.get(Tag.KEY_FORMAT_TYPE) is key_format
    verify_digests(laboratory, made)


def test_derived_and_replacing_keys(laboratory: Laboratory) -> None:
    base = laboratory.ask(calls.register(symmetric_key(bytes(16)), MASK.DERIVE_KEY, None, None))
    laboratory.ask(calls.activate(base))
    for key_format in (F.TRANSPARENT_SYMMETRIC_KEY, F.PKCS_8):
        wanted = attributes(
            CRYPTOGRAPHIC_ALGORITHM=A.AES,
            CRYPTOGRAPHIC_LENGTH=128,
            CRYPTOGRAPHIC_USAGE_MASK=MASK.ENCRYPT,
            KEY_FORMAT_TYPE=key_format,
        )
        derive = DeriveKeyRequest(
            object_type=T.SYMMETRIC_KEY,
            unique_identifiers=(base,),
            derivation_method=DerivationMethod.HMAC,
            derivation_parameters=DerivationParameters(
                cryptographic_parameters=CryptographicParameters(
                    hashing_algorithm=HashingAlgorithm.SHA_256
                ),
                derivation_data=(b"data",),
            ),
            attributes=wanted,
        )
        replace = ReKeyRequest(
            unique_identifier=base, attributes=attributes(KEY_FORMAT_TYPE=key_format)
        )
        for call in (
            calls.raw(Operation.DERIVE_KEY, derive),
            calls.raw(Operation.RE_KEY, replace),
        ):
            if key_format is F.PKCS_8:
                assert reasons(laboratory.batch(call)) != [""]
                continue
            made = laboratory.ask(call).unique_identifier
            value = laboratory.ask(calls.get(made, None, None, None))
            assert value.key_block.key_format_type is key_format


def pair(
    algorithm: CryptographicAlgorithm,
    private: KeyFormatType | None = None,
    public: KeyFormatType | None = None,
) -> Call[Any]:
    curve = CryptographicDomainParameters(recommended_curve=RecommendedCurve.P_256)
    common = attributes(
        CRYPTOGRAPHIC_ALGORITHM=algorithm,
        CRYPTOGRAPHIC_LENGTH=1024 if algorithm in (A.RSA, A.DSA) else None,
        CRYPTOGRAPHIC_DOMAIN_PARAMETERS=curve if algorithm is A.ECDSA else None,
    )
    return calls.raw(
        Operation.CREATE_KEY_PAIR,
        CreateKeyPairRequest(
            common_attributes=common,
            private_key_attributes=attributes(
                CRYPTOGRAPHIC_USAGE_MASK=MASK.SIGN, KEY_FORMAT_TYPE=private
            ),
            public_key_attributes=attributes(
                CRYPTOGRAPHIC_USAGE_MASK=MASK.VERIFY, KEY_FORMAT_TYPE=public
            ),
        ),
    )


@pytest.mark.parametrize(
    ("algorithm", "version", "private", "public"),
    [
        (A.RSA, V1_4, F.PKCS_1, F.PKCS_1),
        (A.RSA, V2_1, F.PKCS_1, F.PKCS_1),
        (A.ECDSA, V1_4, F.ECPRIVATEKEY, F.X_509),
        (A.ECDSA, V2_0, F.TRANSPARENT_EC_PRIVATE_KEY, F.TRANSPARENT_EC_PUBLIC_KEY),
        (A.ECDSA, V2_1, F.TRANSPARENT_EC_PRIVATE_KEY, F.TRANSPARENT_EC_PUBLIC_KEY),
        (A.DSA, V2_1, F.TRANSPARENT_DSA_PRIVATE_KEY, F.TRANSPARENT_DSA_PUBLIC_KEY),
        (A.ED25519, V2_1, F.PKCS_8, F.X_509),
    ],
)
def test_default_formats_of_pairs(
    laboratory: Laboratory,
    algorithm: CryptographicAlgorithm,
    version: Version,
    private: KeyFormatType,
    public: KeyFormatType,
) -> None:
    made = laboratory.ask(pair(algorithm), version)
    for identifier, expected in (
        (made.private_key_unique_identifier, private),
        (made.public_key_unique_identifier, public),
    ):
        value = laboratory.ask(calls.get(identifier, None, None, None), version)
        assert value.key_block.key_format_type is expected
        verify_digests(laboratory, identifier)


@pytest.mark.parametrize("algorithm", [A.RSA, A.ECDSA, A.ED25519])
def test_requested_formats_of_pairs(
    laboratory: Laboratory, algorithm: CryptographicAlgorithm
) -> None:
    honoured = set()
    for private in sorted(FORMATS[T.PRIVATE_KEY]):
        if not private.known_in(V2_1):
            continue
        [result] = laboratory.batch(pair(algorithm, private))
        if isinstance(result, OperationFailed):
            assert result.reason is not None
            assert result.reason.name == "KEY_FORMAT_TYPE_NOT_SUPPORTED"
            continue
        honoured.add(private)
        identifier = result.private_key_unique_identifier
        value = laboratory.ask(calls.get(identifier, None, None, None))
        assert value.key_block.key_format_type is private
        verify_digests(laboratory, identifier)
    assert (
        honoured
        == {
            A.RSA: {F.PKCS_1, F.PKCS_8, F.TRANSPARENT_RSA_PRIVATE_KEY},
            A.ECDSA: {F.PKCS_8, F.ECPRIVATEKEY, F.TRANSPARENT_EC_PRIVATE_KEY},
            A.ED25519: {F.RAW, F.PKCS_8},
        }[algorithm]
    )


def verify_digests(laboratory: Laboratory, identifier: str) -> None:
    """There is a digest of the stored format, and one of the default format; all are right."""
    shown = laboratory.ask(calls.get_attributes(identifier, (Tag.DIGEST, Tag.KEY_FORMAT_TYPE)))
    digests = {each.key_format_type: each.digest_value for each in shown.all(Tag.DIGEST)}
    assert shown.get(Tag.DIGEST).key_format_type is shown.get(Tag.KEY_FORMAT_TYPE)
    assert len(digests) == len(shown.all(Tag.DIGEST))
    for key_format, value in digests.items():
        block = laboratory.ask(calls.get(identifier, key_format, None, None)).key_block
        material = block.key_value.key_material
        if not isinstance(material, bytes):
            material = binary.encode(to_tree(material, V2_1, tag=Tag.KEY_MATERIAL))
        assert sha256(material).digest() == value
    if shown.get(Tag.KEY_FORMAT_TYPE) in (F.PKCS_8, F.ECPRIVATEKEY, F.TRANSPARENT_SYMMETRIC_KEY):
        edwards = laboratory.ask(calls.get_attributes(identifier, ())).get(
            Tag.CRYPTOGRAPHIC_ALGORITHM
        )
        assert edwards is A.ED25519 or len(digests) > 1


def test_secret_data(laboratory: Laboratory) -> None:
    """Raw by default (KMIP 2.1 §4.26); Opaque in the official cases of 1.4 and 2.0."""
    request = CreateRequest(
        object_type=T.SECRET_DATA, attributes=attributes(CRYPTOGRAPHIC_LENGTH=64)
    )
    for version, expected in ((V1_4, F.OPAQUE), (V2_0, F.OPAQUE), (V2_1, F.RAW)):
        made = laboratory.ask(calls.raw(Operation.CREATE, request), version).unique_identifier
        value = laboratory.ask(calls.get(made, None, None, None), version)
        assert value.key_block.key_format_type is expected


def test_register_and_get(laboratory: Laboratory) -> None:
    key, value = symmetric_key(bytes(16)), x_509(certificate(bytes))
    wrong = attributes(KEY_FORMAT_TYPE=F.OPAQUE)
    for thing in (key, value):
        call = calls.register(thing, None, None, wrong)
        assert reasons(laboratory.batch(call)) == ["INVALID_FIELD"]
    made = laboratory.ask(calls.register(value, None, None, attributes(KEY_FORMAT_TYPE=F.X_509)))
    assert laboratory.ask(calls.get(made, F.X_509, None, None)) == value
    assert reasons(laboratory.batch(calls.get(made, F.RAW, None, None))) == [
        "KEY_FORMAT_TYPE_NOT_SUPPORTED"
    ]


def test_a_length_of_zero_is_none(laboratory: Laboratory) -> None:
    """It does not stand for the default length."""
    for algorithm in (A.RSA, A.DSA, A.ECDSA):
        request = CreateKeyPairRequest(
            common_attributes=attributes(CRYPTOGRAPHIC_ALGORITHM=algorithm, CRYPTOGRAPHIC_LENGTH=0)
        )
        call = calls.raw(Operation.CREATE_KEY_PAIR, request)
        assert reasons(laboratory.batch(call)) == ["INVALID_FIELD"]
