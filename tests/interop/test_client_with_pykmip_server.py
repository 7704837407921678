"""Our clients against PyKMIP's server, in every version that it speaks."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from kmipkit_certs import development
from kmipkit_client import (
    AsyncClient,
    Client,
    OperationFailed,
    material,
    opaque_object,
    secret_data,
    symmetric_key,
)

from bench import servers
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    PaddingMethod,
    ResultReason,
    RevocationReasonCode,
    SecretDataType,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V1_4, V2_0

pytest.importorskip("kmip")

VERSIONS = (V1_0, V1_1, V1_2, V1_3, V1_4, V2_0)


@dataclass(frozen=True)
class Peer:
    port: int
    folder: Path

    def options(self) -> dict[str, Any]:
        names = {"ca": "ca.crt", "cert": "admin.crt", "key": "admin.key"}
        return {"port": self.port, **{key: self.folder / name for key, name in names.items()}}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("pykmip-server")
    pki = folder / "pki"
    development.ensure(
        pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
    )
    with servers.pykmip(folder, pki) as running:
        yield Peer(running.port, pki)


@pytest.fixture(params=VERSIONS, ids=str)
def client(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Client]:
    with Client(version=request.param, **peer.options()) as opened:
        yield opened


def test_the_newest_common_version_is_agreed_on(peer: Peer) -> None:
    with Client(**peer.options()) as client:
        assert client.version() == V2_0
        assert V1_4 in client.discover_versions()


def test_a_key_lives_its_whole_life(client: Client) -> None:
    key = client.create(name="life")
    assert len(material(client.get(key))) == 32
    found = client.get_attributes(key, "State", "Cryptographic Length", "Name")
    assert found.get(Tag.STATE) is State.PRE_ACTIVE
    assert found.get(Tag.CRYPTOGRAPHIC_LENGTH) == 256
    assert found.get(Tag.NAME).name_value == "life"
    client.activate(key)
    assert client.get_attributes(key, "State").get(Tag.STATE) is State.ACTIVE
    with pytest.raises(OperationFailed) as refusal:
        client.destroy(key)
    assert refusal.value.reason is ResultReason.PERMISSION_DENIED
    client.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION)
    client.destroy(key)
    with pytest.raises(OperationFailed) as refusal:
        client.get(key)
    assert refusal.value.reason is ResultReason.ITEM_NOT_FOUND


def test_objects_come_back_as_they_were_registered(client: Client) -> None:
    usage = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
    for value, mask in (
        (symmetric_key(bytes(range(16))), usage),
        (secret_data("pässword", SecretDataType.PASSWORD), usage),
        (opaque_object(b"\x00opaque\xff"), None),  # PyKMIP takes no usage mask for these
    ):
        key = client.register(value, usage=mask, name="registered")
        assert material(client.get(key)) == material(value)


def test_locate_and_the_list_of_attributes(client: Client) -> None:
    name = f"locate {client.version()}"
    key = client.create(CryptographicAlgorithm.DES3, 192, name=name)
    assert client.locate(name=name).ids == (key,)
    assert client.locate(name="no such name").ids == ()
    assert {Tag.NAME, Tag.STATE, Tag.CRYPTOGRAPHIC_ALGORITHM} <= set(client.get_attribute_list(key))


def test_encrypt_and_decrypt(client: Client) -> None:
    if client.version() < V1_2:
        pytest.skip("Encrypt came with KMIP 1.2")
    usage = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
    key = client.register(symmetric_key(bytes(range(16))), usage=usage, name="cipher")
    client.activate(key)
    parameters = CryptographicParameters(
        cryptographic_algorithm=CryptographicAlgorithm.AES,
        block_cipher_mode=BlockCipherMode.CBC,
        padding_method=PaddingMethod.PKCS5,
    )
    sealed = client.encrypt(key, b"attack at dawn", parameters=parameters, iv=bytes(16))
    opened = client.decrypt(key, sealed.data, parameters=parameters, iv=bytes(16))
    assert opened == b"attack at dawn"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_asynchronous_client_does_the_same(peer: Peer, backend: str) -> None:
    async def work() -> None:
        async with AsyncClient(**peer.options()) as client:
            key = await client.create(name="async")
            async with anyio.create_task_group() as group:
                for _ in range(5):  # tasks share one connection, one request at a time
                    group.start_soon(client.get, key)

    anyio.run(work, backend=backend)


RSA_SHA_256 = CryptographicParameters(
    padding_method=PaddingMethod.PKCS1_V1_5,
    hashing_algorithm=HashingAlgorithm.SHA_256,
    cryptographic_algorithm=CryptographicAlgorithm.RSA,
)


def test_a_pair_signs_and_verifies(client: Client) -> None:
    pair = client.create_key_pair(CryptographicAlgorithm.RSA, 2048, names=("private", "public"))
    assert client.get_attributes(pair.private, "Name").get(Tag.NAME).name_value == "private"
    if client.version() < V1_2:
        return  # Sign came with KMIP 1.2
    client.activate(pair.private)
    client.activate(pair.public)
    signature = client.sign(pair.private, b"attack at dawn", parameters=RSA_SHA_256)
    for data, good in ((b"attack at dawn", True), (b"attack at noon", False)):
        verdict = client.signature_verify(
            pair.public, data, signature=signature, parameters=RSA_SHA_256
        )
        assert verdict is good


def test_a_code_is_that_of_the_library(client: Client) -> None:
    if client.version() < V1_2:
        pytest.skip("MAC came with KMIP 1.2")
    key = client.register(
        symmetric_key(bytes(16)), usage=CryptographicUsageMask.MAC_GENERATE, name="mac"
    )
    client.activate(key)
    parameters = CryptographicParameters(cryptographic_algorithm=CryptographicAlgorithm.HMAC_SHA256)
    code = client.mac(key, b"attack at dawn", parameters=parameters)
    assert code == hmac.digest(bytes(16), b"attack at dawn", "sha256")


def test_a_key_is_derived(client: Client) -> None:
    base = client.register(
        secret_data("password"), usage=CryptographicUsageMask.DERIVE_KEY, name="base"
    )
    key = client.derive_key(
        base,
        method=DerivationMethod.PBKDF2,
        parameters=DerivationParameters(
            cryptographic_parameters=CryptographicParameters(
                hashing_algorithm=HashingAlgorithm.SHA_1
            ),
            salt=b"salt",
            iteration_count=4096,
        ),
        length=128,
        name="derived",
    )
    assert material(client.get(key)).hex() == "4b007901b765489abead49d926f721d0"
