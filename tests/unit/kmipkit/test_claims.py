"""Claims about supplied objects: what is true is accepted, everything else refused or not visible."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from kmipkit.errors import OperationError
from kmipkit.keys import formats, transparent
from kmipkit.keys.claims import FORMATS, check_claims
from kmipkit.keys.contents import read
from kmipkit.keys.generate import LENGTHS
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingData,
    TransparentECPublicKey,
    TransparentRSAPublicKey,
    TransparentSymmetricKey,
)
from kmipkit.model.objects import (
    CLASS_OF_TYPE,
    CertificateRequest,
    PGPKey,
    PrivateKey,
    PublicKey,
    SecretData,
    SplitKey,
    SymmetricKey,
)
from kmipkit.spec.enums import (
    CertificateRequestType,
    CryptographicAlgorithm,
    EncodingOption,
    KeyCompressionType,
    KeyFormatType,
    ObjectType,
    RecommendedCurve,
    ResultReason,
    SecretDataType,
    SplitKeyMethod,
    WrappingMethod,
)
from kmipkit.spec.tags import Tag

A, F, T = CryptographicAlgorithm, KeyFormatType, ObjectType


def block(
    key_format: KeyFormatType,
    material: Any,
    algorithm: CryptographicAlgorithm | None = None,
    length: int | None = None,
    **more: Any,
) -> KeyBlock:
    return KeyBlock(
        key_format_type=key_format,
        key_value=KeyValue(key_material=material),
        cryptographic_algorithm=algorithm,
        cryptographic_length=length,
        **more,
    )


def refusal(value: Any, *claims: Any) -> ResultReason:
    with pytest.raises(OperationError) as caught:
        check_claims(value, *claims)
    return caught.value.reason


NAMES = ["RSA", "P-256", "P-521", "secp256k1", "DSA", "Ed25519", "Ed448", "X25519", "X448"]


@cache
def library_keys() -> dict[str, tuple[Any, CryptographicAlgorithm, int]]:
    return {
        "RSA": (rsa.generate_private_key(65537, 1024), A.RSA, 1024),
        "P-256": (ec.generate_private_key(ec.SECP256R1()), A.ECDSA, 256),
        "P-521": (ec.generate_private_key(ec.SECP521R1()), A.EC, 521),
        "secp256k1": (ec.generate_private_key(ec.SECP256K1()), A.ECDH, 256),
        "DSA": (dsa.generate_private_key(1024), A.DSA, 1024),
        "Ed25519": (ed25519.Ed25519PrivateKey.generate(), A.ED25519, 256),
        "Ed448": (ed448.Ed448PrivateKey.generate(), A.ED448, 456),
        "X25519": (x25519.X25519PrivateKey.generate(), A.ECDH, 256),
        "X448": (x448.X448PrivateKey.generate(), A.ECDH, 448),
    }


def forms(name: str) -> Iterator[tuple[type, KeyFormatType, Any]]:
    """The key in all formats that can express it, private and public."""
    key = library_keys()[name][0]
    for cls, half, dump in (
        (PrivateKey, key, formats.dump_private_key),
        (PublicKey, key.public_key(), formats.dump_public_key),
    ):
        object_type = T.PRIVATE_KEY if cls is PrivateKey else T.PUBLIC_KEY
        for key_format in sorted(FORMATS[object_type] - {F.OPAQUE, F.PKCS_12}):
            try:
                if key_format in transparent.FORMATS:
                    yield cls, key_format, transparent.dump(half, key_format)
                # Raw bytes with the algorithm ECDH may be on any curve.
                elif key_format is not F.RAW or not name.startswith("X"):
                    yield cls, key_format, dump(half, key_format)
            except OperationError:
                continue


@pytest.mark.parametrize("name", NAMES)
def test_true_claims_are_accepted_in_every_format(name: str) -> None:
    _, algorithm, length = library_keys()[name]
    made = list(forms(name))
    assert made
    for cls, key_format, material in made:
        check_claims(cls(key_block=block(key_format, material, algorithm, length)))
        check_claims(cls(key_block=block(key_format, material)), algorithm, length)
        if key_format is not F.RAW:
            check_claims(cls(key_block=block(key_format, material)))


@pytest.mark.parametrize("name", NAMES)
def test_false_claims_are_refused_in_every_format(name: str) -> None:
    _, algorithm, length = library_keys()[name]
    other = A.RSA if algorithm is not A.RSA else A.ECDSA
    for cls, key_format, material in forms(name):
        claims = [(algorithm, 2 * length), (algorithm, length - 9), (algorithm, 0), (algorithm, -1)]
        if key_format is not F.RAW:
            claims += [(other, length), (A.AES, length)]
        for claim in claims:
            value = cls(key_block=block(key_format, material, *claim))
            assert refusal(value) is ResultReason.INVALID_FIELD, (key_format, claim)
            value = cls(key_block=block(key_format, material))
            assert refusal(value, *claim) is ResultReason.INVALID_FIELD


@pytest.mark.parametrize("name", NAMES)
def test_damaged_material_is_refused_in_every_format(name: str) -> None:
    _, algorithm, length = library_keys()[name]
    for cls, key_format, material in forms(name):
        if not isinstance(material, bytes):
            continue
        for damaged in (b"", material[:-1], material + b"\0", material[1:], b"garbage"):
            value = cls(key_block=block(key_format, damaged, algorithm, length))
            assert refusal(value) is ResultReason.INVALID_FIELD, (key_format, damaged)


@given(
    st.sampled_from([T.PRIVATE_KEY, T.PUBLIC_KEY]),
    st.sampled_from([F.PKCS_1, F.PKCS_8, F.X_509, F.ECPRIVATEKEY, F.PKCS_12]),
    st.binary(max_size=60),
)
def test_random_bytes_are_no_key(
    object_type: ObjectType, key_format: KeyFormatType, data: bytes
) -> None:
    value: Any = CLASS_OF_TYPE[object_type](key_block=block(key_format, data))
    assert refusal(value) is ResultReason.INVALID_FIELD


@pytest.mark.parametrize("object_type", FORMATS)
@pytest.mark.parametrize("key_format", F)
def test_a_format_of_another_object_type_is_refused(
    object_type: ObjectType, key_format: KeyFormatType
) -> None:
    if key_format in FORMATS[object_type]:
        return
    key_block = block(key_format, bytes(16), A.AES, 128)
    assert refusal(of_type(object_type, key_block)) is ResultReason.INVALID_FIELD


def of_type(object_type: ObjectType, key_block: KeyBlock) -> Any:
    if object_type is T.SPLIT_KEY:
        return split_key(key_block=key_block)
    if object_type is T.SECRET_DATA:
        return SecretData(secret_data_type=SecretDataType.PASSWORD, key_block=key_block)
    if object_type is T.PGP_KEY:
        return PGPKey(pgp_key_version=4, key_block=key_block)
    return CLASS_OF_TYPE[object_type](key_block=key_block)  # type: ignore[call-arg]  # of keys


def split_key(**fields: Any) -> SplitKey:
    values: dict[str, Any] = {
        "split_key_parts": 3,
        "key_part_identifier": 1,
        "split_key_threshold": 2,
        "split_key_method": SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8,
        "key_block": block(F.RAW, bytes(16), A.AES, 128),
    }
    return SplitKey(**values | fields)


@given(st.integers(-2, 6), st.integers(-2, 6), st.integers(-2, 6), st.sampled_from(SplitKeyMethod))
def test_numbers_of_split_keys(
    parts: int, part: int, threshold: int, method: SplitKeyMethod
) -> None:
    prime_field = method is SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD
    value = split_key(
        split_key_parts=parts,
        key_part_identifier=part,
        split_key_threshold=threshold,
        split_key_method=method,
        prime_field_size=257 if prime_field else None,
    )
    is_valid = 1 <= part <= parts and 1 <= threshold <= parts
    if is_valid and (method is not SplitKeyMethod.XOR or threshold == parts):
        check_claims(value)
        if prime_field:
            assert refusal(value.replace(prime_field_size=None)) is ResultReason.INVALID_FIELD
    else:
        assert refusal(value) is ResultReason.INVALID_FIELD


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_symmetric_lengths(algorithm: CryptographicAlgorithm) -> None:
    parity = {A.DES: {56: 8, 64: 8}, A.DES3: {112: 16, 128: 16, 168: 24, 192: 24}}
    for length in list(LENGTHS[algorithm])[:4]:
        size = parity.get(algorithm, {}).get(length, length // 8)
        for key_format, material in (
            (F.RAW, bytes(size)),
            (F.TRANSPARENT_SYMMETRIC_KEY, TransparentSymmetricKey(key=bytes(size))),
        ):
            value = SymmetricKey(key_block=block(key_format, material, algorithm, length))
            check_claims(value)
            for wrong in (length + 8, length - 8, 0):
                if wrong in parity.get(algorithm, {}):
                    continue
                changed = block(key_format, material, algorithm, wrong)
                assert refusal(SymmetricKey(key_block=changed)) is ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    "key_block",
    [
        block(F.RAW, b"", A.AES, 128),
        block(F.OPAQUE, b"", A.AES, 128),
        block(F.TRANSPARENT_SYMMETRIC_KEY, TransparentSymmetricKey(key=b""), A.AES, 128),
        block(F.RAW, bytes(15), A.AES, 120),
        block(F.RAW, bytes(16)),
        block(F.RAW, bytes(16), A.AES),
        block(F.RAW, bytes(16), None, 128),
        block(F.RAW, TransparentSymmetricKey(key=bytes(16)), A.AES, 128),
        block(F.TRANSPARENT_SYMMETRIC_KEY, bytes(16), A.AES, 128),
        KeyBlock(
            key_format_type=F.RAW,
            key_value=bytes(24),
            cryptographic_algorithm=A.AES,
            cryptographic_length=128,
        ),
        block(
            F.RAW,
            bytes(16),
            A.AES,
            128,
            key_wrapping_data=KeyWrappingData(wrapping_method=WrappingMethod.ENCRYPT),
        ),
    ],
)
def test_symmetric_keys_that_are_refused(key_block: KeyBlock) -> None:
    assert refusal(SymmetricKey(key_block=key_block)) is ResultReason.INVALID_FIELD


def test_attributes_in_a_key_value_without_encoding() -> None:
    data = KeyWrappingData(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(unique_identifier="kek"),
        encoding_option=EncodingOption.NO_ENCODING,
    )
    value = KeyValue(
        key_material=bytes(24),
        attributes=Attributes((Attribute(Tag.CRYPTOGRAPHIC_LENGTH, 128),)),
    )
    key_block = block(F.RAW, b"", A.AES, 128, key_wrapping_data=data).replace(key_value=value)
    assert refusal(SymmetricKey(key_block=key_block)) is ResultReason.ENCODING_OPTION_ERROR


def test_a_wrapped_key_and_a_key_without_value_are_not_visible() -> None:
    data = KeyWrappingData(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(unique_identifier="kek"),
    )
    wrapped = block(F.RAW, b"", A.AES, 256, key_wrapping_data=data)
    check_claims(SymmetricKey(key_block=wrapped.replace(key_value=bytes(24))))
    check_claims(SymmetricKey(key_block=block(F.RAW, b"", A.AES, 256).replace(key_value=None)))


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


ML_DSA_44 = der(0x06, bytes.fromhex("60864801650304 0311".replace(" ", "")))
GOST = der(0x06, bytes.fromhex("2a85030701010101"))
VENDOR = der(0x06, bytes.fromhex("2b0601040182370a"))


@pytest.mark.parametrize(
    ("identifier", "algorithm", "length"),
    [(ML_DSA_44, A.ML_DSA_44, 10496), (GOST, A.GOST_R_34_10_2012, 256), (VENDOR, A.MCELIECE, 8192)],
)
def test_a_public_key_that_the_library_lacks_is_stored(
    identifier: bytes, algorithm: CryptographicAlgorithm, length: int
) -> None:
    data = der(0x30, der(0x30, identifier), der(0x03, b"\0" + bytes(64)))
    check_claims(PublicKey(key_block=block(F.X_509, data, algorithm, length)))
    if identifier is not VENDOR:
        assert refusal(PublicKey(key_block=block(F.X_509, data, A.RSA, length)))
    if identifier is not GOST:
        assert refusal(PublicKey(key_block=block(F.X_509, data))) is ResultReason.INVALID_FIELD


def test_private_keys_that_the_library_lacks_are_stored() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    check_claims(PrivateKey(key_block=block(F.PKCS_8, encrypted, A.ECDSA, 256)))
    assert refusal(PrivateKey(key_block=block(F.PKCS_8, encrypted)))
    secp160r1 = der(0x06, bytes.fromhex("2b81040008"))
    data = der(0x30, b"\x02\x01\x01", der(0x04, bytes([1] * 21)), der(0xA0, secp160r1))
    check_claims(PrivateKey(key_block=block(F.ECPRIVATEKEY, data)))
    assert refusal(PrivateKey(key_block=block(F.ECPRIVATEKEY, data, A.EC, 192)))
    assert read(data, F.ECPRIVATEKEY, T.PRIVATE_KEY)[:2] == (A.ECDSA, 160)


def test_a_short_rsa_key_is_read_without_the_library() -> None:
    p, q, e = 0xFFFFFFFB, 0xFFFFFFEF, 65537
    n, d = p * q, pow(e, -1, (p - 1) * (q - 1))
    numbers = [0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]

    def encoded(values: list[int]) -> bytes:
        parts = (v.to_bytes(v.bit_length() // 8 + 1, "big", signed=True) for v in values)
        return der(0x30, *(der(0x02, part) for part in parts))

    check_claims(PrivateKey(key_block=block(F.PKCS_1, encoded(numbers), A.RSA, 64)))
    for position in (1, 3, 4, 6, 8):
        wrong = [*numbers[:position], numbers[position] + 2, *numbers[position + 1 :]]
        assert refusal(PrivateKey(key_block=block(F.PKCS_1, encoded(wrong), A.RSA, 64)))


@given(st.integers(2**63 + 1, 2**2048 - 2**1985).map(lambda n: n | 1))
def test_numbers_without_leading_zero_are_unsigned(modulus: int) -> None:
    octets = (modulus.bit_length() + 63) // 64 * 8
    if modulus >> (8 * octets - 64) == 2**64 - 1:
        return  # as a signed number, it would be shorter
    signed = int.from_bytes(modulus.to_bytes(octets, "big"), "big", signed=True)
    key = TransparentRSAPublicKey(modulus=signed, public_exponent=65537)
    assert transparent.unsigned(key).modulus == modulus
    found = read(key, F.TRANSPARENT_RSA_PUBLIC_KEY, T.PUBLIC_KEY)
    assert found.length == modulus.bit_length()


def test_compression_of_points() -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = transparent.dump(point, F.TRANSPARENT_EC_PUBLIC_KEY)
    types = KeyCompressionType
    for compression in types:
        value = PublicKey(
            key_block=block(F.TRANSPARENT_EC_PUBLIC_KEY, key, key_compression_type=compression)
        )
        if compression is types.EC_PUBLIC_KEY_TYPE_UNCOMPRESSED:
            check_claims(value)
        else:
            assert refusal(value) is ResultReason.INVALID_FIELD
    off_curve = TransparentECPublicKey(
        recommended_curve=RecommendedCurve.P_256, q_string=b"\x04" + bytes([1] * 64)
    )
    assert refusal(PublicKey(key_block=block(F.TRANSPARENT_EC_PUBLIC_KEY, off_curve)))


@pytest.mark.parametrize(
    ("request_type", "data"),
    [
        (CertificateRequestType.PKCS_10, b"garbage"),
        (CertificateRequestType.PKCS_10, b""),
        (CertificateRequestType.PEM, b"garbage"),
        (CertificateRequestType.CRMF, b""),
    ],
)
def test_garbage_is_no_certificate_request(
    request_type: CertificateRequestType, data: bytes
) -> None:
    request = CertificateRequest(
        certificate_request_type=request_type, certificate_request_value=data
    )
    assert refusal(request) is ResultReason.INVALID_FIELD
