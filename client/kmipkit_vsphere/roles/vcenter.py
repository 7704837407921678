"""The process of a vCenter."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from kmipkit_certs.credentials import certificates_pem

from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.errors import KeyProviderError
from kmipkit_vsphere.model.records import HostRecord, ServerRecord
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import Login
from kmipkit_vsphere.roles.process import Announce, Listening, log_to_stderr, run
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.key_providers import ServerDialer, password_name
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.service import USER, VCenterService
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vcenter import VCenter

STORE: Final = "vcenter.sqlite3"
BACKGROUND_INTERVAL: Final = 5.0
"""Seconds between two rounds of background tasks."""
POLL_INTERVAL: Final = 300.0
"""Seconds between two health polls of the key servers, as seen of a real vCenter (§3.4)."""


def run_vcenter(
    folder: Path,
    listening: Listening,
    key_server: Credentials | None,
    administrators: Iterable[str],
    announce: Announce,
) -> None:
    """Run a vCenter until it is stopped.

    ``key_server`` has its credentials as a KMIP client, for the providers without their own.
    """
    log_to_stderr()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(folder / STORE)
    trust = Trust(store, system_clock, key_server)

    @asynccontextmanager
    async def connect(host: HostRecord) -> AsyncIterator[channel.Client]:
        address = (host.address, host.port)
        async with await channel.connect(address, host.name, listening.credentials) as client:
            yield client

    vcenter = VCenter(
        store,
        key_server=_key_servers(store, trust),
        host=connect,
        clock=system_clock,
        trust=trust,
        administrators=administrators,
    )
    authorities = certificates_pem(listening.credentials.trusted())
    vcenter.trust_authority.authorities = authorities.decode()

    async def run_background_tasks() -> None:
        while True:
            await vcenter.run_background_tasks()
            await trio.sleep(BACKGROUND_INTERVAL)

    async def poll_health() -> None:
        while True:
            await trio.sleep(POLL_INTERVAL)
            await vcenter.poll_health()

    try:
        rows = VCenterService(vcenter).rows()
        run("vCenter", rows, listening, announce, (run_background_tasks, poll_health))
    finally:
        store.close()


def _key_servers(store: Store, trust: Trust) -> ServerDialer:
    """Key servers over TLS, with the certificates and the login of their provider."""

    def dial(provider: str, server: ServerRecord) -> TLSKeyServer:
        client = trust.for_provider(provider)
        password = store.secrets.get(password_name(provider, server.name))
        if server.user_name and password is None:
            raise KeyProviderError(
                f"the password of user {server.user_name} for key server {server.name} is missing"
            )
        return TLSKeyServer(
            server.name,
            server.address,
            server.port,
            client.context,
            client.pinned,
            Login(server.user_name, password) if server.user_name and password else None,
            server.timeout or None,
            client.revocations,
        )

    return dial


def for_users(address: tuple[str, int], credentials: Credentials) -> Listening:
    """How vCenter listens: everyone with a certificate may call, permissions decide for what."""
    return Listening(address, credentials, everybody=frozenset({USER}))
