"""Servers and a network in memory for the blocking client, on a clock that only they move.

Each server has a mode, and perhaps a few modes in advance for its next connections and requests.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum, auto

import pytest
from kmipkit_client._network import blocking
from kmipkit_client.deadline import Deadline
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.errors import ConnectionFailed, TimedOut
from kmipkit_client.settings import Settings

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ResponseHeader
from kmipkit.model.messages import RequestMessage, ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.create import CreateRequest, CreateResponse
from kmipkit.model.payloads.query import QueryResponse
from kmipkit.spec.enums import ObjectType, ResultStatus
from kmipkit.spec.tags import Tag

LATENCY = 0.01
"""Seconds for a connection, and for a response."""


class Mode(Enum):
    """What a server does with the next connection or request."""

    WORKS = auto()
    REFUSES = auto()
    """Refuses connections, and closes those that exist when a request arrives."""
    SWALLOWS = auto()
    """Answers nothing at all, as behind a firewall."""
    IS_SILENT = auto()
    """Accepts connections, carries requests out and does not respond."""
    BREAKS = auto()
    """Carries a request out and closes without a response."""


@dataclass
class FakeServer:
    """One server, and what it has carried out."""

    name: str
    mode: Mode = Mode.WORKS
    upcoming: deque[Mode] = field(default_factory=deque)
    done: Counter[str] = field(default_factory=Counter)
    """How many times each named request was carried out."""
    streams: list["FakeStream"] = field(default_factory=list)

    def next_mode(self) -> Mode:
        return self.upcoming.popleft() if self.upcoming else self.mode

    def close_idle(self) -> None:
        for stream in self.streams:
            stream.closed_by_server = True


class FakeNetwork:
    """All servers, by the host of their address, and the clock."""

    def __init__(self, names: list[str]) -> None:
        self.servers = {name: FakeServer(name) for name in names}
        self.now = 1000.0
        self.tried: list[str] = []
        """The servers to which a connection was tried, in order."""

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait_for(self, deadline: Deadline, seconds: float) -> None:
        """Let time pass until something happens, or until the deadline."""
        left = deadline.left()
        self.now += min(left, seconds)
        if left <= seconds:
            raise TimedOut("in vain")

    def connect(self, settings: Settings, endpoint: Endpoint, deadline: Deadline) -> "FakeStream":
        server = self.servers[endpoint.host]
        self.tried.append(endpoint.host)
        mode = server.next_mode()
        self.wait_for(deadline, float("inf") if mode is Mode.SWALLOWS else LATENCY)
        if mode is Mode.REFUSES:
            raise ConnectionFailed(f"{endpoint}: cannot connect: Connection refused")
        stream = FakeStream(self, server)
        server.streams.append(stream)
        return stream

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocking, "connect", self.connect)
        monkeypatch.setattr(blocking, "sleep", self.sleep)

    def open_streams(self) -> list["FakeStream"]:
        return [
            stream
            for server in self.servers.values()
            for stream in server.streams
            if not stream.is_closed
        ]


class FakeStream:
    """One connection. It refuses to carry a request while a response is outstanding."""

    def __init__(self, network: FakeNetwork, server: FakeServer) -> None:
        self._network = network
        self._server = server
        self._response: bytes | None = None
        self._mode = Mode.WORKS
        self._is_waiting = False
        self.is_closed = False
        self.closed_by_server = False

    def send(self, data: bytes, deadline: Deadline) -> None:
        deadline.remaining()
        assert not self.is_closed, "a request on a connection that the client has closed"
        assert not self._is_waiting, "a request on a connection with an outstanding response"
        self._is_waiting = True
        self._mode = self._server.next_mode()
        if self.closed_by_server:
            self._mode = Mode.REFUSES
        if self._mode in (Mode.WORKS, Mode.IS_SILENT, Mode.BREAKS):
            self._response = self._carry_out(decode_request(data)[0])

    def _carry_out(self, request: RequestMessage) -> bytes:
        [item] = request.batch_items
        payload: QueryResponse | CreateResponse = QueryResponse(vendor_identification="fake")
        if isinstance(item.request_payload, CreateRequest):
            name = item.request_payload.attributes.get(Tag.NAME).name_value
            self._server.done[name] += 1
            payload = CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=name)
        result = ResponseBatchItem(
            operation=item.operation, result_status=ResultStatus.SUCCESS, response_payload=payload
        )
        version = request.request_header.protocol_version
        header = ResponseHeader(protocol_version=version, time_stamp=EPOCH, batch_count=1)
        message = ResponseMessage(response_header=header, batch_items=(result,))
        return encode(message, version.version)

    def receive(self, deadline: Deadline) -> bytes:
        if self._mode in (Mode.SWALLOWS, Mode.IS_SILENT):
            self._network.wait_for(deadline, float("inf"))
        self._network.wait_for(deadline, LATENCY)
        if self._mode in (Mode.REFUSES, Mode.BREAKS):
            return b""
        assert self._response is not None
        response, self._response = self._response, None
        self._is_waiting = False
        return response

    def unread(self) -> bytes | None:
        return b"" if self.closed_by_server else None

    def close(self) -> None:
        self.is_closed = True
