"""Encryption mode of a host, and its key cache (vsphere.md §4.1 ``CryptoManagerHost``, §6).

The whole state machine is :data:`TRANSITIONS`. Keys are in memory only, so a restart of the process
is what a reboot is to a real host: incapable, with an empty cache. A host that is not safe accepts
no keys.
"""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret

KEK_SIZE = 32


TRANSITIONS: Mapping[tuple[CryptoState, str], CryptoState] = MappingProxyType(
    {
        (CryptoState.INCAPABLE, "Prepare"): CryptoState.PREPARED,
        (CryptoState.PREPARED, "Enable"): CryptoState.SAFE,
        (CryptoState.SAFE, "Enable"): CryptoState.SAFE,
        (CryptoState.PENDING_INCAPABLE, "Enable"): CryptoState.SAFE,
        (CryptoState.SAFE, "ChangeKey"): CryptoState.SAFE,
        (CryptoState.SAFE, "Disable"): CryptoState.PENDING_INCAPABLE,
        (CryptoState.PREPARED, "Disable"): CryptoState.INCAPABLE,
        (CryptoState.SAFE, "AddKey"): CryptoState.SAFE,
        (CryptoState.SAFE, "Encrypt"): CryptoState.SAFE,
    }
)
"""(state, call) to the next state; any other pair is an InvalidState fault."""


class CryptoManagerHost:
    """State, host key and key cache of one host, in memory only.

    ``_lock`` guards all three, so that no call sees half of a transition. No other lock is taken
    inside it.
    """

    def __init__(self) -> None:
        self.state = CryptoState.INCAPABLE
        self.host_key_id: CryptoKeyId | None = None
        self._keys: dict[CryptoKeyId, CryptoKeyPlain] = {}
        self._lock = threading.RLock()

    def check(self, call: str) -> CryptoState:
        """The state after a call; :class:`InvalidState` if the call is not allowed now."""
        state = self.state
        following = TRANSITIONS.get((state, call))
        if following is None:
            raise InvalidState(
                f"{call} is not possible: the host's crypto state is {state.value}",
                cryptoState=state.value,
            )
        return following

    def prepare(self) -> None:
        """CryptoManagerHostPrepare: incapable to prepared."""
        with self._lock:
            self.state = self.check("Prepare")

    def enable(self, initial_key: CryptoKeyPlain) -> None:
        """CryptoManagerHostEnable: set the host key and become safe.

        The same key again changes nothing. Raises :class:`AlreadyExists` on a safe host that has
        a different host key.
        """
        with self._lock:
            following = self.check("Enable")
            if self.state is CryptoState.SAFE and self.host_key_id != initial_key.key_id:
                raise AlreadyExists(f"the host has the host key {self.host_key_id} already")
            self._add_to_cache(initial_key)
            self.host_key_id, self.state = initial_key.key_id, following

    def change_key(self, new_key: CryptoKeyPlain) -> None:
        """ChangeKey_Task: another host key; the old one stays in the cache for old core dumps."""
        with self._lock:
            self.state = self.check("ChangeKey")
            self._add_to_cache(new_key)
            self.host_key_id = new_key.key_id

    def disable(self) -> None:
        """CryptoManagerHostDisable: safe to pendingIncapable, or prepared to incapable."""
        with self._lock:
            self.state = self.check("Disable")

    def add_key(self, key: CryptoKeyPlain) -> None:
        """AddKey: :class:`InvalidState` unless safe; :class:`AlreadyExists` if the id is cached."""
        with self._lock:
            self.check("AddKey")
            if key.key_id in self._keys:
                raise AlreadyExists(f"the host has key {key.key_id} already")
            self._add_to_cache(key)

    def add_keys(self, keys: Iterable[CryptoKeyPlain]) -> list[VSphereError | None]:
        """AddKeys: one result per key, None for success."""
        return [self._try_add(key) for key in keys]

    def _try_add(self, key: CryptoKeyPlain) -> VSphereError | None:
        try:
            self.add_key(key)
        except VSphereError as fault:
            return fault
        return None

    def _add_to_cache(self, key: CryptoKeyPlain) -> None:
        if key.algorithm != "AES-256" or len(key.key_data) != KEK_SIZE:
            raise InvalidArgument(f"key {key.key_id} is not an AES key of 256 bits")
        cached = self._keys.get(key.key_id)
        if cached is None:
            self._keys[key.key_id] = key
        elif cached.key_data != key.key_data:
            raise AlreadyExists(f"the host has other key data under the id {key.key_id}")

    def remove_key(self, key_id: CryptoKeyId, *, force: bool = False) -> None:
        """RemoveKey: erase a key from the cache.

        Without ``force`` an unknown key is an :class:`InvalidArgument` and the host key is a
        :class:`ResourceInUse`. A host does not track which keys its machines use (vsphere.md §4.2).
        """
        with self._lock:
            if key_id not in self._keys and not force:
                raise InvalidArgument(f"the host does not have key {key_id}")
            if key_id == self.host_key_id and not force:
                raise ResourceInUse(f"{key_id} is the host key")
            removed = self._keys.pop(key_id, None)
        if removed:
            removed.key_data.erase()

    def list_keys(self) -> list[CryptoKeyId]:
        """ListKeys: the ids in the cache."""
        with self._lock:
            return sorted(self._keys)

    def key(self, key_id: CryptoKeyId) -> Secret:
        """The key's bytes; :class:`EncryptionKeyRequired` if it is not in the cache."""
        cached = self._keys.get(key_id)
        if cached is None:
            raise EncryptionKeyRequired(
                f"the host does not have key {key_id}", required_key=[key_id]
            )
        return cached.key_data

    def keys(self) -> Mapping[CryptoKeyId, Secret]:
        """The bytes of all cached keys."""
        return {key.key_id: key.key_data for key in self.cached_keys()}

    def cached_keys(self) -> list[CryptoKeyPlain]:
        """All keys in the cache."""
        with self._lock:
            return list(self._keys.values())

    def host_key(self) -> tuple[CryptoKeyId, Secret] | None:
        """The host key, None on a host that is not safe."""
        with self._lock:
            if self.host_key_id is None or self.host_key_id not in self._keys:
                return None
            return self.host_key_id, self._keys[self.host_key_id].key_data

    def reset(self) -> None:
        """Erase all keys and become incapable, as after a reboot."""
        with self._lock:
            for key_id in self.list_keys():
                self.remove_key(key_id, force=True)
            self.host_key_id, self.state = None, CryptoState.INCAPABLE
