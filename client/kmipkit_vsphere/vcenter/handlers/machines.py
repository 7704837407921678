"""Machines (vsphere.md §2.3, §2.5, §2.6)."""

from kmipkit_vsphere.calls import machines as host_calls
from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.hosts import UnlockResult
from kmipkit_vsphere.vcenter.calls.machines import (
    AddDisk,
    AddTPM,
    CheckIntegrity,
    CloneVM,
    CreateVM,
    CryptoUnlock,
    DecryptVM,
    DeleteFiles,
    DestroyVM,
    EncryptVM,
    IntegrityReport,
    ListDatastore,
    ListedMachine,
    ListVMs,
    MigrateVM,
    PowerOffVM,
    PowerOnVM,
    RecryptVM,
    RegisterVM,
    RemoveDisk,
    RemoveTPM,
    SetMigrateEncryption,
    UnregisterVM,
)
from kmipkit_vsphere.vcenter.machines import CloneSpec
from kmipkit_vsphere.vcenter.policies import DATASTORE_DEFAULT
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter


@CreateVM.handler
async def create(vcenter: VCenter, caller: Caller, request: CreateVM) -> MachineInfo:
    """With ``encrypt``, or a policy that requires it, home and disk are encrypted at once."""
    vcenter.store.inventory.place(f"host/{request.host}")
    policy = vcenter.policies.get(request.policy) if request.policy is not None else None
    if request.encrypt and policy is not None and not policy.encrypts:
        raise InvalidArgument(f"the storage policy {policy.name} does not encrypt")
    encrypt = request.encrypt or (policy is not None and policy.encrypts)
    if request.key_provider is not None and not encrypt:
        raise InvalidArgument("a key provider is of use only for a machine that is encrypted")
    if encrypt:
        caller.require(Privilege.ENCRYPT_NEW, request.folder)
        await vcenter.encryption.check_encryption(caller, request.host, request.key_provider)
    info = await vcenter.machines.create(
        request.host,
        request.name,
        request.disk_size,
        request.sector_size,
        request.folder,
        policy or DATASTORE_DEFAULT,
    )
    for size in request.more_disks:
        info = await vcenter.machines.add_disk(caller, request.name, size, request.sector_size)
    if not encrypt:
        return info
    await vcenter.encryption.encrypt(
        caller,
        request.name,
        request.key_provider,
        request.parts,
        policy=policy,
        key_id=request.key_id,
    )
    return await vcenter.machines.info(request.name)


@EncryptVM.handler
async def encrypt(vcenter: VCenter, caller: Caller, request: EncryptVM) -> CryptoKeyId:
    return await vcenter.encryption.encrypt(
        caller,
        request.name,
        request.key_provider,
        request.parts,
        require_policy=request.require_policy,
        key_id=request.key_id,
    )


@DecryptVM.handler
async def decrypt(vcenter: VCenter, caller: Caller, request: DecryptVM) -> None:
    await vcenter.encryption.decrypt(caller, request.name, request.parts)


@RecryptVM.handler
async def recrypt(vcenter: VCenter, caller: Caller, request: RecryptVM) -> CryptoKeyId:
    return await vcenter.encryption.recrypt(
        caller,
        request.name,
        deep=request.deep,
        provider_id=request.key_provider,
        parts=request.parts,
        key_id=request.key_id,
    )


@CloneVM.handler
async def clone(vcenter: VCenter, caller: Caller, request: CloneVM) -> MachineInfo:
    if vcenter.store.inventory.machine(request.name).key_id is not None:
        caller.require(Privilege.CLONE, f"machine/{request.name}")
    if request.folder is not None:
        caller.require(Privilege.CREATE_MACHINE, request.folder)
    if request.key_provider is not None:
        if not request.linked:
            raise InvalidArgument(
                "a full clone has the key of its source; re-encrypt it afterwards"
            )
        caller.require(Privilege.ENCRYPT, f"machine/{request.name}")
    return await vcenter.machines.clone(
        caller,
        CloneSpec(
            request.name,
            request.new_name,
            request.tpm_provision_policy,
            request.snapshot,
            request.linked,
            request.key_provider,
            request.folder,
        ),
    )


