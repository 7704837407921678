"""vCenter and hosts against real key servers over TLS: our own, and PyKMIP's (R6, R18, R19, R37)."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs import development
from kmipkit_client import Client
from kmipkit_vsphere.model.errors import ClientNotTrusted
from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.standard import check
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from servers import RunningServer
from vsphere_scene import Scene, play

from bench import servers as peers


def dialled(s: Scene, port: int, context: ssl.SSLContext) -> None:
    """vCenter connects to this port instead of the key servers of the scene."""

    def dial(_provider: str, server: Any) -> TLSKeyServer:
        return TLSKeyServer(server.name, "127.0.0.1", port, context)

    s.vcenter.crypto.providers._dial = dial


async def story(s: Scene) -> None:
    """Encrypt, reboot the host, and read again."""
    await s.add_kms("KMS", "kms1")
    s.start_host("esx01")
    await s.call("AddHost", name="esx01", address="h", port=1)
    await s.call("CreateVM", host="esx01", name="db1", diskSize=8192)
    s.host().guests.write_disk("db1", 0, b"payroll")
    await s.call("EncryptVM", name="db1")
    s.reboot("esx01")
    await s.vcenter.hosts.synchronise_restarted()
    assert s.host().guests.read_disk("db1", 0, 7) == b"payroll"


def test_r06_r19_r37_only_vcenters_certificate_reaches_the_key_server(
    tmp_path: Path, own_server: RunningServer
) -> None:
    """The keys belong to vCenter's name; nobody without a trusted certificate gets in at all."""
    server = own_server.start()
    files = server.credentials("vcenter")
    credentials = Credentials(files["cert"], files["key"], files["ca"])

    async def test(s: Scene) -> None:
        dialled(s, server.port, credentials.client_context())
        await story(s)
        stranger = ssl.create_default_context(cafile=str(files["ca"]))
        with pytest.raises(ClientNotTrusted):
            await check(TLSKeyServer("kms1", "127.0.0.1", server.port, stranger))
        dialled(s, server.port, stranger)
        [status] = await s.call("RetrieveKmipServersStatus")
        assert (status["overallStatus"], status["servers"][0]["serverTrustClient"]) == (
            "red",
            False,
        )

    (tmp_path / "scene").mkdir()
    scene = play(tmp_path / "scene", test)
    ids = {key.key_id for key in scene.vcenter.crypto.list_keys()}
    assert len(ids) == 2, "a host and a machine take part (R37)"
    scene.close()
    for name, expected in (("vcenter", ids), ("admin", set())):
        mine = server.credentials(name)
        with Client("127.0.0.1", server.port, **mine) as client:
            assert set(client.locate().ids) == expected


def test_an_uploaded_certificate_is_trusted_and_no_other(
    tmp_path: Path, own_server: RunningServer
) -> None:
    server = own_server.start()
    files = server.credentials("vcenter")

    async def test(s: Scene) -> None:
        trust = Trust(s.store, lambda: s.now)
        s.vcenter.crypto.providers.trust = trust
        await s.add_kms("KMS", "kms1")

        def dial(provider: str, record: Any) -> TLSKeyServer:
            found = trust.for_provider(provider)
            return TLSKeyServer(record.name, "127.0.0.1", server.port, found.context, found.pinned)

        s.vcenter.crypto.providers._dial = dial
        key = SecretText(files["key"].read_bytes())
        trust.upload_client_certificate("KMS", files["cert"].read_text(), key)
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["servers"][0]["clientTrustServer"] is False
        shown = await s.call("RetrieveKmipServerCert", clusterId="KMS", serverName="kms1")
        trust.upload_server_certificate("KMS", shown["certificate"])
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["overallStatus"] == "green"
        assert status["servers"][0]["certInfo"]["fingerprint"] == shown["certInfo"]["fingerprint"]
        other = (server.folder / "certs" / "admin.crt").read_text()
        s.store.providers.change("KMS", server_certificates=(other,))
        [status] = await s.call("RetrieveKmipServersStatus")
        assert status["servers"][0]["clientTrustServer"] is False, "it was exchanged"

    async def scene_test(s: Scene) -> None:
        s.add_server("kms1")
        await test(s)

    (tmp_path / "scene").mkdir()
    play(tmp_path / "scene", scene_test).close()


@pytest.fixture
def pykmip(tmp_path: Path) -> Iterator[tuple[int, Credentials]]:
    pytest.importorskip("kmip")
    folder = tmp_path / "pykmip"
    folder.mkdir()
    pki = folder / "pki"
    development.ensure(
        pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
    )
    with peers.pykmip(folder, pki) as running:
        yield running.port, Credentials(pki / "admin.crt", pki / "admin.key", pki / "ca.crt")


def test_r18_a_foreign_key_server_does_as_well(
    tmp_path: Path, pykmip: tuple[int, Credentials]
) -> None:
    """PyKMIP's server refuses AddAttribute: tagging is best effort, all else works."""
    port, credentials = pykmip

    async def test(s: Scene) -> None:
        dialled(s, port, credentials.client_context())
        await story(s)
        [info] = await s.call("ListKmsClusters")
        vendor = s.store.providers.get("KMS").details.vendor
        assert vendor is not None
        assert vendor.startswith("PyKMIP")
        assert info["useAsDefault"]

    (tmp_path / "scene").mkdir()
    play(tmp_path / "scene", test).close()
