"""What a client did: connections, exchanges of messages, and what each batch item asked and got."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from kmipkit_client.settings import LIMITS

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import peek_version
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item, ItemValue
from kmipkit_conformance.cases import children
from kmipkit_conformance.clients.hello import Hello
from kmipkit_conformance.wording import operation_title


def parts(item: Item | None) -> tuple[Item, ...]:
    """The items in a structure; none in a value."""
    return item.value if item is not None and isinstance(item.value, tuple) else ()


def find(item: Item | None, *path: Tag) -> Item | None:
    """The first item at a path of tags."""
    for tag in path:
        found = children(item, tag) if item is not None else ()
        item = found[0] if found else None
    return item


def value(item: Item | None, *path: Tag) -> "ItemValue | None":
    """The value of the first item at a path of tags."""
    found = find(item, *path)
    return None if found is None else found.value


def descend(item: Item) -> Iterator[Item]:
    """An item and all items in it."""
    yield item
    for child in parts(item):
        yield from descend(child)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came; ``at`` in seconds since 1970."""

    data: bytes
    at: float
    item: Item | None
    """None if it is malformed."""
    problem: str = ""
    """Why it is malformed."""

    @classmethod
    def read(cls, data: bytes, at: float, limits: Limits = LIMITS) -> "Message":
        """The message in these bytes, malformed or not."""
        try:
            return cls(data, at, binary.decode(data, limits))
        except ProtocolError as error:
            return cls(data, at, None, str(error))

    def __repr__(self) -> str:
        return f"Message({len(self.data)} bytes)"  # which may have keys

    @property
    def version(self) -> Version | None:
        """The version in the header; None if it has none that KMIP knows."""
        version = peek_version(self.data)
        return version if version in VERSIONS else None


@dataclass(kw_only=True, eq=False)
class Exchange:
    """A request, and the answer that the client got, if it got one."""

    connection: "Connection"
    number: int
    """The number of the request in its connection, from 1."""
    request: Message
    response: Message | None = None
    provoked: str = ""
    """The provocation by which the answer, or its absence, came about."""
    bait: str = ""
    """A Unique Identifier in the answer that a client must not take for one."""

    @property
    def version(self) -> Version | None:
        """The version of the request."""
        return self.request.version

    @property
    def acts(self) -> tuple["Act", ...]:
        """What each batch item asked, with its result as far as it is known."""
        return tuple(_acts(self))

    @cached_property
    def operations(self) -> list[Operation]:
        """The operations of the request."""
        return [act.operation for act in self.acts]

    @property
    def where(self) -> str:
        """The exchange, for people: ``connection 2, request 5 (Create)``."""
        names = ", ".join(map(operation_title, self.operations)) or "no operation"
        return f"connection {self.connection.number}, request {self.number} ({names})"


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """One batch item of a request, and its result."""

    exchange: Exchange
    position: int
    """Counts from 0."""
    operation: Operation
    item: Item
    payload: Item | None
    result: Item | None
    """The batch item of the response; None if there is none."""

    @property
    def where(self) -> str:
        """The batch item, for people."""
        many = len(self.exchange.acts) > 1
        text = f", batch item {self.position + 1}" if many else ""
        return f"{self.exchange.where}{text}"

    @property
    def has_succeeded(self) -> bool:
        """Whether the answer says Success, and was not made up by a provocation."""
        status = value(self.result, Tag.RESULT_STATUS)
        return status == ResultStatus.SUCCESS and not self.exchange.bait

    @property
    def item_id(self) -> bytes | None:
        """The Unique Batch Item ID of the request."""
        found = value(self.item, Tag.UNIQUE_BATCH_ITEM_ID)
        return found if isinstance(found, bytes) else None

    def get(self, *path: Tag) -> "ItemValue | None":
        """A value in the request payload."""
        return value(self.payload, *path)

    def got(self, *path: Tag) -> "ItemValue | None":
        """A value in the response payload."""
        return value(self.result, Tag.RESPONSE_PAYLOAD, *path)


@dataclass(slots=True, eq=False)
class Connection:
    """A connection of the client."""

    number: int
    """Connections count from 1, in the order in which they were opened."""
    round: str = ""
    """The provocation that was prepared when it was opened."""
    hello: Hello | None = None
    """What the client offered; None if that was not seen."""
    is_accepted: bool | None = None
    """Whether the handshake succeeded; None if that was not seen."""
    problem: str = ""
    """Why the handshake failed, or what else happened that is no message."""
    has_certificate: bool | None = None
    """Whether the client showed a certificate that the tester accepts; None if that was not seen."""
    is_impostor: bool = False
    """Whether the tester showed a certificate that the client cannot trust."""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The connection, for people."""
        return f"connection {self.number}"


@dataclass(eq=False)
class Session:
    """All that was seen of a client. It is complete when it is judged."""

    connections: list[Connection] = field(default_factory=list)
    unreadable: list[tuple[Connection, str]] = field(default_factory=list)
    """Bytes of the client that are no message, of which only a description is left."""

    @cached_property
    def exchanges(self) -> list[Exchange]:
        """All exchanges in the order of their requests."""
        found = [each for connection in self.connections for each in connection.exchanges]
        return sorted(found, key=lambda exchange: exchange.request.at)

    @cached_property
    def acts(self) -> list[Act]:
        """What all requests asked, in their order."""
        return [act for exchange in self.exchanges for act in exchange.acts]

    def after(self, exchange: Exchange) -> list[Exchange]:
        """The exchanges that followed one."""
        return self.exchanges[self.exchanges.index(exchange) + 1 :]


def _acts(exchange: Exchange) -> Iterator[Act]:
    if exchange.request.item is None:
        return
    response = exchange.response.item if exchange.response is not None else None
    results = children(response, Tag.BATCH_ITEM) if response is not None else []
    by_id = {value(result, Tag.UNIQUE_BATCH_ITEM_ID): result for result in results}
    for position, item in enumerate(children(exchange.request.item, Tag.BATCH_ITEM)):
        operation = value(item, Tag.OPERATION)
        if not isinstance(operation, int):
            continue
        own_id = value(item, Tag.UNIQUE_BATCH_ITEM_ID)
        result = by_id.get(own_id) if own_id is not None else None
        if result is None and position < len(results):
            result = results[position]
        payload = find(item, Tag.REQUEST_PAYLOAD)
        yield Act(exchange, position, Operation(operation), item, payload, result)
