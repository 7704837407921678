"""Snapshots and linked clones over the Web Services API, called by pyVmomi."""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.host.layers import MAX_LAYERS
from kmipkit_vsphere.web_services.codec import Writer
from kmipkit_vsphere.web_services.versions import DEFAULT_RELEASE, RELEASES
from kmipkit_vsphere.web_services.vim25.declaration import shape_of_value
from kmipkit_vsphere.web_services.vim25.devices import VirtualDiskFlatVer2BackingInfo
from lxml import etree
from pyVmomi import vim, vmodl
from vmomi_machines import (
    check,
    clone,
    disk_edit,
    encrypt,
    encryption,
    host,
    key,
    machine,
    reconfigure,
)
from vmomi_scene import Client


def take(client: Client, name: str, *, memory: bool = False, description: str = "") -> Any:
    task = machine(client).CreateSnapshot_Task(name, description or None, memory, False)
    return client.result(task)


def tree(client: Client, name: str = "db 1") -> Any:
    """Names, each with the names of what follows."""

    def names(trees: Any) -> dict[str, Any]:
        return {item.name: names(item.childSnapshotList) for item in trees}

    info = machine(client, name).snapshot
    return None if info is None else names(info.rootSnapshotList)


def write(client: Client, data: bytes) -> None:
    client.web.look(client.web.scene.host("esx01").guests.write_disk, "db 1", 0, data)


def read(client: Client, length: int = 7, name: str = "db 1") -> bytes:
    found = client.web.look(client.web.scene.host("esx01").guests.read_disk, name, 0, length)
    assert isinstance(found, bytes)
    return found


def layers_of(client: Client, name: str) -> list[tuple[str, str | None]]:
    """The files of the first disk from the top down, each with the provider of its key."""
    backing, found = machine(client, name).config.hardware.device[1].backing, []
    while backing is not None:
        key_id = backing.keyId
        found.append((backing.fileName, None if key_id is None else key_id.providerId.id))
        backing = backing.parent
    return found


def test_snapshots_are_taken_reverted_to_and_removed(tmp_path: Path) -> None:
    """Two have one name, and one has the id of another as its name: references tell them apart."""

    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt())
        vm = machine(client)
        assert vm.snapshot is None
        assert list(vm.rootSnapshot) == []
        first = take(client, "vor dem Umbau / é", description="Zeile 1\nZeile 2")
        write(client, b"changed")
        second = take(client, "3", memory=True)
        third = take(client, "vor dem Umbau / é")
        assert tree(client) == {"vor dem Umbau / é": {"3": {"vor dem Umbau / é": {}}}}
        [root] = vm.snapshot.rootSnapshotList
        assert (root.snapshot, root.vm, root.id, root.state) == (first, vm, 1, "poweredOff")
        assert root.description == "Zeile 1\nZeile 2"
        assert (root.quiesced, root.createTime.tzinfo is not None) == (False, True)
        assert vm.snapshot.currentSnapshot == third
        assert list(vm.rootSnapshot) == [first]
        assert list(first.childSnapshot) == [second]
        assert (third.vm, list(third.childSnapshot)) == (vm, [])
        client.result(first.RevertToSnapshot_Task())
        assert read(client) == b"payroll"
        assert vm.snapshot.currentSnapshot == first
        client.result(third.RemoveSnapshot_Task(False))
        assert tree(client) == {"vor dem Umbau / é": {"3": {}}}
        for call in (third.RevertToSnapshot_Task, lambda: third.vm):
            with pytest.raises(vmodl.fault.ManagedObjectNotFound):
                call()
        client.result(second.RevertToSnapshot_Task())
        assert read(client) == b"changed"
        client.result(first.RemoveSnapshot_Task(True, True))
        assert vm.snapshot is None
        assert read(client) == b"changed"

    check(tmp_path, test)


