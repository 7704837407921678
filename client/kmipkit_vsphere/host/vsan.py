"""vSAN encryption on a host: the host fetches the key-encryption key itself (vsphere.md §1.1).

vCenter pushes the addresses of the key servers, the provider's client certificate with its private
key, and the id of the key. From then on the host asks the key server directly, also after a reboot
while vCenter is down. The disk group of the host is encrypted under a data key of its own, which the
fetched key locks. This is the only case in which a host holds credentials of a key server (certificate,
private key, user name and password); they are in its sealed configuration. A key of a native key
provider needs none: the host derives it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from kmipkit_vsphere.host.descriptor import DISK_TEMPLATE
from kmipkit_vsphere.host.disk import DiskFile
from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.host.volume import NewKey, Volume
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.providers.kmip_access import KmipAccess
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.vsan_config import VsanConfig

_SETTING: Final = "vsan"
GROUP_SIZE: Final = 1024 * 1024
"""Bytes of a disk group: enough to observe what is on it."""

Dial = Callable[[KmipAccess], list[KeyServer]]


class VsanEncryption:
    """The encrypted disk group of one host.

    ``_lock`` is held while the group is configured or mounted, including the fetching of its key.
    """

    def __init__(
        self,
        config: SealedConfig,
        folder: Path,
        sources: KeySources,
        dial: Dial = KmipAccess.dial,
    ) -> None:
        self._config = config
        self._sources = sources
        self._folder = folder
        self._dial = dial
        self._mounted: DiskFile | None = None
        self._lock = trio.Lock()

    @property
    def _volume(self) -> Volume:
        return Volume(self._folder / "group.vsan", self._folder / "group.data", "vsan")

    def config(self) -> VsanConfig | None:
        """The configuration that vCenter pushed, None if there is none."""
        return self._config.read(_SETTING, VsanConfig)

    async def configure(self, config: VsanConfig, *, deep: bool = False) -> None:
        """Apply a configuration: encrypt the disk group, or change its key.

        A new key locks the present data key, or with ``deep`` a new one, under which all data is
        rewritten. With the same key, only the way to the key servers changes.
        """
        async with self._lock:
            previous = self.config()
            if self._has_key_of(previous, config) and not deep:
                self._config.set(_SETTING, config)
                return
            key = await self._fetch(config)
            keys = {key.key_id: key.key_data}
            new = NewKey(key.key_data, key.key_id, config.cluster)
            try:
                if previous is not None and previous.key_id != config.key_id:
                    old = await self._fetch(previous)
                    keys[old.key_id] = old.key_data
                await trio.to_thread.run_sync(self._apply, keys, new, deep)
                self._config.set(_SETTING, config)
            finally:
                for secret in keys.values():
                    secret.erase()

    def _has_key_of(self, previous: VsanConfig | None, config: VsanConfig) -> bool:
        return (
            previous is not None
            and self._mounted is not None
            and (previous.cluster, previous.key_id) == (config.cluster, config.key_id)
        )

    def _apply(self, keys: dict[CryptoKeyId, Secret], new: NewKey, deep: bool) -> None:
        self.unmount()
        self._create()
        volume = self._volume
        volume.recover()
        if not volume.is_encrypted():
            volume.encrypt(new)
        elif volume.key_ids() != [new.key_id]:
            (volume.recrypt_deep if deep else volume.recrypt_shallow)(keys, new)
        self._mounted = volume.open(keys, new.machine_id)

    def _create(self) -> None:
        if self._volume.descriptor.exists():
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with self._volume.data.open("wb") as file:
            file.truncate(GROUP_SIZE)
        text = DISK_TEMPLATE.format(
            sector_size=4096, sectors=GROUP_SIZE // 512, extent=self._volume.data.name
        )
        write_durably(self._volume.descriptor, text)

    async def mount(self) -> bool:
        """Fetch the key and open the disk group; False if there is none, or it is open already."""
        async with self._lock:
            config = self.config()
            if config is None or self._mounted is not None:
                return False
            key = await self._fetch(config)
            try:
                self._volume.recover()
                opened = self._volume.open({key.key_id: key.key_data}, config.cluster)
            finally:
                key.key_data.erase()
            self._mounted = opened
            return True

    async def _fetch(self, config: VsanConfig) -> CryptoKeyPlain:
        provider_id = config.key_id.provider_id
        if config.access is None:
            source = self._sources.get(provider_id)
            return await trio.to_thread.run_sync(source.key, config.key_id)
        return await StandardKeyProvider(provider_id, self._dial(config.access)).fetch(
            config.key_id
        )

    def group(self) -> DiskFile:
        """The open disk group; :class:`InvalidState` while it is not."""
        if self._mounted is None:
            raise InvalidState("the disk group of this host is not mounted: the host lacks its key")
        return self._mounted

    def unmount(self) -> None:
        """Close the disk group and drop its data key."""
        if self._mounted is not None:
            self._mounted.close()
            self._mounted = None
