"""Start and stop the servers under measurement."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    process: "subprocess.Popen[str]"

    def memory(self) -> float:
        """Resident memory, in megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else float("nan")


@contextmanager
def start(*arguments: str) -> Iterator[Server]:
    """Run a Python module as a process; the first line of its output contains its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = re.search(r"^ready (\d+)|listening on \S+:(\d+)", line)
        if port is None:
            raise RuntimeError(f"{' '.join(arguments)} did not start")
        yield Server(int(port[1] or port[2]), process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kmipkit(folder: Path, pki: Path) -> "Iterator[Server]":
    """The server of kmipkit."""
    files = ("--tls-cert", "server.crt"), ("--tls-key", "server.key"), ("--tls-ca", "ca.crt")
    tls = [part for option, name in files for part in (option, str(pki / name))]
    return start(
        "kmipkit", "serve", "--port", "0", "--data-dir", str(folder), "--log-level", "warning", *tls
    )  # type: ignore[return-value]  # a context manager


def pykmip(folder: Path, pki: Path) -> "Iterator[Server]":
    """PyKMIP's server."""
    return start("bench.peers.pykmip_server", str(folder), str(pki))  # type: ignore[return-value]


def echo(pki: Path) -> "Iterator[Server]":
    """The transport of kmipkit without a server behind it."""
    return start("bench.peers.echo_server", str(pki))  # type: ignore[return-value]
