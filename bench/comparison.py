"""The same requests to several servers, which run at the same time and are measured in turn."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from kmipkit_client import GCM, calls
from kmipkit_client import messages as client_messages
from kmipkit_load.driver import Reuse
from kmipkit_load.target import Target

from bench import load, messages, servers
from bench.rows import Row, at_least
from kmipkit.model.codec import encode
from kmipkit.spec.versions import V1_4

SECONDS = 1.5
ROUNDS = 4
"""Rounds of each measurement, in which the servers alternate; the best round counts."""

ECHO, PYKMIP, GO, KMIPKIT = "TLS echo", "PyKMIP", "kmip-go", "kmipkit"
UNRECORDED = "kmipkit without its audit log"
ENCRYPTED_BYTES = 1024

Rates = Mapping[str, Mapping[str, float]]
"""Requests or connections per second, by measurement and server."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server, with requests that it accepts."""

    target: Target
    get: bytes
    encrypts: tuple[bytes, ...] = ()
    """Each with other data."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured, and at which servers."""

    name: str
    title: str
    servers: tuple[str, ...]
    rate: Callable[[Running, str], float]
    """The second argument is a part of the names of new objects."""


def _get(server: Running, _: str) -> float:
    return load.rate(server.target, itertools.repeat(server.get), 8, SECONDS)


def _create(server: Running, prefix: str) -> float:
    # Longer, since a response of PyKMIP takes a third of a second with so many connections.
    return load.rate(server.target, messages.creates(prefix), 64, 2 * SECONDS, warm_up=1.0)


def _encrypt(server: Running, _: str) -> float:
    return load.rate(server.target, itertools.cycle(server.encrypts), 8, SECONDS)


def _cold(server: Running, _: str) -> float:
    return load.connection_rate(server.target, server.get, SECONDS, Reuse.COLD)


def _resumed(server: Running, _: str) -> float:
    return load.connection_rate(server.target, server.get, SECONDS, Reuse.RESUMED)


_PEERS = (PYKMIP, GO, KMIPKIT)

MEASUREMENTS = (
    Measurement("get", "Get, 8 connections", (ECHO, *_PEERS, UNRECORDED), _get),
    Measurement("create", "Create, 64 connections", _PEERS, _create),
    Measurement("encrypt", "Encrypt, AES-GCM, 1 KiB, 8 connections", (KMIPKIT,), _encrypt),
    Measurement("cold", "Cold connection with one Get", _PEERS, _cold),
    Measurement("resumed", "Resumed connection with one Get", _PEERS, _resumed),
)


def compare(
    folder: Path, pki: Path, progress: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """The best rates of all servers; without kmip-go if Go or its modules are not there."""
    best: dict[str, dict[str, float]] = {entry.name: {} for entry in MEASUREMENTS}
    with ExitStack() as stack:
        running = _start(stack, folder, pki, progress)
        for number, entry in itertools.product(range(ROUNDS), MEASUREMENTS):
            progress(f"{entry.title}, round {number + 1} of {ROUNDS} ...")
            for name in entry.servers:
                if name in running:
                    rate = entry.rate(running[name], f"{number}-")
                    best[entry.name][name] = max(rate, best[entry.name].get(name, 0.0))
    return best


def _start(
    stack: ExitStack, folder: Path, pki: Path, progress: Callable[[str], None]
) -> dict[str, Running]:
    no_audit = folder / "no-audit.toml"
    no_audit.write_text("[audit]\nenabled = false\n")
    options = ("--config", str(no_audit))
    contexts = {
        PYKMIP: servers.pykmip(folder / "pykmip", pki),
        KMIPKIT: servers.kmipkit(folder / "kmipkit", pki),
        UNRECORDED: servers.kmipkit(folder / "unrecorded", pki, options=options),
    }
    program = servers.build_go(folder / "go", progress)
    if program is not None:
        contexts[GO] = servers.go(program, pki)
    running = {}
    for name, context in contexts.items():
        target = load.target(stack.enter_context(context).port, pki)
        running[name] = Running(target, load.prepared_get(target))
    running[KMIPKIT] = _with_encrypt(running[KMIPKIT])
    echo = load.target(stack.enter_context(servers.echo(pki)).port, pki)
    running[ECHO] = Running(echo, running[KMIPKIT].get)
    return running


def _with_encrypt(server: Running) -> Running:
    """With an Encrypt of a new active key, in KMIP 1.4, the first version with Random IV."""
    with load.connect(server.target) as session:
        key = messages.check_success(session.exchange(messages.create()))
        messages.check_success(session.exchange(messages.of(calls.activate(key))))
    encrypts = (calls.encrypt(key, bytes([number]) * ENCRYPTED_BYTES, GCM) for number in range(256))
    encoded = (encode(client_messages.request(V1_4, [call]), V1_4) for call in encrypts)
    return Running(server.target, server.get, tuple(encoded))


def rows(rates: Rates) -> Iterator[Row]:
    """The lines with goals."""
    get = rates["get"]
    ours = get[KMIPKIT]
    yield at_least("Get, 8 connections, to PyKMIP", get[PYKMIP], ours, 25)
    yield at_least("Get, 8 connections, to the TLS echo", get[ECHO], ours, 0.3)
    yield at_least("Get with the audit log, to without", get[UNRECORDED], ours, 0.8)
    yield at_least("Encrypt, 1 KiB, to the TLS echo", get[ECHO], rates["encrypt"][KMIPKIT], 0.28)
    for name, title, goal in (
        ("create", "Create, durable, 64 connections", 15),
        ("cold", "Cold connection with one Get", 3),
    ):
        yield at_least(title, rates[name][PYKMIP], rates[name][KMIPKIT], goal)
    yield at_least(
        "Resumed connection with one Get, to a cold one of PyKMIP",
        rates["cold"][PYKMIP],
        rates["resumed"][KMIPKIT],
        5,
    )
