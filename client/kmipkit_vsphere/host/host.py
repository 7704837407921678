"""The ESXi-host role: encryption mode, keys, and the machines on one datastore.

A host never speaks to a key server of a standard provider. vCenter brings it the keys, it holds
them in memory, and with them unlocks the machines on its datastore; keys of native and trusted
providers it gets by itself (:mod:`kmipkit_vsphere.host.key_sources`). Everything here is plain,
blocking code; :mod:`kmipkit_vsphere.host.service` puts it behind the channel to vCenter.
"""

import json
import os
from pathlib import Path
from uuid import UUID, uuid4

from kmipkit_vsphere.calls.host import ChangeKeyResult, HostDescription, KeyReference
from kmipkit_vsphere.host import key_references
from kmipkit_vsphere.host.core_dumper import CoreDumper
from kmipkit_vsphere.host.core_dumps import CoreDumps
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.guests import GuestAccess
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machines import MachineManager
from kmipkit_vsphere.host.migration_support import MigrationSupport
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.host.snapshot_manager import SnapshotManager
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.host.virtual_tpms import VirtualTPMs
from kmipkit_vsphere.host.vsan import VsanEncryption
from kmipkit_vsphere.model.clock import Clock, system_clock
from kmipkit_vsphere.model.errors import DamagedData, InvalidState
from kmipkit_vsphere.model.files import ROLE_FILE, write_durably
from kmipkit_vsphere.model.keys import CryptoKeyPlain
from kmipkit_vsphere.model.sealed_config import SealedConfig, Sealer


class Host:
    """One host, put together from what looks after each part of it.

    ``boot_id`` differs for every start, so that vCenter notices a restart. ``trusted`` is set on a
    host with a TPM.
    """

    def __init__(
        self,
        name: str,
        uuid: str,
        folder: Path,
        sealer: Sealer | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self.name = name
        self.uuid = uuid
        self.boot_id = str(uuid4())
        self.config = SealedConfig(folder, sealer)
        self.keys = HostKeys(self.config)
        self.datastore = Datastore(folder / "datastore")
        self._vsan_folder = folder / "vsan"
        self.vsan = VsanEncryption(self.config, self._vsan_folder, self.keys.sources)
        self.dumps = CoreDumps(folder / "coredumps")
        self.trusted: TrustedHost | None = None
        self._open = OpenMachines(self.datastore, self.keys)
        self.power = PowerControl(self.datastore, self.keys, self._open)
        self.machines = MachineManager(self.datastore, self.keys, self._open, self.power)
        self.tpms = VirtualTPMs(self.datastore, self.keys, self._open, self.power, self.machines)
        self.snapshots = SnapshotManager(
            self.datastore, self.keys, self._open, self.power, self.machines, clock
        )
        self.guests = GuestAccess(self.datastore, self._open, self.power)
        self.migration = MigrationSupport(self.datastore, self._open, self.power)
        self.dumper = CoreDumper(self.dumps, self.datastore, self.keys, self.power, clock)

    @classmethod
    def start(
        cls,
        name: str,
        folder: Path,
        sealer: Sealer | None = None,
        clock: Clock = system_clock,
    ) -> "Host":
        """Open a data folder, or create it: it holds the hardware UUID and the datastore.

        Raises :class:`DamagedData` if ``host.json`` does not hold a UUID.
        """
        if (folder / ROLE_FILE).exists():
            raise InvalidState(
                f"{folder} belongs to a Trust Authority host: it cannot run machines (R43)"
            )
        (folder / "datastore").mkdir(parents=True, exist_ok=True, mode=0o700)
        host = cls(name, str(_identity(folder / "host.json")), folder, sealer, clock)
        host.datastore.recover()
        return host

    def restore(self) -> list[str]:
        """Do what is possible without vCenter (R11); returns the machines that this unlocked.

        It may be repeated, and is cheap on a host that has no keys of its own. See
        :meth:`HostKeys.restore` for the keys that are available.
        """
        if not self.keys.can_restore() or not self.keys.restore():
            return []
        return self.machines.unlock_all()

    def info(self) -> HostDescription:
        """Identity and encryption mode."""
        return HostDescription(
            name=self.name,
            uuid=self.uuid,
            boot_id=self.boot_id,
            process_id=os.getpid(),
            crypto_state=self.keys.crypto.state,
            crypto_key_id=self.keys.crypto.host_key_id,
            has_tpm=self.config.protection_mode == "tpm",
            encrypted_vmotion=self.migration.can_encrypt,
            key_persistence=self.keys.persistence.is_enabled,
            stored_keys=self.keys.persistence.count,
            key_providers=self.keys.sources.natives(),
            datastore=str(self.datastore.folder),
        )

    def key_references(self) -> list[KeyReference]:
        """All keys that anything on this host refers to."""
        return key_references.find(
            self.datastore.folder, self._vsan_folder, self.dumps, self.keys.crypto, self.vsan
        )

    def change_key(self, new_key: CryptoKeyPlain) -> ChangeKeyResult:
        """ChangeKey_Task: another host key; relocks the core dumps whose keys are here (§2.7)."""
        self.keys.change_key(new_key)
        relocked, left = self.dumps.relock(self.keys.crypto.keys(), new_key.key_id)
        return ChangeKeyResult(new_key.key_id, relocked, left)

    def disable_encryption(self) -> None:
        """CryptoManagerHostDisable; see :meth:`HostKeys.disable`."""
        self.keys.disable([info.name for info in self.machines.list_all() if info.key_ids])

    def close(self) -> None:
        """Close all machines and erase all keys."""
        self.power.discard_all()
        self.vsan.unmount()
        self._open.close_all()
        self.keys.crypto.reset()


def _identity(path: Path) -> UUID:
    """The host's UUID, made at the first start."""
    if not path.exists():
        write_durably(path, json.dumps({"uuid": str(uuid4())}) + "\n")
    try:
        return UUID(json.loads(path.read_text())["uuid"])
    except (ValueError, KeyError, TypeError):
        raise DamagedData(f"{path} does not hold this host's UUID") from None
