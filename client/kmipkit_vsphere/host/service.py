"""The host role behind the channel: which calls there are, and who may make them.

``management`` is vCenter: it alone brings keys and asks for encryption. ``guest`` stands for what
runs inside the machines and reads and writes their disks and memory; it never sees a key. All work
runs in threads, so that a long encryption does not stop the host from answering.
"""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import trio

from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, VSphereError
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.providers.native import NativeSpec
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from kmipkit_vsphere.rpc.channel import Method
from kmipkit_vsphere.rpc.params import Params

MANAGEMENT: Final = "management"
GUEST: Final = "guest"
MAX_READ: Final = 256 * 1024

T = TypeVar("T")


class HostService:
    """The calls of a host; :meth:`methods` is the table that the channel serves."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def methods(self) -> Mapping[str, Method]:
        """Name to role and handler, with the names of the vSphere API (vsphere.md §4.1)."""
        management = {
            "HostInfo": self.info,
            "CryptoManagerHostPrepare": self.prepare,
            "CryptoManagerHostEnable": self.enable,
            "CryptoManagerHostDisable": self.disable,
            "ChangeKey": self.change_key,
            "AddKey": self.add_key,
            "AddKeys": self.add_keys,
            "RemoveKey": self.remove_key,
            "ListKeys": self.list_keys,
            "GetCryptoKeyStatus": self.key_status,
            "SetKeyProvider": self.set_key_provider,
            "RemoveKeyProvider": self.remove_key_provider,
            "SetKeyPersistence": self.set_key_persistence,
            "ConfigureVsan": self.configure_vsan,
            "ConfigureTrustedHost": self.configure_trusted,
            "AttestationStatus": self.attestation,
            "CreateMachine": self.create_machine,
            "EncryptMachine": self.encrypt_machine,
            "ReconfigureCrypto": self.reconfigure,
            "CloneMachine": self.clone_machine,
            "AddDisk": self.add_disk,
            "RemoveDisk": self.remove_disk,
            "SetMigrateEncryption": self.set_migrate_encryption,
            "CryptoUnlock": self.unlock,
            "UnregisterMachine": self.unregister,
            "PrepareMigration": self.prepare_migration,
            "StartMigration": self.start_migration,
            "MigrationOutcome": self.migration_outcome,
            "SettleMigration": self.settle_migration,
            "PowerOn": self.power_on,
            "PowerOff": self.power_off,
            "ListMachines": self.list_machines,
            "DumpCore": self.dump_core,
            "ListCoreDumps": self.list_dumps,
            "ExportCoreDump": self.export_dump,
        }
        guest = {
            "ReadDisk": self.read_disk,
            "WriteDisk": self.write_disk,
            "DiskInfo": self.disk_info,
            "FlushDisk": self.flush_disk,
            "ReadMemory": self.read_memory,
            "WriteMemory": self.write_memory,
            "ReadVsan": self.read_vsan,
            "WriteVsan": self.write_vsan,
        }
        return {name: Method(MANAGEMENT, one) for name, one in management.items()} | {
            name: Method(GUEST, one) for name, one in guest.items()
        }

    # Encryption mode and keys --------------------------------------------------------------------

    async def info(self, _params: Params) -> dict[str, Any]:
        return self._host.info()

    async def prepare(self, _params: Params) -> None:
        self._host.crypto.prepare()

    async def enable(self, params: Params) -> dict[str, str]:
        if params.has("initialKey"):
            key = params.key_plain("initialKey")
            await _in_thread(self._host.enable, key)
            return key.key_id.to_json()
        asked = params.key_id()
        made = await _in_thread(
            self._host.enable_with, asked.provider_id, asked if asked.key_id else None
        )
        return made.to_json()

    async def disable(self, _params: Params) -> None:
        await _in_thread(self._host.disable)

    async def change_key(self, params: Params) -> dict[str, Any]:
        if params.has("newKey"):
            return await _in_thread(self._host.change_key, params.key_plain("newKey"))
        source = self._host.sources.get(params.key_id().provider_id)
        return await _in_thread(lambda: self._host.change_key(source.new_key()))

    async def add_key(self, params: Params) -> None:
        await _in_thread(self._host.add_key, params.key_plain("key"))

    async def add_keys(self, params: Params) -> list[dict[str, Any]]:
        results = []
        for key in [one.as_key_plain() for one in params.inner_list("keys")]:
            try:
                await _in_thread(self._host.add_key, key)
            except VSphereError as fault:
                results.append(_key_result(key.key_id.to_json(), fault))
            else:
                results.append(_key_result(key.key_id.to_json(), None))
        return results

    async def remove_key(self, params: Params) -> None:
        work = partial(self._host.remove_key, params.key_id(), force=params.flag("force"))
        await _in_thread(work)

    async def list_keys(self, _params: Params) -> list[dict[str, str]]:
        return [key.to_json() for key in self._host.crypto.list_keys()]

    async def key_status(self, params: Params) -> list[dict[str, Any]]:
        cached = set(self._host.crypto.list_keys())
        asked = [one.as_key_id() for one in params.inner_list("keys")]
        return [
            {
                "keyId": key.to_json(),
                "present": key in cached,
                "managementType": "internal"
                if self._host.sources.has(key.provider_id)
                else "external",
            }
            for key in asked
        ]

    async def set_key_provider(self, params: Params) -> list[str]:
        spec = NativeSpec.from_json(params.inner("spec").values)
        await _in_thread(self._host.sources.set_native, spec)
        return await _in_thread(self._host.wake)

    async def remove_key_provider(self, params: Params) -> None:
        await _in_thread(self._host.sources.remove, params.text("provider"))

    async def set_key_persistence(self, params: Params) -> None:
        if params.flag("enable"):
            await _in_thread(self._host.enable_persistence)
        else:
            remove = params.flag("removeAllStoredKeys")
            work = partial(self._host.persistence.disable, remove_all_stored_keys=remove)
            await _in_thread(work)

    async def configure_vsan(self, params: Params) -> None:
        config = VsanConfig.from_json(params.inner("config").values)
        await self._host.vsan.configure(config, deep=params.flag("deep"))

    async def configure_trusted(self, params: Params) -> list[str]:
        services = params.inner("services").values
        await _in_thread(self._trusted().configure, services)
        return await _in_thread(self._host.wake)

    async def attestation(self, _params: Params) -> dict[str, Any]:
        return await self._trusted().attest()

    def _trusted(self) -> TrustedHost:
        if self._host.trusted is None:
            raise InvalidState("a trusted host needs a TPM 2.0, and this host has none")
        return self._host.trusted

    # Machines ------------------------------------------------------------------------------------

    async def create_machine(self, params: Params) -> dict[str, Any]:
        make = partial(
            self._host.create_machine,
            params.text("name"),
            params.integer("diskSize", minimum=1),
            params.integer("sectorSize", default=512),
            params.uuid("uuid") if params.has("uuid") else None,
        )
        return (await _in_thread(make)).to_json()

    async def encrypt_machine(self, params: Params) -> dict[str, Any]:
        work = partial(self._host.encrypt_machine, params.text("name"), params.key_id())
        return (await _in_thread(work)).to_json()

    async def reconfigure(self, params: Params) -> dict[str, Any]:
        work = partial(
            self._host.reconfigure,
            params.text("name"),
            params.member("kind", CryptoSpecKind),
            params.key_id() if params.has("keyId") else None,
            params.texts("parts") if params.has("parts") else None,
        )
        return (await _in_thread(work)).to_json()

    async def clone_machine(self, params: Params) -> dict[str, Any]:
        work = partial(self._host.clone_machine, params.text("name"), params.text("newName"))
        return (await _in_thread(work)).to_json()

    async def add_disk(self, params: Params) -> dict[str, Any]:
        work = partial(
            self._host.add_disk,
            params.text("name"),
            params.integer("diskSize", minimum=1),
            params.integer("sectorSize", default=512),
            params.key_id() if params.has("keyId") else None,
        )
        return (await _in_thread(work)).to_json()

    async def remove_disk(self, params: Params) -> dict[str, Any]:
        work = partial(self._host.remove_disk, params.text("name"), params.integer("disk"))
        return (await _in_thread(work)).to_json()

    async def set_migrate_encryption(self, params: Params) -> None:
        name, mode = params.text("name"), params.text("migrateEncryption")
        await _in_thread(self._host.set_migrate_encryption, name, mode)

    async def unlock(self, params: Params) -> dict[str, Any]:
        return (await _in_thread(self._host.unlock, params.text("name"))).to_json()

    async def unregister(self, params: Params) -> None:
        await _in_thread(self._host.lock, params.text("name"))

    async def power_on(self, params: Params) -> dict[str, Any]:
        return (await _in_thread(self._host.power_on, params.text("name"))).to_json()

    async def power_off(self, params: Params) -> dict[str, Any]:
        return (await _in_thread(self._host.power_off, params.text("name"))).to_json()

    async def list_machines(self, _params: Params) -> list[dict[str, Any]]:
        return [info.to_json() for info in await _in_thread(self._host.machines)]

    # Migration -----------------------------------------------------------------------------------

    async def prepare_migration(self, params: Params) -> dict[str, Any]:
        spec = MigrationSpec.from_json(params.inner("spec").values)
        return await self._host.migrations.prepare(spec)

    async def start_migration(self, params: Params) -> str:
        spec = MigrationSpec.from_json(params.inner("spec").values)
        name, address = params.text("name"), params.text("address")
        return await self._host.migrations.start(spec, name, address, params.port())

    async def migration_outcome(self, params: Params) -> bool:
        migration, name = params.text("migrationId"), params.text("name")
        return await self._host.migrations.outcome(migration, name)

    async def settle_migration(self, params: Params) -> None:
        migration, name = params.text("migrationId"), params.text("name")
        has_left = params.flag("hasLeft")
        self._host.migrations.settle(migration, name, has_left=has_left)

    # Core dumps ----------------------------------------------------------------------------------

    async def dump_core(self, params: Params) -> dict[str, Any]:
        data = params.data("data") if params.has("data") else b""
        return (await _in_thread(self._host.dump_core, params.text("world"), data)).to_json()

    async def list_dumps(self, _params: Params) -> list[dict[str, Any]]:
        return [info.to_json() for info in await _in_thread(self._host.dumps.all)]

    async def export_dump(self, params: Params) -> str:
        work = partial(
            self._host.dumps.export,
            params.text("file"),
            self._host.crypto.keys(),
            params.text("password"),
        )
        return base64.b64encode(await _in_thread(work)).decode("ascii")

    # Guests --------------------------------------------------------------------------------------

    async def read_disk(self, params: Params) -> str:
        work = partial(
            self._host.read_disk,
            params.text("name"),
            params.integer("offset"),
            params.integer("length", maximum=MAX_READ),
            params.integer("disk", default=0),
        )
        return base64.b64encode(await _in_thread(work)).decode("ascii")

    async def write_disk(self, params: Params) -> None:
        data = params.data("data")
        if len(data) > MAX_READ:
            raise InvalidArgument(f"at most {MAX_READ} bytes can be written at once")
        disk = params.integer("disk", default=0)
        offset = params.integer("offset")
        work = partial(self._host.write_disk, params.text("name"), offset, data, disk)
        await _in_thread(work)

    async def disk_info(self, params: Params) -> dict[str, int]:
        disk = params.integer("disk", default=0)
        return await _in_thread(self._host.disk_info, params.text("name"), disk)

    async def flush_disk(self, params: Params) -> None:
        """Nothing is left to do: every write is durable when it is answered."""
        await self.disk_info(params)

    async def read_memory(self, params: Params) -> str:
        memory = self._host.memory(params.text("name"))
        offset, length = params.integer("offset"), params.integer("length", maximum=MAX_READ)
        return base64.b64encode(memory[offset : offset + length]).decode("ascii")

    async def write_memory(self, params: Params) -> None:
        memory = self._host.memory(params.text("name"))
        offset, data = params.integer("offset"), params.data("data")
        if offset + len(data) > len(memory):
            raise InvalidArgument(f"the machine has {len(memory)} bytes of memory")
        memory[offset : offset + len(data)] = data

    async def read_vsan(self, params: Params) -> str:
        offset, length = params.integer("offset"), params.integer("length", maximum=MAX_READ)
        data = await _in_thread(self._host.vsan.group().read_at, offset, length)
        return base64.b64encode(data).decode("ascii")

    async def write_vsan(self, params: Params) -> None:
        group = self._host.vsan.group()
        await _in_thread(group.write_at, params.integer("offset"), params.data("data"))
        await _in_thread(group.flush)


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    return await trio.to_thread.run_sync(work, *arguments)


def _key_result(key_id: dict[str, str], fault: VSphereError | None) -> dict[str, Any]:
    """A ``CryptoKeyResult`` (vsphere.md §4.3)."""
    if fault is None:
        return {"keyId": key_id, "success": True}
    return {
        "keyId": key_id,
        "success": False,
        "reason": fault.message,
        "fault": type(fault).__name__,
    }
