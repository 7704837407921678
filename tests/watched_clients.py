"""Clients that a test makes, watched in free play; raw ones can break any rule."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from kmipkit_conformance.clients.free_play import Contexts, FreePlay
from kmipkit_conformance.clients.impostor import impostor_context
from kmipkit_conformance.clients.observed import Session
from kmipkit_conformance.clients.plan import Plan
from kmipkit_conformance.clients.rule import Judged, judge
from kmipkit_conformance.clients.table import RULES
from kmipkit_conformance.clock import Clock
from kmipkit_conformance.streams import received, server_context
from kmipkit_conformance.target import Target
from servers import ANSWER_TIMEOUT

from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, Version
from kmipkit.testing import key_server, shared_pki
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

CLOSING = 10.0
"""Seconds for the tester to see that a client has closed its connection."""


@dataclass
class Watching:
    """Free play with a key server behind it, for one client after the other."""

    target: Target
    contexts: Contexts
    offset: list[float] = field(default_factory=lambda: [0.0])
    """By how many seconds the clock of the tester is ahead."""

    @contextmanager
    def play(self, provocations: Sequence[str] = (), gap: int = 0) -> "Iterator[FreePlay]":
        """Free play. The session is complete when the block is left."""
        self.offset[0] = 0.0
        clock = Clock(now=lambda: time.time() + self.offset[0])
        plan = Plan(list(provocations), gap)
        listener = socket.create_server(("127.0.0.1", 0))
        with FreePlay(
            listener, self.contexts, self.target, ANSWER_TIMEOUT, clock, plan=plan
        ) as play:
            yield play
            play.end_connections(CLOSING)
        assert not play.problem, play.problem


@contextmanager
def watching(folder: Path) -> Iterator[Watching]:
    """What free play needs; the files of the impostor are made in a folder."""
    files = shared_pki().server()
    own = server_context(shared_pki().ca, files.cert, files.key)
    impostor = impostor_context(folder, "127.0.0.1", shared_pki().ca)
    with key_server() as kms:
        found = kms.settings
        target = Target(found.host, found.port, found.ca, found.cert, found.key, ANSWER_TIMEOUT)
        yield Watching(target, Contexts(own, impostor))


def verdicts(session: Session) -> dict[str, Judged]:
    """The verdict on each rule, by its key."""
    return {verdict.rule.key: verdict for verdict in judge(session, RULES)}


def item(tag: Tag, value: Any, kind: ItemType | None = None) -> Item:
    """An item of the type that fits the value, or of another one."""
    for python, found in _TYPES:
        if kind is None and isinstance(value, python):
            kind = found
    return Item(tag, kind or ItemType.STRUCTURE, value)


_TYPES: tuple[tuple[type, ItemType], ...] = (
    (bool, ItemType.BOOLEAN),
    (IntEnum, ItemType.ENUMERATION),
    (int, ItemType.INTEGER),
    (str, ItemType.TEXT_STRING),
    (bytes, ItemType.BYTE_STRING),
    (tuple, ItemType.STRUCTURE),
)


@dataclass(frozen=True)
class Ask:
    """A batch item."""

    operation: Operation
    payload: tuple[Item, ...] = ()
    item_id: bytes | None = None

    def item(self) -> Item:
        ids = () if self.item_id is None else (item(Tag.UNIQUE_BATCH_ITEM_ID, self.item_id),)
        payload = item(Tag.REQUEST_PAYLOAD, self.payload)
        return item(Tag.BATCH_ITEM, (item(Tag.OPERATION, self.operation), *ids, payload))


def message(
    *asks: Ask,
    version: Version = V1_4,
    header: tuple[Item, ...] = (),
    after: tuple[Item, ...] = (),
    count: int | None = None,
) -> Item:
    """A request; ``header`` comes before Batch Count, ``after`` after it."""
    number = len(asks) if count is None else count
    major, minor = version
    numbers = (
        item(Tag.PROTOCOL_VERSION_MAJOR, major),
        item(Tag.PROTOCOL_VERSION_MINOR, minor),
    )
    parts = (item(Tag.PROTOCOL_VERSION, numbers), *header, item(Tag.BATCH_COUNT, number), *after)
    items = (ask.item() for ask in asks)
    return item(Tag.REQUEST_MESSAGE, (item(Tag.REQUEST_HEADER, parts), *items))


@dataclass
class RawClient:
    """A client that sends anything."""

    play: FreePlay
    watching: Watching
    stack: ExitStack
    _stream: ssl.SSLSocket | None = None

    def context(self, *, certificate: bool = True, verify: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=shared_pki().ca)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            files = shared_pki().client("device")
            context.load_cert_chain(files.cert, files.key)
        return context

    def plain(self) -> socket.socket:
        address = self.play.listener.getsockname()[:2]
        return self.stack.enter_context(socket.create_connection(address, ANSWER_TIMEOUT))

    def open(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A new connection, on which later requests are sent."""
        chosen = context or self.context()
        wrapped = chosen.wrap_socket(self.plain(), server_hostname="127.0.0.1")
        self._stream = self.stack.enter_context(wrapped)
        return self._stream

    def send(self, data: bytes) -> Item | None:
        """Send bytes; the answer, if there is one."""
        stream = self._stream or self.open()
        stream.sendall(data)
        try:
            answer = next(received(stream), None)
        except OSError:
            answer = None
        if answer is None:
            self._stream = None
        return None if answer is None else binary.decode(answer)

    def ask(self, *asks: Ask, **parts: Any) -> Item | None:
        """Send a request."""
        return self.send(binary.encode(message(*asks, **parts)))

    def hello(self, versions: Sequence[int], suites: Sequence[int]) -> None:
        """Begin a handshake with these offers, and close the connection."""
        with suppress(OSError):
            plain = self.plain()
            plain.sendall(client_hello(versions, suites))
            plain.recv(1)


def client_hello(versions: Sequence[int], suites: Sequence[int]) -> bytes:
    """A ClientHello (RFC 8446 §4.1.2)."""

    def vector(size: int, data: bytes) -> bytes:
        return len(data).to_bytes(size, "big") + data

    def numbers(values: Sequence[int]) -> bytes:
        return struct.pack(f">{len(values)}H", *values)

    supported = struct.pack(">H", 43) + vector(2, vector(1, numbers(versions)))
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + vector(2, numbers(suites))
        + b"\1\0"
        + vector(2, supported)
    )
    return b"\x16\x03\x01" + vector(2, b"\x01" + vector(3, body))


@contextmanager
def raw_client(watching: Watching, provocations: Sequence[str] = ()) -> Iterator[RawClient]:
    """A raw client, and free play for it alone."""
    with watching.play(provocations) as play, ExitStack() as stack:
        yield RawClient(play, watching, stack)


def find(tree: Item | None, tag: Tag) -> Any:
    """The first value under a tag, at any depth; None if there is none."""
    if tree is None or not isinstance(tree.value, tuple):
        return None
    for child in tree.value:
        if child.tag == tag:
            return child.value
        found = find(child, tag)
        if found is not None:
            return found
    return None


Behaviour = Callable[[RawClient], object]
