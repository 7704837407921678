"""A trusted host: it gets keys from the Key Provider Service, by a token (vsphere.md §7)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.files import write_secret
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.rpc import channel as rpc
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.agent import (
    AgentSource,
    ServiceChannel,
    ServiceDialer,
    TrustedAgent,
)
from kmipkit_vsphere.trust_authority.measurements import Event
from kmipkit_vsphere.trust_authority.tpm import TPM

_SETTING: Final = "trustedServices"


class TLSDialer:
    """Connects to a Trust Authority host over TLS, with the host's own certificate."""

    def __init__(self, service: Mapping[str, Any], credentials: Credentials) -> None:
        self._service = service
        self._credentials = credentials

    def __call__(self) -> AbstractAsyncContextManager[ServiceChannel]:
        """Connect."""
        return _Connection(self._service, self._credentials)


class _Connection(AbstractAsyncContextManager[ServiceChannel]):
    def __init__(self, service: Mapping[str, Any], credentials: Credentials) -> None:
        self._service = service
        self._credentials = credentials
        self._client: rpc.Client | None = None

    async def __aenter__(self) -> ServiceChannel:
        address = (self._service["address"], self._service["port"])
        self._client = await rpc.connect(address, self._service["name"], self._credentials)
        return self._client

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        await self._client.aclose()


class TrustedHost:
    """What makes a host a trusted one: a TPM, its event log, and where the services are."""

    def __init__(
        self,
        host_id: str,
        config: SealedConfig,
        sources: KeySources,
        folder: Path,
        tpm: TPM,
        events: Sequence[Event],
        credentials: Credentials,
        clock: Clock,
    ) -> None:
        self._host_id = host_id
        self._config = config
        self._sources = sources
        self._authorities = folder / "trust-authority.pem"
        self._tpm = tpm
        self._events = events
        self._credentials = credentials
        self._clock = clock
        self._agent: TrustedAgent | None = None
        kept = config.get(_SETTING)
        if kept is not None:
            self._use(kept)

    def configure(self, services: Mapping[str, Any]) -> None:
        """Learn where the services are, durably, and which key providers they offer."""
        self._config.set(_SETTING, dict(services))
        self._use(services)

    def _use(self, services: Mapping[str, Any]) -> None:
        write_secret(self._authorities, services["authorities"].encode())
        files = self._credentials
        credentials = Credentials(files.certificate, files.key, self._authorities)
        dialers: list[ServiceDialer] = [TLSDialer(one, credentials) for one in services["services"]]
        self._agent = TrustedAgent(self._host_id, self._tpm, self._events, dialers, self._clock)
        for provider in services["providers"]:
            self._sources.add(provider, AgentSource(self._agent, provider))

    async def attest(self) -> dict[str, Any]:
        """The attestation status, after an attempt to attest where there is no fresh token."""
        if self._agent is None:
            raise InvalidState("this host knows no trust authority")
        agent = self._agent
        try:
            await agent.attest()
        finally:
            status = agent.status()
        return status
