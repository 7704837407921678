"""Transparent keys and PKCS #12: the same key in every form that Get can be asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import OperationFailed, calls, crypto_calls
from laboratory import START, Laboratory

from kmipkit.errors import OperationError
from kmipkit.keys import transparent
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import CryptographicParameters, Link
from kmipkit.model.keyblock import (
    KeyBlock,
    KeyValue,
    TransparentECPrivateKey,
    TransparentRSAPrivateKey,
)
from kmipkit.model.objects import Certificate, PrivateKey, PublicKey, SecretData
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    HashingAlgorithm,
    KeyFormatType,
    LinkType,
    RecommendedCurve,
    ResultReason,
    SecretDataType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1

F, A = KeyFormatType, CryptographicAlgorithm
SIGN = CryptographicUsageMask.SIGN


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


KEYS: dict[str, Any] = {
    "RSA": lambda: rsa.generate_private_key(65537, 1024),
    "EC": lambda: ec.generate_private_key(ec.SECP384R1()),
    "DSA": lambda: dsa.generate_private_key(1024),
}
FORMATS = {
    "RSA": (F.TRANSPARENT_RSA_PRIVATE_KEY, F.TRANSPARENT_RSA_PUBLIC_KEY, A.RSA),
    "EC": (F.TRANSPARENT_EC_PRIVATE_KEY, F.TRANSPARENT_EC_PUBLIC_KEY, A.EC),
    "DSA": (F.TRANSPARENT_DSA_PRIVATE_KEY, F.TRANSPARENT_DSA_PUBLIC_KEY, A.DSA),
}


def pkcs_8(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def spki(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("name", KEYS)
def test_a_key_survives_the_way_through_its_numbers(name: str) -> None:
    key = KEYS[name]()
    private, public, _ = FORMATS[name]
    assert pkcs_8(transparent.load(transparent.dump(key, private))) == pkcs_8(key)
    numbers = transparent.dump(key.public_key(), public)
    assert spki(transparent.load(numbers)) == spki(key.public_key())


def block(material: Any, key_format: KeyFormatType, algorithm: A, bits: int) -> KeyBlock:
    return KeyBlock(
        key_format_type=key_format,
        key_value=KeyValue(key_material=material),
        cryptographic_algorithm=algorithm,
        cryptographic_length=bits,
    )


def fetch(laboratory: Laboratory, identifier: str, key_format: Any, version: Any = V2_1) -> Any:
    return laboratory.ask(calls.get(identifier, key_format, None, None), version=version).key_block


@pytest.mark.parametrize("name", KEYS)
def test_get_converts_both_ways(laboratory: Laboratory, name: str) -> None:
    key = KEYS[name]()
    private, public, algorithm = FORMATS[name]
    numbers = block(transparent.dump(key, private), private, algorithm, key.key_size)
    identifier = laboratory.ask(calls.register(PrivateKey(key_block=numbers), SIGN, None, None))
    assert fetch(laboratory, identifier, F.PKCS_8).key_value.key_material == pkcs_8(key)
    assert fetch(laboratory, identifier, None).key_format_type is private
    der = block(spki(key.public_key()), F.X_509, algorithm, key.key_size)
    identifier = laboratory.ask(calls.register(PublicKey(key_block=der), SIGN, None, None))
    numbers = fetch(laboratory, identifier, public).key_value.key_material
    assert spki(transparent.load(numbers)) == spki(key.public_key())


def test_the_server_signs_with_a_key_of_numbers(laboratory: Laboratory) -> None:
    key = rsa.generate_private_key(65537, 2048)
    numbers = block(
        transparent.dump(key, F.TRANSPARENT_RSA_PRIVATE_KEY),
        F.TRANSPARENT_RSA_PRIVATE_KEY,
        A.RSA,
        2048,
    )
    identifier = laboratory.ask(calls.register(PrivateKey(key_block=numbers), SIGN, None, None))
    laboratory.ask(calls.activate(identifier))
    from kmipkit.spec.enums import DigitalSignatureAlgorithm as D

    parameters = CryptographicParameters(
        digital_signature_algorithm=D.SHA_256_WITH_RSA_ENCRYPTION,
        hashing_algorithm=HashingAlgorithm.SHA_256,
    )
    signature = laboratory.ask(crypto_calls.sign(identifier, b"data", parameters, None))
    assert len(signature) == 256


def test_a_private_exponent_is_enough(laboratory: Laboratory) -> None:
    key = rsa.generate_private_key(65537, 1024)
    whole = transparent.dump(key, F.TRANSPARENT_RSA_PRIVATE_KEY)
    poor = TransparentRSAPrivateKey(
        modulus=whole.modulus,
        private_exponent=whole.private_exponent,
        public_exponent=whole.public_exponent,
    )
    assert spki(transparent.load(poor).public_key()) == spki(key.public_key())
    primes = poor.replace(private_exponent=None, p=whole.p, q=whole.q)
    assert spki(transparent.load(primes).public_key()) == spki(key.public_key())


@pytest.mark.parametrize(
    "material",
    [
        TransparentRSAPrivateKey(modulus=15, public_exponent=3, private_exponent=3),
        TransparentRSAPrivateKey(modulus=15),
        TransparentECPrivateKey(recommended_curve=RecommendedCurve.P_256, d=0),
        TransparentECPrivateKey(recommended_curve=RecommendedCurve.B_163, d=5),
    ],
    ids=["too small", "incomplete", "zero", "curve"],
)
def test_numbers_that_make_no_key_are_an_error_of_the_client(material: Any) -> None:
    with pytest.raises(OperationError) as error:
        transparent.load(material)
    assert error.value.reason in (
        ResultReason.INVALID_FIELD,
        ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
    )


# --- PKCS #12 ------------------------------------------------------------------------------------


def linked(link_type: LinkType, identifier: str) -> Attributes:
    link = Link(link_type=link_type, linked_object_identifier=identifier)
    return Attributes((Attribute(Tag.LINK, link),))


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_pkcs12_has_the_key_and_its_chain(laboratory: Laboratory, version: Any) -> None:
    authority = Authority.create("ca", "ecdsa-p256", START)
    issued = authority.issue("array", Purpose.CLIENT, START)

    def certificate(issued: Any, attributes: Any = None) -> str:
        der = issued.public_bytes(Encoding.DER)
        value = Certificate(certificate_type=CertificateType.X_509, certificate_value=der)
        return str(laboratory.ask(calls.register(value, None, None, attributes)))

    top = certificate(authority.certificate)
    leaf = certificate(issued.certificate, linked(LinkType.PKCS_12_CERTIFICATE_LINK, top))
    secret = SecretData(
        secret_data_type=SecretDataType.PASSWORD,
        key_block=KeyBlock(key_format_type=F.OPAQUE, key_value=KeyValue(key_material=b"geheim")),
    )
    password = laboratory.ask(calls.register(secret, None, None, None))
    links = Attributes(
        (
            *linked(LinkType.PKCS_12_PASSWORD_LINK, password),
            *linked(LinkType.PKCS_12_CERTIFICATE_LINK, leaf),
        )
    )
    key = PrivateKey(key_block=block(pkcs_8(issued.key), F.PKCS_8, A.EC, 256))
    identifier = laboratory.ask(calls.register(key, SIGN, None, links))
    value = fetch(laboratory, identifier, F.PKCS_12, version).key_value
    data = value if isinstance(value, bytes) else value.key_material
    loaded, own, others = pkcs12.load_key_and_certificates(data, b"geheim")
    assert pkcs_8(loaded) == pkcs_8(issued.key)
    assert (own, others) == (issued.certificate, [authority.certificate])


def test_pkcs12_needs_a_password(laboratory: Laboratory) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    value = PrivateKey(key_block=block(pkcs_8(key), F.PKCS_8, A.EC, 256))
    identifier = laboratory.ask(calls.register(value, SIGN, None, None))
    with pytest.raises(OperationFailed) as error:
        fetch(laboratory, identifier, F.PKCS_12)
    assert error.value.reason is ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED
