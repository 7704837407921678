"""The trust authority as its own vCenter administers it (vsphere.md §7.3).

That vCenter stores one desired configuration and pushes it to all Trust Authority hosts; a host is
healthy when it has applied it.
"""

import hashlib
import logging
from typing import Final, TypeVar

import trio
from msgspec import structs

from kmipkit_vsphere.calls.host import TrustService, TrustServices
from kmipkit_vsphere.model.certificates import parse_certificate
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    HostUnreachable,
    InvalidState,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.message import Message, field
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.trust_authority.anchors import Anchors, fingerprint_of
from kmipkit_vsphere.trust_authority.calls import (
    ApplyConfiguration,
    CheckPrimaryKey,
    Health,
    ServiceInfo,
    TrustConfiguration,
    TrustedProvider,
)
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.primary_key import PrimaryKeyMode
from kmipkit_vsphere.vcenter.calls.trust import (
    Problems,
    TrustAuthorityHostAdded,
    TrustAuthorityHostHealth,
    TrustedProviderInfo,
)
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.store import Store

M = TypeVar("M")

log = logging.getLogger("kmipkit.vsphere.vcenter")

_SECRET: Final = "trust-authority"  # noqa: S105 -- the name of one


class TrustAuthorityHost(Message):
    """A Trust Authority host: ``port`` is for its vCenter, ``service_port`` for trusted hosts."""

    address: str
    port: int
    service_port: int
    service_id: str
    public_key: str


class DesiredConfiguration(Message):
    """What the administrators have set."""

    hosts: dict[str, TrustAuthorityHost] = field(default_factory=dict)
    principals: dict[str, str] = field(default_factory=dict)
    anchors: Anchors = Anchors()
    images: tuple[Image, ...] = ()
    providers: dict[str, TrustedProviderInfo] = field(default_factory=dict)


