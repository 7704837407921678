"""Start and stop the servers under measurement; tests use them as peers as well."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GO_SOURCE = Path(__file__).parent / "peers" / "go"


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

    def processor_time(self) -> float:
        """Seconds that it has computed, with all of its processes, in user and system mode."""
        return sum(map(_processor_time, _with_children(self.process.pid)))


def _with_children(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield from _with_children(child)


def _processor_time(process: int) -> float:
    # What follows the name, which may have spaces (proc(5)).
    _, _, values = Path(f"/proc/{process}/stat").read_text().rpartition(") ")
    user, system = values.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def start(*arguments: str, cwd: Path = PROJECT) -> AbstractContextManager[Server]:
    """Run a Python module as a process."""
    return run(sys.executable, "-m", *arguments, cwd=cwd)


@contextmanager
def run(*command: str, cwd: Path = PROJECT) -> Iterator[Server]:
    """Run a program as a process; the first line of its output contains its port."""
    process = subprocess.Popen(
        command,
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
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield Server(int(port[1] or port[2]), process)
    finally:
        os.killpg(
            process.pid, signal.SIGKILL
        )  # before wait: until then no other process has this number
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kmipkit(
    folder: Path,
    pki: Path,
    checkout: Path = PROJECT,
    options: Sequence[str] = (),
    workers: int = 1,
) -> AbstractContextManager[Server]:
    """The kmipkit server of a checkout, with so many workers and further options."""
    files = ("--tls-cert", "server.crt"), ("--tls-key", "server.key"), ("--tls-ca", "ca.crt")
    tls = [part for option, name in files for part in (option, str(pki / name))]
    usual = ["--port", "0", "--data-dir", str(folder), "--log-level", "warning", *tls]
    if (checkout / "server/kmipkit_server/process/supervisor.py").exists():  # older ones have one
        usual += ["--workers", str(workers)]
    return start("kmipkit", "serve", *usual, *options, cwd=checkout)


def pykmip(folder: Path, pki: Path) -> AbstractContextManager[Server]:
    """PyKMIP's server."""
    return start("bench.peers.pykmip_server", str(folder), str(pki))


def echo(pki: Path) -> AbstractContextManager[Server]:
    """The transport of the kmipkit server, without anything behind it."""
    return start("bench.peers.echo_server", str(pki))


def build_go(folder: Path, progress: Callable[[str], None]) -> Path | None:
    """The program of the server on ovh/kmip-go; None, with the reason, if it cannot be built here."""
    program = folder / "server"
    command = ["go", "build", "-buildvcs=false", "-o", str(program), "."]
    progress("building the server on ovh/kmip-go ...")
    try:
        built = subprocess.run(command, cwd=GO_SOURCE, capture_output=True, text=True)
    except FileNotFoundError:
        progress("there is no Go on this machine: the table has no column for kmip-go")
        return None
    if built.returncode:
        progress(f"the table has no column for kmip-go: {built.stderr.strip()[-300:]}")
        return None
    return program


def go(program: Path, pki: Path) -> AbstractContextManager[Server]:
    """The server on ovh/kmip-go."""
    return run(str(program), str(pki))
