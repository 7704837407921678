"""The roles as long-running processes: what they are given, when they are ready, how they stop."""

import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trio

from kmipkit_vsphere import rpc
from kmipkit_vsphere.host import Host
from kmipkit_vsphere.host_manager import HostChannel
from kmipkit_vsphere.host_service import GUEST, MANAGEMENT, HostService
from kmipkit_vsphere.key_server import TLSKeyServer
from kmipkit_vsphere.rpc import Method
from kmipkit_vsphere.store import HostRecord, ServerRecord, Store
from kmipkit_vsphere.tls import Credentials
from kmipkit_vsphere.vcenter import VCenter
from kmipkit_vsphere.vcenter_service import ADMINISTRATOR, VCenterService

log = logging.getLogger("kmipkit.vsphere")

STORE = "vcenter.sqlite3"
LOOK_EVERY = 5.0
"""Seconds between two looks at the hosts for one that has restarted."""

Announce = Callable[[str], None]
Callers = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a role listens, with which certificate, and who may call it for what."""

    address: tuple[str, int]
    credentials: Credentials
    callers: Callers


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
    folder: Path, listening: Listening, key_server: Credentials, announce: Announce
) -> None:
    """Be a vCenter until told to stop; ``key_server`` holds its credentials as a KMIP client."""
    _log_to_stderr()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    context = key_server.client_context()
    store = Store(folder / STORE)

    def dial(_provider: str, server: ServerRecord) -> TLSKeyServer:
        return TLSKeyServer(server.name, server.address, server.port, context)

    vcenter = VCenter(
        store,
        key_server=dial,
        host=lambda host: HostConnection(host, listening.credentials),
        clock=lambda: datetime.now(UTC),
    )

    async def look_after_hosts() -> None:
        while True:
            await vcenter.hosts.look_after_all()
            await trio.sleep(LOOK_EVERY)

    try:
        methods = VCenterService(vcenter).methods()
        trio.run(_serve, "vCenter", methods, listening, announce, look_after_hosts)
    finally:
        store.close()


def run_host(name: str, folder: Path, listening: Listening, announce: Announce) -> None:
    """Be an ESXi host until told to stop; its keys end with the process."""
    _log_to_stderr()
    host = Host.start(name, folder)
    try:
        methods = HostService(host).methods()
        trio.run(_serve, f"host {name}", methods, listening, announce, None)
    finally:
        host.close()


async def _serve(
    who: str,
    methods: Mapping[str, Method],
    listening: Listening,
    announce: Announce,
    beside: Callable[[], Awaitable[None]] | None,
) -> None:
    server = rpc.Server(methods, listening.callers, listening.credentials.server_context())
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(server.serve, listening.address)
            if beside is not None:
                nursery.start_soon(beside)
            announce(f"ready: {who} listening on {host}:{port}")
            async for _ in signals:
                log.info("stopping")
                break
            nursery.cancel_scope.cancel()


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )


def vcenter_callers(administrators: tuple[str, ...]) -> Callers:
    """Who may call a vCenter."""
    return dict.fromkeys(administrators, frozenset({ADMINISTRATOR}))


def host_callers(managers: tuple[str, ...], guests: tuple[str, ...]) -> Callers:
    """Who may call a host: vCenter for keys and machines, guests for what is on the disks."""
    managing = dict.fromkeys(managers, frozenset({MANAGEMENT}))
    return managing | dict.fromkeys(guests, frozenset({GUEST}))
