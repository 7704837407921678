"""The key providers from which a host gets keys itself: native and trusted ones.

A key that such a source makes is an internal key of the host (requirement R46).
"""

import threading
from typing import Final, Protocol

from kmipkit_vsphere.calls.host import NativeProviderInfo
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.providers.native import NativeSpec

_SETTING: Final = "nativeProviders"


class KeySource(Protocol):
    """Makes and finds keys of one key provider. Calls may wait for the network."""

    def new_key(self) -> CryptoKeyPlain:
        """A new key-encryption key; its id leads back to it."""

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id, or a fault that says why it is not available."""


class KeySources:
    """The sources of one host. Native providers are stored in its sealed configuration (R11).

    ``_lock`` is held while a native provider is added or removed, which changes the configuration
    and both tables. Readers need no lock: each reads one entry.
    """

    def __init__(self, config: SealedConfig) -> None:
        self._config = config
        self._sources: dict[str, KeySource] = {}
        self._natives: dict[str, NativeSpec] = {}
        self._lock = threading.Lock()
        for spec in (config.read(_SETTING, dict[str, NativeSpec]) or {}).values():
            self._add_native(spec)

    def _add_native(self, spec: NativeSpec) -> None:
        self._natives[spec.provider_id] = spec
        self._sources[spec.provider_id] = spec

    def has(self, provider_id: str) -> bool:
        """Whether this host gets keys of the provider itself."""
        return provider_id in self._sources

    def any(self) -> bool:
        """Whether this host gets keys of any provider itself."""
        return bool(self._sources)

    def get(self, provider_id: str) -> KeySource:
        """The source of a provider; :class:`InvalidState` if this host has none for it."""
        source = self._sources.get(provider_id)
        if source is None:
            raise InvalidState(f"this host does not have the key provider {provider_id}")
        return source

    def add(self, provider_id: str, source: KeySource) -> None:
        """Add a source for as long as the process runs."""
        self._sources[provider_id] = source

    def drop(self, provider_id: str) -> None:
        """Forget a source that was added for as long as the process runs."""
        self._sources.pop(provider_id, None)

    def set_native(self, spec: NativeSpec) -> None:
        """Add a native provider, durably; the same one again changes nothing.

        Raises :class:`AlreadyExists` if the name stands for another primary key, unless the provider
        has it as an earlier one.
        """
        with self._lock:
            known = self._natives.get(spec.provider_id)
            if known is not None and not spec.has(known.key_id):
                raise AlreadyExists(
                    f"the host has a key provider {spec.provider_id} with another primary key"
                )
            self._config.set(_SETTING, {**self._natives, spec.provider_id: spec})
            self._add_native(spec)

    def remove(self, provider_id: str) -> None:
        """Remove a provider and erase its primary key; does nothing if there is none."""
        with self._lock:
            others = {name: spec for name, spec in self._natives.items() if name != provider_id}
            self._config.set(_SETTING, others)
            spec = self._natives.pop(provider_id, None)
            self._sources.pop(provider_id, None)
            if spec is not None:
                spec.erase()

    def natives(self) -> list[NativeProviderInfo]:
        """The native providers that this host has, without their keys."""
        return [
            NativeProviderInfo(spec.provider_id, spec.key_id, spec.tpm_required)
            for spec in self._natives.values()
        ]
