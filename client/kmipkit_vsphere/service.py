"""The roles as long-running processes: what they are given, when they are ready, how they stop."""

import json
import logging
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import GUEST, MANAGEMENT, HostService
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.errors import InvalidArgument, KeyProviderError, VSphereError
from kmipkit_vsphere.model.records import HostRecord, ServerRecord
from kmipkit_vsphere.providers.conversation import Login
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.rpc import channel as rpc
from kmipkit_vsphere.rpc.channel import Method
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.measurements import Event, Image
from kmipkit_vsphere.trust_authority.tpm import TPM
from kmipkit_vsphere.trust_authority.tpm2 import open_tpm
from kmipkit_vsphere.trust_authority.trust_authority_host import (
    MANAGER,
    TRUSTED_HOST,
    TrustAuthorityHost,
)
from kmipkit_vsphere.vcenter.authorization import Authorization
from kmipkit_vsphere.vcenter.host_manager import HostChannel
from kmipkit_vsphere.vcenter.key_providers import ServerDialer, password_name
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.service import USER, VCenterService
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vcenter import VCenter

log = logging.getLogger("kmipkit.vsphere")

STORE = "vcenter.sqlite3"
LOOK_EVERY = 5.0
"""Seconds between two looks at the hosts for one that has restarted."""
POLL_EVERY = 300.0
"""Seconds between two health polls of the key servers, as seen of a real vCenter (§3.4)."""

