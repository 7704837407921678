"""Hosts over the Web Services API, called by pyVmomi, and the privileges of all methods."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.managed import ManagedObject
from kmipkit_vsphere.web_services.objects.compute import ClusterComputeResource
from kmipkit_vsphere.web_services.objects.crypto_manager_host import CryptoManagerHostKMS
from kmipkit_vsphere.web_services.objects.folders import Folder
from kmipkit_vsphere.web_services.objects.hosts import HostSystem
from kmipkit_vsphere.web_services.objects.machines import VirtualMachine
from kmipkit_vsphere.web_services.objects.snapshots import VirtualMachineSnapshot
from pyVmomi import vim, vmodl
from vmomi_machines import (
    check,
    clone,
    create,
    encrypt,
    encryption,
    host,
    key,
    laboratory,
    machine,
    reconfigure,
)
from vmomi_scene import Client, WebScene, provider, talk
from vsphere_scene import Scene

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


for method, privilege, arguments in (
    ("CreateSnapshot_Task", "CreateSnapshot", ("é/1", None, False, False)),
    ("CreateSnapshotEx_Task", "CreateSnapshot", ("é/1", None, False, None)),
    ("RevertToCurrentSnapshot_Task", "RevertToSnapshot", ()),
    ("RemoveAllSnapshots_Task", "RemoveSnapshot", ()),
    ("ConsolidateVMDisks_Task", "RemoveSnapshot", ()),
):
    CALLS[method] = (
        lambda c, method=method, given=arguments: getattr(machine(c), method)(*given),
        f"VirtualMachine.State.{privilege}",
    )
for method, privilege, arguments in (
    ("RevertToSnapshot_Task", "RevertToSnapshot", ()),
    ("RemoveSnapshot_Task", "RemoveSnapshot", (True,)),
):
    CALLS[method] = (
        lambda c, method=method, given=arguments: getattr(
            machine(c).snapshot.currentSnapshot, method
        )(*given),
        f"VirtualMachine.State.{privilege}",
    )


def test_the_table_has_every_method() -> None:
    named = {name.removeprefix("host ").partition(",")[0] for name in CALLS}
    kinds: tuple[type[ManagedObject], ...] = (
        VirtualMachine,
        VirtualMachineSnapshot,
        Folder,
        HostSystem,
        ClusterComputeResource,
        CryptoManagerHostKMS,
    )
    for kind in kinds:
        changing = {n for n, row in kind.METHODS.items() if row.privilege is not Privilege.VIEW}
        assert changing - named == {"Fetch"}, kind.__name__


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
        await s.call("CreateSnapshot", name="db 1", snapshot="vor dem Umbau")
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
