"""A key server that reports each connection on which it has served a request."""

from collections.abc import Callable
from dataclasses import dataclass

from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerConnection, Login


@dataclass(frozen=True, slots=True)
class ReportingServer:
    """A :class:`KeyServer`; ``report`` is called once for each connection that has served one."""

    server: KeyServer
    report: Callable[[], None]

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def login(self) -> Login | None:
        return self.server.login

    async def connect(self) -> "ReportingConnection":
        """Connect and shake hands."""
        return ReportingConnection(await self.server.connect(), self.report)

    async def retrieve_certificate(self) -> bytes | None:
        """The server's certificate."""
        return await self.server.retrieve_certificate()


class ReportingConnection:
    """A :class:`KeyServerConnection` of a reporting server."""

    def __init__(self, connection: KeyServerConnection, report: Callable[[], None]) -> None:
        self._connection = connection
        self._report = report
        self._has_reported = False

    @property
    def certificate(self) -> bytes | None:
        return self._connection.certificate

    async def exchange(self, request: RequestMessage) -> ResponseMessage:
        """Send a request, and return its response."""
        response = await self._connection.exchange(request)
        if not self._has_reported and _is_served(request, response):
            self._has_reported = True
            self._report()
        return response

    async def aclose(self) -> None:
        """Close."""
        await self._connection.aclose()


def _is_served(request: RequestMessage, response: ResponseMessage) -> bool:
    """Whether something was done; that versions are negotiated is not enough."""
    return request.batch_items[0].operation is not Operation.DISCOVER_VERSIONS and all(
        item.result_status is ResultStatus.SUCCESS for item in response.batch_items
    )
