"""A key server is replaced by another one, and that one by a native key provider.

The short form of ``kmipkit demo replace-key-server``: the same steps in one process.
"""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.model.errors import EncryptionKeyRequired
from vsphere_scene import Scene, play

DATA = b"payroll \xc3\xbc"


async def prepare(s: Scene) -> None:
    """Two encrypted machines, whose guests have written; a core dump; and a second provider."""
    s.add_server("kms1", s.make_laboratory("old"))
    await s.add_kms("OLD", "kms1")
    s.start_host("esx01")
    await s.call("CreateCluster", name="production")
    await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/production")
    for name in ("db1", "db2"):
        await s.call("CreateVM", host="esx01", name=name, diskSize=8192)
        await s.call("EncryptVM", name=name)
        s.host().guests.write_disk(name, 0, DATA)
    await s.call("DumpCore", host="esx01", world="hostd")
    s.add_server("kms2", s.make_laboratory("new", vendor="another vendor"))
    await s.add_kms("NEW", "kms2")
    await s.call("SetDefaultKmsCluster", clusterId="NEW")


async def keys_of(s: Scene, provider: str) -> list[dict[str, Any]]:
    return [key for key in await s.call("ListKeys") if key["providerId"] == provider]


async def move(s: Scene) -> None:
    """Machines and host get keys of the default provider."""
    for name in ("db1", "db2"):
        await s.call("RecryptVM", name=name)
    changed = await s.call("ChangeHostKey", host="esx01")
    assert (len(changed["relocked"]), changed["left"]) == (1, [])


async def retire(s: Scene, provider: str, server: str) -> None:
    """Remove the keys of a provider, then itself; its server is off for ever."""
    results = await s.call("RemoveKeys", keyIds=await keys_of(s, provider))
    assert all(result["success"] for result in results)
    await s.call("UnregisterKmsCluster", clusterId=provider)
    s.servers[server].is_up = False


def read(s: Scene) -> None:
    for name in ("db1", "db2"):
        assert s.host().guests.read_disk(name, 0, len(DATA)) == DATA


def test_a_key_server_is_replaced_while_the_machines_work(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await prepare(s)
        flat = s.folder / "esx01" / "datastore" / "db1" / "db1-flat.vmdk"
        before = flat.read_bytes()
        await move(s)
        assert flat.read_bytes() == before, "no block was written again"
        read(s)
        await retire(s, "OLD", "kms1")
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        read(s)

    play(tmp_path, test).close()


def test_a_key_of_the_old_server_is_not_removed_while_something_uses_it(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await prepare(s)
        await s.call("RecryptVM", name="db1")
        results = await s.call("RemoveKeys", keyIds=await keys_of(s, "OLD"))
        refused = [result["reason"] for result in results if not result["success"]]
        reasons = sorted(reason.partition(" is used by ")[2] for reason in refused)
        assert len(results) == 3
        assert reasons[0] == "db2"
        assert reasons[1].startswith("esx01, esx01: core dump ")

    play(tmp_path, test).close()


def test_a_machine_that_was_forgotten_is_locked_after_the_reboot(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await prepare(s)
        await s.call("RecryptVM", name="db1")
        await s.call("ChangeHostKey", host="esx01")
        s.servers["kms1"].is_up = False
        s.reboot("esx01")
        await s.vcenter.hosts.synchronise_restarted()
        assert s.host().guests.read_disk("db1", 0, len(DATA)) == DATA
        with pytest.raises(EncryptionKeyRequired):
            s.host().guests.read_disk("db2", 0, len(DATA))

    play(tmp_path, test).close()


def test_a_native_provider_takes_over_from_a_key_server(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await prepare(s)
        await move(s)
        await retire(s, "OLD", "kms1")
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        prepared = await s.call("ExportProvider", provider="NKP")
        await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
        await s.call("SetDefaultKmsCluster", clusterId="NKP")
        await move(s)
        await retire(s, "NEW", "kms2")
        s.reboot("esx01")
        read(s)

    play(tmp_path, test).close()
