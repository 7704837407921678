"""Other clients against our server while it behaves like the servers of others.

If the behavior is as the reports say, clients have the troubles of the reports: that of PyKMIP with an
old Vault is in hashicorp/vault issue 9147.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kmipkit.testing import KeyServer, key_server

pytest.importorskip("kmip")

from kmip.core import enums
from kmip.core.enums import KMIPVersion
from kmip.core.exceptions import InvalidKmipEncoding
from kmip.pie import objects
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")

MASK = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
PASSWORD = objects.SecretData(b"x", enums.SecretDataType.PASSWORD, masks=MASK)


@contextmanager
def pykmip(kms: KeyServer, version: KMIPVersion) -> Iterator[Any]:
    settings = kms.settings
    with ProxyKmipClient(
        hostname=settings.host,
        port=settings.port,
        cert=str(settings.cert),
        key=str(settings.key),
        ca=str(settings.ca),
        kmip_version=version,
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("personality", "version"),
    [
        ("commercial", KMIPVersion.KMIP_1_0),
        ("commercial", KMIPVersion.KMIP_1_4),
        ("kmip-1.1", KMIPVersion.KMIP_1_1),
        ("vault", KMIPVersion.KMIP_1_0),
        ("vault", KMIPVersion.KMIP_1_4),
    ],
)
def test_pykmip_creates_and_gets_a_key(personality: str, version: KMIPVersion) -> None:
    with key_server(personality=personality) as kms, pykmip(kms, version) as client:
        key = client.create(enums.CryptographicAlgorithm.AES, 256, cryptographic_usage_mask=MASK)
        assert len(client.get(key).value) == 32


def test_pykmip_cannot_read_what_an_old_vault_answers_to_register() -> None:
    with (
        key_server(personality="vault") as kms,
        pykmip(kms, KMIPVersion.KMIP_1_4) as client,
        pytest.raises(InvalidKmipEncoding, match="missing the unique identifier"),
    ):
        client.register(PASSWORD)


def test_a_server_of_1_1_refuses_pykmip_in_1_4() -> None:
    with (
        key_server(personality="kmip-1.1") as kms,
        pykmip(kms, KMIPVersion.KMIP_1_4) as client,
        pytest.raises(KmipOperationFailure, match=r"KMIP 1\.4 is not supported"),
    ):
        client.register(PASSWORD)


@pytest.mark.standard
@pytest.mark.parametrize("personality", ["commercial", "vault"])
def test_kmip_go_works_in_1_0_to_1_4(personality: str, go_client: list[str]) -> None:
    with key_server(personality=personality) as kms:
        own = kms.settings
        address = f"{own.host}:{own.port}"
        done = subprocess.run(
            [*go_client, "keys", address, str(own.ca), str(own.cert), str(own.key)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done"