Announce = Callable[[str], None]
Callers = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a role listens, with which certificate, and who may call it for what."""

    address: tuple[str, int]
    credentials: Credentials
    callers: Callers = field(default_factory=dict)
    everybody: frozenset[str] = frozenset()


class HostConnection(AbstractAsyncContextManager[HostChannel]):
    """A channel to a host for one call or several."""

    def __init__(self, host: HostRecord, credentials: Credentials) -> None:
        self._host = host
        self._credentials = credentials
        self._client: rpc.Client | None = None

    async def __aenter__(self) -> HostChannel:
        address = (self._host.address, self._host.port)
        self._client = await rpc.connect(address, self._host.name, self._credentials)
        return self._client

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        await self._client.aclose()


def run_vcenter(
    folder: Path,
    listening: Listening,
    key_server: Credentials | None,
    administrators: Iterable[str],
    announce: Announce,
) -> None:
    """Be a vCenter until told to stop.

    ``key_server`` holds its credentials as a KMIP client, for the providers without their own.
    """
    _log_to_stderr()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(folder / STORE)
    clock = system_clock
    trust = Trust(store, clock, key_server)
    vcenter = VCenter(
        store,
        key_server=_dialer(store, trust),
        host=lambda host: HostConnection(host, listening.credentials),
        clock=clock,
        trust=trust,
    )
    vcenter.trust_authority.authorities = listening.credentials.authorities.read_text()
    authorization = Authorization(store.permissions, frozenset(administrators))

    async def look_after_hosts() -> None:
        while True:
            await vcenter.hosts.look_after_all()
            await vcenter.natives.push_all()
            await vcenter.migrations.settle_all()
            await trio.sleep(LOOK_EVERY)

    async def poll_key_servers() -> None:
        while True:
            await trio.sleep(POLL_EVERY)
            await vcenter.crypto.providers.poll()
            vcenter.natives.remind()
            await vcenter.trusted_clusters.poll()

    try:
        methods = VCenterService(vcenter, authorization).methods()
        beside = (look_after_hosts, poll_key_servers)
        trio.run(_serve, "vCenter", methods, listening, announce, beside)
    finally:
        store.close()


def _dialer(store: Store, trust: Trust) -> ServerDialer:
    """Key servers over TLS, with the certificates and the login of their provider."""

    def dial(provider: str, server: ServerRecord) -> TLSKeyServer:
        found = trust.for_provider(provider)
        password = store.secrets.get(password_name(provider, server.name))
        if server.user_name and password is None:
            raise KeyProviderError(
                f"the password of user {server.user_name} for key server {server.name} is missing"
            )
        login = Login(server.user_name, password) if server.user_name and password else None
        return TLSKeyServer(
            server.name,
            server.address,
            server.port,
            found.context,
            found.pinned,
            login,
            server.timeout or None,
        )

    return dial


@dataclass(frozen=True, slots=True)
class Boot:
    """The TPM of a host, and the base image that it measures when it starts."""

    tpm: str
    image: Path


def run_host(
    name: str, folder: Path, listening: Listening, announce: Announce, boot: Boot | None = None
) -> None:
    """Be an ESXi host until told to stop; its keys end with the process."""
    _log_to_stderr()
    tpm = open_tpm(boot.tpm) if boot else None
    events = _measure(boot, tpm) if boot and tpm else []
    host = Host.start(name, folder, tpm)
    if tpm is not None:
        host.trusted = TrustedHost(
            host.uuid,
            host.config,
            host.sources,
            folder,
            tpm,
            events,
            listening.credentials,
            system_clock,
        )

    async def wake() -> None:
        for machine in await trio.to_thread.run_sync(host.wake):
            log.info("unlocked %s without vCenter", machine)

    async def mount_vsan() -> None:
        while True:
            try:
                if await host.vsan.mount():
                    log.info("the disk group is mounted")
            except VSphereError as failure:
                log.warning("the disk group cannot be mounted: %s", failure.message)
            await trio.sleep(LOOK_EVERY)

    try:
        host.migrations.address = listening.address[0]
        beside = (wake, mount_vsan, host.migrations.run)
        methods = HostService(host).methods()
        trio.run(_serve, f"host {name}", methods, listening, announce, beside)
    finally:
        host.close()
        if tpm is not None:
            tpm.close()


def _measure(boot: Boot, tpm: TPM) -> list[Event]:
    """Boot: measure the image into the registers of the TPM, which was reset for it."""
    try:
        manifest = json.loads(boot.image.read_text())
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot use the base image {boot.image}: {error}") from None
    return Image.from_json(manifest).measure(tpm)


def run_trust_authority(
    name: str,
    folder: Path,
    listening: Listening,
    service_port: int,
    announce: Announce,
) -> None:
    """Be a Trust Authority host until told to stop: one port for its vCenter, one for hosts."""
    _log_to_stderr()
    host = TrustAuthorityHost(name, folder, system_clock)
    credentials = listening.credentials
    everybody = frozenset({TRUSTED_HOST})

    def context() -> ssl.SSLContext:
        return host.context(credentials)

    async def serve_hosts() -> None:
        server = rpc.Server(host.services(), {}, context, everybody)
        async with trio.open_nursery() as nursery:
            place = (listening.address[0], service_port)
            address, port = await nursery.start(server.serve, place)
            announce(f"services for trusted hosts on {address}:{port}")

    who = f"Trust Authority host {name}"
    trio.run(_serve, who, host.management(), listening, announce, (serve_hosts,))


async def _serve(
    who: str,
    methods: Mapping[str, Method],
    listening: Listening,
    announce: Announce,
    beside: Iterable[Callable[[], Awaitable[None]]],
) -> None:
    context = listening.credentials.server_context()
    server = rpc.Server(methods, listening.callers, context, listening.everybody)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(server.serve, listening.address)
            for job in beside:
                nursery.start_soon(job)
            announce(f"ready: {who} listening on {host}:{port}")
            async for _ in signals:
                log.info("stopping")
                break
            nursery.cancel_scope.cancel()


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )


def for_users(address: tuple[str, int], credentials: Credentials) -> Listening:
    """How vCenter listens: everybody with a certificate may call, permissions say for what."""
    return Listening(address, credentials, everybody=frozenset({USER}))


def host_callers(managers: tuple[str, ...], guests: tuple[str, ...]) -> Callers:
    """Who may call a host: vCenter for keys and machines, guests for what is on the disks."""
    managing = dict.fromkeys(managers, frozenset({MANAGEMENT}))
    return managing | dict.fromkeys(guests, frozenset({GUEST}))


def trust_authority_callers(managers: tuple[str, ...]) -> Callers:
    """Who may configure a Trust Authority host: the vCenter of the trust authority."""
    return dict.fromkeys(managers, frozenset({MANAGER}))
