"""Start and stop the servers under measurement; tests use them as peers as well."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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
        size = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(size[1]) / 1024 if size else float("nan")


@contextmanager
def start(*arguments: str, cwd: Path = PROJECT) -> Iterator[Server]:
    """Run a Python module as a process; the first line of its output contains its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # its own process group: PyKMIP's server starts more processes
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = re.search(r"^ready (\d+)|listening on \S+:(\d+)", line)
        if port is None:
            raise RuntimeError(f"{' '.join(arguments)} did not start")
        yield Server(int(port[1] or port[2]), process)
    finally:
        os.killpg(
            process.pid, signal.SIGKILL
        )  # before wait: until then no other process has this number
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kmipkit(
    folder: Path, pki: Path, checkout: Path = PROJECT, options: Sequence[str] = ()
) -> AbstractContextManager[Server]:
    """The kmipkit server of a checkout, with further options."""
    files = ("--tls-cert", "server.crt"), ("--tls-key", "server.key"), ("--tls-ca", "ca.crt")
    tls = [part for option, name in files for part in (option, str(pki / name))]
    usual = ["--port", "0", "--data-dir", str(folder), "--log-level", "warning", *tls]
    return start("kmipkit", "serve", *usual, *options, cwd=checkout)


def pykmip(folder: Path, pki: Path) -> AbstractContextManager[Server]:
    """PyKMIP's server."""
    return start("bench.peers.pykmip_server", str(folder), str(pki))


def echo(pki: Path) -> AbstractContextManager[Server]:
    """The transport of the kmipkit server, without anything behind it."""
    return start("bench.peers.echo_server", str(pki))
