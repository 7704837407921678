"""The trust authority as its own vCenter administers it (vsphere.md §7.3).

That vCenter stores one desired configuration and pushes it to all Trust Authority hosts; a host is
healthy when it has applied it.
"""

import hashlib
from typing import Final

import trio
from msgspec import structs

from kmipkit_vsphere.calls.host import TrustService, TrustServices
from kmipkit_vsphere.model.certificates import parse_certificate
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import AlreadyExists, NotFound, VSphereError
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.message import Message, field
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.trust_authority.anchors import Anchors, fingerprint_of
from kmipkit_vsphere.trust_authority.calls import (
    ApplyConfiguration,
    Health,
    ServiceInfo,
    TrustConfiguration,
    TrustedProvider,
)
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.vcenter.calls.trust import (
    Problems,
    TrustAuthorityHostAdded,
    TrustAuthorityHostHealth,
)
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.store import Store

_SECRET: Final = "trust-authority"  # noqa: S105 -- the name of one


class TrustAuthorityHost(Message):
    """A Trust Authority host: ``port`` is for its vCenter, ``service_port`` for trusted hosts."""

    address: str
    port: int
    service_port: int
    service_id: str
    public_key: str


class DesiredConfiguration(Message):
    """What the administrators have set; ``providers`` maps a provider to its primary key."""

    hosts: dict[str, TrustAuthorityHost] = field(default_factory=dict)
    principals: dict[str, str] = field(default_factory=dict)
    anchors: Anchors = Anchors()
    images: tuple[Image, ...] = ()
    providers: dict[str, str] = field(default_factory=dict)


