"""A trusted host: it gets keys from the Key Provider Service, with a token (vsphere.md §7)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from kmipkit_vsphere.calls.host import HostAttestation, TrustService, TrustServices
from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.files import write_secret
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.rpc import channel as rpc
from kmipkit_vsphere.rpc.call import Channel
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.agent import AgentSource, ServiceDialer, TrustedAgent
from kmipkit_vsphere.trust_authority.measurements import Event, Image, replay
from kmipkit_vsphere.trust_authority.tpm import TPM

_SETTING: Final = "trustedServices"


class TLSDialer:
    """Connects to a Trust Authority host over TLS, with the host's own certificate."""

    def __init__(self, service: TrustService, credentials: Credentials) -> None:
        self._service = service
        self._credentials = credentials

    def __call__(self) -> AbstractAsyncContextManager[Channel]:
        """Connect."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Channel]:
        service = self._service
        address = (service.address, service.port)
        async with await rpc.connect(address, service.name, self._credentials) as client:
            yield client


class TrustedHost:
    """What makes a host a trusted one: a TPM, its event log, and the addresses of the services."""

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
        image: Image | None = None,
    ) -> None:
        """``events`` are the log of this boot, and ``image`` is what was booted."""
        self._host_id = host_id
        self._config = config
        self._sources = sources
        self._authorities = folder / "trust-authority.pem"
        self._tpm = tpm
        self._events = events
        self._image = image
        self._credentials = credentials
        self._clock = clock
        self._agent: TrustedAgent | None = None
        self._providers: tuple[str, ...] = ()
        services = config.read(_SETTING, TrustServices)
        if services is not None:
            self._use(services)

    def configure(self, services: TrustServices | None) -> None:
        """Set, durably, where the services are and which key providers they offer; None: nowhere.

        Keys that the host has stay in its memory.
        """
        self._config.set(_SETTING, services)
        for provider in self._providers:
            self._sources.drop(provider)
        self._agent, self._providers = None, ()
        if services is not None:
            self._use(services)

    def _use(self, services: TrustServices) -> None:
        write_secret(self._authorities, services.authorities.encode())
        files = self._credentials
        credentials = replace(files, authorities=self._authorities)
        dialers: list[ServiceDialer] = [
            TLSDialer(service, credentials) for service in services.services
        ]
        self._agent = TrustedAgent(self._host_id, self._tpm, self._events, dialers, self._clock)
        self._providers = tuple(services.providers)
        for provider in self._providers:
            self._sources.add(provider, AgentSource(self._agent, provider))

    def booted_image(self) -> Image:
        """The metadata of the image that this host has booted."""
        if self._image is None:
            raise InvalidState("it is not known which base image this host has booted")
        return self._image

    def prepare_upgrade(self, image: Image) -> None:
        """Seal the configuration for another image, too; so the upgrade can also be rolled back."""
        self._config.seal_for(replay(image.events()))

    async def attest(self) -> HostAttestation:
        """The attestation status; see :meth:`TrustedAgent.attest`."""
        if self._agent is None:
            raise InvalidState("this host is not configured for a trust authority")
        return await self._agent.attest()
