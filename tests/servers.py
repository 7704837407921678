"""Key servers as child processes, and raw TLS connections to them, for tests from outside."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forked import ForkedCommand
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_client import Client, calls
from kmipkit_server.audit.logs import logs_in, search
from kmipkit_server.audit.query import Filter, Match

from drill.programs import kill_whole
from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.create import CreateKeyPairRequest
from kmipkit.spec.enums import CryptographicAlgorithm, Operation
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag

ANSWER_TIMEOUT = 300.0
"""Seconds until a test counts as hanging. The machine may be busy."""


@dataclass
class RunningServer:
    """``kmipkit serve`` in a process of its own, which is forked from one that has imported it."""

    folder: Path
    arguments: Sequence[str] = ()
    port: int = 0
    process: ForkedCommand | None = None
    ready: str = ""
    source: str = "127.0.0.1"
    """The address from which it is connected to. The server counts log lines by address: a test that
    looks for a line takes an address of its own."""
    exit_code: int = 0
    """The exit code of a start that failed."""

    def start(self) -> "RunningServer":
        command = ["serve", "--data-dir", str(self.folder), "--port", str(self.port)]
        self.process = ForkedCommand([*command, *self.arguments], self.log)
        self.ready = self.process.stdout.readline()
        match = re.search(r"listening on \S+:(\d+),", self.ready)
        if match is None:
            self.exit_code = self.reap()
            raise AssertionError(self.log.read_text())
        self.port = int(match[1])
        return self

    @property
    def log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def pki(self) -> Directory:
        return Directory(self.folder / "certs")

    @property
    def processes(self) -> list[int]:
        """The processes that serve clients: its workers, or itself."""
        assert self.process is not None
        command = ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        workers = [int(line.split()[0]) for line in lines if "kmipkit_server.process" in line]
        return workers or [self.process.pid]

    def records(self, conditions: Filter) -> list[Match]:
        """The records of its audit log that meet these conditions."""
        return search(logs_in(self.folder / "audit"), conditions)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing that its processes do happens meanwhile."""
        assert self.process is not None
        numbers = {self.process.pid, *self.processes}
        try:
            for number in numbers:
                os.kill(number, signal.SIGSTOP)
            while not all(map(_is_stopped, numbers)):
                os.sched_yield()
            yield
        finally:
            for number in numbers:
                os.kill(number, signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.reap()

    def cut_power(self) -> None:
        """End it and its workers at the same moment: none of them goes on for a while."""
        assert self.process is not None
        kill_whole(self.process.pid)
        self.reap()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.reap()

    def end(self) -> None:
        """Stop it if it is running; kill it if it does not stop."""
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def reap(self) -> int:
        """Wait for its end; its exit code."""
        assert self.process is not None
        code = self.process.wait(ANSWER_TIMEOUT)
        self.process.stdout.close()
        self.process = None
        return code

    def credentials(self, identity: str = "admin") -> dict[str, Path]:
        """The files of a client of this name, with a new certificate if it has none."""
        files = self.pki.files(identity)
        if not files.cert.exists():
            self.pki.issue(identity, Purpose.CLIENT, datetime.now(UTC))
        return {"ca": self.pki.ca, "cert": files.cert, "key": files.key}

    def client(self, identity: str = "admin", **options: Any) -> Client:
        return Client(port=self.port, **self.credentials(identity), **options)

    def context(self, identity: str | None = "admin") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.pki.ca)
        if identity is not None:
            files = self.credentials(identity)
            context.load_cert_chain(files["cert"], files["key"])
        return context

    def connect(self) -> socket.socket:
        """A connection before TLS, from the address :attr:`source`."""
        return socket.create_connection(
            ("127.0.0.1", self.port), ANSWER_TIMEOUT, source_address=(self.source, 0)
        )

    @contextmanager
    def raw(self, identity: str = "admin") -> Iterator[ssl.SSLSocket]:
        """A TLS connection after its handshake."""
        plain = self.connect()
        with self.context(identity).wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            yield stream

    def lines(self) -> list[str]:
        """The lines of its log so far."""
        return self.log.read_text().splitlines()

    def wait_for_line(self, text: str, after: int = 0, count: int = 1) -> list[str]:
        """Wait until its log has so many lines with this text. ``after``: without so many lines at the
        beginning of the log. Its lines after these, at that time.

        Whoever waits for the effect of a signal waits for its line: an answer can come before the server
        sees the signal.
        """
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while sum(text in line for line in self.lines()[after:]) < count:
            assert time.monotonic() < deadline, self.lines()[after:]
            time.sleep(0.01)
        return self.lines()[after:]


def _is_stopped(number: int) -> bool:
    """Whether the kernel runs no thread of a process any longer."""
    return all(
        path.read_text().rpartition(")")[2].split()[0] == "T"
        for path in Path(f"/proc/{number}/task").glob("*/stat")
    )


def read_message(stream: ssl.SSLSocket) -> bytes:
    """One whole message, or a part of it if the server closes before."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "big"):
        more = stream.recv(65536)
        if not more:
            break
        data += more
    return data


def exchange(stream: ssl.SSLSocket, request: bytes) -> bytes:
    """Send a message and read the response."""
    stream.sendall(request)
    return read_message(stream)


def wait_until_read(stream: ssl.SSLSocket) -> None:
    """Wait until the server has read all that was sent: nothing is on its way, or left in its queue."""
    [mine, theirs] = [
        f"0100007F:{port:04X}" for port in (stream.getsockname()[1], stream.getpeername()[1])
    ]
    is_read = False
    while not is_read:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        [sent] = [row[4].partition(":")[0] for row in rows if row[1:3] == [mine, theirs]]
        [received] = [row[4].partition(":")[2] for row in rows if row[1:3] == [theirs, mine]]
        is_read = int(sent, 16) == int(received, 16) == 0


def pair_request(bits: int) -> calls.Call[Any]:
    """A Create Key Pair of RSA keys, which takes long."""
    pair = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.RSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, bits),
        ),
        private_key_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.SIGN)
        ),
        public_key_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.VERIFY)
        ),
    )
    return calls.raw(Operation.CREATE_KEY_PAIR, pair)
