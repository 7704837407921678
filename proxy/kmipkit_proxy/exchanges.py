"""Requests of clients with their answers, from a capture."""

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kmipkit import captures
from kmipkit.errors import ProtocolError
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.errors import ProxyError
from kmipkit_proxy.items import batch_items, find, name_of

MAX_CAPTURE = 1 << 30
"""Bytes of a capture that is read."""
MESSAGE_LIMITS = Limits(max_message=256 << 20, max_items=1 << 20)


@dataclass(slots=True)
class Exchange:
    """A request, and its answer if there was one."""

    connection: int
    number: int
    """The number of the request in its connection, from 1."""
    request: Item
    is_redacted: bool = False
    """Whether secrets in the request were replaced."""
    response: Item | None = None

    @property
    def operations(self) -> tuple[str, ...]:
        """What the request asks for."""
        return tuple(name_of(find(item, Tag.OPERATION)) for item in batch_items(self.request))

    @property
    def name(self) -> str:
        """The exchange, for people."""
        return f"#{self.connection}.{self.number} {', '.join(self.operations)}"


@dataclass(frozen=True, slots=True)
class Capture:
    """What a capture has for a comparison."""

    exchanges: tuple[Exchange, ...]
    """In the order of the requests."""
    skipped: int
    """Messages that belong to no request of a client: malformed ones, and those that a server asks."""

    def connections(self) -> dict[int, list[Exchange]]:
        """The exchanges by connection."""
        by_number: dict[int, list[Exchange]] = {}
        for exchange in self.exchanges:
            by_number.setdefault(exchange.connection, []).append(exchange)
        return by_number


def load(path: Path) -> Capture:
    """Read a capture. ProxyError if that is not possible."""
    try:
        if path.stat().st_size > MAX_CAPTURE:
            raise ProxyError(f"{path}: more than {MAX_CAPTURE >> 20} MiB")
        with path.open("rb") as file:
            if not captures.is_capture(file.peek(64)):
                raise ProxyError(f"{path}: not a capture of kmipkit proxy")
            return _capture(captures.read(file))
    except OSError as error:
        raise ProxyError(f"{path}: {error.strerror}") from None
    except ProtocolError as error:
        raise ProxyError(f"{path}: {error}") from None


def _capture(entries: Iterator[captures.Entry]) -> Capture:
    exchanges: list[Exchange] = []
    numbers: dict[int, int] = defaultdict(int)
    unanswered: dict[int, deque[Exchange]] = defaultdict(deque)
    skipped = 0
    for entry in entries:
        if not entry.message:
            continue
        message, waiting = _decoded(entry.message), unanswered[entry.connection]
        tag = 0 if message is None else message.tag
        if message is not None and (tag, entry.sender) == (Tag.REQUEST_MESSAGE, captures.CLIENT):
            numbers[entry.connection] += 1
            exchange = Exchange(
                entry.connection, numbers[entry.connection], message, entry.redacted > 0
            )
            exchanges.append(exchange)
            waiting.append(exchange)
        elif (tag, entry.sender) == (Tag.RESPONSE_MESSAGE, captures.SERVER) and waiting:
            waiting.popleft().response = message
        else:
            skipped += 1
    return Capture(tuple(exchanges), skipped)


def _decoded(data: bytes) -> Item | None:
    try:
        return binary.decode(data, MESSAGE_LIMITS)
    except ProtocolError:
        return None
