"""Encryption mode and keys of a host, wherever the keys come from.

vCenter brings the keys of standard providers; keys of native and trusted providers come from their
sources (:mod:`kmipkit_vsphere.host.key_sources`); persisted keys come from the sealed
configuration. All of them end in the cache of :class:`CryptoManagerHost`.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Final

from kmipkit_vsphere.host.crypto import CryptoManagerHost
from kmipkit_vsphere.host.key_persistence import KeyPersistence
from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.host.volume import NewKey
from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.errors import ResourceInUse, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.sealed_config import SealedConfig

_HOST_KEY: Final = "hostKey"

log = logging.getLogger("kmipkit.vsphere.host")


class HostKeys:
    """The keys of one host.

    ``_mode_lock`` is held while the encryption mode changes, because that takes several steps, of
    which one may fetch a key over the network. The locks of the cache, the sources and the sealed
    configuration are taken inside it. :meth:`fetch` and :meth:`new_key` do not take it, so callers
    may hold the lock of :class:`~kmipkit_vsphere.host.open_machines.OpenMachines`.
    """

    def __init__(self, config: SealedConfig) -> None:
        self._config = config
        self.crypto = CryptoManagerHost()
        self.sources = KeySources(config)
        self.persistence = KeyPersistence(config)
        self._mode_lock = threading.Lock()
        self._waiting_for = ""
        """Why the host key could not be had the last time, so that the log has it once."""

    # Encryption mode -----------------------------------------------------------------------------

    def enable(self, initial_key: CryptoKeyPlain) -> None:
        """CryptoManagerHostEnable; see :meth:`CryptoManagerHost.enable`."""
        with self._mode_lock:
            self._enable(initial_key)

    def _enable(self, initial_key: CryptoKeyPlain) -> None:
        self.crypto.enable(initial_key)
        self._store_host_key(initial_key)

    def enable_from_source(self, key_id: CryptoKeyId) -> CryptoKeyId:
        """CryptoManagerHostEnable with a key that this host gets itself; returns the key's id.

        An empty id stands for a new key.
        """
        source = self.sources.get(key_id.provider_id)
        with self._mode_lock:
            if self.crypto.state is CryptoState.SAFE and self.crypto.host_key_id is not None:
                return self.crypto.host_key_id
            if self.crypto.state is CryptoState.INCAPABLE:
                self.crypto.prepare()
            key = source.key(key_id) if key_id.key_id else source.new_key()
            self._enable(key)
            return key.key_id

    def change_key(self, new_key: CryptoKeyPlain) -> None:
        """ChangeKey_Task: replace the host key."""
        with self._mode_lock:
            self.crypto.change_key(new_key)
            self._store_host_key(new_key)

    def disable(self, encrypted_machines: Sequence[str]) -> None:
        """CryptoManagerHostDisable: refused while encrypted machines are on the host (§6)."""
        with self._mode_lock:
            if self.crypto.state is CryptoState.SAFE and encrypted_machines:
                names = ", ".join(encrypted_machines)
                raise ResourceInUse(f"move the encrypted machines away first: {names}")
            self.crypto.disable()
            self._config.set(_HOST_KEY, None)

    def _store_host_key(self, key: CryptoKeyPlain) -> None:
        """Store the id of a host key that will be available after a reboot without vCenter."""
        self._persist([key])
        if self.persistence.is_enabled or self.sources.has(key.key_id.provider_id):
            self._config.set(_HOST_KEY, key.key_id)

    def can_restore(self) -> bool:
        """Whether this host can have keys that vCenter did not bring."""
        return self.sources.any() or self.persistence.is_enabled

    def restore(self) -> bool:
        """After a reboot, return to encryption mode without vCenter, if that is possible (R11).

        This uses persisted keys, and those of native and trusted providers. False if the host key
        cannot be had now: then vCenter must bring it, or a later call gets it.
        """
        with self._mode_lock:
            host_key_id = self._config.read(_HOST_KEY, CryptoKeyId)
            if host_key_id is None or self.crypto.state is not CryptoState.INCAPABLE:
                return True
            persisted = {key.key_id: key for key in self.persistence.stored_keys()}
            host_key = persisted.pop(host_key_id, None)
            try:
                if host_key is None:
                    host_key = self.sources.get(host_key_id.provider_id).key(host_key_id)
            except VSphereError as failure:
                if failure.message != self._waiting_for:
                    self._waiting_for = failure.message
                    log.info("without the host key until vCenter brings it: %s", failure.message)
                return False
            self.crypto.prepare()
            self.crypto.enable(host_key)
            self.crypto.add_keys(persisted.values())
            return True

    # Single keys ---------------------------------------------------------------------------------

    def add(self, key: CryptoKeyPlain) -> None:
        """AddKey; see :meth:`CryptoManagerHost.add_key`."""
        self.crypto.add_key(key)
        self._persist([key])

    def _persist(self, keys: Iterable[CryptoKeyPlain]) -> None:
        """Store keys for the next boot, if persistence is on; native ones can be derived again."""
        natives = {native.provider for native in self.sources.natives()}
        self.persistence.store(key for key in keys if key.key_id.provider_id not in natives)

    def remove(self, key_id: CryptoKeyId, *, force: bool = False) -> None:
        """RemoveKey: erase a key from the cache and from the persisted keys."""
        self.crypto.remove_key(key_id, force=force)
        self.persistence.remove(key_id)

    def enable_persistence(self) -> None:
        """Persist the keys that are in the cache, and all that are added from now on."""
        with self._mode_lock:
            self.persistence.enable()
            self._persist(self.crypto.cached_keys())
            if self.crypto.host_key_id is not None:
                self._config.set(_HOST_KEY, self.crypto.host_key_id)

    def disable_persistence(self, *, remove_all_stored_keys: bool) -> None:
        """Remove the persisted keys; those in the cache stay until the next reboot."""
        with self._mode_lock:
            self.persistence.disable(remove_all_stored_keys=remove_all_stored_keys)
            host_key = self.crypto.host_key_id
            if host_key is None or not self.sources.has(host_key.provider_id):
                self._config.set(_HOST_KEY, None)

    def new_key(self, key_id: CryptoKeyId, machine_id: str) -> NewKey:
        """The key for an encryption: the named one, or a new internal one if the id is empty."""
        if key_id.key_id:
            self.fetch([key_id])
        else:
            key = self.sources.get(key_id.provider_id).new_key()
            self.crypto.add_key(key)
            self._persist([key])
            key_id = key.key_id
        return NewKey(self.crypto.key(key_id), key_id, machine_id)

    def fetch(self, key_ids: Iterable[CryptoKeyId]) -> None:
        """Fetch the keys that are not in the cache from their sources, where there are any.

        A key that cannot be had keeps none of the others away; the first failure is raised at the
        end.
        """
        failures = self.try_fetch(key_ids)
        for failure in failures.values():
            raise failure

    def try_fetch(self, key_ids: Iterable[CryptoKeyId]) -> dict[CryptoKeyId, VSphereError]:
        """Fetch the same keys; returns why those that are missing cannot be had."""
        failures: dict[CryptoKeyId, VSphereError] = {}
        if self.crypto.state is not CryptoState.SAFE:
            return failures
        cached = set(self.crypto.list_keys())
        for key_id in key_ids:
            if key_id in cached or not self.sources.has(key_id.provider_id):
                continue
            try:
                key = self.sources.get(key_id.provider_id).key(key_id)
            except VSphereError as failure:
                failures[key_id] = failure
            else:
                self.crypto.add_keys([key])
                self._persist([key])
        return failures