@AddDisk.handler
async def add_disk(vcenter: VCenter, caller: Caller, request: AddDisk) -> MachineInfo:
    machine = vcenter.store.inventory.machine(request.name)
    policy = vcenter.policies.get(request.policy) if request.policy is not None else None
    if machine.key_id is not None:
        caller.require(Privilege.ADD_DISK, f"machine/{machine.name}")
        if policy is None or policy.encrypts:
            caller.require(Privilege.ENCRYPT_NEW, machine.parent)
    return await vcenter.machines.add_disk(
        caller, request.name, request.disk_size, request.sector_size, request.key_provider, policy
    )


@RemoveDisk.handler
async def remove_disk(vcenter: VCenter, _caller: Caller, request: RemoveDisk) -> MachineInfo:
    return await vcenter.machines.remove_disk(request.name, request.disk)


@SetMigrateEncryption.handler
async def set_migrate_encryption(
    vcenter: VCenter, _caller: Caller, request: SetMigrateEncryption
) -> None:
    await vcenter.machines.set_migrate_encryption(request.name, request.migrate_encryption)


@MigrateVM.handler
async def migrate(vcenter: VCenter, caller: Caller, request: MigrateVM) -> MachineInfo:
    if vcenter.store.inventory.machine(request.name).key_id is not None:
        caller.require(Privilege.MIGRATE, f"machine/{request.name}")
    return await vcenter.machines.migrate(caller, request.name, request.target)


@RegisterVM.handler
async def register(vcenter: VCenter, caller: Caller, request: RegisterVM) -> MachineInfo:
    machines = await vcenter.hosts.machines_on(request.host)
    if any(machine.name == request.name and machine.key_ids for machine in machines):
        caller.require(Privilege.REGISTER_VM, request.folder)
    return await vcenter.machines.register(caller, request.host, request.name, request.folder)


@UnregisterVM.handler
async def unregister(vcenter: VCenter, _caller: Caller, request: UnregisterVM) -> None:
    await vcenter.machines.unregister(request.name)


@AddTPM.handler
async def add_tpm(vcenter: VCenter, caller: Caller, request: AddTPM) -> MachineInfo:
    if request.key_provider is not None and not request.encrypt:
        raise InvalidArgument("a key provider is of use only with --encrypt")
    name = request.name
    if request.encrypt and "home" not in (await vcenter.machines.info(name)).encrypted_parts:
        caller.require(Privilege.ENCRYPT, f"machine/{name}")
        await vcenter.encryption.encrypt(caller, name, request.key_provider, ["home"])
    return await vcenter.machines.change(caller, name, "AddTPM", host_calls.AddVirtualTPM(name))


@CheckIntegrity.handler
async def check_integrity(
    vcenter: VCenter, caller: Caller, request: CheckIntegrity
) -> IntegrityReport:
    problems = await vcenter.machines.check_integrity(caller, request.name)
    return IntegrityReport(not problems, problems)


@RemoveTPM.handler
async def remove_tpm(vcenter: VCenter, caller: Caller, request: RemoveTPM) -> MachineInfo:
    remove = host_calls.RemoveVirtualTPM(request.name)
    return await vcenter.machines.change(caller, request.name, "RemoveTPM", remove)


@CryptoUnlock.handler
async def unlock(vcenter: VCenter, caller: Caller, request: CryptoUnlock) -> UnlockResult:
    return await vcenter.encryption.unlock(caller, request.name)


@DestroyVM.handler
async def destroy(vcenter: VCenter, caller: Caller, request: DestroyVM) -> None:
    await vcenter.machines.destroy(caller.user, request.name)


@DeleteFiles.handler
async def delete_files(vcenter: VCenter, caller: Caller, request: DeleteFiles) -> None:
    await vcenter.machines.delete_files(caller.user, request.host, request.name)


@ListDatastore.handler
async def list_datastore(
    vcenter: VCenter, _caller: Caller, request: ListDatastore
) -> list[MachineInfo]:
    return await vcenter.hosts.machines_on(request.host)


@PowerOnVM.handler
async def power_on(vcenter: VCenter, caller: Caller, request: PowerOnVM) -> MachineInfo:
    return await vcenter.machines.power_on(caller, request.name)


@PowerOffVM.handler
async def power_off(vcenter: VCenter, _caller: Caller, request: PowerOffVM) -> MachineInfo:
    return await vcenter.machines.power_off(request.name)


@ListVMs.handler
async def list_machines(
    vcenter: VCenter, _caller: Caller, _request: ListVMs
) -> list[ListedMachine]:
    return await vcenter.machines.all()
