"""The KMIP client inside MongoDB's drivers (libmongocrypt) against our server.

No database is needed: the key vault is a list, and this test does the TLS, as a driver would. Modes:
``register``, where the driver registers 96 random bytes as Secret Data, gets them back and wraps data
keys itself; and ``delegated``, where the server creates a key and encrypts the data keys with it.
"""

import ssl
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from kmipkit_client import material
from servers import RunningServer

from kmipkit.spec.tags import Tag

pytest.importorskip("pymongocrypt")
bson = pytest.importorskip("bson")

from pymongocrypt.mongocrypt import MongoCryptOptions  # noqa: E402
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter  # noqa: E402
from pymongocrypt.synchronous.state_machine import MongoCryptCallback  # noqa: E402

ALGORITHM = "AEAD_AES_256_CBC_HMAC_SHA_512-Random"
IDENTITY = "mongodb"


class Driver(MongoCryptCallback):  # type: ignore[misc]  # the package has no types
    """What a driver does for libmongocrypt: TLS to the key server, and the key vault."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.vault: list[bytes] = []
        self.requests = 0

    def kms_request(self, kms_context: Any) -> None:
        self.requests += 1
        with self.server.raw(IDENTITY) as stream:
            stream.sendall(kms_context.message)
            while (wanted := kms_context.bytes_needed) > 0:
                data = stream.recv(wanted)
                if not data:
                    raise ssl.SSLEOFError
                kms_context.feed(data)

    def fetch_keys(self, filter: Any) -> Iterator[bytes]:  # noqa: A002 - the callback's name
        yield from self.vault

    def insert_data_key(self, data_key: bytes) -> Any:
        self.vault.append(bytes(data_key))
        return bson.decode(bytes(data_key))["_id"]

    def bson_encode(self, doc: Any) -> bytes:
        return bytes(bson.encode(doc))

    def close(self) -> None:
        return None

    def collection_info(self, database: Any, filter: Any) -> None:  # noqa: A002
        raise AssertionError("explicit encryption needs no collection")

    def mark_command(self, database: Any, cmd: Any) -> None:
        raise AssertionError("explicit encryption needs no marking")


@pytest.mark.parametrize("master_key", [{}, {"delegated": True}], ids=["register", "delegated"])
def test_a_field_is_encrypted_with_a_data_key_that_the_server_protects(
    server: RunningServer, master_key: dict[str, Any]
) -> None:
    endpoint = {"endpoint": f"127.0.0.1:{server.port}"}
    providers = {"kmip": endpoint}
    driver = Driver(server)
    server.credentials(IDENTITY)

    def encrypter() -> Any:  # a new one has nothing in its cache
        return ExplicitEncrypter(driver, MongoCryptOptions(providers))

    key = encrypter().create_data_key("kmip", master_key={**endpoint, **master_key})
    document = bson.encode({"v": "Übersicht der Löhne"})
    sealed = encrypter().encrypt(document, ALGORITHM, key_id=UUID(bytes=bytes(key)).bytes)
    before = driver.requests
    opened = encrypter().decrypt(sealed)
    assert bson.decode(bytes(opened)) == {"v": "Übersicht der Löhne"}
    assert driver.requests > before, "the data key was opened with the help of the server"

    stored = bson.decode(driver.vault[0])
    identifier = stored["masterKey"]["keyId"]
    with server.client(IDENTITY) as client:
        found = client.get_attributes(identifier, "Object Type", "State")
        kind = found.get(Tag.OBJECT_TYPE).name
        assert kind == ("SYMMETRIC_KEY" if master_key else "SECRET_DATA")
        if not master_key:
            assert len(material(client.get(identifier))) == 96
