"""Key persistence on the hosts of one vCenter, and as a setting of clusters (vsphere.md §2.8)."""

from typing import Final

from kmipkit_vsphere.calls.host import HostInfo, SetKeyPersistence
from kmipkit_vsphere.model.errors import InvalidArgument, VSphereError
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.calls.persistence import KeyPersistenceStatus
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.store import Store

_SETTING: Final = "keyPersistence/"
_ENABLED: Final = "enabled"


class KeyPersistence:
    """Which hosts store keys."""

    def __init__(self, store: Store, hosts: HostManager) -> None:
        self._inventory = store.inventory
        self._settings = store.providers
        self._hosts = hosts

    async def set_on_host(self, name: str, *, enable: bool, remove_all_stored_keys: bool) -> None:
        """Enable or disable it on one host."""
        host = self._inventory.host(name)
        await self._hosts.call(host, SetKeyPersistence(enable, remove_all_stored_keys))

    async def set_on_cluster(
        self, name: str, *, enable: bool, remove_all_stored_keys: bool
    ) -> dict[str, str | None]:
        """Enable or disable it on all hosts of a cluster; host to problem, None for success."""
        self._inventory.cluster(name)
        if not enable and not remove_all_stored_keys:
            raise InvalidArgument(
                "without key persistence, all stored keys are removed; confirm that with"
                " --remove-all-stored-keys"
            )
        self._settings.set_setting(_SETTING + name, _ENABLED if enable else None)
        problems: dict[str, str | None] = {}
        for host in self._inventory.hosts():
            if host.parent != f"cluster/{name}":
                continue
            try:
                await self._hosts.call(host, SetKeyPersistence(enable, remove_all_stored_keys))
            except VSphereError as failure:
                problems[host.name] = failure.message
            else:
                problems[host.name] = None
        return problems

    async def apply_to(self, host: HostRecord) -> None:
        """Enable it on a host that has joined a cluster with key persistence, if it has a TPM."""
        cluster = host.parent.removeprefix("cluster/")
        if self._settings.setting(_SETTING + cluster) != _ENABLED:
            return
        if (await self._hosts.call(host, HostInfo())).has_tpm:
            await self._hosts.call(host, SetKeyPersistence(enable=True))

    async def status(self) -> dict[str, KeyPersistenceStatus]:
        """Every host, and what it says."""
        return {host.name: await self._status(host) for host in self._inventory.hosts()}

    async def _status(self, host: HostRecord) -> KeyPersistenceStatus:
        try:
            info = await self._hosts.call(host, HostInfo())
        except VSphereError as failure:
            return KeyPersistenceStatus(problem=failure.message)
        return KeyPersistenceStatus(info.key_persistence, info.stored_keys, info.has_tpm)
