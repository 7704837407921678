"""``kmipkit serve --detach`` and ``--stop``: who calls them is told how it went, and returns."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kmipkit_client import Client
from servers import ANSWER_TIMEOUT

Serve = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Runs the command; what it leaves in the background on ``kms`` is stopped at the end."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        # capture_output waits until nobody holds the pipes: as $(...) and the steps of a CI do.
        return subprocess.run(
            [sys.executable, "-m", "kmipkit", "serve", "--data-dir", "kms", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=ANSWER_TIMEOUT,
        )

    yield run
    run("--stop")


def port_and_process(output: str) -> tuple[int, int]:
    found = re.fullmatch(
        r"ready: listening on 127\.0\.0\.1:(\d+), .*\nprocess (\d+), log kms/server\.log\n", output
    )
    assert found, output
    return int(found[1]), int(found[2])


def test_it_returns_when_the_server_is_ready(serve: Serve, tmp_path: Path) -> None:
    started = serve("--port", "0", "--detach")
    assert (started.returncode, started.stderr) == (0, "")
    port, process = port_and_process(started.stdout)
    certs = tmp_path / "kms" / "certs"
    files = {"ca": certs / "ca.crt", "cert": certs / "admin.crt", "key": certs / "admin.key"}
    with Client(port=port, **files) as client:
        assert client.create()
    assert os.getsid(process) == process, "Ctrl-C in the terminal of the caller does not reach it"
    for number in range(3):
        target = os.readlink(f"/proc/{process}/fd/{number}")
        assert target == ("/dev/null" if number < 2 else str(tmp_path / "kms" / "server.log"))

    stopped = serve("--stop")
    assert stopped.stdout == f"stopped: process {process}\n"
    assert not Path(f"/proc/{process}/fd/0").exists()
    log = tmp_path / "kms" / "server.log"
    assert log.read_text().splitlines()[-1].endswith("stopped")
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_second_start_says_what_is_in_use(serve: Serve, tmp_path: Path) -> None:
    port, process = port_and_process(serve("--port", "0", "--detach").stdout)
    again = serve("--port", "0", "--detach")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"kms is in use by another server (process {process})" in again.stderr
    other = serve("--port", str(port), "--data-dir", "other", "--detach")
    assert (other.returncode, other.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in other.stderr
    assert serve("--data-dir", "other", "--stop").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tls-cert", "a", "--tls-key", "b", "--tls-ca", "c"), "a: No such file or directory"),
        (("--host", "host.invalid"), "Name or service not known"),
        (("--data-dir", "/dev/null/x"), "/dev/null/x: Not a directory"),
    ],
)
def test_the_caller_gets_the_reason_of_a_failure(
    serve: Serve, arguments: tuple[str, ...], words: str
) -> None:
    failed = serve("--detach", "--port", "0", *arguments)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_stop_where_nothing_runs(serve: Serve) -> None:
    stopped = serve("--stop")
    assert stopped.returncode == 1
    assert "no server is running on kms" in stopped.stderr


def test_stop_after_a_crash(serve: Serve) -> None:
    """The number of the process is still in the lock file, but nobody holds the lock."""
    _, process = port_and_process(serve("--port", "0", "--detach").stdout)
    with open(os.pidfd_open(process)) as ended:
        os.kill(process, signal.SIGKILL)
        wait_readable(ended.fileno())
    stopped = serve("--stop")
    assert stopped.returncode == 1
    assert "no server is running on kms" in stopped.stderr
    assert serve("--port", "0", "--detach").returncode == 0


def wait_readable(descriptor: int) -> None:
    """A process' descriptor is readable when the process has ended."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(ANSWER_TIMEOUT * 1000)


def test_a_server_in_the_foreground_can_be_stopped_as_well(serve: Serve, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kmipkit", "serve", "--data-dir", "kms", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("ready")
        assert serve("--stop").stdout == f"stopped: process {server.pid}\n"
    assert server.returncode == 0
