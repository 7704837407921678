"""The client tester: plays the server's side of a case, and judges what the client sends.

The client connects, over TLS with a certificate, and does what the case describes. Each of its
requests is held against the one of the case; it is answered as the case has it, with values of our own
in place of what a server chooses.
"""

import os
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case, children
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.placeholders import Bindings, BytesSymbol, NumberSymbol, Symbol
from kmipkit_conformance.player import Outcome, Verdict
from kmipkit_conformance.target import LIMITS


@dataclass(frozen=True, slots=True)
class ScriptedServer:
    """Waits for the client under test; time-outs in seconds."""

    listening: socket.socket
    context: ssl.SSLContext
    timeout: float = 60.0
    clock: Callable[[], float] = time.time

    def play(self, case: Case) -> Verdict:
        """Play a case with the next client that connects."""
        started = self.clock()
        try:
            step, reasons, got = self._steps(case)
        except TimeoutError:
            step, reasons, got = 0, ["no client came in time"], None
        except OSError as error:
            step, reasons, got = 0, [f"TLS or the connection failed: {error}"], None
        outcome = Outcome.FAILED if reasons else Outcome.PASSED
        expected = case.steps[step].request if reasons else None
        seconds = self.clock() - started
        return Verdict(case, outcome, tuple(reasons), step, seconds, expected, got)

    def _steps(self, case: Case) -> tuple[int, list[str], Item | None]:
        self.listening.settimeout(self.timeout)
        plain, _ = self.listening.accept()
        plain.settimeout(self.timeout)
        script = Script(Bindings(now=int(self.clock())))
        with self.context.wrap_socket(plain, server_side=True) as stream:
            messages = _messages(stream)
            for number, step in enumerate(case.steps):
                try:
                    request = binary.decode(next(messages), LIMITS)
                except StopIteration:
                    return number, ["the client closed the connection"], None
                except TimeoutError:
                    return number, ["the client sent nothing in time"], None
                except ProtocolError as error:
                    return number, [f"the request cannot be read: {error}"], None
                reasons = script.judge(step.request, request)
                if reasons:
                    return number, reasons, request
                stream.sendall(binary.encode(script.answer(step.response, request)))
        return len(case.steps), [], None


def _messages(stream: ssl.SSLSocket) -> Iterator[bytes]:
    framer = Framer(LIMITS)
    while True:
        data = framer.next_message()
        if isinstance(data, bytes):
            yield data
        elif data is Signal.CLOSED:
            return
        else:
            framer.feed(stream.recv(65536))


@dataclass(slots=True)
class Script:
    """What is asked and answered in one case."""

    bindings: Bindings
    comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        self.comparison = Comparison(self.bindings)

    def judge(self, expected: Item, actual: Item) -> list[str]:
        """What is wrong with a request; nothing if it is as good as that of the case."""
        return list(self.comparison.request_differences(expected, actual))

    def answer(self, expected: Item, request: Item) -> Item:
        """The response of the case, with our values, the time, and the client's batch item IDs."""
        self._invent(expected)
        answer = self.bindings.fill(expected)
        identifiers = [
            children(item, Tag.UNIQUE_BATCH_ITEM_ID) for item in children(request, Tag.BATCH_ITEM)
        ]
        numbered = iter(identifiers)
        assert isinstance(answer.value, tuple)
        parts = tuple(
            _with_identifier(part, next(numbered, []))
            if part.tag == Tag.BATCH_ITEM
            else _at(part, int(self.bindings.now))
            for part in answer.value
        )
        return Item(answer.tag, answer.type, parts)

    def _invent(self, item: Item) -> None:
        """Values for placeholders that a server fills."""
        value: Any = item.value
        if isinstance(value, tuple):
            for child in value:
                self._invent(child)
        elif isinstance(value, Symbol) and value.name not in self.bindings.values:
            if isinstance(value, BytesSymbol):
                self.bindings.values[value.name] = os.urandom(32)
            elif not isinstance(value, NumberSymbol):
                self.bindings.values[value.name] = str(uuid.uuid4())


def _with_identifier(item: Item, identifier: list[Item]) -> Item:
    """A batch item with this Unique Batch Item ID, behind the operation, or without one."""
    assert isinstance(item.value, tuple)
    rest = [child for child in item.value if child.tag != Tag.UNIQUE_BATCH_ITEM_ID]
    at = 1 if rest and rest[0].tag == Tag.OPERATION else 0
    return Item(item.tag, item.type, (*rest[:at], *identifier, *rest[at:]))


def _at(header: Item, now: int) -> Item:
    """A response header with the time."""
    assert isinstance(header.value, tuple)
    parts = tuple(
        Item(one.tag, one.type, now) if one.tag == Tag.TIME_STAMP else one for one in header.value
    )
    return Item(header.tag, header.type, parts)


def server_context(ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """TLS settings for the client under test, which must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ConformanceError(f"{cert}, {key}, {ca}: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context
