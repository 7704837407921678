"""Clients work while workers are killed, hang and are replaced: what they see is one server.

Each client has several connections, which are at different workers, and takes another one for each
request. A loss: a key that is given out after its Destroy was acknowledged, a change that another worker
does not know, a counter that goes back, an audit log with a gap.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from kmipkit_client import Client, OperationFailed
from monitoring import families, fetch
from prometheus_client.samples import Sample
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.errors import KMIPError

pytestmark = pytest.mark.long

WORKERS = 3
CLIENTS = 4
KILLS = 12
SETTINGS = """
[server]
answer_timeout = 4.0
[metrics]
listen = "127.0.0.1:0"
"""


class Watched:
    """A server, what clients do to it, and what is wrong with that."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.url = server.ready.partition("metrics ")[2].strip()
        self.problems: list[str] = []
        self.rounds = 0
        self.is_over = threading.Event()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Clients and a monitoring work meanwhile."""
        work = [self._client] * CLIENTS + [self._monitoring]
        threads = [threading.Thread(target=each) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join(ANSWER_TIMEOUT)

    def _client(self) -> None:
        chosen = random.Random()
        while not self.is_over.is_set():
            with ExitStack() as cleanup, suppress(KMIPError):
                clients = [cleanup.enter_context(self.server.client()) for _ in range(WORKERS)]
                while not self.is_over.is_set():
                    self._round(clients, chosen)
                    self.rounds += 1

    def _round(self, clients: list[Client], chosen: random.Random) -> None:
        """The life of a key. KMIPError if a worker has ended; what it has done then is unknown."""
        try:
            key = chosen.choice(clients).create()
            chosen.choice(clients).get(key)
            chosen.choice(clients).activate(key)
            chosen.choice(clients).revoke(key)
            chosen.choice(clients).destroy(key)
        except OperationFailed as error:
            self.problems.append(str(error))
            return
        for client in clients:
            with suppress(OperationFailed):
                client.get(key)
                self.problems.append(f"{key} was given out after it was destroyed")

    def _monitoring(self) -> None:
        last: dict[str, float] = {}
        while not self.is_over.is_set():
            with suppress(OSError):  # the worker that was asked has ended
                for family in families(fetch(self.url)).values():
                    if family.type in ("counter", "histogram"):
                        self._compare(family.samples, last)

    def _compare(self, samples: Iterable[Sample], last: dict[str, float]) -> None:
        for sample in samples:
            series, number = f"{sample.name}{sorted(sample.labels.items())}", sample.value
            if not sample.name.endswith("_created") and number < last.get(series, 0.0):
                self.problems.append(f"{series} was {last[series]}, and is {number}")
            last[series] = number


def end(process: int, how: str) -> None:
    """What may happen to a worker."""
    number = signal.Signals[f"SIG{how}"]
    with suppress(ProcessLookupError):  # it is about to be replaced already
        os.kill(process, number)
        if number is signal.SIGSTOP:
            time.sleep(6)  # until it is killed
            os.kill(process, signal.SIGCONT)


def test_many_workers_are_one_server_whatever_becomes_of_them(own_server: RunningServer) -> None:
    config = own_server.folder.with_name("kmipkit.toml")
    config.write_text(SETTINGS)
    own_server.arguments = ("--workers", str(WORKERS), "--config", str(config))
    watched = Watched(own_server.start())
    assert own_server.process is not None
    chosen = random.Random()
    with watched.busy():
        for kill in range(KILLS):
            workers = [each for each in own_server.processes if each != own_server.process.pid]
            if workers:  # otherwise all of them are being replaced
                end(chosen.choice(workers), ("KILL", "SEGV", "TERM", "STOP")[kill % 4])
            own_server.signal(signal.SIGHUP)
            time.sleep(chosen.uniform(0.1, 3))
    assert not watched.problems
    assert watched.rounds
    assert own_server.stop() == 0
    assert not [line for line in own_server.lines() if "Traceback" in line or "internal" in line]
    command = ["-m", "kmipkit", "admin", "audit", "verify", "--data-dir", str(own_server.folder)]
    verified = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
