"""The inventory, and the encryption mode of hosts (vsphere.md §6)."""

from kmipkit_vsphere.calls import host as host_calls
from kmipkit_vsphere.calls.host import ChangeKeyResult, DumpInfo, HostDescription
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidArgument, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ClusterRecord, CryptoMode, FolderRecord
from kmipkit_vsphere.trust_authority import host_calls as image_calls
from kmipkit_vsphere.trust_authority.measurements import parse_manifest
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.hosts import (
    AddHost,
    ChangeHostKey,
    ClusterInfo,
    ConfigureCryptoKey,
    CreateCluster,
    CreateFolder,
    DisableCrypto,
    DumpCore,
    EncryptVsan,
    ExportCoreDump,
    FolderInfo,
    HostEntry,
    InventoryInfo,
    ListCoreDumps,
    ListInventory,
    MachineEntry,
    PrepareUpgrade,
    ReconnectHost,
    RemoveHost,
    SetCryptoMode,
    UnlockResult,
)
from kmipkit_vsphere.vcenter.host_encryption import POLICY
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter

# The inventory -----------------------------------------------------------------------------------


@CreateFolder.handler
async def create_folder(vcenter: VCenter, _caller: Caller, request: CreateFolder) -> None:
    vcenter.store.inventory.add_folder(FolderRecord(request.name, request.parent))


@CreateCluster.handler
async def create_cluster(vcenter: VCenter, _caller: Caller, request: CreateCluster) -> None:
    inventory = vcenter.store.inventory
    if any(cluster.name == request.name for cluster in inventory.clusters()):
        raise AlreadyExists(f"there is a cluster {request.name} already")
    inventory.put_cluster(ClusterRecord(request.name, request.parent))


@SetCryptoMode.handler
async def set_crypto_mode(vcenter: VCenter, caller: Caller, request: SetCryptoMode) -> None:
    """With ``forceEnable``, encryption mode is enabled on all hosts of the cluster (§6).

    The rights are checked on all of them before anything changes (R40).
    """
    inventory, name = vcenter.store.inventory, request.name
    cluster = inventory.cluster(name)
    hosts = [host for host in inventory.hosts() if host.parent == f"cluster/{name}"]
    enable = request.crypto_mode is CryptoMode.FORCE_ENABLE
    for host in hosts if enable else ():
        caller.require(Privilege.REGISTER_HOST, f"host/{host.name}")
    if request.key_id is not None and request.key_provider is not None:
        raise InvalidArgument(
            "hosts have either one key, or keys of one provider", invalid_property="policy"
        )
    key_id = request.key_id or cluster.key_id
    if request.key_provider is not None:
        vcenter.store.providers.get(request.key_provider)
        key_id = None
    if request.key_provider is not None or request.key_id is not None:
        vcenter.store.providers.set_setting(POLICY + name, request.key_provider)
    inventory.put_cluster(ClusterRecord(name, cluster.parent, request.crypto_mode, key_id))
    problems: list[VSphereError] = []
    for host in hosts if enable else ():
        try:
            await vcenter.hosts.configure_crypto_key(caller, host.name)
        except VSphereError as failure:  # the other hosts are enabled all the same
            problems.append(failure)
    if problems:
        raise problems[0]


@EncryptVsan.handler
async def encrypt_vsan(vcenter: VCenter, caller: Caller, request: EncryptVsan) -> CryptoKeyId:
    return await vcenter.vsan.encrypt(
        caller, request.name, request.key_provider, rekey=request.rekey, deep=request.deep
    )


@ListInventory.handler
async def list_inventory(
    vcenter: VCenter, _caller: Caller, _request: ListInventory
) -> InventoryInfo:
    inventory = vcenter.store.inventory
    return InventoryInfo(
        folders=[FolderInfo(folder.name, folder.parent) for folder in inventory.folders()],
        clusters=[
            ClusterInfo(cluster.name, cluster.parent, cluster.crypto_mode)
            for cluster in inventory.clusters()
        ],
        hosts=[
            HostEntry(host.name, host.parent, f"{host.address}:{host.port}", host.key_id)
            for host in inventory.hosts()
        ],
        machines=[
            MachineEntry(machine.name, machine.parent, machine.host, machine.key_id)
            for machine in inventory.machines()
        ],
    )


@AddHost.handler
async def add_host(vcenter: VCenter, caller: Caller, request: AddHost) -> HostDescription:
    if request.parent.startswith("cluster/"):
        caller.require(Privilege.ADD_HOST_TO_CLUSTER, request.parent)
    info = await vcenter.hosts.add(
        caller, request.name, request.address, request.port, request.parent
    )
    host = vcenter.store.inventory.host(request.name)
    await vcenter.natives.push_all(host)
    await vcenter.persistence.apply_to(host)
    return info


@RemoveHost.handler
async def remove_host(vcenter: VCenter, _caller: Caller, request: RemoveHost) -> None:
    await vcenter.hosts.remove(request.name)


@ReconnectHost.handler
async def reconnect_host(
    vcenter: VCenter, caller: Caller, request: ReconnectHost
) -> list[UnlockResult]:
    unlocked = await vcenter.hosts.reconnect(caller, request.name, request.address, request.port)
    await vcenter.natives.push_all()
    return unlocked


# Encryption mode ---------------------------------------------------------------------------------


@ConfigureCryptoKey.handler
async def configure_crypto_key(
    vcenter: VCenter, caller: Caller, request: ConfigureCryptoKey
) -> CryptoKeyId:
    return await vcenter.hosts.configure_crypto_key(caller, request.host, request.key_id)


@ChangeHostKey.handler
async def change_key(vcenter: VCenter, caller: Caller, request: ChangeHostKey) -> ChangeKeyResult:
    return await vcenter.hosts.change_key(caller, request.host)


@DisableCrypto.handler
async def disable_crypto(vcenter: VCenter, caller: Caller, request: DisableCrypto) -> None:
    await vcenter.hosts.disable(caller, request.host)


@PrepareUpgrade.handler
async def prepare_upgrade(vcenter: VCenter, _caller: Caller, request: PrepareUpgrade) -> None:
    host = vcenter.store.inventory.host(request.host)
    image = parse_manifest(request.manifest)
    await vcenter.hosts.call(host, image_calls.PrepareUpgrade(image))


@DumpCore.handler
async def dump_core(vcenter: VCenter, caller: Caller, request: DumpCore) -> DumpInfo:
    return await vcenter.hosts.core_dump(caller, request.host, request.world)


@ListCoreDumps.handler
async def list_core_dumps(
    vcenter: VCenter, _caller: Caller, request: ListCoreDumps
) -> list[DumpInfo]:
    host = vcenter.store.inventory.host(request.host)
    return await vcenter.hosts.call(host, host_calls.ListCoreDumps())


@ExportCoreDump.handler
async def export_core_dump(vcenter: VCenter, _caller: Caller, request: ExportCoreDump) -> bytes:
    host = vcenter.store.inventory.host(request.host)
    return await vcenter.hosts.call(host, host_calls.ExportCoreDump(request.file, request.password))
