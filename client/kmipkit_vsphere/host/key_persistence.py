"""Key persistence: fetched keys sealed by the host's TPM, so that an outage locks nothing (§2.8).

Off unless an administrator switches it on. Keys of native providers are not kept: the host derives
them. Whoever steals a host with persistence steals the keys in it; that is the price.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.sealed_config import SealedConfig

_ENABLED: Final = "keyPersistence"
_KEYS: Final = "persistedKeys"


class KeyPersistence:
    """The keys that a host keeps over a reboot, in its sealed configuration."""

    def __init__(self, config: SealedConfig) -> None:
        self._config = config

    @property
    def is_enabled(self) -> bool:
        """Whether keys that come are kept."""
        return bool(self._config.get(_ENABLED, False))

    def enable(self) -> None:
        """``keypersistence enable``: InvalidState on a host without a TPM."""
        if self._config.protection_mode != "tpm":
            raise InvalidState("key persistence needs a TPM 2.0, and this host has none")
        self._config.set(_ENABLED, True)

    def disable(self, *, remove_all_stored_keys: bool = False) -> None:
        """``keypersistence disable``: keep no more keys, and forget those that are kept if asked."""
        self._config.set(_ENABLED, False)
        if remove_all_stored_keys:
            self._config.set(_KEYS, None)

    def keep(self, keys: Iterable[CryptoKeyPlain]) -> None:
        """Keep these keys besides those that are kept, if persistence is on."""
        if not self.is_enabled:
            return
        kept: dict[str, Any] = dict(self._config.get(_KEYS, {}))
        for key in keys:
            kept[str(key.key_id)] = {
                **key.key_id.to_json(),
                "keyData": base64.b64encode(key.key_data.reveal()).decode("ascii"),
            }
        self._config.set(_KEYS, kept)

    def forget(self, key_id: CryptoKeyId) -> None:
        """Keep a key no longer."""
        kept = dict(self._config.get(_KEYS, {}))
        if kept.pop(str(key_id), None) is not None:
            self._config.set(_KEYS, kept)

    def kept(self) -> Iterator[CryptoKeyPlain]:
        """The keys that were kept before the reboot; none while persistence is off."""
        if self.is_enabled:
            for one in self._config.get(_KEYS, {}).values():
                key_id = CryptoKeyId(one["providerId"], one["keyId"])
                secret = Secret(base64.b64decode(one["keyData"]))
                yield CryptoKeyPlain(key_id, "AES-256", secret)
