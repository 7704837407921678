"""Replacing a key provider by another one: machines, host keys, core dumps, disk groups, defaults."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.errors import (
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
)
from vsphere_scene import PATTERN, Scene, play

HOSTS = ("a", "b")


async def laboratory(s: Scene) -> None:
    """Two providers; in KMS are machines, a disk of its own, host keys, core dumps and vSAN."""
    certificate = Authority.create("ca", "ecdsa-p256", s.now).issue("k", Purpose.SERVER, s.now)
    for provider, server in (("KMS", "kms1"), ("NEXT", "kms2")):
        s.add_server(server, s.make_laboratory(server))
        await s.add_kms(provider, server)
        await s.call("IssueClientCert", clusterId=provider)
        pem = to_pem(certificate.certificate)
        await s.call("UploadKmipServerCert", clusterId=provider, certificate=pem)
    await s.call("CreateCluster", name="prod")
    for name in HOSTS:
        s.start_host(name)
        s.host(name).vsan._dial = lambda access: [s.servers[one.name] for one in access.servers]
        await s.call("AddHost", name=name, address="h", port=1, parent="cluster/prod")
        await s.call("ConfigureCryptoKey", host=name)
        await s.call("DumpCore", host=name, world="hostd")
    await s.call("CreateVM", host="a", name="db1", diskSize=16384, encrypt=True)
    await s.call("CreateVM", host="b", name="täglich 2", diskSize=16384)
    await s.call("AddDisk", name="täglich 2", diskSize=4096)
    await s.call("EncryptVM", name="täglich 2")
    await s.call("EncryptVsan", name="prod")
    await s.call("SetDefaultKmsCluster", clusterId="KMS", entity="cluster/prod")
    s.host("a").guests.write_disk("db1", 0, PATTERN)
    s.host("b").vsan.group().write_at(0, PATTERN)


async def replace(s: Scene, new: str = "NEXT") -> dict[str, Any]:
    return dict(await s.call("ReplaceProvider", old="KMS", new=new))


async def use(s: Scene, provider: str = "KMS") -> list[str]:
    return list((await s.call("QueryProviderUse", provider=provider))["usedBy"])


def check_data(s: Scene) -> None:
    assert s.host("a").guests.read_disk("db1", 0, len(PATTERN)) == PATTERN
    assert s.host("b").vsan.group().read_at(0, len(PATTERN)) == PATTERN


def test_the_removal_of_a_provider_that_is_used_warns(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        s.hosts["b"] = None
        before = await s.call("QueryProviderUse", provider="KMS")
        removal = await s.call("UnregisterKmsCluster", clusterId="KMS")
        assert removal["stillUsedBy"] == before["usedBy"] != []
        assert removal["unknownHosts"] == ["b"]
        assert "KMS is still used" in removal["warning"]
        assert "not known: b" in removal["warning"]
        assert [each["clusterId"] for each in await s.call("ListKmsClusters")] == ["NEXT"]

    play(tmp_path, test).close()


def test_the_removal_of_an_unused_provider_has_no_warning(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        s.add_server("kms2", s.make_laboratory("second"))
        await s.add_kms("UNUSED", "kms2")
        assert await s.call("UnregisterKmsCluster", clusterId="UNUSED") == {}

    play(tmp_path, test).close()


async def check_after_power_cut(s: Scene) -> None:
    """Everything opens again without the old key server."""
    await s.call("UnregisterKmsCluster", clusterId="KMS")
    s.servers["kms1"].is_up = False
    for name in HOSTS:
        s.reboot(name)
        s.host(name).vsan._dial = lambda access: [s.servers[one.name] for one in access.servers]
    await s.vcenter.run_background_tasks()
    for name in HOSTS:
        await s.host(name).vsan.mount()
    check_data(s)
    assert await s.call("ListAlarms") == []


def test_everything_moves_and_no_data_is_written_again(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        before = s.host("a").datastore.machine("db1").disk.data.read_bytes()
        assert len(await use(s)) == 9, await use(s)
        result = await replace(s)
        assert result["problems"] == {}
        assert set(result["replaced"]) == {
            *("default of /", "default of cluster/prod", "machine db1", "machine täglich 2"),
            *("host a", "host b", "vSAN of prod"),
        }
        assert result["stillUsedBy"] == result["unknownHosts"] == []
        assert await use(s) == []
        assert s.host("a").datastore.machine("db1").disk.data.read_bytes() == before
        again = await replace(s)
        assert (again["replaced"], again["problems"]) == ([], {})
        assert s.store.providers.default() == "NEXT"
        for name in HOSTS:
            [dump] = s.host(name).dumps.all()
            assert dump.key_id is not None
            assert dump.key_id.provider_id == "NEXT"
        await check_after_power_cut(s)

    play(tmp_path, test).close()


def test_by_a_native_provider_that_needs_no_key_server(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        with pytest.raises(InvalidState, match="not backed up"):
            await replace(s, "NKP")
        assert s.store.providers.default() == "KMS", "nothing has changed"
        prepared = await s.call("ExportProvider", provider="NKP")
        await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
        result = await replace(s, "NKP")
        assert (result["problems"], result["stillUsedBy"]) == ({}, [])
        s.servers["kms2"].is_up = False
        await check_after_power_cut(s)

    play(tmp_path, test).close()


def test_a_key_that_the_hosts_of_a_cluster_share(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        shared = s.store.inventory.host("a").key_id
        assert shared is not None
        key = {"providerId": "KMS", "keyId": shared.key_id}
        await s.call("SetCryptoMode", name="prod", cryptoMode="onDemand", keyId=key)
        result = await replace(s)
        assert (result["problems"], result["stillUsedBy"]) == ({}, [])
        keys = {host.key_id for host in s.store.inventory.hosts()}
        assert keys == {s.store.inventory.cluster("prod").key_id}

    play(tmp_path, test).close()


@pytest.mark.parametrize(
    ("method", "when"),
    [
        ("ReconfigureCrypto", "after"),
        *(
            pytest.param(method, when, marks=pytest.mark.long)
            for method in ("ReconfigureCrypto", "ChangeKey", "ConfigureVsan")
            for when in ("before", "after")
            if (method, when) != ("ReconfigureCrypto", "after")
        ),
    ],
)
def test_it_goes_on_after_it_was_interrupted(tmp_path: Path, method: str, when: str) -> None:
    """The host does not answer once, before or after it did what it was asked."""

    async def test(s: Scene) -> None:
        await laboratory(s)
        real, interrupted = s.vcenter.hosts.call, []

        async def call(host: Any, request: Any) -> Any:
            if request.method() != method or interrupted:
                return await real(host, request)
            interrupted.append(method)
            if when == "after":
                await real(host, request)
            raise HostUnreachable("killed")

        s.vcenter.hosts.call = call  # type: ignore[method-assign]
        first = await replace(s)
        assert interrupted
        s.restart_vcenter()
        second = await replace(s)
        assert second["problems"] == {}
        assert second["stillUsedBy"] == [], (first, second)
        check_data(s)
        await check_after_power_cut(s)

    play(tmp_path, test).close()


def test_a_host_that_is_down_keeps_nothing_else_from_moving(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        down, s.hosts["b"] = s.hosts["b"], None
        first = await replace(s)
        assert first["unknownHosts"] == ["b"]
        assert {"machine täglich 2", "host b"} <= set(first["problems"])
        assert {"machine db1", "host a"} <= set(first["replaced"])
        assert "machine: täglich 2" in first["stillUsedBy"]
        s.hosts["b"] = down
        second = await replace(s)
        assert (second["problems"], second["stillUsedBy"]) == ({}, [])
        await check_after_power_cut(s)

    play(tmp_path, test).close()


def test_a_removed_disk_is_named_and_not_rekeyed_for_ever(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        await s.call("RemoveDisk", name="täglich 2", disk=1)
        await replace(s)
        made = len(s.store.providers.key_ids())
        again = await replace(s)
        assert "removed disks" in again["problems"]["machine täglich 2"]
        assert len(s.store.providers.key_ids()) == made
        assert again["stillUsedBy"] == ["machine: täglich 2"]

    play(tmp_path, test).close()


def test_a_machine_with_keys_of_a_third_provider(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        s.add_server("kms3", s.make_laboratory("kms3"))
        await s.add_kms("THIRD", "kms3")
        await s.call("RecryptVM", name="täglich 2", keyProvider="THIRD", parts=["disk1"])
        result = await replace(s)
        assert "THIRD" in result["problems"]["machine täglich 2"]

    play(tmp_path, test).close()


def test_r24_rights_are_checked_before_anything_changes(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await laboratory(s)
        await s.call("SetRole", name="kms", privileges=["Cryptographer.ManageKeyServers"])
        await s.call("SetPermission", entity="/", principal="ada", role="kms")
        with pytest.raises(NoPermission, match="Recrypt"):
            await s.call("ReplaceProvider", "ada", old="KMS", new="NEXT")
        assert s.store.providers.default() == "KMS"
        with pytest.raises(InvalidArgument, match="another one"):
            await replace(s, "KMS")
        for params in ({"old": "NONE", "new": "NEXT"}, {"old": "KMS", "new": "NONE"}):
            with pytest.raises(NotFound):
                await s.call("ReplaceProvider", **params)

    play(tmp_path, test).close()
