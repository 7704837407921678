"""Where a host gets keys that vCenter does not bring: from native and trusted key providers.

A key that such a source makes is an internal key of the host (requirement R46).
"""

import threading
from typing import Any, Protocol

from kmipkit_vsphere.model.errors import AlreadyExists, InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.providers.native import NativeSpec


class KeySource(Protocol):
    """Makes and finds keys of one key provider."""

    def new_key(self) -> CryptoKeyPlain:
        """A new key-encryption key; its id leads back to it."""

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id, or a fault that says why it cannot be had."""


class KeySources:
    """The sources of one host. Native providers are kept in its sealed configuration (R11)."""

    def __init__(self, config: SealedConfig) -> None:
        self._config = config
        self._sources: dict[str, KeySource] = {}
        self._natives: dict[str, NativeSpec] = {}
        self._changing = threading.Lock()
        for found in config.get("nativeProviders", {}).values():
            self._take(NativeSpec.from_json(found))

    def _take(self, spec: NativeSpec) -> None:
        self._natives[spec.provider_id] = spec
        self._sources[spec.provider_id] = spec

    def has(self, provider_id: str) -> bool:
        """Whether keys of this provider come from here."""
        return provider_id in self._sources

    def get(self, provider_id: str) -> KeySource:
        """The source of a provider; :class:`InvalidState` if this host has none for it."""
        found = self._sources.get(provider_id)
        if found is None:
            raise InvalidState(f"the key provider {provider_id} was not given to this host")
        return found

    def add(self, provider_id: str, source: KeySource) -> None:
        """Add a source that lasts as long as the process."""
        self._sources[provider_id] = source

    def set_native(self, spec: NativeSpec) -> None:
        """Take a native provider, durably; the same one again changes nothing.

        Raises :class:`AlreadyExists` for a name under which there is another primary key.
        """
        with self._changing:
            known = self._natives.get(spec.provider_id)
            if known is not None and known.key_id != spec.key_id:
                raise AlreadyExists(
                    f"the host has a key provider {spec.provider_id} with another primary key"
                )
            self._save({**self._natives, spec.provider_id: spec})
            self._take(spec)

    def remove(self, provider_id: str) -> None:
        """Forget a provider; nothing happens where there is none."""
        with self._changing:
            self._save({one: spec for one, spec in self._natives.items() if one != provider_id})
            spec = self._natives.pop(provider_id, None)
            self._sources.pop(provider_id, None)
            if spec is not None:
                spec.kdk.erase()

    def _save(self, natives: dict[str, NativeSpec]) -> None:
        self._config.set(
            "nativeProviders", {name: spec.to_json() for name, spec in natives.items()}
        )

    def natives(self) -> list[dict[str, Any]]:
        """The native providers that this host has, without their keys."""
        return [
            {"provider": one.provider_id, "keyId": str(one.key_id), "tpmRequired": one.tpm_required}
            for one in self._natives.values()
        ]
