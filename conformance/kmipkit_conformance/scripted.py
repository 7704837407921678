"""The client tester: plays the server's side of a case, and judges the requests of the client.

The client connects over TLS with a certificate, and sends the requests of the case. Each is compared
with the one in the case, and gets the response in the case, with generated values in place of those
that a server chooses.
"""

import os
import socket
import ssl
import uuid
from dataclasses import dataclass, field
from typing import Any

from kmipkit_client.settings import LIMITS

from kmipkit.errors import ProtocolError
from kmipkit.reports import Outcome
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case, children
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.placeholders import Bindings, BytesSymbol, NumberSymbol, Symbol
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.streams import received


@dataclass(frozen=True, slots=True)
class ScriptedServer:
    """Waits for the client under test; time-outs in seconds."""

    listener: socket.socket
    context: ssl.SSLContext
    timeout: float = 60.0
    clock: Clock = SYSTEM_CLOCK

    def play(self, case: Case) -> Verdict:
        """Play a case with the next client that connects."""
        if any(step.is_from_server for step in case.steps):
            return Verdict(case, Outcome.SKIPPED, ("the server sends requests to the client",))
        started = self.clock.now()
        try:
            step, reasons, actual = self._steps(case)
        except TimeoutError:
            step, reasons, actual = 0, ["no client connected in time"], None
        except OSError as error:
            step, reasons, actual = 0, [f"the TLS connection failed: {error}"], None
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].request if reasons else None
        seconds = self.clock.now() - started
        return Verdict(case, outcome, tuple(reasons), step, seconds, expected, actual)

    def _steps(self, case: Case) -> tuple[int, list[str], Item | None]:
        self.listener.settimeout(self.timeout)
        connection, _ = self.listener.accept()
        connection.settimeout(self.timeout)
        script = Script(Bindings(now=int(self.clock.now())))
        with self.context.wrap_socket(connection, server_side=True) as stream:
            messages = received(stream)
            for number, step in enumerate(case.steps):
                try:
                    request = binary.decode(next(messages), LIMITS)
                except StopIteration:
                    return number, ["the client closed the connection"], None
                except TimeoutError:
                    return number, ["the client did not send a request in time"], None
                except ProtocolError as error:
                    return number, [f"the request is malformed: {error}"], None
                reasons = script.judge(step.request, request)
                if reasons:
                    return number, reasons, request
                stream.sendall(binary.encode(script.answer(step.response, request)))
        return len(case.steps), [], None


@dataclass(slots=True)
class Script:
    """The requests and responses of one case."""

    bindings: Bindings
    comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        self.comparison = Comparison(self.bindings)

    def judge(self, expected: Item, actual: Item) -> list[str]:
        """How a request differs from that of the case, beyond what is permitted."""
        return list(self.comparison.request_differences(expected, actual))

    def answer(self, expected: Item, request: Item) -> Item:
        """The response of the case, with generated values, the time, and the client's batch item IDs."""
        self._set_server_values(expected)
        answer = self.bindings.fill(expected)
        identifiers = [
            children(item, Tag.UNIQUE_BATCH_ITEM_ID) for item in children(request, Tag.BATCH_ITEM)
        ]
        remaining = iter(identifiers)
        assert isinstance(answer.value, tuple)
        parts = tuple(
            _with_identifier(part, next(remaining, []))
            if part.tag == Tag.BATCH_ITEM
            else _with_time_stamp(part, int(self.bindings.now))
            for part in answer.value
        )
        return Item(answer.tag, answer.type, parts)

    def _set_server_values(self, item: Item) -> None:
        """Generate values for the placeholders that a server fills."""
        value: Any = item.value
        if isinstance(value, tuple):
            for child in value:
                self._set_server_values(child)
        elif isinstance(value, Symbol) and value.name not in self.bindings.values:
            if isinstance(value, BytesSymbol):
                self.bindings.values[value.name] = os.urandom(32)
            elif not isinstance(value, NumberSymbol):
                self.bindings.values[value.name] = str(uuid.uuid4())


def _with_identifier(item: Item, identifier: list[Item]) -> Item:
    """A batch item with this Unique Batch Item ID, which follows the operation, or without one."""
    assert isinstance(item.value, tuple)
    fields = [child for child in item.value if child.tag != Tag.UNIQUE_BATCH_ITEM_ID]
    at = 1 if fields and fields[0].tag == Tag.OPERATION else 0
    return Item(item.tag, item.type, (*fields[:at], *identifier, *fields[at:]))


def _with_time_stamp(header: Item, now: int) -> Item:
    """A response header with this Time Stamp."""
    assert isinstance(header.value, tuple)
    parts = tuple(
        Item(child.tag, child.type, now) if child.tag == Tag.TIME_STAMP else child
        for child in header.value
    )
    return Item(header.tag, header.type, parts)
