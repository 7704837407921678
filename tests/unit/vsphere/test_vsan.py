"""vSAN's way: hosts fetch the key themselves, with a certificate that vCenter pushed."""

from pathlib import Path

import pytest
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.errors import InvalidState, KeyServerUnreachable
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from vsphere_scene import Scene, play

HOSTS = ("a", "b", "c")


def own_dial(s: Scene, name: str) -> None:
    """The host connects to the key servers of the scene, and not by vCenter."""
    s.host(name).vsan._dial = lambda access: [s.servers[server.name] for server in access.servers]


async def cluster(s: Scene) -> None:
    s.add_server("kms1")
    await s.add_kms("KMS", "kms1")
    await s.call("IssueClientCert", clusterId="KMS")
    server = Authority.create("ca", "ecdsa-p256", s.now).issue("kms1", Purpose.SERVER, s.now)
    await s.call("UploadKmipServerCert", clusterId="KMS", certificate=to_pem(server.certificate))
    await s.call("CreateCluster", name="prod")
    for name in HOSTS:
        s.start_host(name)
        own_dial(s, name)
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")


def test_hosts_mount_after_a_reboot_while_vcenter_is_gone(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        key = await s.call("EncryptVsan", name="prod")
        assert key["providerId"] == "KMS"
        for name in HOSTS:
            s.host(name).vsan.group().write_at(0, b"CONFIDENTIAL")
        s.store.close()  # vCenter is gone
        s.forget()
        for name in HOSTS:
            s.reboot(name)
            own_dial(s, name)
            with pytest.raises(InvalidState, match="lacks its key"):
                s.host(name).vsan.group()
            assert await s.host(name).vsan.mount()
            assert not await s.host(name).vsan.mount(), "once is enough"
            assert s.host(name).vsan.group().read_at(0, 12) == b"CONFIDENTIAL"
            stored = (s.folder / name / "vsan" / "group.data").read_bytes()
            assert b"CONFIDENTIAL" not in stored
        assert s.kmip.count("GET") == len(HOSTS)
        s.start_vcenter()

    play(tmp_path, test).close()


@pytest.mark.parametrize("deep", [False, True])
def test_a_new_key_for_all_hosts(tmp_path: Path, deep: bool) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        first = await s.call("EncryptVsan", name="prod")
        s.host("a").vsan.group().write_at(0, b"data")
        s.host("a").vsan.group().flush()
        before = (s.folder / "a" / "vsan" / "group.data").read_bytes()
        assert await s.call("EncryptVsan", name="prod") == first, "repeated: the same key"
        second = await s.call("EncryptVsan", name="prod", rekey=True, deep=deep)
        assert second != first
        after = (s.folder / "a" / "vsan" / "group.data").read_bytes()
        assert (before == after) is not deep
        assert s.host("a").vsan.group().read_at(0, 4) == b"data"
        s.reboot("a")
        own_dial(s, "a")
        s.servers["kms1"].is_up = False
        with pytest.raises(KeyServerUnreachable):
            await s.host("a").vsan.mount()
        s.servers["kms1"].is_up = True
        assert await s.host("a").vsan.mount()

    play(tmp_path, test).close()


def test_the_pushed_credentials_are_sealed_and_never_shown(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        await s.call("EncryptVsan", name="prod")
        config = s.host("a").vsan.config()
        assert config is not None
        line = config.access.private_key.reveal().decode().splitlines()[1]
        assert line not in repr(config)
        for path in (s.folder / "a").rglob("*"):
            assert path.is_dir() or line.encode() not in path.read_bytes()
        assert convert(to_builtins(config), VsanConfig) == config
        assert config.access.dial()[0].name == "kms1", "a real TLS context is made of it"

    play(tmp_path, test).close()


def test_without_a_client_certificate_nothing_can_be_pushed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        await s.call("CreateCluster", name="prod")
        with pytest.raises(InvalidState, match="no client certificate"):
            await s.call("EncryptVsan", name="prod")

    play(tmp_path, test).close()


def test_two_hundred_hosts_that_come_back_at_once_are_all_served(tmp_path: Path) -> None:
    """The standard way: vCenter brings every host its host key and the keys of its machines."""
    names = [f"esx{number:03}" for number in range(200)]

    async def test(s: Scene) -> None:
        s.add_server("kms1")
        await s.add_kms("KMS", "kms1")
        for name in names:
            s.start_host(name)
            await s.call("AddHost", name=name, address="h", port=1)
            await s.call("ConfigureCryptoKey", host=name)
        await s.call("CreateVM", host=names[7], name="db1", diskSize=4096, encrypt=True)
        for name in names:
            s.reboot(name)
        await s.vcenter.hosts.synchronise_restarted()
        assert {s.host(name).keys.crypto.state.value for name in names} == {"safe"}
        assert s.host(names[7]).machines.info("db1").crypto_state == "unlocked"

    play(tmp_path, test).close()


async def background(s: Scene) -> None:
    await s.vcenter.run_background_tasks()


def test_user_and_password_reach_the_hosts_and_only_their_sealed_configuration(
    tmp_path: Path,
) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        info = {"name": "kms1", "address": "192.0.2.7", "userName": "vsan pröd"}
        await s.call("UpdateKmipServer", clusterId="KMS", info=info, password="Grüße 24")
        await s.call("EncryptVsan", name="prod")
        for name in HOSTS:
            config = s.host(name).vsan.config()
            assert config is not None
            assert config.access is not None
            [server] = config.access.dial()
            assert server.login is not None
            assert server.login.user_name == "vsan pröd"
            assert server.login.password.reveal() == "Grüße 24".encode()
            assert "Grüße" not in repr(config)
            for path in (s.folder / name).rglob("*"):
                assert not path.is_file() or "Grüße 24".encode() not in path.read_bytes(), path

    play(tmp_path, test).close()


@pytest.mark.parametrize("change", ["password", "address", "certificate"])
def test_what_changes_is_pushed_without_fetching_the_key_again(tmp_path: Path, change: str) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        await s.call("EncryptVsan", name="prod")
        before = {name: s.host(name).vsan.config() for name in HOSTS}
        s.forget()
        await background(s)
        assert "ConfigureVsan" not in {method for _, method in s.calls}, "nothing has changed"
        info = {"name": "kms1", "address": "192.0.2.7", "userName": "vsan"}
        if change == "certificate":
            await s.call("IssueClientCert", clusterId="KMS")
        elif change == "password":
            await s.call("UpdateKmipServer", clusterId="KMS", info=info, password="new")
        else:
            moved = {**info, "address": "192.0.2.8"}
            await s.call("UpdateKmipServer", clusterId="KMS", info=moved, password="new")
        s.servers["kms1"].is_up = False
        stopped, s.hosts["c"] = s.hosts["c"], None
        await background(s)
        s.hosts["c"] = stopped
        assert s.host("a").vsan.config() != before["a"]
        assert s.host("c").vsan.config() == before["c"]
        await background(s)
        assert s.host("c").vsan.config() == s.host("a").vsan.config()
        assert "GET" not in s.kmip
        s.host("c").vsan.group().write_at(0, b"open")

    play(tmp_path, test).close()


def test_a_host_that_joins_an_encrypted_cluster_is_configured(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        key = await s.call("EncryptVsan", name="prod")
        s.start_host("d")
        own_dial(s, "d")
        await s.call("AddHost", name="d", address="h", port=1, parent="cluster/prod")
        await background(s)
        config = s.host("d").vsan.config()
        assert config is not None
        assert config.key_id.key_id == key["keyId"]

    play(tmp_path, test).close()


def test_keys_of_a_native_provider_need_neither_key_server_nor_vcenter(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await cluster(s)
        await s.call("EncryptVsan", name="prod")
        s.host("a").vsan.group().write_at(0, b"CONFIDENTIAL")
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        with pytest.raises(InvalidState, match="not backed up"):
            await s.call("EncryptVsan", name="prod", keyProvider="NKP", rekey=True)
        location = await s.call("ExportProvider", provider="NKP")
        token = location["location"]["downloadToken"]["token"]
        await s.call("DownloadBackup", token=token)
        key = await s.call("EncryptVsan", name="prod", keyProvider="NKP", rekey=True)
        assert key["providerId"] == "NKP"
        s.servers["kms1"].is_up = False
        s.store.close()
        for name in HOSTS:
            s.reboot(name)
            assert await s.host(name).vsan.mount()
        assert s.host("a").vsan.group().read_at(0, 12) == b"CONFIDENTIAL"
        s.start_vcenter()
        [use] = (await s.vcenter.usage.all()).of_provider("NKP")[:1]
        assert use == "vSAN of cluster prod"

    play(tmp_path, test).close()
