"""Requests that the server sends: Notify and Put (KMIP 1.4 §5, KMIP 2.1 §6.2).

There are two ways to get them. The tester listens on an address, to which the server is configured to
connect. Or it opens a connection, on which it takes the server's role with Set Endpoint Role (KMIP 2.1
§6.1.54): the server then sends what it has, and returns the role. In both, the tester responds with
Success to everything, as the cases do, and hands the requests over to the case that waits for them.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.passwords import KeyPassword
from kmipkit_client.settings import LIMITS

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response, peek_version
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.payloads.query import DiscoverVersionsResponse
from kmipkit.model.payloads.session import SetEndpointRoleRequest, SetEndpointRoleResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import EndpointRole, Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import SENT_BY_SERVER, Step, children, operation_of
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.streams import received, server_context
from kmipkit_conformance.target import Target


class Mailbox(Protocol):
    """Where requests of the server arrive."""

    def collect(self) -> list[Item]:
        """The Notify and Put requests that have arrived since the last call."""


class NoMailbox:
    """For a server that cannot reach the tester."""

    def collect(self) -> list[Item]:
        """Nothing, ever."""
        return []


NO_MAILBOX = NoMailbox()


class RoleMailbox:
    """Takes the server's role on a connection of its own, each time that it is asked."""

    def __init__(self, target: Target, version: Version = V2_1) -> None:
        self._target = target
        self._version = version

    def collect(self) -> list[Item]:
        """The requests that the server sends until it returns the role."""
        with suppress(OSError, ProtocolError), self._target.stream() as stream:
            stream.sendall(_set_role(self._version))
            messages = received(stream)
            response, _ = decode_response(next(messages, b""))
            if response.batch_items[0].result_status is not ResultStatus.SUCCESS:
                return []
            return list(_served(stream, messages))
        return []


class Listener:
    """Listens on an address, in a thread, until it is closed."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        """ConformanceError if the address is not free."""
        try:
            self._socket = socket.create_server(address)
        except OSError as error:
            raise ConformanceError(f"{address[0]}:{address[1]}: {error.strerror}") from None
        self._context = context
        self._requests: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._socket.getsockname()[1])

    def collect(self) -> list[Item]:
        """The requests that have arrived."""
        requests = []
        with suppress(queue.Empty):
            while True:
                requests.append(self._requests.get_nowait())
        return requests

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:  # closed
                return
            with (
                suppress(OSError, ProtocolError),
                plain,
                self._context.wrap_socket(plain, server_side=True) as stream,
            ):
                for request in _served(stream, received(stream)):
                    self._requests.put(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which close() does not
        self._socket.close()
        self._thread.join()


@dataclass(slots=True)
class Mail:
    """The requests of the server in one case."""

    mailbox: Mailbox
    comparison: Comparison
    _waiting: list[Item] = field(default_factory=list)

    def step(self, step: Step) -> tuple[list[str], bool, Item | None]:
        """How the next request differs from that of the step, whether to wait for it, and itself."""
        if not self._waiting:
            self._waiting += filter(self._is_about_the_case, self.mailbox.collect())
        if not self._waiting:
            return ["the server has not sent a request"], True, None
        request = self._waiting.pop(0)
        return list(self.comparison.sent_differences(step.request, request)), False, request

    def _is_about_the_case(self, request: Item) -> bool:
        values = self.comparison.bindings.values.values()
        return any(
            child.value in values
            for item in children(request, Tag.BATCH_ITEM)
            for payload in children(item, Tag.REQUEST_PAYLOAD)
            for child in children(payload, Tag.UNIQUE_IDENTIFIER)
        )


def listener(
    address: tuple[str, int],
    ca: Path,
    cert: Path,
    key: Path | None,
    password: KeyPassword = NO_PASSWORD,
) -> Listener:
    """A listener with this certificate. ConformanceError if a file cannot be used."""
    return Listener(address, server_context(ca, cert, key, password))


def _served(stream: ssl.SSLSocket, messages: Iterator[bytes]) -> Iterator[Item]:
    """The Notify and Put requests, until the peer returns the role or closes the connection."""
    for data in messages:
        request = binary.decode(data, LIMITS)
        operation, version = _operation(request), peek_version(data)
        if version not in VERSIONS:
            return
        stream.sendall(_response(version, operation))
        if operation in SENT_BY_SERVER:
            yield request
        if operation is Operation.SET_ENDPOINT_ROLE:
            return


def _operation(request: Item) -> Operation | None:
    return next(map(operation_of, children(request, Tag.BATCH_ITEM)), None)


def _versions() -> DiscoverVersionsResponse:
    return DiscoverVersionsResponse(
        protocol_versions=tuple(ProtocolVersion.of(version) for version in reversed(VERSIONS))
    )


_PAYLOADS: dict[Operation, Callable[[], Structure]] = {
    Operation.DISCOVER_VERSIONS: _versions,
    Operation.SET_ENDPOINT_ROLE: lambda: SetEndpointRoleResponse(endpoint_role=EndpointRole.CLIENT),
}
"""The payloads of the responses that have one."""


def _response(version: Version, operation: Operation | None) -> bytes:
    payload = _PAYLOADS[operation]() if operation in _PAYLOADS else None
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version), time_stamp=datetime.now(UTC), batch_count=1
    )
    item = ResponseBatchItem(
        operation=operation, result_status=ResultStatus.SUCCESS, response_payload=payload
    )
    message = ResponseMessage(response_header=header, batch_items=(item,))
    return encode(message, version, strict=False)


def _set_role(version: Version) -> bytes:
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    item = RequestBatchItem(operation=Operation.SET_ENDPOINT_ROLE, request_payload=payload)
    header = RequestHeader(protocol_version=ProtocolVersion.of(version), batch_count=1)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), version)
