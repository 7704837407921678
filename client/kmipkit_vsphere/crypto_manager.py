"""vCenter's key management: key providers, key ids and the events about them.

``CryptoManagerKmip`` of the vSphere API (vsphere.md §4.2). It keeps the id of every key that was
made here, and no key.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kmipkit_vsphere.conversation import KeyServer
from kmipkit_vsphere.errors import InvalidState, KeyProviderError, NotFound, VSphereError
from kmipkit_vsphere.events import Clock, Entity, EventLog
from kmipkit_vsphere.keys import CryptoKeyId
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.store import ServerRecord, Store

DEFAULT_PROVIDER: Final = "defaultProvider"

ServerDialer = Callable[[str, ServerRecord], KeyServer]
"""Makes the key server of a provider (its id) from its record, without connecting."""


class CryptoManagerKmip:
    """Key providers and keys of one vCenter. ``user`` is who asks, for the events."""

    def __init__(self, store: Store, key_server: ServerDialer, clock: Clock) -> None:
        self._store = store
        self._key_server = key_server
        self._clock = clock
        self.event_log = EventLog(store, clock)

    # Key providers -------------------------------------------------------------------------------

    async def register_kmip_server(
        self, user: str, provider_id: str, server: ServerRecord
    ) -> dict[str, Any]:
        """RegisterKmipServer: add a server; a new provider id makes a provider.

        The first provider becomes the default. A server that cannot be reached is added all the
        same: the result says what is wrong with it.
        """
        self._store.add_server(provider_id, server)
        if self._store.setting(DEFAULT_PROVIDER) is None:
            self._store.set_setting(DEFAULT_PROVIDER, provider_id)
        about = Entity("provider", provider_id)
        try:
            dialled = self._key_server(provider_id, server)
            vendor = await StandardKeyProvider(provider_id, [dialled]).greet()
        except KeyProviderError as failure:
            self.event_log.add(
                "kms.crypto.Unreachable", failure.message, user=user, entity=about, failed=True
            )
            return {"clusterId": provider_id, "server": server.name, "problem": failure.message}
        self.event_log.add("kms.crypto.Vendor", f"vendor: {vendor}", user=user, entity=about)
        return {"clusterId": provider_id, "server": server.name, "vendor": vendor}

    def update_kmip_server(self, provider_id: str, server: ServerRecord) -> None:
        """UpdateKmipServer: another address for a server; NotFound if there is none such."""
        self._store.update_server(provider_id, server)

    def list_kmip_servers(self) -> list[dict[str, Any]]:
        """ListKmipServers: providers in the order in which they were added."""
        default = self._store.setting(DEFAULT_PROVIDER)
        return [
            {
                "clusterId": provider,
                "managementType": "vCenter",
                "useAsDefault": provider == default,
                "servers": [
                    {"name": server.name, "address": server.address, "port": server.port}
                    for server in self._store.servers(provider)
                ],
            }
            for provider in self._store.providers()
        ]

    def mark_default(self, provider_id: str) -> None:
        """MarkDefault: new keys come from this provider."""
        self.provider(provider_id)
        self._store.set_setting(DEFAULT_PROVIDER, provider_id)

    async def status(self) -> dict[str, dict[str, str | None]]:
        """Provider to server to what is wrong with it, None for nothing (one health poll)."""
        return {name: await self.provider(name).health() for name in self._store.providers()}

    def provider(self, provider_id: str) -> StandardKeyProvider:
        """The provider of this id, or NotFound."""
        servers = self._store.servers(provider_id)
        if not servers:
            raise NotFound(f"there is no key provider {provider_id}")
        return StandardKeyProvider(
            provider_id, [self._key_server(provider_id, server) for server in servers]
        )

    def default_provider(self) -> StandardKeyProvider:
        """Where new keys come from; InvalidState while there is no provider."""
        provider_id = self._store.setting(DEFAULT_PROVIDER)
        if provider_id is None:
            raise InvalidState("there is no key provider; add one first")
        return self.provider(provider_id)

    # Keys ----------------------------------------------------------------------------------------

    async def generate_key(self, user: str, provider_id: str | None = None) -> CryptoKeyId:
        """GenerateKey: a new key on the key server, marked with the product; its id is kept."""
        provider = self.provider(provider_id) if provider_id else self.default_provider()
        key_id = await self.create_key(user, provider)
        await provider.tag_product(key_id)
        return key_id

    async def create_key(self, user: str, provider: StandardKeyProvider) -> CryptoKeyId:
        """Have a key made and keep its id; the events say so, also if it fails."""
        with self.audited(user, "GenerateKey", failure="kms.crypto.KeyGenerateFail"):
            key_id = await provider.create_key()
        self._store.add_key(key_id, int(self._clock().timestamp()))
        self.note(user, "GenerateKey", key_id)
        return key_id

    def list_keys(self) -> list[CryptoKeyId]:
        """ListKeys: the ids of all keys made here."""
        return self._store.keys()

    def events(self) -> list[dict[str, Any]]:
        """All events, the oldest first."""
        return self._store.events()

    def note(
        self, user: str, operation: str, key_id: CryptoKeyId | None, entity: Entity | None = None
    ) -> None:
        """Write the event of an operation that succeeded (requirement R35)."""
        text = f"{operation} by {user}" + (f", key {key_id}" if key_id else "")
        self.event_log.add(
            "crypto.Operation", text, user=user, operation=operation, key_id=key_id, entity=entity
        )

    @contextmanager
    def audited(
        self,
        user: str,
        operation: str,
        key_id: CryptoKeyId | None = None,
        entity: Entity | None = None,
        failure: str = "crypto.Operation",
    ) -> Iterator[None]:
        """Write an event where the operation inside fails, and let the error pass."""
        try:
            yield
        except VSphereError as fault:
            self.event_log.add(
                failure,
                f"{operation} by {user} failed: {fault.message}",
                user=user,
                operation=operation,
                key_id=key_id,
                entity=entity,
                failed=True,
                fault=type(fault).__name__,
            )
            raise
