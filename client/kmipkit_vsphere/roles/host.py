"""The process of an ESXi host."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import GUEST, MANAGEMENT, host_calls
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.encoding import decode
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.roles.logs import log_to_stderr
from kmipkit_vsphere.roles.process import (
    Announce,
    Callers,
    Listening,
    Task,
    log,
    repeat,
    run,
)
from kmipkit_vsphere.rpc.call import Rows
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.trust_authority.tpm2 import open_tpm
from kmipkit_vsphere.vmotion.migrations import Migrations
from kmipkit_vsphere.vmotion.service import MigrationCalls

RESTORE_INTERVAL: Final = 5.0
"""Seconds between two attempts to get the keys that are missing without vCenter."""
MOUNT_INTERVAL: Final = 5.0
"""Seconds between two attempts to mount the disk group."""


@dataclass(frozen=True, slots=True)
class Boot:
    """The TPM of a host, and the base image that it measures when it starts."""

    tpm: str
    image: Path


def run_host(
    name: str, folder: Path, listening: Listening, announce: Announce, boot: Boot | None = None
) -> None:
    """Run an ESXi host until it is stopped; its keys end with the process."""
    log_to_stderr()
    tpm = open_tpm(boot.tpm) if boot else None
    image = _booted_image(boot) if boot and tpm else None
    events = image.measure(tpm) if image and tpm else []
    host = Host.start(name, folder, tpm)
    if tpm is not None:
        host.trusted = TrustedHost(
            host.uuid,
            host.config,
            host.keys.sources,
            folder,
            tpm,
            events,
            listening.credentials,
            system_clock,
            image,
        )

    try:
        migrations = Migrations(host.migration, listening.address[0])
        rows = host_rows(host, migrations)
        run(f"host {name}", rows, listening, announce, (*background(host), migrations.run))
    finally:
        host.close()
        if tpm is not None:
            tpm.close()


def host_rows(host: Host, migrations: Migrations) -> Rows:
    """Every call of a host."""
    return {**host_calls(host), **MigrationCalls(migrations).rows()}


def background(host: Host) -> tuple[Task, ...]:
    """What a host does without being asked, for as long as it runs."""

    async def restore() -> None:
        # Not only at the boot: the services of a trust authority, or its key server, may be down
        # then, and nobody else brings a trusted host its keys.
        for machine in await trio.to_thread.run_sync(host.restore):
            log.info("unlocked %s without vCenter", machine)

    async def mount_vsan() -> None:
        if await host.vsan.mount():
            log.info("the disk group is mounted")

    return (
        partial(repeat, "keys without vCenter", restore, RESTORE_INTERVAL),
        partial(repeat, "the disk group cannot be mounted", mount_vsan, MOUNT_INTERVAL),
    )


def _booted_image(boot: Boot) -> Image:
    """What is measured into the registers of the TPM, which was reset before."""
    try:
        return decode(boot.image.read_bytes(), Image)
    except (OSError, InvalidArgument) as error:
        raise InvalidArgument(f"cannot use the base image {boot.image}: {error}") from None


def host_callers(managers: tuple[str, ...], guests: tuple[str, ...]) -> Callers:
    """The callers of a host: vCenter for keys and machines, guests for the contents of disks."""
    management = dict.fromkeys(managers, frozenset({MANAGEMENT}))
    return management | dict.fromkeys(guests, frozenset({GUEST}))
