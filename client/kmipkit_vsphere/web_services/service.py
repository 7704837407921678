"""The Web Services API of a vCenter, ready to be served."""

from collections.abc import Awaitable, Callable

import trio

from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.vcenter.vcenter import VCenter
from kmipkit_vsphere.web_services import objects, rest
from kmipkit_vsphere.web_services.application import Application
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.server import WebServer
from kmipkit_vsphere.web_services.versions import RELEASES

assert objects, "imported, so that all managed objects are declared"
assert rest, "imported, so that its paths are served"


def web_service(
    vcenter: VCenter, release: str, credentials: Credentials
) -> Callable[..., Awaitable[None]]:
    """What listens at an address, with the endpoint's own tasks, until it is cancelled."""
    endpoint = Endpoint(vcenter, RELEASES[release])
    server = WebServer(Application(endpoint), credentials)

    async def serve(
        address: tuple[str, int],
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            await server.serve(address, task_status=task_status)

    return serve
