"""PyKMIP's own client (ProxyKmipClient) against our server, in every version that it speaks.

What a user of PyKMIP would lose is their program: each operation that both sides have is called as
PyKMIP's documentation shows it. Names are ASCII because PyKMIP cannot encode others.
"""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from servers import RunningServer

pytest.importorskip("kmip")

from kmip.core import enums
from kmip.core.enums import KMIPVersion
from kmip.pie import objects
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

MASK = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
VERSIONS = list(KMIPVersion)


pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    files = server.credentials(f"pykmip-{request.param.name}")  # names are unique for each client
    with ProxyKmipClient(
        hostname="127.0.0.1",
        port=server.port,
        cert=str(files["cert"]),
        key=str(files["key"]),
        ca=str(files["ca"]),
        kmip_version=request.param,
    ) as opened:
        yield opened


def test_create_get_and_the_whole_life(client: Any) -> None:
    key = client.create(
        enums.CryptographicAlgorithm.AES,
        256,
        name="a key of PyKMIP",
        cryptographic_usage_mask=MASK,
    )
    got = client.get(key)
    assert isinstance(got, objects.SymmetricKey)
    assert len(got.value) == 32
    assert got.cryptographic_algorithm is enums.CryptographicAlgorithm.AES
    client.activate(key)
    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, key, "done")
    client.destroy(key)
    with pytest.raises(KmipOperationFailure):
        client.get(key)


def test_every_kind_of_object_is_registered_and_comes_back(client: Any) -> None:
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65537, 2048)
    pkcs8 = private.private_bytes(ser.Encoding.DER, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    pkcs1 = private.public_key().public_bytes(ser.Encoding.DER, ser.PublicFormat.PKCS1)
    algorithm = enums.CryptographicAlgorithm
    certificate = ssl.PEM_cert_to_DER_cert(_certificate())
    for value in (
        objects.SymmetricKey(algorithm.AES, 128, bytes(range(16)), MASK, "k"),
        objects.PrivateKey(algorithm.RSA, 2048, pkcs8, enums.KeyFormatType.PKCS_8),
        objects.PublicKey(algorithm.RSA, 2048, pkcs1, enums.KeyFormatType.PKCS_1),
        objects.SecretData("geheim€".encode(), enums.SecretDataType.PASSWORD),
        objects.OpaqueObject(b"\x00\x01opaque", enums.OpaqueDataType.NONE),
        objects.X509Certificate(certificate),
    ):
        got = client.get(client.register(value))
        assert type(got) is type(value)
        assert got.value == value.value


def _certificate() -> str:
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives.serialization import Encoding
    from kmipkit_certs.authority import Authority

    made = Authority.create("a certificate to keep", "rsa-2048", datetime.now(UTC))
    return made.certificate.public_bytes(Encoding.PEM).decode()


def test_attributes_are_listed_read_and_changed(client: Any) -> None:
    key = client.create(enums.CryptographicAlgorithm.AES, 128, name="attributes")
    names = client.get_attribute_list(key)
    assert {"Unique Identifier", "Cryptographic Algorithm", "State", "Name"} <= set(names)
    identifier, found = client.get_attributes(key, ["Cryptographic Length", "Object Type"])
    assert identifier == key
    assert {
        str(attribute.attribute_name): attribute.attribute_value.value for attribute in found
    } == {
        "Cryptographic Length": 128,
        "Object Type": enums.ObjectType.SYMMETRIC_KEY,
    }


def test_locate_finds_by_name_and_type_and_nothing_else(client: Any, server: RunningServer) -> None:
    from kmip.core.factories.attributes import AttributeFactory

    factory = AttributeFactory()
    name = f"locate-{client.kmip_version.name}-x"
    first = client.create(enums.CryptographicAlgorithm.AES, 128, name=name)
    client.create(enums.CryptographicAlgorithm.AES, 128, name=name + "x")

    def by_name(value: str) -> list[str]:
        attribute = factory.create_attribute(
            enums.AttributeType.NAME,
            _name(value),
        )
        kind = factory.create_attribute(
            enums.AttributeType.OBJECT_TYPE, enums.ObjectType.SYMMETRIC_KEY
        )
        return list(client.locate(attributes=[attribute, kind]))

    assert by_name(name) == [first]
    assert by_name("nothing of this name") == []


def _name(value: str) -> Any:
    from kmip.core import attributes

    return attributes.Name.create(value, enums.NameType.UNINTERPRETED_TEXT_STRING)


def test_encrypt_and_decrypt(client: Any) -> None:
    if client.kmip_version < KMIPVersion.KMIP_1_2:
        pytest.skip("Encrypt came with KMIP 1.2")
    key = client.register(
        objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 128, bytes(range(16)), MASK)
    )
    client.activate(key)
    parameters = {
        "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
        "block_cipher_mode": enums.BlockCipherMode.CBC,
        "padding_method": enums.PaddingMethod.PKCS5,
    }
    iv = bytes(16)
    text = "fünfzehn Zeichen".encode()
    cipher, _ = client.encrypt(text, key, parameters, iv)
    assert cipher != text
    assert client.decrypt(cipher, key, parameters, iv) == text


def test_check_says_whether_a_use_is_permitted(client: Any) -> None:
    key = client.create(enums.CryptographicAlgorithm.AES, 128, cryptographic_usage_mask=MASK)
    assert client.check(key, cryptographic_usage_mask=MASK) == key
    with pytest.raises(KmipOperationFailure):
        client.check(key, cryptographic_usage_mask=[enums.CryptographicUsageMask.SIGN])


def test_attributes_can_be_modified_and_deleted(client: Any) -> None:
    from kmip.core.factories.attributes import AttributeFactory
    from kmip.core.objects import CurrentAttribute, NewAttribute

    key = client.create(enums.CryptographicAlgorithm.AES, 128, name="old name")
    factory = AttributeFactory()
    if client.kmip_version < KMIPVersion.KMIP_2_0:
        new = factory.create_attribute(enums.AttributeType.NAME, _name("new name"), index=0)
        client.modify_attribute(unique_identifier=key, attribute=new)
        client.delete_attribute(unique_identifier=key, attribute_name="Name", attribute_index=0)
    else:
        client.modify_attribute(
            unique_identifier=key,
            current_attribute=CurrentAttribute(attribute=_name("old name")),
            new_attribute=NewAttribute(attribute=_name("new name")),
        )
        client.delete_attribute(
            unique_identifier=key, current_attribute=CurrentAttribute(attribute=_name("new name"))
        )
    assert "Name" not in client.get_attribute_list(key)


def test_a_single_valued_attribute_can_be_set(client: Any) -> None:
    if client.kmip_version < KMIPVersion.KMIP_2_0:
        pytest.skip("Set Attribute came with KMIP 2.0")
    key = client.create(enums.CryptographicAlgorithm.AES, 128, name="to be sensitive")
    client.set_attribute(unique_identifier=key, attribute_name="Sensitive", attribute_value=True)
    with pytest.raises(KmipOperationFailure, match="SENSITIVE"):
        client.get(key)
