"""Key persistence: keys sealed by the host's TPM, so that an outage locks nothing (§2.8).

Off unless an administrator switches it on. A stolen host with persistence gives away the keys in
it; that is the price.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import Final

from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.model.sealed_config import SealedConfig

_ENABLED: Final = "keyPersistence"
_KEYS: Final = "persistedKeys"


class PersistedKey(Message):
    """A key as it is stored."""

    provider_id: str
    key_id: str
    key_data: Secret


class KeyPersistence:
    """The keys that a host stores for the next boot, in its sealed configuration.

    ``_lock`` guards the stored keys, which change by reading and writing the whole setting.
    """

    def __init__(self, config: SealedConfig) -> None:
        self._config = config
        self._lock = threading.Lock()

    @property
    def is_enabled(self) -> bool:
        """Whether keys that are added to the host are stored."""
        return bool(self._config.get(_ENABLED, False))

    def enable(self) -> None:
        """``keypersistence enable``; :class:`InvalidState` on a host without a TPM."""
        if self._config.protection_mode != "tpm":
            raise InvalidState("key persistence needs a TPM 2.0, and this host has none")
        self._config.set(_ENABLED, True)

    def disable(self, *, remove_all_stored_keys: bool = False) -> None:
        """``keypersistence disable``: remove all stored keys, and store no more.

        :class:`InvalidArgument` unless the caller confirms that with ``remove_all_stored_keys``.
        """
        if not remove_all_stored_keys:
            raise InvalidArgument(
                "without key persistence, all stored keys are removed; confirm that with"
                " --remove-all-stored-keys"
            )
        with self._lock:
            self._config.set(_ENABLED, False)
            self._config.set(_KEYS, None)

    @property
    def count(self) -> int:
        """How many keys are stored."""
        return len(self._config.get(_KEYS) or {})

    def store(self, keys: Iterable[CryptoKeyPlain]) -> None:
        """Store these keys besides those that are stored already, if persistence is on."""
        with self._lock:
            if not self.is_enabled:
                return
            stored = self._stored()
            for key in keys:
                key_id = key.key_id
                entry = PersistedKey(key_id.provider_id, key_id.key_id, key.key_data)
                stored[str(key_id)] = entry
            self._config.set(_KEYS, stored)

    def remove(self, key_id: CryptoKeyId) -> None:
        """Remove a key; does nothing if it is not stored."""
        with self._lock:
            stored = self._stored()
            if stored.pop(str(key_id), None) is not None:
                self._config.set(_KEYS, stored)

    def _stored(self) -> dict[str, PersistedKey]:
        return self._config.read(_KEYS, dict[str, PersistedKey]) or {}

    def stored_keys(self) -> Iterator[CryptoKeyPlain]:
        """The stored keys; none while persistence is off."""
        if self.is_enabled:
            for entry in self._stored().values():
                key_id = CryptoKeyId(entry.provider_id, entry.key_id)
                yield CryptoKeyPlain(key_id, "AES-256", entry.key_data)
