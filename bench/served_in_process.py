"""A whole server in this process, with streams in memory in the place of TLS.

``python -m bench.served_in_process FOLDER MARKS`` sends the requests of :mod:`bench.instructions`
under Callgrind; ``MARKS`` is the library of ``callgrind_marks.c``. Everything between the bytes that
TLS has deciphered and those that it enciphers is that of the real server: listener, audit log, store.
"""

import ctypes
import gc
import itertools
import random
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import trio
import trio.testing
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_client import calls
from kmipkit_server.config import Config
from kmipkit_server.config.effective import ADMIN
from kmipkit_server.config.sections import ListenConfig, StoreConfig
from kmipkit_server.config.sources import Settings
from kmipkit_server.engine.workers import open_workers
from kmipkit_server.fairness.shared_loop import SharedLoop, share
from kmipkit_server.net.connection import REQUEST, Connection
from kmipkit_server.net.conversation import Conversation
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.transport import TLSStream
from kmipkit_server.running.parts import open_parts
from kmipkit_server.running.process import GARBAGE_THRESHOLD
from kmipkit_server.service.tls_files import CERTIFICATES

from bench import messages
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import BlockCipherMode

REQUESTS = 40
"""Requests of the first count; the second one has twice as many."""
WARM_UP = 80
"""Requests before them, after which Python has specialized its code, and caches are full."""
CONNECTIONS = 20
"""Connections of a measurement that writes, so that some requests share a commit."""
OBJECTS = 500
"""Objects beside the one that is read."""


@dataclass(slots=True, eq=False)
class MemoryStream:
    """The server's end of a connection whose client has sent all of its requests in advance."""

    certificate: bytes
    requests: Iterator[bytes]
    responses: list[bytes] = field(default_factory=list)

    async def do_handshake(self) -> None:
        """Nothing: the client is who it says."""

    def peer_certificate(self) -> bytes:
        """The client's certificate."""
        return self.certificate

    is_resumed = False

    def peer_chain(self) -> tuple[bytes, ...]:
        """The certificate of the client, and no others."""
        return (self.peer_certificate(),)

    def description(self) -> str:
        """For the log."""
        return "memory"

    async def receive_some(self) -> bytes:
        """The next request; no bytes after the last one."""
        return next(self.requests, b"")

    def send_now(self, data: bytes) -> bytes:
        """Keep a response."""
        self.responses.append(data)
        return b""


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to the listener of a server in this process."""

    listener: Listener
    certificate: bytes

    async def send(self, *requests: bytes) -> list[bytes]:
        """The responses to requests on one connection."""
        stream = MemoryStream(self.certificate, iter(requests))
        now = trio.current_time()
        connection = Connection(
            trio.CancelScope(), "192.0.2.1", 5696, "192.0.2.1:5696", {}, now, REQUEST, -1, now
        )
        await Conversation(self.listener, cast("TLSStream", stream), connection).serve()
        self.listener.occupancy.leave(connection)
        return stream.responses

    async def send_on_many(self, requests: list[bytes], connections: int) -> None:
        """Send requests on several connections at the same time."""
        async with trio.open_nursery() as nursery:
            for number in range(connections):
                nursery.start_soon(self.send, *requests[number::connections])


def even_clock() -> Callable[[], datetime]:
    """A clock that shows a little more each time: under Callgrind, and on a busy machine, each second of
    another clock would have fewer requests, which share what is done once in a second."""
    times = itertools.count()
    begin = datetime.now(UTC)
    return lambda: begin + timedelta(microseconds=100 * next(times))


@asynccontextmanager
async def client_of_server(folder: Path) -> AsyncIterator[Client]:
    """A client of a new server with its audit log, in ``folder``."""
    config = Config(listen=ListenConfig(port=0), store=StoreConfig(directory=folder))
    with ExitStack() as cleanup:
        async with open_workers() as workers, trio.open_nursery() as nursery:
            parts = await open_parts(
                config, even_clock(), NO_PASSWORD, workers, lambda: Settings(config), cleanup
            )
            monitored = parts.monitored
            assert monitored.audit is not None
            await nursery.start(monitored.store.serve)
            await nursery.start(monitored.audit.run, monitored.store)
            pem = (folder / CERTIFICATES / f"{ADMIN}.crt").read_text()
            yield Client(monitored.listener, ssl.PEM_cert_to_DER_cert(pem))
            nursery.cancel_scope.cancel()


Requests = Callable[[int], list[bytes]]
"""So many requests of one kind."""


async def requests(client: Client) -> dict[str, tuple[Requests, int]]:
    """The requests of each measurement and its number of connections, after what they need."""
    numbers = itertools.count()

    def creates(count: int) -> list[bytes]:
        return [messages.create(f"name-{next(numbers)}") for _ in range(count)]

    await client.send_on_many(creates(OBJECTS), CONNECTIONS)
    [answer] = await client.send(messages.create("the key"))
    key = messages.check_success(answer)
    gcm = CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=16)
    encrypts = [
        messages.of(calls.encrypt(key, bytes([number]) * 1024, gcm, bytes([number]) * 12, None))
        for number in range(CONNECTIONS)
    ]
    await client.send(messages.of(calls.activate(key)))
    attributes = messages.of(calls.get_attributes(key, ()))
    return {
        "Get": (lambda count: [messages.get(key)] * count, 1),
        "Get Attributes": (lambda count: [attributes] * count, 1),
        "Locate by name": (lambda count: [messages.locate("the key")] * count, 1),
        "Encrypt AES-GCM, 1 KiB": (
            lambda count: list(itertools.islice(itertools.cycle(encrypts), count)),
            1,
        ),
        "Create": (creates, CONNECTIONS),
    }


async def measure(folder: Path, marks: Any) -> None:
    """Send the requests of each measurement, counted once and then with twice as many."""
    # Under Callgrind, a request takes a hundred times as long. The server must not take it for one that
    # takes long.
    share(SharedLoop(itertools.repeat(0.0).__next__))
    async with client_of_server(folder) as client:
        for name, (make, connections) in (await requests(client)).items():
            for answer in await client.send(*make(WARM_UP)):
                messages.check_success(answer)
            gc.collect()
            marks.start()
            # Callgrind counts the functions in progress at the start in a way of its own, so that
            # the first count is not used.
            for count in (CONNECTIONS, REQUESTS, 2 * REQUESTS):
                await client.send_on_many(make(count), connections)
                marks.dump(f"{name}: {count}".encode())


if __name__ == "__main__":
    trio._core._run._r = random.Random(0)  # tasks in the same order in each run
    gc.set_threshold(GARBAGE_THRESHOLD)
    # What is done now and then is not a part of a request: with this clock, it is never due.
    trio.run(measure, Path(sys.argv[1]), ctypes.CDLL(sys.argv[2]), clock=trio.testing.MockClock())
