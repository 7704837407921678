"""Snapshots and linked clones as vCenter manages them: rights, keys, events, and what uses a key."""

import errno
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_vsphere.host import disk
from kmipkit_vsphere.model.errors import (
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    NoPermission,
    NoSpace,
    ResourceInUse,
    VSphereError,
)
from vsphere_scene import Scene, play

from kmipkit.spec.enums import RevocationReasonCode

MIXED = "vm.crypto.DiskchainUsingMixedKeys"


async def with_snapshot(s: Scene, *hosts: str) -> str:
    """An encrypted machine with a snapshot; its key."""
    await s.prepare(*hosts)
    key = (await s.call("EncryptVM", name="db1"))["keyId"]
    s.host().guests.write_disk("db1", 0, b"old")
    await s.call("CreateSnapshot", name="db1", snapshot="s", description="why")
    s.host().guests.write_disk("db1", 0, b"new")
    return str(key)


def first(s: Scene, name: str = "db1") -> bytes:
    return s.host().guests.read_disk(name, 0, 3)


def test_a_snapshot_is_taken_reverted_to_and_removed(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await with_snapshot(s)
        listed = await s.call("ListSnapshots", name="db1")
        assert listed["tree"] == ["1 s  <- the present state follows this one"]
        assert [layer["keyId"]["keyId"] for layer in listed["layers"]] == [key, key]
        await s.call("CreateSnapshot", name="db1", snapshot="t")
        tree = await s.call("RevertToSnapshot", name="db1", snapshot="s")
        assert tree["tree"] == ["1 s  <- the present state follows this one", "  2 t"]
        assert first(s) == b"old"
        await s.call("RemoveSnapshot", name="db1", snapshot="t")
        assert (await s.call("RemoveAllSnapshots", name="db1"))["snapshots"] == []
        assert (await s.call("ConsolidateDisks", name="db1"))["consolidationNeeded"] is False
        operations = [event["operation"] for event in await s.events(keyId=key)]
        assert operations[-6:] == [
            "CreateSnapshot",
            "CreateSnapshot",
            "RevertToSnapshot",
            "RemoveSnapshot",
            "RemoveAllSnapshots",
            "ConsolidateDisks",
        ]

    play(tmp_path, test)


RIGHTS = [
    ("CreateSnapshot", {"snapshot": "t"}),
    ("RevertToSnapshot", {"snapshot": "s"}),
    ("RemoveSnapshot", {"snapshot": "s"}),
    ("RemoveAllSnapshots", {}),
    ("ConsolidateDisks", {}),
]


@pytest.mark.parametrize(
    ("method", "params"),
    [RIGHTS[0], *(pytest.param(*case, marks=pytest.mark.long) for case in RIGHTS[1:])],
)
def test_each_change_needs_its_privilege(
    tmp_path: Path, method: str, params: dict[str, Any]
) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        await s.call("SetPermission", entity="/", principal="eve", role="ReadOnly")
        before = await s.call("ListSnapshots", "eve", name="db1")
        s.forget()
        with pytest.raises(NoPermission, match=r"VirtualMachine\.State"):
            await s.call(method, "eve", name="db1", **params)
        assert (s.calls, s.kmip) == ([], [])
        assert await s.call("ListSnapshots", name="db1") == before

    play(tmp_path, test)


def test_the_host_gets_its_keys_again_for_a_snapshot(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        s.reboot("esx01")
        await s.call("ReconnectHost", name="esx01")
        s.host().keys.remove(s.host().machines.info("db1").key_ids[0])
        await s.call("RevertToSnapshot", name="db1", snapshot="s")
        assert first(s) == b"old"

    play(tmp_path, test)


def test_a_key_that_is_gone_leaves_the_snapshots_as_they_are(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await with_snapshot(s)
        await s.ask_kms(calls.revoke(key, RevocationReasonCode.CESSATION_OF_OPERATION, None, None))
        s.host().machines.lock("db1")
        s.host().keys.remove(s.host().machines.info("db1").key_ids[0])
        with pytest.raises(KeyNotUsable):
            await s.call("RevertToSnapshot", name="db1", snapshot="s")
        with pytest.raises(EncryptionKeyRequired):
            s.host().snapshots.revert("db1", "s")
        assert len((await s.call("ListSnapshots", name="db1"))["layers"]) == 2

    play(tmp_path, test)


@pytest.mark.parametrize("method", ["DecryptVM", "RecryptVM"])
def test_what_is_refused_with_snapshots_says_what_to_do(tmp_path: Path, method: str) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        params = {"deep": True} if method == "RecryptVM" else {}
        with pytest.raises(InvalidState, match=r"has snapshots \(s\).*remove-all-snapshots"):
            await s.call(method, name="db1", **params)
        with pytest.raises(InvalidState, match="has snapshots"):
            await s.call("SetStoragePolicy", name="db1", policy="Datastore Default", parts=["disk"])
        new = (await s.call("RecryptVM", name="db1"))["keyId"]
        assert {layer.key_id.key_id for layer in layers(s) if layer.key_id} == {new}

    play(tmp_path, test)


def layers(s: Scene, name: str = "db1") -> Any:
    return s.host().machines.info(name).layers


def test_a_rekey_that_fails_half_way_is_an_event_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        kind = type(s.host().datastore.machine("db1").home)
        real, count = kind.recrypt_shallow, []

        def fails(self: Any, *args: Any) -> None:
            count.append(self.use)
            if len(count) == 3:
                raise InvalidState("the datastore is gone")
            real(self, *args)

        monkeypatch.setattr(kind, "recrypt_shallow", fails)
        with pytest.raises(InvalidState, match="the datastore is gone"):
            await s.call("RecryptVM", name="db1")
        monkeypatch.undo()
        [event] = await s.events(eventTypeId=MIXED)
        assert event["severity"] == "warning"
        assert event["entity"]["name"] == "db1"
        for layer in layers(s):
            key = {"providerId": "KMS", "keyId": layer.key_id.key_id}
            [result] = await s.call("RemoveKeys", keyIds=[key])
            assert result["fault"] == "ResourceInUse"
        await s.call("RecryptVM", name="db1")
        assert s.host().machines.info("db1").mixed_disks == []

    play(tmp_path, test)


def test_a_linked_clone_uses_the_keys_of_its_parent(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        key = await with_snapshot(s)
        with pytest.raises(InvalidArgument, match="a full clone has the key of its source"):
            await s.call("CloneVM", name="db1", newName="db2", keyProvider="KMS")
        await s.call("CloneVM", name="db1", newName="db2", linked=True)
        assert await s.events(eventTypeId=MIXED) == []
        info = await s.call("CloneVM", name="db1", newName="db3", linked=True, keyProvider="KMS")
        [event] = await s.events(eventTypeId=MIXED)
        assert event["entity"]["name"] == "db3"
        own = s.store.inventory.machine("db3").key_id
        assert own is not None
        assert info["keyIds"][0]["keyId"] == own.key_id != key
        [status] = await s.call(
            "QueryCryptoKeyStatus", keyIds=[{"providerId": "KMS", "keyId": key}], checkKeyBitMap=15
        )
        assert status["encryptedVMs"] == ["db1", "db2", "db3"]
        attributes = await s.ask_kms(calls.get_attributes(own.key_id, ["x-Name"]))
        assert attributes.items[0].value == "db3"
        for name in ("db2", "db3"):
            assert first(s, name) == b"old"
        with pytest.raises(ResourceInUse, match="db2, db3"):
            await s.call("DestroyVM", name="db1")
        await s.call("DestroyVM", name="db2")
        await s.call("UnregisterVM", name="db3")
        with pytest.raises(ResourceInUse, match="db3"):
            await s.call("RemoveSnapshot", name="db1", snapshot="s")
        info = await s.call("RegisterVM", host="esx01", name="db3")
        assert info["cryptoState"] == "unlocked"
        assert len(await s.events(eventTypeId=MIXED)) == 2

    play(tmp_path, test)


def test_the_host_itself_makes_the_key_of_a_clone_with_a_native_provider(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.call("CreateCluster", name="prod")
        s.start_host("esx01")
        await s.call("AddHost", name="esx01", address="h", port=1, parent="cluster/prod")
        await s.call("CreateNativeProvider", provider="NKP", anyHost=True)
        prepared = await s.call("ExportProvider", provider="NKP")
        await s.call("DownloadBackup", token=prepared["location"]["downloadToken"]["token"])
        await s.call("CreateVM", host="esx01", name="db1", diskSize=8192, encrypt=True)
        s.host().guests.write_disk("db1", 0, b"old")
        await s.call("CreateSnapshot", name="db1", snapshot="s")
        info = await s.call("CloneVM", name="db1", newName="db2", linked=True, keyProvider="NKP")
        own, shared = (key["keyId"] for key in info["keyIds"])
        assert own != shared
        assert s.store.inventory.machine("db2").key_id is not None
        s.reboot("esx01")
        assert first(s, "db2") == b"old", "without vCenter"
        with pytest.raises(ResourceInUse, match="db1, db2"):
            await s.call("DeleteNativeProvider", provider="NKP")

    play(tmp_path, test)


def test_a_full_datastore_is_an_event_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        before = await s.call("ListSnapshots", name="db1")

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr(disk, "_write_fully", full)
        with pytest.raises(NoSpace):
            await s.call("CreateSnapshot", name="db1", snapshot="t")
        monkeypatch.undo()
        assert await s.events(eventTypeId="vm.crypto.NoDiskSpace")
        assert await s.call("ListSnapshots", name="db1") == before
        folder = s.host().datastore.folder / "db1"
        assert not list(folder.glob("*Snapshot2*")), "nothing half made is left"

    play(tmp_path, test)


def test_a_plain_parent_has_plain_linked_clones(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await s.prepare()
        with pytest.raises(InvalidState, match="create-snapshot"):
            await s.call("CloneVM", name="db1", newName="db2", linked=True)
        await s.call("CreateSnapshot", name="db1", snapshot="s")
        with pytest.raises(InvalidState, match="is not encrypted"):
            await s.call("CloneVM", name="db1", newName="db2", linked=True, keyProvider="KMS")
        info = await s.call("CloneVM", name="db1", newName="db2", linked=True)
        assert (info["keyIds"], info["parents"]) == ([], ["db1"])
        assert not s.kmip

    play(tmp_path, test)


def test_machines_that_share_disks_do_not_move(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s, "esx01", "esx02")
        await s.call("CloneVM", name="db1", newName="db2", linked=True)
        s.forget()
        with pytest.raises(InvalidState, match=r"linked clone of db1.*make a full clone"):
            await s.call("MigrateVM", name="db2", target="esx02")
        with pytest.raises(InvalidState, match="cannot move away"):
            await s.call("MigrateVM", name="db1", target="esx02")
        asked = {method for host, method in s.calls if host == "esx02"}
        assert asked == {"ListMachines"} or not asked, "no key is pushed to the target"

    play(tmp_path, test)


def test_a_missing_key_of_one_layer_locks_one_machine_and_names_the_layer(tmp_path: Path) -> None:
    async def test(s: Scene) -> None:
        await with_snapshot(s)
        await s.call("CloneVM", name="db1", newName="db3", linked=True, keyProvider="KMS")
        await s.call("CreateVM", host="esx01", name="other", diskSize=8192, encrypt=True)
        key = s.store.inventory.machine("db1").key_id
        assert key is not None
        await s.ask_kms(
            calls.revoke(key.key_id, RevocationReasonCode.CESSATION_OF_OPERATION, None, None)
        )
        s.reboot("esx01")
        await s.vcenter.run_background_tasks()
        states = {info.name: info for info in s.host().machines.list_all()}
        assert states["db1"].crypto_state == "locked"
        assert states["other"].crypto_state == "unlocked"
        assert states["db3"].locked_disks == [0]
        alarms = [a for a in await s.call("ListAlarms") if a["entity"]["name"] == "db3"]
        messages = {alarm["alarm"]: alarm["message"] for alarm in alarms}
        assert set(messages) == {"machineLocked", "mixedKeys"}
        assert "db1.vmdk is locked" in messages["machineLocked"]
        with pytest.raises(VSphereError, match="cannot be used"):
            await s.call("PowerOnVM", name="db3")

    play(tmp_path, test)