class TrustAuthorityCluster:
    """The trust authority of one vCenter; ``authorities`` (PEM) signed its hosts' certificates."""

    def __init__(self, store: Store, instance: Instance, hosts: HostManager, trust: Trust) -> None:
        self._store = store
        self._instance = instance
        self._host_calls = hosts
        self._trust = trust
        self._pushing = trio.Lock()
        self.authorities = ""

    @property
    def is_configured(self) -> bool:
        """Whether this vCenter has a trust authority."""
        return bool(self._load().hosts)

    @property
    def primary_keys(self) -> dict[str, str]:
        """The primary key of each trusted provider that is published, by its id."""
        return self._load().providers

    def _load(self) -> DesiredConfiguration:
        stored = self._store.secrets.get(_SECRET)
        return decode(stored.reveal(), DesiredConfiguration) if stored else DesiredConfiguration()

    def _save(self, desired: DesiredConfiguration) -> None:
        self._store.secrets.put(_SECRET, Secret(encode(desired)))

    # The Trust Authority hosts -------------------------------------------------------------------

    async def add_host(
        self, name: str, address: str, port: int, service_port: int
    ) -> TrustAuthorityHostAdded:
        """Add a Trust Authority host; ``port`` is for this vCenter, the other for hosts."""
        info = await self._host_calls.call(HostRecord(name, "", address, port), ServiceInfo())
        # Only now: another call may have changed the configuration while the host was asked.
        desired = self._load()
        if name in desired.hosts:
            raise AlreadyExists(f"there is a Trust Authority host {name} already")
        host = TrustAuthorityHost(address, port, service_port, info.service_id, info.public_key)
        self._save(structs.replace(desired, hosts=desired.hosts | {name: host}))
        return TrustAuthorityHostAdded(info.service_id, await self.remediate())

    # What is trusted -----------------------------------------------------------------------------

    async def import_principal(self, name: str, certificate: str) -> None:
        """Admit hosts whose certificates were signed by this authority of a workload vCenter."""
        parse_certificate(certificate)
        desired = self._load()
        principals = desired.principals | {name: certificate}
        await self._apply(structs.replace(desired, principals=principals))

    async def remove_principal(self, name: str) -> None:
        """Stop admitting them."""
        desired = self._load()
        principals = _without(desired.principals, name, "principal")
        await self._apply(structs.replace(desired, principals=principals))

    async def add_tpm_authority(self, certificate: str) -> None:
        """Trust the TPMs of a manufacturer."""
        parse_certificate(certificate)
        anchors = self._load().anchors
        others = [pem for pem in anchors.authorities if pem != certificate]
        await self._apply_anchors(structs.replace(anchors, authorities=(*others, certificate)))

    async def add_endorsement_key(self, name: str, pem: str) -> str:
        """Register a single TPM by its endorsement certificate or public key; its fingerprint."""
        fingerprint = fingerprint_of(pem)
        anchors = self._load().anchors
        others = [key for key in anchors.endorsement_keys if key[0] != name]
        keys = (*others, (name, fingerprint))
        await self._apply_anchors(structs.replace(anchors, endorsement_keys=keys))
        return fingerprint

    async def set_tpm_settings(
        self, *, require_endorsement_keys: bool, require_certificate_validation: bool
    ) -> None:
        """Set the requirements for a TPM (§7.2)."""
        changed = structs.replace(
            self._load().anchors,
            require_endorsement_keys=require_endorsement_keys,
            require_certificate_validation=require_certificate_validation,
        )
        await self._apply_anchors(changed)

    async def import_image(self, image: Image) -> None:
        """Accept a base image."""
        desired = self._load()
        others = [known for known in desired.images if known != image]
        await self._apply(structs.replace(desired, images=(*others, image)))

    async def remove_image(self, name: str, version: str) -> None:
        """Stop accepting a base image."""
        desired = self._load()
        left = tuple(
            image for image in desired.images if (image.name, image.version) != (name, version)
        )
        if len(left) == len(desired.images):
            raise NotFound(f"there is no base image {name} {version}")
        await self._apply(structs.replace(desired, images=left))

    async def publish_provider(self, provider: str, primary_key_id: str) -> None:
        """Publish a trusted key provider: a standard one of this vCenter, and a primary key on it."""
        self._trust.access(provider)
        desired = self._load()
        providers = desired.providers | {provider: primary_key_id}
        await self._apply(structs.replace(desired, providers=providers))

    async def withdraw_provider(self, provider: str) -> None:
        """Withdraw a trusted key provider."""
        desired = self._load()
        providers = _without(desired.providers, provider, "trusted key provider")
        await self._apply(structs.replace(desired, providers=providers))

    # Desired and applied -------------------------------------------------------------------------

    async def _apply_anchors(self, anchors: Anchors) -> None:
        await self._apply(structs.replace(self._load(), anchors=anchors))

    async def _apply(self, desired: DesiredConfiguration) -> None:
        self._save(desired)
        await self.remediate()

    def _configuration(self) -> TrustConfiguration:
        desired = self._load()
        configuration = TrustConfiguration(
            group=self._instance.id,
            principals=desired.principals,
            anchors=desired.anchors,
            images=desired.images,
            providers={
                name: TrustedProvider(key_id, self._trust.access(name))
                for name, key_id in desired.providers.items()
            },
            attestation_keys={host.service_id: host.public_key for host in desired.hosts.values()},
        )
        digest = hashlib.sha256(encode(configuration)).hexdigest()
        return structs.replace(configuration, digest=digest)

    def _hosts(self) -> list[HostRecord]:
        hosts = self._load().hosts
        return [HostRecord(name, "", host.address, host.port) for name, host in hosts.items()]

    async def health(self) -> dict[str, TrustAuthorityHostHealth]:
        """For each host, whether it has applied the desired configuration, and what is wrong."""
        digest = self._configuration().digest
        health: dict[str, TrustAuthorityHostHealth] = {}
        for host in self._hosts():
            try:
                answer = await self._host_calls.call(host, Health())
            except VSphereError as failure:
                health[host.name] = TrustAuthorityHostHealth(False, [failure.message])
                continue
            problems = [problem for problem in answer.providers.values() if problem]
            health[host.name] = TrustAuthorityHostHealth(answer.digest == digest, problems)
        return health

    async def remediate(self) -> Problems:
        """Push the desired configuration to every host; host to problem, None for success."""
        # One push at a time: an older configuration must not arrive after a newer one.
        async with self._pushing:
            apply = ApplyConfiguration(self._configuration())
            problems: Problems = {}
            for host in self._hosts():
                try:
                    await self._host_calls.call(host, apply)
                except VSphereError as failure:
                    problems[host.name] = failure.message
                else:
                    problems[host.name] = None
            return problems

    def services(self) -> TrustServices:
        """Services information, for import at the workload vCenter (§7.3, step 7)."""
        desired = self._load()
        return TrustServices(
            vcenter_id=self._instance.id,
            group=self._instance.id,
            authorities=self.authorities,
            providers=sorted(desired.providers),
            services=[
                TrustService(name, host.address, host.service_port)
                for name, host in desired.hosts.items()
            ],
        )


def _without(members: dict[str, str], name: str, kind: str) -> dict[str, str]:
    if name not in members:
        raise NotFound(f"there is no {kind} {name}")
    return {other: value for other, value in members.items() if other != name}
