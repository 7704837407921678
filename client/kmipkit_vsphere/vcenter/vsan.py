"""vSAN: the disk groups of a cluster, encrypted with a key that its hosts fetch (vsphere.md §2.4)."""

import hashlib
import logging
from typing import Final

from kmipkit_vsphere.calls.key_providers import ConfigureVsan
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import HostRecord, ManagementType
from kmipkit_vsphere.providers.owner import VSAN_CLUSTER, Owner
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.store import Store

log = logging.getLogger("kmipkit.vsphere.vcenter")

_SETTING: Final = "vsan/"


class VsanClusters:
    """The encrypted vSAN clusters of one vCenter."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        natives: NativeProviders,
        instance: Instance,
    ) -> None:
        self._store = store
        self._crypto = crypto
        self._hosts = hosts
        self._natives = natives
        self._instance = instance
        self._pushed: dict[str, str] = {}
        """Host to the digest of the configuration that it has, as far as this process knows."""

    async def encrypt(
        self,
        caller: Caller,
        cluster: str,
        provider_id: str | None = None,
        *,
        rekey: bool = False,
        deep: bool = False,
    ) -> CryptoKeyId:
        """Encrypt the disk groups of a cluster's hosts, which fetch the key themselves.

        The provider's client certificate is pushed to the hosts with it. With ``rekey`` all hosts get
        a new key. What changes later (servers, passwords, certificates, hosts of the cluster) is
        pushed by :meth:`push_changes`, or if this is called again.
        """
        entity = Entity("cluster", cluster)
        self._store.inventory.cluster(cluster)
        with self._crypto.audited(caller.user, "EncryptVsan", None, entity):
            key_id = None if rekey else vsan_keys(self._store).get(cluster)
            if key_id is not None and provider_id not in (None, key_id.provider_id):
                raise InvalidState(
                    f"the disk groups of {cluster} are encrypted with key {key_id}; to give them a"
                    f" key of {provider_id}, use --rekey"
                )
            if key_id is None:
                key_id = await self._new_key(caller, cluster, provider_id)
            config = self._config(cluster, key_id)
            for host in self._cluster_hosts(cluster):
                await self._push(host, config, deep=deep)
        self._crypto.note(caller.user, "EncryptVsan", key_id, entity)
        return key_id

    def _config(self, cluster: str, key_id: CryptoKeyId) -> VsanConfig:
        record = self._store.providers.get(key_id.provider_id)
        if record.type is ManagementType.NATIVE:
            return VsanConfig(cluster, key_id)
        return VsanConfig(cluster, key_id, self._crypto.providers.trust.access(record.id))

    def _cluster_hosts(self, cluster: str) -> list[HostRecord]:
        hosts = self._store.inventory.hosts()
        return [host for host in hosts if host.parent == f"cluster/{cluster}"]

    async def _push(self, host: HostRecord, config: VsanConfig, *, deep: bool = False) -> None:
        await self._hosts.call(host, ConfigureVsan(config, deep))
        self._pushed[host.name] = _digest(config)

    async def push_changes(self) -> None:
        """Give each host of an encrypted cluster its configuration, where it has changed."""
        for cluster, key_id in vsan_keys(self._store).items():
            with contained(log, f"the disk groups of {cluster}"):
                config = self._config(cluster, key_id)
                digest = _digest(config)
                for host in self._cluster_hosts(cluster):
                    if self._pushed.get(host.name) != digest:
                        with contained(log, f"the disk group of {host.name}"):
                            await self._push(host, config)

    async def _new_key(self, caller: Caller, cluster: str, provider_id: str | None) -> CryptoKeyId:
        chosen = self._crypto.providers.for_new_key(f"cluster/{cluster}", provider_id)
        if chosen.management_type is ManagementType.NATIVE:
            for host in self._cluster_hosts(cluster):
                self._natives.check_usable(chosen.provider_id, host)
            key_id = self._natives.new_key_id(chosen.provider_id)
            self._store.providers.set_setting(_SETTING + cluster, str(key_id))
            return key_id
        if chosen.management_type is ManagementType.TRUSTED:
            raise InvalidArgument("vSAN cannot be encrypted with keys of a trusted key provider")
        provider = self._crypto.providers.standard(chosen.provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(self._instance.id, VSAN_CLUSTER, cluster))
        (await provider.fetch(key_id)).key_data.erase()  # fetching activates the key
        self._store.providers.set_setting(_SETTING + cluster, str(key_id))
        return key_id


def _digest(config: VsanConfig) -> str:
    return hashlib.sha256(encode(config)).hexdigest()


def vsan_keys(store: Store) -> dict[str, CryptoKeyId]:
    """The key of each cluster with encrypted disk groups."""
    settings = store.providers.settings(_SETTING)
    return {cluster: CryptoKeyId.parse(text) for cluster, text in settings.items()}
