"""The process of a Trust Authority host."""

import ssl
from pathlib import Path
from typing import Final

import trio

from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.roles.logs import log_to_stderr
from kmipkit_vsphere.roles.process import Announce, Callers, Listening, run
from kmipkit_vsphere.rpc.channel import Server
from kmipkit_vsphere.trust_authority.trust_authority_host import (
    MANAGER,
    TRUSTED_HOST,
    TrustAuthorityHost,
)

SERVICES: Final = "kmipkit services for trusted hosts"


def run_trust_authority(
    name: str,
    folder: Path,
    listening: Listening,
    service_port: int,
    announce: Announce,
) -> None:
    """Run a Trust Authority host until it is stopped: one port for its vCenter, one for hosts."""
    log_to_stderr()
    host = TrustAuthorityHost(name, folder, system_clock)

    def context() -> ssl.SSLContext:
        return host.context(listening.credentials)

    async def serve_hosts() -> None:
        everybody = frozenset({TRUSTED_HOST})
        server = Server(host.services(), {}, context, everybody, title=SERVICES)
        async with trio.open_nursery() as nursery:
            place = (listening.address[0], service_port)
            address, port = await nursery.start(server.serve, place)
            announce(f"services for trusted hosts on {address}:{port}")

    title = f"Trust Authority host {name}"
    run(title, host.management(), listening, announce, (serve_hosts,))


def trust_authority_callers(managers: tuple[str, ...]) -> Callers:
    """The callers who may configure a Trust Authority host: its vCenter."""
    return dict.fromkeys(managers, frozenset({MANAGER}))