class TrustAuthorityCluster:
    """The trust authority of one vCenter; ``authorities`` (PEM) signed its hosts' certificates."""

    def __init__(
        self,
        store: Store,
        instance: Instance,
        hosts: HostManager,
        trust: Trust,
        events: EventLog,
    ) -> None:
        self._store = store
        self._events = events
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
    def primary_keys(self) -> dict[str, tuple[str, ...]]:
        """The primary keys of each trusted provider that is published, the current one first."""
        return {
            name: (provider.primary_key_id, *provider.previous_key_ids)
            for name, provider in self._load().providers.items()
        }

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

    async def import_principal(self, user: str, name: str, certificate: str) -> None:
        """Admit hosts whose certificates were signed by this authority of a workload vCenter."""
        parse_certificate(certificate)
        desired = self._load()
        if desired.principals.get(name, certificate) != certificate:
            self._events.add(
                "TrustAuthority.StsCertificatesChange",
                f"the certificates of the workload vCenter {name} have changed",
                user=user,
                principal=name,
            )
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
        """Accept a base image; there may be several of one version, with other components."""
        desired = self._load()
        others = [known for known in desired.images if known != image]
        await self._apply(structs.replace(desired, images=(*others, image)))

    def images(self) -> list[Image]:
        """The base images that are accepted."""
        return list(self._load().images)

    async def remove_image(self, name: str, version: str) -> None:
        """Stop accepting a base image."""
        desired = self._load()
        left = tuple(
            image for image in desired.images if (image.name, image.version) != (name, version)
        )
        if len(left) == len(desired.images):
            raise NotFound(f"there is no base image {name} {version}")
        await self._apply(structs.replace(desired, images=left))

    # Trusted key providers -----------------------------------------------------------------------

    def providers(self) -> list[TrustedProviderInfo]:
        """The trusted key providers that are published."""
        return list(self._load().providers.values())

    async def publish_provider(
        self, provider: str, primary_key_id: str, mode: PrimaryKeyMode = PrimaryKeyMode.FETCH
    ) -> None:
        """Publish a trusted key provider: a standard one of this vCenter, and a primary key on it.

        A Trust Authority host first checks that the key servers can do what the mode needs.
        """
        info = TrustedProviderInfo(provider, primary_key_id, mode)
        known = self._load().providers.get(provider)
        if known is not None and known != info:
            raise AlreadyExists(
                f"{provider} is published already; set-primary-key-mode changes its mode, and"
                " rotate-primary-key its primary key"
            )
        await self._set_provider(info)

    async def set_mode(self, provider: str, mode: PrimaryKeyMode) -> None:
        """Change what is done with the primary key; machines keep their keys."""
        await self._set_provider(structs.replace(self._published(provider), mode=mode))

    async def rotate(self, provider: str, primary_key_id: str) -> None:
        """Wrap new keys with another primary key; the old one still unwraps, until it is removed."""
        known = self._published(provider)
        if known.primary_key_id == primary_key_id:
            raise AlreadyExists(f"{primary_key_id} is the primary key of {provider} already")
        previous = [
            key for key in (known.primary_key_id, *known.previous_key_ids) if key != primary_key_id
        ]
        await self._set_provider(
            structs.replace(known, primary_key_id=primary_key_id, previous_key_ids=tuple(previous))
        )

    async def remove_previous(self, provider: str, primary_key_id: str) -> None:
        """Stop unwrapping with a primary key from before a rotation."""
        known = self._published(provider)
        if primary_key_id not in known.previous_key_ids:
            raise NotFound(f"{primary_key_id} is not a previous primary key of {provider}")
        left = tuple(key for key in known.previous_key_ids if key != primary_key_id)
        desired = self._load()
        changed = structs.replace(known, previous_key_ids=left)
        await self._apply(
            structs.replace(desired, providers=desired.providers | {provider: changed})
        )

    def _published(self, provider: str) -> TrustedProviderInfo:
        known = self._load().providers.get(provider)
        if known is None:
            raise NotFound(f"there is no trusted key provider {provider}")
        return known

    async def _set_provider(self, info: TrustedProviderInfo) -> None:
        await self._check(info)
        desired = self._load()  # only now: another call may have changed it meanwhile
        providers = desired.providers | {info.provider: info}
        await self._apply(structs.replace(desired, providers=providers))

    async def _check(self, info: TrustedProviderInfo) -> None:
        """InvalidState if a Trust Authority host says that it could not use the provider."""
        request = CheckPrimaryKey(info.provider, self._with_access(info))
        failures = []
        for host in self._hosts():
            try:
                health = await self._host_calls.call(host, request)
            except HostUnreachable as failure:
                failures.append(failure.message)
                continue
            if health.problem is not None:
                raise InvalidState(
                    f"{info.provider} cannot be used in the mode {info.mode}: {health.problem}"
                )
            return
        raise InvalidState(
            "no Trust Authority host can check the primary key: "
            + ("; ".join(failures) or "add one first (add-trust-authority-host)")
        )

    def _with_access(self, info: TrustedProviderInfo) -> TrustedProvider:
        access = self._trust.access(info.provider)
        return TrustedProvider(info.primary_key_id, access, info.mode, info.previous_key_ids)

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
            providers=self._reachable_providers(desired),
            attestation_keys={host.service_id: host.public_key for host in desired.hosts.values()},
        )
        digest = hashlib.sha256(encode(configuration)).hexdigest()
        return structs.replace(configuration, digest=digest)

    def _reachable_providers(self, desired: DesiredConfiguration) -> dict[str, TrustedProvider]:
        # One without a client certificate, or that was removed here, must not keep the others away.
        providers = {}
        for name, info in desired.providers.items():
            try:
                providers[name] = self._with_access(info)
            except VSphereError as failure:
                log.warning("the trusted key provider %s: %s", name, failure.message)
        return providers

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
                health[host.name] = TrustAuthorityHostHealth(
                    False, [failure.message], answers=False
                )
                continue
            providers = answer.providers
            problems = [one.problem for one in providers.values() if one.problem is not None]
            health[host.name] = TrustAuthorityHostHealth(
                answer.digest == digest, problems, providers
            )
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


def _without(members: dict[str, M], name: str, kind: str) -> dict[str, M]:
    if name not in members:
        raise NotFound(f"there is no {kind} {name}")
    return {other: value for other, value in members.items() if other != name}
