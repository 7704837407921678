"""The client tester: plays the server's side of a case, and judges the requests of the client.

The client connects over TLS with a certificate, and sends the requests of the case, on one connection
or several. Each is compared with the one in the case, and gets the response in the case, with generated
values in place of those that a server chooses. What it asks besides, as any client may, is answered by
:mod:`kmipkit_conformance.probes`.
"""

import os
import socket
import ssl
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from kmipkit_client.settings import LIMITS

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import peek_version
from kmipkit.reports import Outcome
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case, children
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.placeholders import Bindings, BytesSymbol, NumberSymbol, Symbol
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.probes import Probes
from kmipkit_conformance.streams import received


@dataclass(frozen=True, slots=True)
class ScriptedServer:
    """Waits for the client under test; time-outs in seconds."""

    listener: socket.socket
    context: ssl.SSLContext
    timeout: float = 60.0
    """For the first connection, and for each request on a connection that is open."""
    reconnect: float = 5.0
    """For another connection, if the client closes one before the case is over."""
    clock: Clock = SYSTEM_CLOCK

    def play(self, case: Case) -> Verdict:
        """Play a case with the next client that connects."""
        if any(step.is_from_server for step in case.steps):
            return Verdict(case, Outcome.SKIPPED, ("the server sends requests to the client",))
        started = self.clock.now()
        step, reasons, actual = self._steps(case)
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].request if reasons else None
        seconds = self.clock.now() - started
        return Verdict(
            case, outcome, tuple(reasons), step, seconds, expected, actual, is_of_client=True
        )

    def _steps(self, case: Case) -> tuple[int, list[str], Item | None]:
        """The step that failed, why, and the request; no reasons if all steps passed."""
        now = int(self.clock.now())
        script, probes = Script(Bindings(now)), Probes(case)
        number = 0
        refused: tuple[list[str], Item | None] = [], None
        with closing(self._requests()) as messages:
            try:
                for stream, data in messages:
                    step = case.steps[number]
                    request = binary.decode(data, LIMITS)
                    is_other = peek_version(data) not in (None, case.version)  # must bind no value
                    judge = Script(Bindings(now)) if is_other else script
                    reasons = judge.judge(step.request, request)
                    answer = probes.answer(data) if reasons else None
                    if reasons and answer is None:
                        return number, reasons, request
                    if answer is not None:
                        refused = (reasons, request) if probes.has_refused else ([], None)
                        stream.sendall(answer)
                        continue
                    stream.sendall(binary.encode(script.answer(step.response, request)))
                    number += 1
                    if number == len(case.steps):
                        return number, [], None
            except _NoRequestError as error:
                return number, [str(error), *probes.remarks, *refused[0]], refused[1]
            except ProtocolError as error:
                return number, [f"the request is malformed: {error}"], None
        raise AssertionError("requests end with an exception")

    def _requests(self) -> Generator[tuple[ssl.SSLSocket, bytes], None, None]:
        """The requests on one connection after the other, each with its connection."""
        timeout, missing = self.timeout, "no client connected in time"
        while True:
            self.listener.settimeout(timeout)
            with _told(missing):
                connection, _ = self.listener.accept()
            connection.settimeout(self.timeout)
            with ExitStack() as stack:
                with _told("the client did not complete the TLS handshake in time"):
                    stream = self.context.wrap_socket(connection, server_side=True)
                messages = received(stack.enter_context(stream))
                while True:
                    with _told("the client did not send a request in time"):
                        data = next(messages, None)
                    if data is None:
                        break
                    yield stream, data
            timeout, missing = self.reconnect, "the client closed the connection"


class _NoRequestError(Exception):
    """The client has sent no further request; the text says what happened instead."""


@contextmanager
def _told(timeout: str) -> Iterator[None]:
    """Raises what the verdict says in place of a time-out and of a failed connection."""
    try:
        yield
    except TimeoutError:
        raise _NoRequestError(timeout) from None
    except OSError as error:
        raise _NoRequestError(f"the TLS connection failed: {error}") from None


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
