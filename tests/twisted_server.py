"""A key server between the tester and ours that answers otherwise: less able, less correct, or dead.

It passes on what a twist does not answer itself. So a test has a whole key server with one difference.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kmipkit_conformance.cases import children
from kmipkit_conformance.streams import received
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import peek_version
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

Ask = Callable[[Item], Item]
"""Passes a request on, and returns the response of the key server."""
Twist = Callable[[Item, Ask], Item | bytes | None]
"""The response to a request; None closes the connection."""


class TwistedServer:
    """Serves connections in threads until it is closed."""

    def __init__(self, behind: RunningServer, twist: Twist, port: int = 0) -> None:
        self._twist = twist
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = behind.pki.files("server")
        self._context.load_cert_chain(files.cert, files.key)
        self._client = ssl.create_default_context(cafile=behind.credentials("tester")["ca"])
        own = behind.credentials("tester")
        self._client.load_cert_chain(own["cert"], own["key"])
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            suppress(OSError, ProtocolError),
            self._context.wrap_socket(plain, server_side=True) as stream,
            socket.create_connection(("127.0.0.1", self._behind.port)) as onward,
            self._client.wrap_socket(onward, server_hostname="127.0.0.1") as server,
        ):
            responses = received(server)

            def ask(request: Item) -> Item:
                server.sendall(binary.encode(request))
                return binary.decode(next(responses))

            for data in received(stream):
                answer = self._twist(binary.decode(data), ask)
                if answer is None:
                    return
                stream.sendall(answer if isinstance(answer, bytes) else binary.encode(answer))

    def close(self) -> None:
        """From now on, connections are refused."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join(ANSWER_TIMEOUT)


@contextmanager
def twisted(behind: RunningServer, twist: Twist) -> Iterator[TwistedServer]:
    """A twisted server while the context lasts."""
    server = TwistedServer(behind, twist)
    try:
        yield server
    finally:
        server.close()


def operations(request: Item) -> list[object]:
    """The operations of a request."""
    return [
        child.value
        for item in children(request, Tag.BATCH_ITEM)
        for child in children(item, Tag.OPERATION)
    ]


def version_of(request: Item) -> Version:
    """The version of a request."""
    version = peek_version(binary.encode(request))
    assert version is not None
    return version


def refusal(version: Version, operation: Operation | None, reason: ResultReason) -> Item:
    """A response in which one operation, or the message as a whole, failed."""
    numbers = (
        Item(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER, version.major),
        Item(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER, version.minor),
    )
    header = (
        Item(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE, numbers),
        Item(Tag.TIME_STAMP, ItemType.DATE_TIME, 0),
        Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),
    )
    named = () if operation is None else (Item(Tag.OPERATION, ItemType.ENUMERATION, operation),)
    result = (
        *named,
        Item(Tag.RESULT_STATUS, ItemType.ENUMERATION, ResultStatus.OPERATION_FAILED),
        Item(Tag.RESULT_REASON, ItemType.ENUMERATION, reason),
    )
    parts = (
        Item(Tag.RESPONSE_HEADER, ItemType.STRUCTURE, header),
        Item(Tag.BATCH_ITEM, ItemType.STRUCTURE, result),
    )
    return Item(Tag.RESPONSE_MESSAGE, ItemType.STRUCTURE, parts)


def without(*refused: Operation) -> Twist:
    """A server that does not have some operations."""

    def twist(request: Item, ask: Ask) -> Item:
        for operation in operations(request):
            if operation in refused:
                reason = ResultReason.OPERATION_NOT_SUPPORTED
                return refusal(version_of(request), Operation(operation), reason)  # type: ignore[arg-type]  # an enumeration
        return ask(request)

    return twist


def crashing(*fatal: Operation) -> Twist:
    """A server that closes the connection on some operations."""
    return lambda request, ask: None if set(operations(request)) & {*fatal} else ask(request)


def of_versions(versions: tuple[Version, ...], twist: Twist, *, closes: bool = False) -> Twist:
    """A server that has some versions only: it refuses messages of others, or closes the connection."""

    def other(request: Item, ask: Ask) -> Item | bytes | None:
        if version_of(request) not in versions:
            reason = ResultReason.INVALID_MESSAGE
            return None if closes else refusal(max(versions), None, reason)
        answer = twist(request, ask)
        return _limited(answer, versions) if isinstance(answer, Item) else answer

    return other


def _limited(item: Item, versions: tuple[Version, ...]) -> Item:
    """A response to Discover Versions with these versions only."""
    if not isinstance(item.value, tuple):
        return item
    is_list = item.tag == Tag.RESPONSE_PAYLOAD and all(
        child.tag == Tag.PROTOCOL_VERSION for child in item.value
    )
    kept = [child for child in item.value if not is_list or _numbers(child) in versions]
    return Item(item.tag, item.type, tuple(_limited(child, versions) for child in kept))


def _numbers(version: Item) -> Version:
    assert isinstance(version.value, tuple)
    return Version(*(child.value for child in version.value))  # type: ignore[arg-type]  # integers
