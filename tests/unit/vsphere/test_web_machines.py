"""Machines over the Web Services API, called by pyVmomi: encryption, clones, moves, power."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.web_services.objects.compute import ClusterComputeResource
from kmipkit_vsphere.web_services.objects.crypto_manager_host import CryptoManagerHostKMS
from kmipkit_vsphere.web_services.objects.folders import Folder
from kmipkit_vsphere.web_services.objects.hosts import HostSystem
from kmipkit_vsphere.web_services.objects.machines import VirtualMachine
from pyVmomi import vim, vmodl
from vmomi_scene import Client, WebScene, provider, talk
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


# Encryption --------------------------------------------------------------------------------------


def test_home_and_disks_are_encrypted_reencrypted_and_decrypted(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        assert keys(client) == [None, None, None]
        reconfigure(client, crypto=encrypt())
        assert keys(client) == ["KMS", None, None], "the home only, with the default provider"
        assert machine(client).runtime.cryptoState == "unlocked"
        assert machine(client).config.migrateEncryption == "required"
        reconfigure(client, deviceChange=[disk_edit(client, 0, encrypt(cluster="OTHER"))])
        assert keys(client) == ["KMS", "OTHER", None], "a disk with a key of its own"
        shallow = encryption.CryptoSpecShallowRecrypt(newKeyId=key(cluster="OTHER"))
        reconfigure(client, crypto=shallow)
        assert keys(client) == ["OTHER", "OTHER", None]
        deep = encryption.CryptoSpecDeepRecrypt(newKeyId=key(cluster="KMS"))
        reconfigure(client, crypto=deep, deviceChange=[disk_edit(client, 0, deep)])
        assert keys(client) == ["KMS", "KMS", None]
        for nothing in (
            encryption.CryptoSpecNoOp(),
            encryption.CryptoSpecRegister(cryptoKeyId=key("x")),
        ):
            reconfigure(client, crypto=nothing)
        decrypt = encryption.CryptoSpecDecrypt()
        reconfigure(client, crypto=decrypt, deviceChange=[disk_edit(client, 0, decrypt)])
        assert keys(client) == [None, None, None]
        assert machine(client).runtime.cryptoState is None
        read = client.web.look(client.web.scene.host("esx01").guests.read_disk, "db 1", 0, 7)
        assert read == b"payroll"

    check(tmp_path, test)


def test_a_key_that_exists_is_used(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        made = client.key_manager.GenerateKey(provider("OTHER")).keyId
        before = len(client.key_manager.ListKeys())
        spec = encryption.CryptoSpecEncrypt(cryptoKeyId=made)
        edits = [disk_edit(client, number, spec) for number in (0, 1)]
        reconfigure(client, crypto=spec, deviceChange=edits)
        config = machine(client).config
        assert config.keyId.keyId == made.keyId
        assert {device.backing.keyId.keyId for device in config.hardware.device[1:]} == {made.keyId}
        used = {found.keyId for found in client.key_manager.ListKeys()}
        assert len(used) - before <= 2, "no keys were made but those of the two hosts"
        again = client.key_manager.GenerateKey(provider("KMS")).keyId
        nameless = encryption.CryptoKeyId(keyId=again.keyId)
        reconfigure(client, crypto=encryption.CryptoSpecShallowRecrypt(newKeyId=nameless))
        assert machine(client).config.keyId.keyId == again.keyId
        assert machine(client).config.keyId.providerId.id == "KMS"

    check(tmp_path, test)


def test_a_storage_policy_encrypts_with_the_default_provider(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        profile = vim.vm.DefinedProfileSpec(profileId=POLICY)
        none = vim.vm.DefaultProfileSpec()
        edit = disk_edit(client, 0, None)
        edit.profile, edit.backing = [none], None
        reconfigure(client, vmProfile=[profile], deviceChange=[edit])
        assert keys(client) == ["KMS", None, "KMS"], "all but the disk with another policy"
        edit.profile = [profile]
        reconfigure(client, deviceChange=[edit])
        assert keys(client) == ["KMS", "KMS", "KMS"]
        reconfigure(client, vmProfile=[none])
        assert keys(client) == [None, None, None]
        unknown = vim.vm.DefinedProfileSpec(profileId="x")
        with pytest.raises(vmodl.fault.InvalidArgument) as error:
            reconfigure(client, vmProfile=[unknown])
        assert error.value.invalidProperty == "spec.vmProfile"

    check(tmp_path, test)


def test_a_virtual_tpm_and_disks_are_added_and_removed(tmp_path: Path) -> None:
    """With a TPM and no specification, the home gets a key of the default provider (Ansible)."""

    def test(client: Client) -> None:
        add = vim.vm.device.VirtualDeviceSpec(
            operation="add", device=vim.vm.device.VirtualTPM(key=-1)
        )
        reconfigure(client, deviceChange=[add])
        assert keys(client)[0] == "KMS"
        vm = machine(client)
        [tpm] = [
            device
            for device in vm.config.hardware.device
            if isinstance(device, vim.vm.device.VirtualTPM)
        ]
        assert vm.summary.config.tpmPresent
        disk = vim.vm.device.VirtualDisk(key=-2, capacityInKB=8, capacityInBytes=8192)
        disk.backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", diskMode="persistent"
        )
        new = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
        new.backing = vim.vm.device.VirtualDeviceSpec.BackingSpec(crypto=encrypt(cluster="OTHER"))
        reconfigure(client, deviceChange=[new])
        assert keys(client) == ["KMS", None, None, "OTHER"]
        remove = disk_edit(client, 2, None)
        remove.operation = "remove"
        without = vim.vm.device.VirtualDeviceSpec(operation="remove", device=tpm)
        reconfigure(client, deviceChange=[remove, without])
        assert keys(client) == ["KMS", None, None]
        assert not vm.summary.config.tpmPresent

    check(tmp_path, test)


REFUSED: dict[str, tuple[Callable[[Client], None], type[Exception]]] = {
    "decrypt what is plain": (
        lambda c: reconfigure(c, crypto=encryption.CryptoSpecDecrypt()),
        vim.fault.InvalidState,
    ),
    "re-encrypt what is plain": (
        lambda c: reconfigure(c, crypto=encryption.CryptoSpecDeepRecrypt(newKeyId=key())),
        vim.fault.InvalidState,
    ),
    "a disk without its home": (
        lambda c: reconfigure(c, deviceChange=[disk_edit(c, 0, encrypt())]),
        vim.fault.InvalidState,
    ),
    "an unknown provider": (
        lambda c: reconfigure(c, crypto=encrypt(cluster="missing")),
        vim.fault.NotFound,
    ),
    "an unknown key": (
        lambda c: reconfigure(c, crypto=encrypt("missing", "KMS")),
        vmodl.MethodFault,
    ),
    "another name": (lambda c: reconfigure(c, name="x"), vmodl.fault.NotSupported),
    "a migration mode": (
        lambda c: reconfigure(c, migrateEncryption="often"),
        vmodl.fault.InvalidArgument,
    ),
}


def test_what_the_state_of_a_machine_does_not_allow(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        for name, (action, kind) in REFUSED.items():
            before = keys(client)
            with pytest.raises(kind) as error:
                action(client)
            assert error.value.msg, name
            assert keys(client) == before, name
        reconfigure(client, crypto=encrypt())
        with pytest.raises(vim.fault.InvalidState):
            reconfigure(client, crypto=encrypt())

    check(tmp_path, test)


def test_encryption_needs_a_machine_that_is_off(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        vm = machine(client)
        client.result(vm.PowerOnVM_Task())
        assert vm.runtime.powerState == "poweredOn"
        deep = encryption.CryptoSpecDeepRecrypt(newKeyId=key())
        with pytest.raises(vim.fault.InvalidPowerState) as error:
            reconfigure(client, crypto=encrypt())
        assert (error.value.existingState, error.value.requestedState) == (
            "poweredOn",
            "poweredOff",
        )
        with pytest.raises(vim.fault.InvalidPowerState):
            client.result(vm.PowerOnVM_Task())
        client.result(vm.PowerOffVM_Task())
        with pytest.raises(vim.fault.InvalidPowerState) as error:
            client.result(vm.PowerOffVM_Task())
        assert error.value.existingState == "poweredOff"
        reconfigure(client, crypto=encrypt())
        client.result(vm.PowerOnVM_Task())
        shallow = encryption.CryptoSpecShallowRecrypt(newKeyId=key())
        reconfigure(client, crypto=shallow)
        with pytest.raises(vim.fault.InvalidPowerState):
            reconfigure(client, crypto=deep)
        with pytest.raises(vim.fault.InvalidPowerState):
            client.result(vm.Destroy_Task())

    check(tmp_path, test)


def test_a_locked_machine_says_which_keys_it_needs(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt())
        key_id = machine(client).config.keyId.keyId
        client.web.look(client.web.scene.reboot, "esx01")
        client.web.scene.servers["kms1"].is_up = False
        assert machine(client).runtime.cryptoState == "locked"
        for task in ("PowerOnVM_Task", "CryptoUnlock_Task"):
            with pytest.raises(vim.fault.EncryptionKeyRequired) as error:
                client.result(getattr(machine(client), task)())
            assert [found.keyId for found in error.value.requiredKey] == [key_id], task
        client.web.scene.servers["kms1"].is_up = True
        client.result(machine(client).CryptoUnlock_Task())
        assert machine(client).runtime.cryptoState == "unlocked"
        plain = client.web.call("CreateVM", host="esx01", name="plain", diskSize=SIZE)
        with pytest.raises(vim.fault.InvalidState):
            client.result(machine(client, plain["name"]).CryptoUnlock_Task())

    check(tmp_path, test)


# New machines ------------------------------------------------------------------------------------


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


NEW: dict[str, tuple[dict[str, Any], list[str | None]]] = {
    "plain, without a disk": ({}, [None]),
    "a disk and a network card": (
        {
            "deviceChange": [
                new_disk(),
                vim.vm.device.VirtualDeviceSpec(
                    operation="add",
                    device=vim.vm.device.VirtualE1000(key=-3, addressType="generated"),
                ),
            ]
        },
        [None, None],
    ),
    "the home encrypted": ({"crypto": encrypt(), "deviceChange": [new_disk()]}, ["KMS", None]),
    "all encrypted": (
        {"crypto": encrypt(), "deviceChange": [new_disk(encrypt()), new_disk(encrypt())]},
        ["KMS", "KMS", "KMS"],
    ),
    "keys of two providers": (
        {
            "crypto": encrypt(),
            "deviceChange": [new_disk(encrypt(cluster="OTHER")), new_disk(encrypt())],
        },
        ["KMS", "OTHER", "KMS"],
    ),
    "by policy": (
        {
            "vmProfile": [vim.vm.DefinedProfileSpec(profileId=POLICY)],
            "deviceChange": [new_disk(profile=POLICY), new_disk()],
        },
        ["KMS", "KMS", "KMS"],
    ),
}


def test_new_machines(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        for name, (spec, expected) in NEW.items():
            made = create(client, "Lohn µ", where="folder/Buchhaltung", **spec)
            assert made._GetMoId() == client.web.moid("machine/Lohn µ"), name
            assert (made.name, made.parent.name) == ("Lohn µ", "Buchhaltung"), name
            assert keys(client, "Lohn µ") == expected, name
            assert made.runtime.host.name == "lone", name
            client.result(made.Destroy_Task())
            assert client.web.look(client.web.endpoint.ref_of, "machine/Lohn µ") is None, name

    check(tmp_path, test)


def test_a_machine_that_cannot_be_encrypted_is_not_created(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        client.web.scene.servers["kms1"].is_up = False
        with pytest.raises(vmodl.MethodFault):
            create(client, "new", crypto=encrypt(), deviceChange=[new_disk()])
        assert client.web.look(client.web.endpoint.ref_of, "machine/new") is None
        listed = client.web.call("ListDatastore", host="lone")
        assert listed == [], "and its files are gone"
        with pytest.raises(vim.fault.DuplicateName) as error:
            create(client, "db 1")
        assert error.value.object._GetMoId() == client.web.moid("machine/db 1")
        with pytest.raises(vim.fault.InvalidName):
            create(client, "")
        with pytest.raises(vmodl.fault.InvalidArgument):
            create(client, "..")

    check(tmp_path, test)


def test_the_pool_of_a_cluster_and_the_path_choose_the_host(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        folder = client.object(vim.Folder, "group-v3")
        pool = pool_of(client, "esx01")
        for path, expected in ((None, "esx01"), ("[esx02-datastore]", "esx02")):
            files = vim.vm.FileInfo(vmPathName=path) if path else None
            config = vim.vm.ConfigSpec(name=f"at {expected}", files=files)
            made = client.result(folder.CreateVM_Task(config, pool))
            assert made.runtime.host.name == expected

    check(tmp_path, test)


def test_a_machine_is_unregistered_and_registered(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt())
        path = machine(client).config.files.vmPathName
        machine(client).UnregisterVM()
        folder = client.object(vim.Folder, client.web.moid("folder/Buchhaltung"))
        registered = client.result(folder.RegisterVM_Task(path, None, False))
        assert (registered.name, registered.parent.name) == ("db 1", "Buchhaltung")
        assert registered.runtime.cryptoState == "unlocked"
        with pytest.raises(vim.fault.DuplicateName):
            client.result(folder.RegisterVM_Task(path, None, False))
        for wrong in ("[nowhere] db 1/db 1.vmx", "db 1", "[esx01-datastore] db 1/other.vmx"):
            with pytest.raises(vim.fault.InvalidDatastorePath):
                folder.RegisterVM_Task(wrong, None, False)
        with pytest.raises(vmodl.RuntimeFault):
            client.result(folder.RegisterVM_Task("[esx01-datastore] x/x.vmx", None, False))

    check(tmp_path, test)


# Clones and moves --------------------------------------------------------------------------------


def clone(client: Client, name: str, at: str | None = None, **more: Any) -> Any:
    location = vim.vm.RelocateSpec(**more.pop("location", {}))
    if at is not None:
        location.host = host(client, at)
    spec = vim.vm.CloneSpec(location=location, template=False, **{"powerOn": False, **more})
    folder = client.object(vim.Folder, client.web.moid("folder/Buchhaltung"))
    return client.result(machine(client).CloneVM_Task(folder, name, spec))


def test_clones_keep_their_keys_or_get_others(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt())
        source = machine(client).config.keyId.keyId
        same = clone(client, "same")
        assert (same.config.keyId.keyId, same.parent.name) == (source, "Buchhaltung")
        shallow = encryption.CryptoSpecShallowRecrypt(newKeyId=key(cluster="OTHER"))
        other = clone(client, "other", location={"cryptoSpec": shallow}, powerOn=True)
        assert keys(client, "other") == ["OTHER", None, None]
        assert other.runtime.powerState == "poweredOn"
        moved = clone(client, "moved", "esx02", tpmProvisionPolicy="replace")
        assert moved.runtime.host.name == "esx02"
        assert machine(client).config.keyId.keyId == source
        with pytest.raises(vim.fault.DuplicateName):
            clone(client, "same")
        with pytest.raises(vmodl.fault.InvalidArgument):
            clone(client, "x", tpmProvisionPolicy="forget")
        with pytest.raises(vim.fault.InvalidState):
            clone(client, "x", location={"cryptoSpec": encrypt()})
        assert client.web.look(client.web.endpoint.ref_of, "machine/x") is None

    check(tmp_path, test)


def test_a_machine_moves_to_another_host(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        reconfigure(client, crypto=encrypt())
        vm = machine(client)
        shallow = encryption.CryptoSpecShallowRecrypt(newKeyId=key(cluster="OTHER"))
        spec = vim.vm.RelocateSpec(host=host(client, "esx02"), cryptoSpec=shallow)
        client.result(vm.RelocateVM_Task(spec))
        assert (vm.runtime.host.name, keys(client)[0]) == ("esx02", "OTHER")
        lone = host(client, "lone")
        client.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=lone.datastore[0])))
        assert vm.runtime.host.name == "lone"
        client.result(vm.MigrateVM_Task(None, host(client, "esx01"), "defaultPriority"))
        assert vm.runtime.host.name == "esx01"
        wrong = vim.vm.RelocateSpec(host=lone, datastore=vm.datastore[0])
        with pytest.raises(vmodl.fault.InvalidArgument):
            vm.RelocateVM_Task(wrong)
        client.result(vm.RelocateVM_Task(vim.vm.RelocateSpec()))

    check(tmp_path, test)


def test_datastores_are_searched(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        browser = machine(client).datastore[0].browser

        def search(path: str, *patterns: str) -> list[str]:
            spec = vim.host.DatastoreBrowser.SearchSpec(matchPattern=list(patterns))
            found = client.result(browser.SearchDatastore_Task(path, spec))
            return [file.path for file in found.file]

        assert search("[esx01-datastore] db 1", "db 1.vmx") == ["db 1.vmx"]
        assert search("[esx01-datastore] db 1", "*.iso") == []
        assert search("[esx01-datastore]") == ["db 1"]
        with pytest.raises(vim.fault.FileNotFound):
            search("[esx01-datastore] nobody", "*.vmx")
        with pytest.raises(vim.fault.InvalidDatastorePath):
            search("[lone-datastore] db 1")

    check(tmp_path, test)


# Hosts -------------------------------------------------------------------------------------------


def test_a_host_enters_encryption_mode_with_a_key_of_the_caller(tmp_path: Path) -> None:
    def plain(name: str) -> Any:
        return encryption.CryptoKeyPlain(
            keyId=key(name, "KMS"), algorithm="AES-256", keyData="a2" * 21 + "a="
        )

    def test(client: Client) -> None:
        lone = host(client, "lone")
        manager = lone.configManager.cryptoManager
        assert isinstance(manager, encryption.CryptoManagerHostKMS)
        assert (lone.runtime.cryptoState, manager.enabled) == ("incapable", False)
        with pytest.raises(vim.fault.InvalidState):
            manager.CryptoManagerHostEnable(plain("k1"))
        manager.CryptoManagerHostPrepare()
        assert lone.runtime.cryptoState == "prepared"
        with pytest.raises(vim.fault.InvalidState):
            lone.PrepareCrypto()
        manager.CryptoManagerHostEnable(plain("k1"))
        assert (lone.runtime.cryptoState, lone.runtime.cryptoKeyId.keyId) == ("safe", "k1")
        with pytest.raises(vim.fault.AlreadyExists):
            manager.CryptoManagerHostEnable(plain("k2"))
        manager.AddKey(plain("k3"))
        with pytest.raises(vim.fault.AlreadyExists):
            manager.AddKey(plain("k3"))
        assert [result.success for result in manager.AddKeys([plain("k3"), plain("k4")])] == [
            False,
            True,
        ]
        assert [found.keyId for found in manager.ListKeys()] == ["k1", "k3", "k4"]
        assert len(manager.ListKeys(1)) == 1
        statuses = manager.GetCryptoKeyStatus([key("k4"), key("x", "KMS")])
        assert [status.present for status in statuses] == [True, False]
        assert len(manager.GetCryptoKeyStatus()) == 3
        with pytest.raises(vim.fault.ResourceInUse):
            manager.RemoveKey(key("k1", "KMS"), False)
        manager.RemoveKey(key("k3"), False)
        assert not manager.RemoveKeys([key("x", "KMS")], False)[0].success
        client.result(manager.ChangeKey_Task(plain("k5")))
        assert lone.runtime.cryptoKeyId.keyId == "k5"
        manager.CryptoManagerHostDisable()
        assert lone.runtime.cryptoState == "pendingIncapable"

    check(tmp_path, test)


def test_vcenter_gives_hosts_their_keys(tmp_path: Path) -> None:
    def test(client: Client) -> None:
        host(client, "esx01").ConfigureCryptoKey()
        assert host(client, "esx01").runtime.cryptoState == "safe"
        made = client.key_manager.GenerateKey(provider("OTHER")).keyId
        host(client, "lone").ConfigureCryptoKey(made)
        assert host(client, "lone").runtime.cryptoKeyId.keyId == made.keyId
        cluster = client.object(vim.ClusterComputeResource, client.web.moid("cluster/prod"))
        policy = vim.ClusterComputeResource.CryptoModePolicy(providerId=provider("OTHER"))
        cluster.SetCryptoMode("forceEnable", policy)
        assert host(client, "esx02").runtime.cryptoKeyId.providerId.id == "OTHER"
        config = cluster.configurationEx.cryptoConfig
        assert (config.cryptoMode, config.policy.providerId.id) == ("forceEnable", "OTHER")
        cluster.SetCryptoMode("")
        assert cluster.configurationEx.cryptoConfig.cryptoMode == "onDemand"
        with pytest.raises(vmodl.fault.InvalidArgument):
            cluster.SetCryptoMode("sometimes")
        missing = vim.ClusterComputeResource.CryptoModePolicy(providerId=provider("x"))
        with pytest.raises(vmodl.RuntimeFault):
            cluster.SetCryptoMode("onDemand", missing)

    check(tmp_path, test)


# Privileges --------------------------------------------------------------------------------------

PLAIN = encryption.CryptoKeyPlain(keyId=key("x", "KMS"), algorithm="AES-256", keyData="AAAA")
CALLS: dict[str, tuple[Callable[[Client], object], str]] = {
    "CreateVM_Task": (lambda c: create(c, "new"), "VirtualMachine.Inventory.Create"),
    "RegisterVM_Task": (
        lambda c: c.object(vim.Folder, "group-v3").RegisterVM_Task(
            "[lone-datastore] x/x.vmx", None, False
        ),
        "VirtualMachine.Inventory.Register",
    ),
    "ReconfigVM_Task, encrypt": (
        lambda c: reconfigure(c, crypto=encrypt()),
        "Cryptographer.Encrypt",
    ),
    "ReconfigVM_Task, nothing": (reconfigure, "VirtualMachine.Config.Settings"),
    "CloneVM_Task": (lambda c: clone(c, "new"), "VirtualMachine.Provisioning.Clone"),
    "RelocateVM_Task": (
        lambda c: machine(c).RelocateVM_Task(vim.vm.RelocateSpec(host=host(c, "esx02"))),
        "Resource.ColdMigrate",
    ),
    "MigrateVM_Task": (
        lambda c: machine(c).MigrateVM_Task(None, host(c, "esx02"), "defaultPriority"),
        "Resource.ColdMigrate",
    ),
    "PowerOnVM_Task": (lambda c: machine(c).PowerOnVM_Task(), "VirtualMachine.Interact.PowerOn"),
    "PowerOffVM_Task": (
        lambda c: machine(c).PowerOffVM_Task(),
        "VirtualMachine.Interact.PowerOff",
    ),
    "CryptoUnlock_Task": (lambda c: machine(c).CryptoUnlock_Task(), "Cryptographer.RegisterVM"),
    "UnregisterVM": (
        lambda c: machine(c).UnregisterVM(),
        "VirtualMachine.Inventory.Unregister",
    ),
    "Destroy_Task": (lambda c: machine(c).Destroy_Task(), "VirtualMachine.Inventory.Delete"),
    "PrepareCrypto": (
        lambda c: host(c, "lone").PrepareCrypto(),
        "Cryptographer.RegisterHost",
    ),
    "EnableCrypto": (
        lambda c: host(c, "lone").EnableCrypto(PLAIN),
        "Cryptographer.RegisterHost",
    ),
    "ConfigureCryptoKey": (
        lambda c: host(c, "lone").ConfigureCryptoKey(),
        "Cryptographer.RegisterHost",
    ),
    "SetCryptoMode": (
        lambda c: c.object(vim.ClusterComputeResource, c.web.moid("cluster/prod")).SetCryptoMode(
            "forceEnable"
        ),
        "Cryptographer.RegisterHost",
    ),
}


def manager_call(name: str, *arguments: Any) -> Callable[[Client], object]:
    def call(client: Client) -> object:
        manager = host(client, "lone").configManager.cryptoManager
        return getattr(manager, name)(*arguments)

    return call


for method, privilege, given in (
    ("CryptoManagerHostPrepare", "RegisterHost", ()),
    ("CryptoManagerHostEnable", "RegisterHost", (PLAIN,)),
    ("ChangeKey_Task", "RegisterHost", (PLAIN,)),
    ("CryptoManagerHostDisable", "RegisterHost", ()),
    ("AddKey", "ManageKeys", (PLAIN,)),
    ("AddKeys", "ManageKeys", ([PLAIN],)),
    ("RemoveKey", "ManageKeys", (key("x", "KMS"), True)),
    ("RemoveKeys", "ManageKeys", ([key("x", "KMS")], True)),
    ("ListKeys", "ManageKeys", ()),
    ("GetCryptoKeyStatus", "ManageKeys", ()),
):
    CALLS[f"host {method}"] = (manager_call(method, *given), f"Cryptographer.{privilege}")


def test_the_table_has_every_method() -> None:
    named = {name.removeprefix("host ").partition(",")[0] for name in CALLS}
    for kind in (VirtualMachine, Folder, HostSystem, ClusterComputeResource, CryptoManagerHostKMS):
        assert set(kind.METHODS) - named == {"Fetch"}, kind.__name__


def test_every_method_needs_its_privilege(tmp_path: Path) -> None:
    """Whoever may only look is refused at once: nothing changes, and there is an event."""

    def test(web: WebScene) -> None:
        reader = web.client("reader")
        before = web.call("ListInventory"), web.call("ListVMs")
        for name, (call, privilege) in CALLS.items():
            events = len(web.run(web.scene.events))
            with pytest.raises(vim.fault.NoPermission) as error:
                call(reader)
            assert error.value.privilegeId == privilege, name
            new = web.run(web.scene.events)[events:]
            assert [event["arguments"]["privilege_id"] for event in new] == [privilege], name
            assert new[0]["userName"] == "reader", name
        assert (web.call("ListInventory"), web.call("ListVMs")) == before

    async def prepare(s: Scene) -> None:
        await laboratory(s)
        await s.call("SetPermission", entity="/", principal="reader", role="ReadOnly")

    talk(tmp_path, test, prepare)


MORE: dict[str, tuple[Callable[[Client], object], str]] = {
    "a new machine": (lambda c: create(c, "new", crypto=encrypt()), "Cryptographer.EncryptNew"),
    "a clone with another key": (
        lambda c: clone(
            c,
            "new",
            location={"cryptoSpec": encryption.CryptoSpecShallowRecrypt(newKeyId=key())},
        ),
        "Cryptographer.Recrypt",
    ),
}


def test_what_encrypts_needs_more_than_what_creates(tmp_path: Path) -> None:
    def test(web: WebScene) -> None:
        operator = web.client("operator")
        for name, (call, privilege) in MORE.items():
            with pytest.raises(vim.fault.NoPermission) as error:
                call(operator)
            assert error.value.privilegeId == privilege, name
            event = web.run(web.scene.events)[-1]
            assert event["arguments"]["privilege_id"] == privilege, name
        create(operator, "plain")

    async def prepare(s: Scene) -> None:
        await laboratory(s)
        await s.call("SetPermission", entity="/", principal="operator", role="NoCryptoAdmin")

    talk(tmp_path, test, prepare)
