"""What the expensive requests of one client cost another one, which sends Gets meanwhile.

Both clients have accounts of their own. One sends an expensive request again and again on two
connections, the other a Get after each response.
"""

import contextlib
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_client import calls, opaque_object
from kmipkit_client import messages as client_messages
from kmipkit_client.calls import Call
from kmipkit_load.errors import LinkFailed
from kmipkit_load.session import Session

from bench import costly, load, servers
from kmipkit.model.attribute import VendorName
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import V2_1

ATTACKER, NEIGHBOUR = "attacker", "neighbour"
SECONDS = 2.0
CONNECTIONS = 2
OBJECTS = 2000
"""Objects of the attacker, which its Locates find."""


class Latency(NamedTuple):
    """Of a neighbour's Gets, in milliseconds."""

    median: float
    percentile_99: float


def _pair(_: costly.Ask) -> Iterator[list[Call[Any]]]:
    return itertools.repeat([costly.create_pair(8192)])


def _split(_: costly.Ask) -> Iterator[list[Call[Any]]]:
    return itertools.repeat([calls.raw(Operation.CREATE_SPLIT_KEY, costly.split_request)])


def _derive(ask: costly.Ask) -> Iterator[list[Call[Any]]]:
    return itertools.repeat([costly.derive(costly.base_key(ask), 5_000_000)])


def _sign(bits: int, ask: costly.Ask) -> Iterator[list[Call[Any]]]:
    identifier = costly.register_private_key(ask, costly.rsa_bytes(bits), bits)
    return itertools.repeat([costly.sign(identifier)])


def _locate(_: costly.Ask) -> Iterator[list[Call[Any]]]:
    return itertools.repeat([calls.locate(None, None, None, None, None, None)] * 500)


def _add_attributes(ask: costly.Ask) -> Iterator[list[Call[Any]]]:
    while True:
        identifier = ask(costly.create)
        yield [
            calls.add_attribute(identifier, VendorName("x", "note"), f"{number}")
            for number in range(400)
        ]


def _get_large(number: int, ask: costly.Ask) -> Iterator[list[Call[Any]]]:
    identifier = ask(calls.register(opaque_object(bytes(1_000_000)), None, None, None))
    return itertools.repeat([calls.get(identifier, None, None, None)] * number)


def _creates(_: costly.Ask) -> Iterator[list[Call[Any]]]:
    return itertools.repeat([costly.create] * 1000)


ATTACKS: dict[str, Callable[[costly.Ask], Iterator[list[Call[Any]]]]] = {
    "Create Key Pair, RSA-8192": _pair,
    "Create Split Key, 255 of 255, GF(2^16)": _split,
    "Derive Key, PBKDF2 with 5,000,000 iterations": _derive,
    "Sign, RSA-2048": partial(_sign, 2048),
    "Sign, RSA-4096": partial(_sign, 4096),
    f"500 Locates of {OBJECTS:,} objects": _locate,
    "400 Add Attributes on one object": _add_attributes,
    "600 Gets of 1 MB": partial(_get_large, 600),
    "Get of 1 MB": partial(_get_large, 1),
    "1,000 Creates": _creates,
}
"""The messages of each attack, after what it prepares."""


def measure(folder: Path, pki: Path, progress: Callable[[str], None]) -> dict[str, Latency]:
    """The latencies of a neighbour's Gets by attack; first without one, under an empty name."""
    directory = Directory(pki)
    for name in (ATTACKER, NEIGHBOUR):
        directory.issue(name, Purpose.CLIENT, datetime.now(UTC))
    results = {}
    with servers.kmipkit(folder, pki) as server:
        neighbour = load.target(server.port, pki, NEIGHBOUR)
        get = load.prepared_get(neighbour)
        with load.connect(neighbour) as stream:
            results[""] = _latency(stream, get)
            with load.connect(load.target(server.port, pki, ATTACKER)) as preparing:
                _ask_all(preparing, [costly.create] * 1000)
                _ask_all(preparing, [costly.create] * (OBJECTS - 1000))
            for name in ATTACKS:
                progress(f"neighbour of {name} ...")
                with _attack(server.port, pki, name):
                    results[name] = _latency(stream, get)
    return results


def _latency(stream: Session, get: bytes) -> Latency:
    times = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        begun = time.perf_counter()
        stream.exchange(get)
        times.append(1000 * (time.perf_counter() - begun))
    return Latency(statistics.median(times), statistics.quantiles(times, n=100)[98])


@contextmanager
def _attack(port: int, pki: Path, name: str) -> Iterator[None]:
    """While this lasts, other processes send the messages of an attack."""
    context = multiprocessing.get_context("spawn")
    begun = context.Semaphore(0)
    attackers = [
        context.Process(target=_send_for_ever, args=(port, pki, name, begun), daemon=True)
        for _ in range(CONNECTIONS)
    ]
    for attacker in attackers:
        attacker.start()
    try:
        for _ in attackers:
            begun.acquire()
        yield
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.join()


def _send_for_ever(port: int, pki: Path, name: str, begun: Any) -> None:
    with load.connect(load.target(port, pki, ATTACKER)) as stream:
        requests = ATTACKS[name](lambda call: _ask_all(stream, [call])[0])
        prepared = next(requests)
        begun.release()
        with contextlib.suppress(LinkFailed):
            for request in itertools.chain([prepared], requests):
                stream.exchange(_encoded(request))


def _encoded(request: list[Call[Any]]) -> bytes:
    return encode(client_messages.request(V2_1, request), V2_1)


def _ask_all(stream: Session, request: list[Call[Any]]) -> list[Any]:
    response, _ = decode_response(stream.exchange(_encoded(request)))
    return client_messages.results(request, response)
