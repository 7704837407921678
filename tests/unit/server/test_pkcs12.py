"""Register of PKCS#12 containers (KMIP 1.4 §3.45, §11.4; KMIP 2.1 §4.39, §11.46)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import NameOID
from kmipkit_client import OperationFailed, calls
from laboratory import Laboratory

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import PrivateKey, SecretData
from kmipkit.model.payloads.register import RegisterRequest
from kmipkit.spec.enums import (
    KeyFormatType,
    LinkType,
    ObjectType,
    Operation,
    ResultReason,
    SecretDataType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version

PASSWORD = b"hunter2"
KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.now(UTC)


def certificate(subject: str, issuer: str) -> x509.Certificate:
    name = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)
    ]
    builder = x509.CertificateBuilder(name[1], name[0], KEY.public_key(), 1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256())


LEAF, MIDDLE, ROOT = (
    certificate("leaf", "middle"),
    certificate("middle", "root"),
    certificate("root", "root"),
)


def container(name: bytes | None = b"alias") -> bytes:
    # The certificates of the chain are in the wrong order: their issuers decide.
    return pkcs12.serialize_key_and_certificates(
        name, KEY, LEAF, [ROOT, MIDDLE], BestAvailableEncryption(PASSWORD)
    )


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def password(laboratory: Laboratory, *, value: bytes = PASSWORD, active: bool = True) -> str:
    secret = SecretData(
        secret_data_type=SecretDataType.PASSWORD,
        key_block=KeyBlock(
            key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=value)
        ),
    )
    mask = Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.DERIVE_KEY))
    request = RegisterRequest(object_type=ObjectType.SECRET_DATA, attributes=mask, object=secret)
    identifier: str = laboratory.ask(calls.raw(Operation.REGISTER, request)).unique_identifier
    if active:
        laboratory.ask(calls.activate(identifier))
    return identifier


def register(
    *passwords: str, data: bytes | None = None, name: str | None = None, bare: bool = False
) -> Any:
    links = [
        Attribute(
            Tag.LINK,
            Link(link_type=LinkType.PKCS_12_PASSWORD_LINK, linked_object_identifier=identifier),
        )
        for identifier in passwords
    ]
    attributes = Attributes(tuple(links))
    if name is not None:
        attributes = attributes.plus(*Attributes.of((Tag.PKCS_12_FRIENDLY_NAME, name)))
    material = container() if data is None else data
    value = material if bare else KeyValue(key_material=material)
    key = PrivateKey(key_block=KeyBlock(key_format_type=KeyFormatType.PKCS_12, key_value=value))
    request = RegisterRequest(object_type=ObjectType.PRIVATE_KEY, attributes=attributes, object=key)
    return calls.raw(Operation.REGISTER, request)


def get(laboratory: Laboratory, identifier: str, form: KeyFormatType | None = None) -> Any:
    return laboratory.ask(calls.get(identifier, form, None, None), version=V1_4)


def linked(laboratory: Laboratory, identifier: str) -> str | None:
    attributes = laboratory.ask(calls.get_attributes(identifier, ()), version=V1_4)
    certificates = [
        link.linked_object_identifier
        for link in attributes.all(Tag.LINK)
        if link.link_type == LinkType.PKCS_12_CERTIFICATE_LINK
    ]
    return certificates[0] if certificates else None


@pytest.mark.parametrize("bare", [False, True], ids=["Key Material", "Key Value"])
def test_a_container_becomes_a_key_and_the_chain_of_its_certificates(
    laboratory: Laboratory, bare: bool
) -> None:
    call = register(password(laboratory), name="ALIAS", bare=bare)
    key = laboratory.ask(call, version=V1_4).unique_identifier
    assert get(laboratory, key).key_block.key_format_type is KeyFormatType.PKCS_8
    attributes = laboratory.ask(calls.get_attributes(key, ()), version=V1_4)
    assert attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) == 256
    following, chain = linked(laboratory, key), []
    while following is not None:
        value = get(laboratory, following).certificate_value
        chain.append(x509.load_der_x509_certificate(value))
        following = linked(laboratory, following)
    assert chain == [LEAF, MIDDLE, ROOT]
    back = get(laboratory, key, KeyFormatType.PKCS_12).key_block.key_value
    opened = pkcs12.load_pkcs12(back, PASSWORD)
    assert opened.cert is not None
    assert opened.cert.certificate == LEAF
    assert [each.certificate for each in opened.additional_certs] == [MIDDLE, ROOT]


def test_the_friendly_name_of_the_container_is_recorded(laboratory: Laboratory) -> None:
    key = laboratory.ask(register(password(laboratory)), version=V1_4).unique_identifier
    attributes = laboratory.ask(calls.get_attributes(key, ()), version=V1_4)
    assert attributes.get(Tag.PKCS_12_FRIENDLY_NAME) == "alias"


def refusal(laboratory: Laboratory, call: Any, version: Version) -> ResultReason:
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, version=version)
    return error.value.reason


def test_another_friendly_name_is_refused(laboratory: Laboratory) -> None:
    call = register(password(laboratory), name="somebody")
    assert refusal(laboratory, call, V2_1) is ResultReason.INVALID_FIELD


@pytest.mark.parametrize(
    ("version", "bad", "inactive"),
    [
        (V1_4, ResultReason.INVALID_FIELD, ResultReason.PERMISSION_DENIED),
        (V2_0, ResultReason.BAD_PASSWORD, ResultReason.WRONG_KEY_LIFECYCLE_STATE),
        (V2_1, ResultReason.BAD_PASSWORD, ResultReason.BAD_PASSWORD),
    ],
    ids=str,
)
def test_a_container_needs_one_active_password_and_the_right_one(
    laboratory: Laboratory, version: Version, bad: ResultReason, inactive: ResultReason
) -> None:
    right, wrong = password(laboratory), password(laboratory, value=b"hunter3")
    key = laboratory.ask(register(right), version=V1_4).unique_identifier
    for links in ((), (right, wrong), (wrong,), (key,)):
        assert refusal(laboratory, register(*links), version) is bad
    assert refusal(laboratory, register(right, data=b"not PKCS#12"), version) is bad
    waiting = password(laboratory, active=False)
    assert refusal(laboratory, register(waiting), version) is inactive
