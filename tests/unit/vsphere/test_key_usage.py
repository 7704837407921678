"""Keys in use are found from all that refers to a key (§4.2)."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host.machine import COPY, INCOMING, staging_folder
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.encoding import to_builtins
from kmipkit_vsphere.model.errors import HostUnreachable, ResourceInUse, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.clones import CloneRecord, Clones
from vsphere_scene import Scene, play

Use = Callable[[Scene], Awaitable[tuple[CryptoKeyId, str, str]]]
"""Brings a key into use; the key, the member of its status, and what is named there."""


def key_of(answer: dict[str, Any]) -> CryptoKeyId:
    return CryptoKeyId(answer["providerId"], answer["keyId"])


async def generated(s: Scene) -> CryptoKeyId:
    return key_of((await s.call("GenerateKey"))["keyId"])


async def encrypted(s: Scene) -> CryptoKeyId:
    return key_of(await s.call("EncryptVM", name="db1"))


def without_records(s: Scene) -> None:
    """vCenter's inventory knows nothing of the keys of machines: only files do."""
    for machine in s.store.inventory.machines():
        s.store.inventory.remove_machine(machine.name)


async def home(s: Scene) -> tuple[CryptoKeyId, str, str]:
    return await encrypted(s), "encryptedVMs", "db1"


