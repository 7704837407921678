"""A server that plays scripts: what it sends need not be right."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import ANSWER_TIMEOUT

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import Version

Script = Callable[[ssl.SSLSocket], None]


class Scripted:
    """A server that plays one script per connection, one after the other or all at the same time."""

    def __init__(self, pki: Path, scripts: list[Script], parallel: bool = False) -> None:
        self.pki = pki
        self.connections = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.crt", pki / "server.key")
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        groups = [[script] for script in scripts] if parallel else [scripts]
        self._threads = [threading.Thread(target=self._serve, args=(group,)) for group in groups]
        for thread in self._threads:
            thread.start()

    def _serve(self, scripts: list[Script]) -> None:
        for script in scripts:
            plain, _ = self._listening.accept()
            self.connections += 1
            with self._context.wrap_socket(plain, server_side=True) as stream:
                script(stream)

    def options(self) -> dict[str, Any]:
        return {"port": self._listening.getsockname()[1], "ca": self.pki / "ca.crt"}

    def close(self) -> None:
        self._listening.close()
        for thread in self._threads:
            thread.join(ANSWER_TIMEOUT)
            assert not thread.is_alive()


def request(stream: ssl.SSLSocket) -> Any:
    """One whole request, None when the client has closed."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "big"):
        more = stream.recv(4096)
        if not more:
            return None
        data += more
    return decode_request(data)[0]


def answer(stream: ssl.SSLSocket, version: Version, operation: Operation, payload: Any) -> None:
    failed = isinstance(payload, ResultReason)
    item = ResponseBatchItem(
        operation=operation,
        result_status=ResultStatus.OPERATION_FAILED if failed else ResultStatus.SUCCESS,
        result_reason=payload if failed else None,
        response_payload=None if failed else payload,
    )
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version), time_stamp=EPOCH, batch_count=1
    )
    stream.sendall(encode(ResponseMessage(response_header=header, batch_items=(item,)), version))


@contextmanager
def scripted_servers(pki: Path) -> Iterator[Callable[..., Scripted]]:
    """A function that starts a server with its scripts; all of them end with the context."""
    servers: list[Scripted] = []

    def make(*scripts: Script, parallel: bool = False) -> Scripted:
        servers.append(Scripted(pki, list(scripts), parallel))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
