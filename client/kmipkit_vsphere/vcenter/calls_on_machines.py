"""The calls on the inventory: hosts, their encryption mode, and machines.

A row of the table in :mod:`kmipkit_vsphere.vcenter.service` names the privilege that a call needs
in any case; what depends on the state of things (vsphere.md §5.1) is checked here.
"""

from typing import Any

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.records import ROOT, ClusterRecord, FolderRecord, HostRecord
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.host_manager import MayRegister
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter

CRYPTO_MODES = ("onDemand", "forceEnable")


class MachineCalls:
    """Handlers; what they do is in :mod:`kmipkit_vsphere.vcenter.vcenter` and ``host_manager``."""

    def __init__(self, vcenter: VCenter, authorization: Authorization) -> None:
        self._vcenter = vcenter
        self._inventory = vcenter.store.inventory
        self._authorization = authorization

    def _require(self, params: Params, privilege: Privilege, entity: str) -> None:
        place = self._inventory.place(entity)
        self._authorization.require(params.caller, privilege, place)

    def _may_register(self, params: Params) -> MayRegister:
        """Whether the caller may switch a host into encryption mode (R40)."""

        def check(host: HostRecord) -> None:
            self._require(params, Privilege.REGISTER_HOST, f"host/{host.name}")

        return check

    # Folders, clusters, hosts --------------------------------------------------------------------

    async def create_folder(self, params: Params) -> None:
        self._inventory.add_folder(FolderRecord(params.text("name"), params.text("parent", ROOT)))

    async def create_cluster(self, params: Params) -> None:
        self._inventory.put_cluster(ClusterRecord(params.text("name"), params.text("parent", ROOT)))

    async def set_crypto_mode(self, params: Params) -> None:
        """SetCryptoMode: with ``forceEnable`` all hosts of the cluster are made safe (§6)."""
        name, mode = params.text("name"), params.text("cryptoMode", "onDemand")
        if mode not in CRYPTO_MODES:
            raise InvalidArgument(f"the crypto mode is {' or '.join(CRYPTO_MODES)}, not {mode}")
        cluster = self._inventory.cluster(name)
        key = params.key_id() if params.has("keyId") else None
        self._inventory.put_cluster(ClusterRecord(name, cluster.parent, mode, key))
        if mode == "forceEnable":
            for host in self._inventory.hosts():
                if host.parent == f"cluster/{name}":
                    await self._vcenter.hosts.configure_crypto_key(
                        params.caller, host.name, may=self._may_register(params)
                    )

    async def enable_vsan(self, params: Params) -> dict[str, str]:
        """Encrypt the disk groups of a cluster, or with ``rekey`` give them a new key."""
        key = await self._vcenter.encrypt_vsan(
            params.caller,
            params.text("name"),
            _provider(params),
            rekey=params.flag("rekey"),
            deep=params.flag("deep"),
        )
        return key.to_json()

    async def inventory(self, _params: Params) -> dict[str, Any]:
        found = self._inventory
        return {
            "folders": [{"name": one.name, "parent": one.parent} for one in found.folders()],
            "clusters": [
                {"name": one.name, "parent": one.parent, "cryptoMode": one.crypto_mode}
                for one in found.clusters()
            ],
            "hosts": [
                {
                    "name": one.name,
                    "parent": one.parent,
                    "address": f"{one.address}:{one.port}",
                    "cryptoKeyId": one.key_id.to_json() if one.key_id else None,
                }
                for one in found.hosts()
            ],
            "machines": [
                {
                    "name": one.name,
                    "parent": one.parent,
                    "host": one.host,
                    "keyId": one.key_id.to_json() if one.key_id else None,
                }
                for one in found.machines()
            ],
        }

    async def add_host(self, params: Params) -> dict[str, Any]:
        name, address = params.text("name"), params.text("address")
        parent = params.text("parent", ROOT)
        if parent.startswith("cluster/"):
            self._require(params, Privilege.ADD_HOST_TO_CLUSTER, parent)
        info = await self._vcenter.hosts.add(params.caller, name, address, params.port(), parent)
        await self._vcenter.natives.push_all(self._inventory.host(name))
        return info

    async def remove_host(self, params: Params) -> None:
        self._vcenter.hosts.remove(params.text("name"))

    async def reconnect_host(self, params: Params) -> list[str]:
        address = params.text("address") if params.has("address") else None
        port = params.port() if params.has("port") else None
        name = params.text("name")
        unlocked = await self._vcenter.hosts.reconnect(params.caller, name, address, port)
        await self._vcenter.natives.push_all()
        return unlocked

    async def configure_crypto_key(self, params: Params) -> dict[str, str]:
        key = params.key_id() if params.has("keyId") else None
        hosts = self._vcenter.hosts
        return (await hosts.configure_crypto_key(params.caller, params.text("host"), key)).to_json()

    async def change_key(self, params: Params) -> dict[str, Any]:
        return await self._vcenter.hosts.change_key(params.caller, params.text("host"))

    async def disable_crypto(self, params: Params) -> None:
        await self._vcenter.hosts.disable(params.caller, params.text("host"))

    async def set_key_persistence(self, params: Params) -> None:
        await self._ask_host(params, "SetKeyPersistence", "enable", "removeAllStoredKeys")

    async def dump_core(self, params: Params) -> dict[str, Any]:
        host, world = params.text("host"), params.text("world")
        return await self._vcenter.hosts.core_dump(params.caller, host, world)

    async def list_dumps(self, params: Params) -> Any:
        return await self._ask_host(params, "ListCoreDumps")

    async def export_dump(self, params: Params) -> Any:
        return await self._ask_host(params, "ExportCoreDump", "file", "password")

    async def _ask_host(self, params: Params, method: str, *names: str) -> Any:
        host = self._inventory.host(params.text("host"))
        given = {name: params.values[name] for name in names if params.has(name)}
        return await self._vcenter.hosts.call(host, method, given)

    # Machines ------------------------------------------------------------------------------------

    async def create_machine(self, params: Params) -> dict[str, Any]:
        """CreateVM; with ``encrypt`` its home and disk are encrypted from the beginning."""
        host, name = params.text("host"), params.text("name")
        folder = params.text("folder", ROOT)
        encrypt = params.flag("encrypt")
        self._inventory.place(f"host/{host}")
        if encrypt:
            self._require(params, Privilege.ENCRYPT_NEW, folder)
        size = params.integer("diskSize", minimum=512)
        sector = params.integer("sectorSize", default=512)
        info = await self._vcenter.create_machine(host, name, size, sector, folder)
        if encrypt:
            key = await self._vcenter.encrypt_machine(
                params.caller, name, _provider(params), may=self._may_register(params)
            )
            info |= {"cryptoState": "unlocked", "keyIds": [key.to_json()]}
        return info

    async def encrypt_machine(self, params: Params) -> dict[str, str]:
        key = await self._vcenter.encrypt_machine(
            params.caller,
            params.text("name"),
            _provider(params),
            _parts(params),
            self._may_register(params),
        )
        return key.to_json()

    async def decrypt_machine(self, params: Params) -> None:
        await self._vcenter.decrypt_machine(params.caller, params.text("name"), _parts(params))

    async def recrypt_machine(self, params: Params) -> dict[str, str]:
        key = await self._vcenter.recrypt_machine(
            params.caller,
            params.text("name"),
            deep=params.flag("deep"),
            provider_id=_provider(params),
            parts=_parts(params),
        )
        return key.to_json()

    async def clone_machine(self, params: Params) -> dict[str, Any]:
        name = params.text("name")
        if self._inventory.machine(name).key_id is not None:
            self._require(params, Privilege.CLONE, f"machine/{name}")
        return await self._vcenter.clone_machine(params.caller, name, params.text("newName"))

    async def add_disk(self, params: Params) -> dict[str, Any]:
        machine = self._inventory.machine(params.text("name"))
        if machine.key_id is not None:
            self._require(params, Privilege.ADD_DISK, f"machine/{machine.name}")
            self._require(params, Privilege.ENCRYPT_NEW, machine.parent)
        size = params.integer("diskSize", minimum=512)
        sector = params.integer("sectorSize", default=512)
        return await self._vcenter.add_disk(
            params.caller, machine.name, size, sector, _provider(params)
        )

    async def remove_disk(self, params: Params) -> Any:
        return await self._ask_machine(params, "RemoveDisk", "disk")

    async def set_migrate_encryption(self, params: Params) -> None:
        await self._ask_machine(params, "SetMigrateEncryption", "migrateEncryption")

    async def _ask_machine(self, params: Params, method: str, *names: str) -> Any:
        machine = self._inventory.machine(params.text("name"))
        given = {name: params.values.get(name) for name in names} | {"name": machine.name}
        return await self._vcenter.hosts.call(self._inventory.host(machine.host), method, given)

    async def register_machine(self, params: Params) -> dict[str, Any]:
        folder = params.text("folder", ROOT)
        host, name = params.text("host"), params.text("name")
        found = await self._vcenter.machines_on(host)
        if any(info["name"] == name and info["keyIds"] for info in found):
            self._require(params, Privilege.REGISTER_VM, folder)
        may = self._may_register(params)
        return await self._vcenter.register_machine(params.caller, host, name, folder, may)

    async def unregister_machine(self, params: Params) -> None:
        await self._vcenter.unregister_machine(params.text("name"))

    async def migrate_machine(self, params: Params) -> dict[str, Any]:
        machine = self._inventory.machine(params.text("name"))
        if machine.key_id is not None:
            self._require(params, Privilege.MIGRATE, f"machine/{machine.name}")
        may = self._may_register(params)
        target = params.text("target")
        return await self._vcenter.migrate_machine(params.caller, machine.name, target, may)

    async def unlock_machine(self, params: Params) -> None:
        may = self._may_register(params)
        await self._vcenter.unlock_machine(params.caller, params.text("name"), may)

    async def power_on(self, params: Params) -> dict[str, Any]:
        return await self._vcenter.power(params.caller, params.text("name"), on=True)

    async def power_off(self, params: Params) -> dict[str, Any]:
        return await self._vcenter.power(params.caller, params.text("name"), on=False)

    async def list_machines(self, _params: Params) -> list[dict[str, Any]]:
        return await self._vcenter.list_machines()


def _provider(params: Params) -> str | None:
    return params.text("keyProvider") if params.has("keyProvider") else None


def _parts(params: Params) -> list[str] | None:
    return params.texts("parts") if params.has("parts") else None