def test_the_current_snapshot_and_all_of_them(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        vm = machine(client)
        with pytest.raises(vim.fault.NotFound):
            client.result(vm.RevertToCurrentSnapshot_Task())
        client.result(
            vm.CreateSnapshotEx_Task("ex", None, True, vim.vm.GuestQuiesceSpec(timeout=9))
        )
        write(client, b"changed")
        client.result(vm.RevertToCurrentSnapshot_Task())
        assert read(client) == b"payroll"
        take(client, "more")
        with pytest.raises(vmodl.fault.NotSupported):
            vm.RemoveAllSnapshots_Task(None, vim.vm.SnapshotSelectionSpec(retentionDays=3))
        client.result(vm.RemoveAllSnapshots_Task(False))
        assert tree(client) is None
        client.result(vm.ConsolidateVMDisks_Task())
        assert not vm.runtime.consolidationNeeded
        with pytest.raises(vmodl.fault.InvalidArgument) as error:
            take(client, "")
        assert error.value.invalidProperty == "name"

    check(tmp_path, test)


def test_a_snapshot_with_memory_is_powered_on_unless_that_is_suppressed(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        vm = machine(client)
        client.result(vm.PowerOnVM_Task())
        snapshot = take(client, "running", memory=True)
        assert vm.snapshot.rootSnapshotList[0].state == "poweredOn"
        client.result(vm.PowerOffVM_Task())
        for call in (snapshot.RevertToSnapshot_Task, vm.RevertToCurrentSnapshot_Task):
            client.result(call())
            assert vm.runtime.powerState == "poweredOn"
            client.result(call(None, True))
            assert vm.runtime.powerState == "poweredOff"

    check(tmp_path, test)


def test_clones_of_snapshots_and_linked_clones(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt(), deviceChange=[disk_edit(client, 0, encrypt())])
        first = take(client, "2")
        write(client, b"changed")
        second = take(client, "two")
        clone(client, "full", snapshot=first)
        assert read(client, name="full") == b"payroll"
        linked = {"diskMoveType": "createNewChildDiskBacking"}
        clone(client, "latest", location=linked)
        assert read(client, name="latest") == b"changed", "the current one, not the one named 2"
        child = clone(client, "child", location=linked, snapshot=second)
        assert read(client, name="child") == b"changed"
        assert child.config.keyId.keyId == machine(client).config.keyId.keyId
        recrypt = encryption.CryptoSpecShallowRecrypt(newKeyId=key(cluster="OTHER"))
        other = clone(client, "other", location={**linked, "cryptoSpec": recrypt}, snapshot=first)
        assert other.config.keyId.providerId.id == "OTHER"
        assert machine(client).config.keyId.providerId.id == "KMS"
        assert layers_of(client, "other") == [
            ("[esx01-datastore] other/other-000001.vmdk", "OTHER"),
            ("[esx01-datastore] db 1/db 1.vmdk", "KMS"),
        ]
        assert [name for _, name in layers_of(client, "db 1")] == ["KMS"] * 3
        with pytest.raises(vim.fault.ResourceInUse):
            client.result(first.RemoveSnapshot_Task(False))
        assert len(client.result(child.CreateSnapshot_Task("own", None, False, False)).vm.name) == 5
        foreign = child.snapshot.currentSnapshot
        with pytest.raises(vmodl.fault.InvalidArgument) as error:
            clone(client, "x", snapshot=foreign)
        assert error.value.invalidProperty == "spec.snapshot"
        refused = (
            {"at": "esx02", "location": linked},
            {"location": {**linked, "cryptoSpec": encryption.CryptoSpecDecrypt()}},
            {
                "location": {
                    **linked,
                    "cryptoSpec": encryption.CryptoSpecDeepRecrypt(newKeyId=key(cluster="OTHER")),
                }
            },
        )
        for wrong in refused:
            with pytest.raises(vmodl.fault.NotSupported):
                clone(client, "x", **wrong)
        assert client.web.look(client.web.endpoint.ref_of, "machine/x") is None
        assert host(client, "esx01").vm

    check(tmp_path, test)


@pytest.mark.parametrize("moid", ["snapshot-", "snapshot-x", "snapshot-999", "vm-10", "snapshot-٣"])
def test_references_of_no_snapshot(tmp_path: Path, moid: str) -> None:
    def test(client: Client) -> None:
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            client.object(vim.vm.Snapshot, moid).RemoveSnapshot_Task(False)

    check(tmp_path, test)


def test_as_many_layers_as_there_may_be_are_written() -> None:
    backing = None
    for number in range(MAX_LAYERS):
        backing = VirtualDiskFlatVer2BackingInfo(
            file_name=f"[ds] é/{number}.vmdk", disk_mode="persistent", parent=backing
        )
    root = etree.Element("{urn:vim25}x", nsmap={None: "urn:vim25"})
    writer = Writer(RELEASES[DEFAULT_RELEASE].api)
    writer.write(root, "{urn:vim25}backing", shape_of_value(backing), backing)
    assert len(list(root.iter("{urn:vim25}fileName"))) == MAX_LAYERS
