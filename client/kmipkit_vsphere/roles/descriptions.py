"""The OpenAPI description of each role, for the command line; a running role serves the same."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.roles.host import host_rows
from kmipkit_vsphere.roles.trust_authority import SERVICES
from kmipkit_vsphere.rpc.openapi import describe
from kmipkit_vsphere.trust_authority.trust_authority_host import TrustAuthorityHost
from kmipkit_vsphere.vcenter.calls import ROWS
from kmipkit_vsphere.vmotion.migrations import Migrations


def vcenter() -> dict[str, Any]:
    """Of vCenter."""
    return describe("kmipkit vCenter", ROWS)


def host() -> dict[str, Any]:
    """Of a host."""
    # The rows belong to a host with a directory; nobody calls this one.
    with TemporaryDirectory() as folder:
        described = Host.start("host", Path(folder))
        try:
            rows = host_rows(described, Migrations(described.migration))
            return describe("kmipkit host", rows.values())
        finally:
            described.close()


def trust_authority(*, services: bool) -> dict[str, Any]:
    """Of a Trust Authority host: the calls of its vCenter, or those of trusted hosts."""
    with TemporaryDirectory() as folder:
        described = TrustAuthorityHost("host", Path(folder), system_clock)
        if services:
            return describe(SERVICES, described.services().values())
        return describe("kmipkit Trust Authority host", described.management().values())
