"""vSAN: the disk groups of a cluster, encrypted with a key that its hosts fetch (vsphere.md §2.4)."""

from typing import Final

from kmipkit_vsphere.calls.key_providers import ConfigureVsan
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.providers.owner import VSAN_CLUSTER, Owner
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.store import Store

_SETTING: Final = "vsan/"


class VsanClusters:
    """The encrypted vSAN clusters of one vCenter."""

    def __init__(
        self, store: Store, crypto: CryptoManagerKmip, hosts: HostManager, instance: Instance
    ) -> None:
        self._store = store
        self._crypto = crypto
        self._hosts = hosts
        self._instance = instance

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

        The provider's client certificate is pushed to the hosts with it. If it is called again, it
        configures hosts that were added later; with ``rekey`` all hosts get a new key.
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
            access = self._crypto.providers.trust.access(key_id.provider_id)
            config = VsanConfig(cluster, key_id, access)
            for host in self._store.inventory.hosts():
                if host.parent == f"cluster/{cluster}":
                    await self._hosts.call(host, ConfigureVsan(config, deep))
        self._crypto.note(caller.user, "EncryptVsan", key_id, entity)
        return key_id

    async def _new_key(self, caller: Caller, cluster: str, provider_id: str | None) -> CryptoKeyId:
        chosen = self._crypto.providers.for_new_key(f"cluster/{cluster}", provider_id)
        provider = self._crypto.providers.standard(chosen.provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(self._instance.id, VSAN_CLUSTER, cluster))
        (await provider.fetch(key_id)).key_data.erase()  # fetching activates the key
        self._store.providers.set_setting(_SETTING + cluster, str(key_id))
        return key_id


def vsan_keys(store: Store) -> dict[str, CryptoKeyId]:
    """The key of each cluster with encrypted disk groups."""
    settings = store.providers.settings(_SETTING)
    return {cluster: CryptoKeyId.parse(text) for cluster, text in settings.items()}
