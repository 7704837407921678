"""Machines over the Web Services API, called by pyVmomi: encryption, clones, moves, power."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim, vmodl
from vmomi_machines import (
    POLICY,
    SIZE,
    check,
    clone,
    create,
    disk_edit,
    encrypt,
    encryption,
    host,
    key,
    keys,
    machine,
    new_disk,
    pool_of,
    reconfigure,
)
from vmomi_scene import Client, provider

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
