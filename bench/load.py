"""Load on a server of the benchmark, from the drivers of ``kmipkit bench`` in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from random import Random

from kmipkit_load.driver import Driver, Reuse, Work
from kmipkit_load.encoding import Encoding, Failure
from kmipkit_load.measures import Measures
from kmipkit_load.network import Sockets
from kmipkit_load.pace import SECOND, Closed, Open, schedule
from kmipkit_load.session import Session
from kmipkit_load.source import Request
from kmipkit_load.target import Target

from bench import messages

Requests = Iterator[bytes]

HOST = "127.0.0.1"
TIMEOUT = 120
"""Seconds for one response: PyKMIP reads all of its objects for a Locate."""
WARM_UP = 0.5


def target(port: int, pki: Path, name: str = "admin") -> Target:
    """A server of the benchmark, for the client with this name."""
    return Target(HOST, port, pki / "ca.crt", pki / f"{name}.crt", pki / f"{name}.key")


@contextmanager
def connect(server: Target) -> Iterator[Session]:
    """A connection for one message after the other."""
    with Sockets(server) as network:
        yield Session(network, Encoding(), TIMEOUT)


def prepared_get(server: Target) -> bytes:
    """A Get of a new key, after a first one, which writes (KMIP 1.4 §3.34)."""
    with connect(server) as session:
        get = messages.get(messages.check_success(session.exchange(messages.create())))
        messages.check_success(session.exchange(get))
    return get


class _Raw:
    """Requests as bytes. A failure ends the measurement: its figure would mean nothing."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._encoding = Encoding()
        self._last = Request("request", b"")

    def __next__(self) -> Request:
        body = next(self._requests)
        if body is not self._last.body:
            self._last = Request("request", body)
        return self._last

    def answered(self, _request: Request, body: bytes) -> Failure | None:
        """Raise AssertionError if the response reports a failure."""
        failure = self._encoding.failure(body)
        if failure is not None:
            raise AssertionError(f"the server reported: {failure.reason}: {failure.example}")
        return None

    def unanswered(self, _request: Request, *, may_have_arrived: bool) -> None:
        """Raise AssertionError."""
        state = "not respond" if may_have_arrived else "not accept a connection"
        raise AssertionError(f"the server did {state}")


def rate(
    server: Target,
    requests: Requests,
    connections: int,
    seconds: float,
    *,
    warm_up: float = WARM_UP,
    reuse: Reuse = Reuse.KEEP,
) -> float:
    """Responses per second in the closed loop."""
    return _drive(server, requests, connections, (warm_up, seconds), None, reuse)


def connection_rate(server: Target, request: bytes, seconds: float, reuse: Reuse) -> float:
    """Connections per second, each with handshake, one request, its response, and close."""
    return rate(server, repeat(request), 1, seconds, warm_up=0.2, reuse=reuse)


def send_all(server: Target, requests: Requests, number: int, connections: int = 32) -> None:
    """Send a number of requests, and wait for their responses."""
    _drive(server, requests, connections, (0.0, None), number, Reuse.KEEP)


def open_loop(
    server: Target,
    request: bytes,
    connections: int,
    per_second: float,
    seconds: float,
    look: Callable[[], None],
) -> Measures:
    """A request again and again on many connections, at times that are fixed beforehand.

    So the latencies are those of clients that do not know of each other. ``look`` is called meanwhile.
    """

    def tick(_: int) -> bool:
        look()
        return False

    with Sockets(server) as network:
        driver = Driver(network, connections=connections, timeout=TIMEOUT * SECOND)
        driver.connect()
        start = network.now()
        begin = start + round(WARM_UP * SECOND)
        end = begin + round(seconds * SECOND)
        measures = Measures(begin, end, SECOND)
        due = schedule("poisson", per_second, start, Random(1))
        pace = Open(begin, end, None, due)
        driver.run(Work(_Raw(repeat(request)), pace, measures, TIMEOUT * SECOND), tick)
    return measures


def _drive(
    server: Target,
    requests: Requests,
    connections: int,
    times: tuple[float, float | None],
    number: int | None,
    reuse: Reuse,
) -> float:
    warm_up, seconds = times
    with Sockets(server) as network:
        driver = Driver(network, connections=connections, timeout=TIMEOUT * SECOND, reuse=reuse)
        driver.connect()
        start = network.now()
        begin = start + round(warm_up * SECOND)
        end = None if seconds is None else begin + round(seconds * SECOND)
        measures = Measures(begin, end, SECOND)
        pace = Closed(start, begin, end, number)
        driver.run(Work(_Raw(requests), pace, measures, TIMEOUT * SECOND))
    return measures.rate