async def unregistered(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await encrypted(s)
    await s.call("UnregisterVM", name="db1")
    return key, "encryptedVMs", "db1"


async def disk(s: Scene) -> tuple[CryptoKeyId, str, str]:
    await encrypted(s)
    s.add_server("kms2", s.make_laboratory("second"))
    await s.add_kms("SECOND", "kms2")
    info = await s.call("AddDisk", name="db1", diskSize=8192, keyProvider="SECOND")
    return key_of(info["keyIds"][-1]), "encryptedVMs", "db1"


async def removed_disk(s: Scene) -> tuple[CryptoKeyId, str, str]:
    found = await disk(s)
    await s.call("RemoveDisk", name="db1", disk=1)
    return found


async def host_key(s: Scene) -> tuple[CryptoKeyId, str, str]:
    return key_of(await s.call("ConfigureCryptoKey", host="esx01")), "affectedHosts", "esx01"


async def core_dump(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await encrypted(s)
    await s.call("PowerOnVM", name="db1")
    await s.call("DumpCore", host="esx01", world="db1")
    await s.call("PowerOffVM", name="db1")
    await s.call("DestroyVM", name="db1")
    return key, "affectedHosts", "esx01"


async def old_host_dump(s: Scene) -> tuple[CryptoKeyId, str, str]:
    """A dump that could not be relocked keeps the old host key in use."""
    _key, *_ = await host_key(s)
    await s.call("DumpCore", host="esx01", world="hostd")
    dumps = s.host().dumps
    dumps.relock = lambda *_: ([], ["hostd"])  # type: ignore[method-assign]
    await s.call("ChangeHostKey", host="esx01")
    return _key, "affectedHosts", "esx01"


async def interrupted_rekeying(s: Scene) -> tuple[CryptoKeyId, str, str]:
    await encrypted(s)
    key = await generated(s)
    s.store.inventory.set_next_key(s.store.inventory.machine("db1").uuid, key)
    return key, "encryptedVMs", "db1"


async def unfinished_copy(s: Scene) -> tuple[CryptoKeyId, str, str]:
    return await staged(s, COPY)


async def arriving_machine(s: Scene) -> tuple[CryptoKeyId, str, str]:
    return await staged(s, INCOMING)


async def staged(s: Scene, purpose: str) -> tuple[CryptoKeyId, str, str]:
    key = await encrypted(s)
    await s.call("UnregisterVM", name="db1")
    store = s.host().datastore.folder
    (store / "db1").rename(staging_folder(store, "db1", purpose, "1"))
    return key, "encryptedVMs", "db1"


async def clone_in_progress(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await generated(s)
    record = CloneRecord("db1", "db2", "esx01", [key], s.now)
    Clones(s.store).running(record).__enter__()
    return key, "encryptedVMs", "db2"


async def call_in_progress(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await generated(s)
    s.vcenter.crypto._purposes[key].append("a new disk of db1")
    return key, "referencedByTags", "a new disk of db1"


async def cluster_key(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await generated(s)
    await s.call("CreateCluster", name="c")
    await s.call("SetCryptoMode", name="c", cryptoMode="onDemand", keyId=to_builtins(key))
    return key, "referencedByTags", "cluster c"


async def vsan(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await generated(s)
    s.store.providers.set_setting("vsan/c", str(key))
    return key, "referencedByTags", "vSAN of cluster c"


async def wrapping_key(s: Scene) -> tuple[CryptoKeyId, str, str]:
    key = await generated(s)
    await s.call("ConfigureWrappingKey", clusterId="KMS", keyId=key.key_id)
    return key, "referencedByTags", "wrapping key of KMS"


async def old_wrapping_key(s: Scene) -> tuple[CryptoKeyId, str, str]:
    """The provider has another one, but a machine's key needs this one."""
    key, *_ = await wrapping_key(s)
    await encrypted(s)
    other = await generated_plain(s)
    await s.call("ConfigureWrappingKey", clusterId="KMS", keyId=other)
    return key, "encryptedVMs", "db1"


async def generated_plain(s: Scene) -> str:
    s.store.providers.change("KMS", key_spec=None)
    return (await generated(s)).key_id


USES: list[Use] = [
    home,
    unregistered,
    disk,
    removed_disk,
    host_key,
    core_dump,
    old_host_dump,
    interrupted_rekeying,
    unfinished_copy,
    arriving_machine,
    clone_in_progress,
    call_in_progress,
    cluster_key,
    vsan,
    wrapping_key,
    old_wrapping_key,
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_key_in_use_is_shown_and_not_removed(tmp_path: Path, use: Use) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key, member, name = await use(s)
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=[to_builtins(key)])
        assert name in status[member], status
        [refused] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert refused["fault"] == "ResourceInUse"
        assert name in refused["reason"]
        assert to_builtins(key) in await s.call("ListKeys")
        [done] = await s.call("RemoveKeys", keyIds=[to_builtins(key)], force=True)
        assert done["success"]

    play(tmp_path, test).close()


@pytest.mark.parametrize("use", [home, disk], ids=lambda use: use.__name__)
def test_the_files_alone_are_enough(tmp_path: Path, use: Use) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key, member, name = await use(s)
        without_records(s)
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=[to_builtins(key)])
        assert name in status[member]

    play(tmp_path, test).close()


def test_a_key_that_nothing_refers_to_is_removed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await generated(s)
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=[to_builtins(key)])
        assert (status["encryptedVMs"], status["affectedHosts"], status["referencedByTags"]) == (
            [],
            [],
            [],
        )
        [done] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert done["success"]
        assert to_builtins(key) not in await s.call("ListKeys")

    play(tmp_path, test).close()


def test_a_key_is_free_after_decryption(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        key = await encrypted(s)
        await s.call("DecryptVM", name="db1")
        [done] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert done["success"]

    play(tmp_path, test).close()


def test_while_a_host_does_not_answer_its_use_is_unknown(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare("esx01", "esx02")
        key = await generated(s)
        s.hosts["esx02"], host = None, s.hosts["esx02"]
        [status] = await s.call("QueryCryptoKeyStatus", keyIds=[to_builtins(key)])
        assert status["unknownHosts"] == ["esx02"]
        [refused] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert refused["fault"] == HostUnreachable.__name__
        assert "esx02" in refused["reason"]
        s.hosts["esx02"] = host
        [done] = await s.call("RemoveKeys", keyIds=[to_builtins(key)])
        assert done["success"]

    play(tmp_path, test).close()


# Native providers --------------------------------------------------------------------------------


async def native(s: Scene) -> None:
    s.start_host("esx01")
    await s.call("CreateCluster", name="c")
    await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/c")
    await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
    prepared = await s.call("ExportProvider", provider="NKP")
    await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])


async def by_host_key(s: Scene) -> str:
    await s.call("ConfigureCryptoKey", host="esx01")
    return "esx01"


async def by_machine(s: Scene) -> str:
    await s.call("CreateVM", host="esx01", name="db1", diskSize=8192)
    await s.call("EncryptVM", name="db1")
    await s.call("UnregisterVM", name="db1")
    return "db1"


async def by_machine_that_vcenter_never_saw(s: Scene) -> str:
    """Encrypted by the host alone, while vCenter was not running (R11)."""
    await by_host_key(s)
    host = s.host()
    host.machines.create("alone", 8192)
    host.machines.reconfigure("alone", CryptoSpecKind.ENCRYPT, CryptoKeyId("NKP", ""))
    return "alone"


@pytest.mark.parametrize(
    "use",
    [by_host_key, by_machine, by_machine_that_vcenter_never_saw],
    ids=lambda use: use.__name__,
)
def test_a_native_provider_in_use_is_not_deleted(tmp_path: Path, use: Any) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        name = await use(s)
        with pytest.raises(ResourceInUse, match=name):
            await s.call("DeleteNativeProvider", provider="NKP")
        assert s.store.providers.exists("NKP")
        assert name in await s.call("DeleteNativeProvider", provider="NKP", force=True)
        assert not s.store.providers.exists("NKP")

    play(tmp_path, test).close()


def test_an_unused_native_provider_is_deleted_only_if_all_hosts_answer(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await native(s)
        s.hosts["esx01"], host = None, s.hosts["esx01"]
        with pytest.raises(VSphereError, match="do not answer"):
            await s.call("DeleteNativeProvider", provider="NKP")
        s.hosts["esx01"] = host
        assert await s.call("DeleteNativeProvider", provider="NKP") == []

    play(tmp_path, test).close()
