"""The process of a vCenter."""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from kmipkit_certs.credentials import certificates_pem

from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.records import HostRecord, ServerRecord
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_access import login, login_problem
from kmipkit_vsphere.providers.proxy import ProxyAddress
from kmipkit_vsphere.roles.logs import log_to_stderr
from kmipkit_vsphere.roles.process import Announce, Listening, Service, Task, repeat, run
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.key_providers import ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import ClientTrust, Trust, password_name
from kmipkit_vsphere.vcenter.service import USER, VCenterService
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vcenter import VCenter

STORE: Final = "vcenter.sqlite3"
BACKGROUND_INTERVAL: Final = 5.0
"""Seconds between two rounds of background tasks."""
PROXY_PORT: Final = 8080
"""The port of a proxy for which none is given."""
POLL_INTERVAL: Final = 300.0
"""Seconds between two health polls of the key servers, as seen of a real vCenter (§3.4)."""


class API(NamedTuple):
    """Where the Web Services API listens, and which release it plays."""

    address: tuple[str, int]
    release: str


def run_vcenter(
    folder: Path,
    listening: Listening,
    key_server: Credentials | None,
    administrators: Iterable[str],
    announce: Announce,
    poll_interval: float = POLL_INTERVAL,
    api: API | None = None,
    *,
    trusted_admins: Iterable[str] = (),
) -> None:
    """Run a vCenter until it is stopped.

    ``key_server`` has its credentials as a KMIP client, for the providers without their own, and
    ``api`` says where the Web Services API listens, if it does. ``trusted_admins`` are appointed to
    that group.
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
    vcenter.trusted_clusters.authorities = authorities.decode()
    for member in trusted_admins:
        vcenter.trusted_admins.appoint(member)

    try:
        rows = VCenterService(vcenter).rows()
        tasks = background(vcenter, poll_interval)
        run("vCenter", rows, listening, announce, tasks, _services(vcenter, listening, api))
    finally:
        store.close()


def _services(vcenter: VCenter, listening: Listening, api: API | None) -> Iterable[Service]:
    """The Web Services API, with the certificate that vCenter has among the roles."""
    if api is None:
        return ()
    from kmipkit_vsphere.web_services.service import web_service  # only those who use it load it

    serve = web_service(vcenter, api.release, listening.credentials)
    return (Service("the Web Services API", api.address, serve),)


def background(vcenter: VCenter, poll_interval: float = POLL_INTERVAL) -> tuple[Task, ...]:
    """What vCenter does without being asked, for as long as it runs."""
    return (
        partial(repeat, "background work", vcenter.run_background_tasks, BACKGROUND_INTERVAL),
        partial(repeat, "the health poll", vcenter.poll_health, poll_interval, at_once=False),
    )


def _key_servers(store: Store, trust: Trust) -> ServerDialer:
    """Key servers over TLS, with the certificates and the login of their provider."""

    def dial(provider: str, server: ServerRecord) -> TLSKeyServer:
        # What is wrong with the settings of a server is a reason why it cannot be reached: the
        # other servers of its provider, and the other providers, have nothing to do with it.
        problem: str | None = None
        client = ClientTrust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), frozenset())
        password: Secret | None = None
        try:
            client = trust.for_provider(provider)
            password = store.secrets.get(password_name(provider, server.name))
            problem = login_problem(server.user_name, password)
        except VSphereError as failure:
            problem = failure.message
        return TLSKeyServer(
            server.name,
            server.address,
            server.port,
            client.context,
            client.pinned,
            login(server.user_name, password),
            server.timeout,
            problem,
            client.revocations,
            _proxy(server),
        )

    return dial


def _proxy(server: ServerRecord) -> ProxyAddress | None:
    if server.proxy_address is None:
        return None
    return ProxyAddress(server.proxy_address, server.proxy_port or PROXY_PORT)


def for_users(address: tuple[str, int], credentials: Credentials) -> Listening:
    """How vCenter listens: everyone with a certificate may call, permissions decide for what."""
    return Listening(address, credentials, everybody=frozenset({USER}))
