"""What tests of machines over the Web Services API share: a laboratory, and calls by pyVmomi."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyVmomi import vim
from vmomi_scene import Client, provider, talk
from vsphere_scene import Scene

POLICY = "4d5f673c-536f-11e6-beb8-9e71128cae77"
encryption = vim.encryption
SIZE = 16384


async def laboratory(s: Scene) -> None:
    """A cluster of two hosts, a standalone one, two key providers, and a machine with two disks."""
    s.add_server("kms1")
    await s.add_kms("KMS", "kms1")
    s.add_server("kms2", s.make_laboratory("second"))
    await s.add_kms("OTHER", "kms2", anyVendor=True)
    await s.call("CreateCluster", name="prod")
    for name, parent in (("esx01", "cluster/prod"), ("esx02", "cluster/prod"), ("lone", "/")):
        s.start_host(name)
        await s.call("AddHost", name=name, address="192.0.2.1", port=1, parent=parent)
    await s.call("CreateFolder", name="Buchhaltung")
    await s.call("CreateVM", host="esx01", name="db 1", diskSize=SIZE, moreDisks=[SIZE])
    s.host("esx01").guests.write_disk("db 1", 0, b"payroll")


def check(folder: Path, test: Callable[[Client], None], release: str = "8.0.3") -> None:
    talk(folder, lambda web: test(web.client()), laboratory, release)


def machine(client: Client, name: str = "db 1") -> Any:
    return client.object(vim.VirtualMachine, client.web.moid(f"machine/{name}"))


def host(client: Client, name: str) -> Any:
    return client.object(vim.HostSystem, client.web.moid(f"host/{name}"))


def pool_of(client: Client, name: str) -> Any:
    return host(client, name).parent.resourcePool


def key(key_id: str = "", cluster: str | None = None) -> Any:
    found = encryption.CryptoKeyId(keyId=key_id)
    if cluster is not None:
        found.providerId = provider(cluster)
    return found


def encrypt(key_id: str = "", cluster: str | None = None) -> Any:
    return encryption.CryptoSpecEncrypt(cryptoKeyId=key(key_id, cluster))


def disk_edit(client: Client, number: int, crypto: Any, name: str = "db 1") -> Any:
    disks = [
        device
        for device in machine(client, name).config.hardware.device
        if isinstance(device, vim.vm.device.VirtualDisk)
    ]
    return vim.vm.device.VirtualDeviceSpec(
        operation="edit",
        device=disks[number],
        backing=vim.vm.device.VirtualDeviceSpec.BackingSpec(crypto=crypto),
    )


def reconfigure(client: Client, **spec: Any) -> None:
    task = machine(client).ReconfigVM_Task(vim.vm.ConfigSpec(**spec))
    client.result(task)


def keys(client: Client, name: str = "db 1") -> list[str | None]:
    """The providers of the keys of the home and of each disk."""
    config = machine(client, name).config
    found = [config.keyId] + [
        device.backing.keyId
        for device in config.hardware.device
        if isinstance(device, vim.vm.device.VirtualDisk)
    ]
    return [None if key is None else key.providerId.id for key in found]


def new_disk(crypto: Any = None, profile: str | None = None) -> Any:
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, capacityInKB=16)
    disk.backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent")
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    if crypto is not None:
        change.backing = vim.vm.device.VirtualDeviceSpec.BackingSpec(crypto=crypto)
    if profile is not None:
        change.profile = [vim.vm.DefinedProfileSpec(profileId=profile)]
    return change


def create(client: Client, name: str, at: str = "lone", where: str = "", **spec: Any) -> Any:
    folder = client.object(vim.Folder, client.web.moid(where) if where else "group-v3")
    config = vim.vm.ConfigSpec(name=name, numCPUs=1, memoryMB=32, guestId="otherGuest", **spec)
    return client.result(folder.CreateVM_Task(config, pool_of(client, at), host(client, at)))


def clone(client: Client, name: str, at: str | None = None, **more: Any) -> Any:
    location = vim.vm.RelocateSpec(**more.pop("location", {}))
    if at is not None:
        location.host = host(client, at)
    spec = vim.vm.CloneSpec(location=location, template=False, **{"powerOn": False, **more})
    folder = client.object(vim.Folder, client.web.moid("folder/Buchhaltung"))
    return client.result(machine(client).CloneVM_Task(folder, name, spec))
