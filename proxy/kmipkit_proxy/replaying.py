"""Plays the requests of a capture against another server, in the order in which they were sent.

Each connection of the capture is a connection of the replay. The next request is sent when the answer to
the one before is there, so that the outcome does not depend on time.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import trio

from kmipkit.captures import CLIENT, SERVER
from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.endpoint import Target, explain
from kmipkit_proxy.errors import ProxyError
from kmipkit_proxy.exchanges import MESSAGE_LIMITS, Capture, Exchange
from kmipkit_proxy.findings import Finding, Findings
from kmipkit_proxy.observer import Observer

_CHUNK = 64 * 1024
_CLOSING_SECONDS = 1.0

Watch = Callable[[int], Observer]
"""Makes the observer of a connection, which records what is sent and received."""


class _NoAnswer(Exception):
    """The connection has ended, or time is up."""


@dataclass(slots=True)
class _Connection:
    """One connection to the target."""

    stream: "trio.SSLStream[trio.SocketStream]"
    observer: Observer
    timeout: float
    _framer: Framer = field(default_factory=lambda: Framer(MESSAGE_LIMITS))

    async def exchange(self, request: bytes) -> bytes:
        """Send a request and wait for its answer. _NoAnswer says why there is none."""
        try:
            with trio.fail_after(self.timeout):
                self.observer.see(CLIENT, request)
                await self.stream.send_all(request)
                while not isinstance(answer := self._framer.next_message(), bytes):
                    if answer is Signal.CLOSED:
                        raise _NoAnswer("the target closed the connection")
                    data = bytes(await self.stream.receive_some(_CHUNK))
                    self.observer.see(SERVER, data)
                    self._framer.feed(data)
        except trio.TooSlowError:
            raise _NoAnswer(f"no answer within {self.timeout:g} s") from None
        except (trio.BrokenResourceError, OSError) as error:
            raise _NoAnswer(explain(error)) from None
        except ProtocolError as error:
            raise _NoAnswer(str(error)) from None
        return answer

    async def close(self) -> None:
        """End the connection."""
        with (
            trio.move_on_after(_CLOSING_SECONDS, shield=True),
            suppress(trio.BrokenResourceError),
        ):
            await self.stream.aclose()


@dataclass(slots=True)
class Replay:
    """One replay."""

    target: Target
    watch: Watch
    say: Callable[[Finding], None]
    """Is told each difference at once."""
    now: Callable[[], float] = time.time
    findings: Findings = field(default_factory=Findings)
    problems: list[str] = field(default_factory=list)
    """Why requests have no answer."""
    _open: dict[int, _Connection] = field(default_factory=dict)

    async def run(self, capture: Capture) -> None:
        """Play all requests. ProxyError if the target cannot be reached at the beginning."""
        last = {exchange.connection: exchange.number for exchange in capture.exchanges}
        try:
            for exchange in capture.exchanges:
                played = await self._play(exchange)
                for finding in self.findings.compare(exchange, played):
                    self.say(finding)
                if exchange.number == last[exchange.connection]:
                    await self._close(exchange.connection)
        finally:
            for number in list(self._open):
                await self._close(number)

    async def _play(self, exchange: Exchange) -> Exchange:
        bindings = self.findings.comparison.bindings
        request = bindings.filled(
            exchange.request, int(self.now()), is_redacted=exchange.is_redacted
        )
        return replace(exchange, request=request, response=await self._answer(exchange, request))

    async def _answer(self, exchange: Exchange, request: Item) -> Item | None:
        number = exchange.connection
        try:
            connection = await self._connection(number)
            return binary.decode(await connection.exchange(binary.encode(request)), MESSAGE_LIMITS)
        except (_NoAnswer, ProxyError, ProtocolError) as error:
            if isinstance(error, ProxyError) and self.findings.compared == 0:
                raise
            self.problems.append(f"{exchange.name}: {error}")
        await self._close(number)  # its order is lost; the next request opens another one
        return None

    async def _connection(self, number: int) -> _Connection:
        if number not in self._open:
            stream = await self.target.connect()
            self._open[number] = _Connection(stream, self.watch(number), self.target.timeout)
        return self._open[number]

    async def _close(self, number: int) -> None:
        connection = self._open.pop(number, None)
        if connection is not None:
            await connection.close()
