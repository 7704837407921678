"""Child processes: which signals they get, and that they end with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from kmipkit_server.process.child import HELD, Child

SECONDS = 60
"""How long a process may take to end, on however busy a machine."""
IMPORTING = """
import os, sys
os.write(int(sys.argv[1]), b"!")
os.read(int(sys.argv[2]), 1)
sys.exit(7)
"""
COMPUTING = """
import os, sys, time
import trio
from kmipkit_server.engine.computing import Task
from kmipkit_server.engine.workers import open_workers

async def compute():
    async with open_workers() as workers:
        print((await workers.run(Task(os.getpid, ()))).result, flush=True)
        await workers.run(Task(time.sleep, (3600,)))

if __name__ == "__main__":
    trio.run(compute)
"""
FORBIDDING = """
import os

def nice(increment):
    raise PermissionError(1, "Operation not permitted")

os.nice = nice
"""


def test_a_new_process_gets_no_signal_before_it_asks_for_it() -> None:
    """Ctrl-C goes to all processes of a terminal, also to those that still load their modules."""

    async def run() -> None:
        (begun, tell), (wait, go_on) = os.pipe(), os.pipe()
        command = [sys.executable, "-c", IMPORTING, str(tell), str(wait)]
        child = Child(command, (tell, wait), os.environ)
        os.read(begun, 1)
        for number in HELD:
            os.kill(child.pid, number)
        os.write(go_on, b"!")
        assert await child.wait() == child.returncode == 7
        child.kill()  # has no effect
        for each in (begun, tell, wait, go_on):
            os.close(each)

    trio.run(run)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & HELD, "this process gets them"


def test_a_child_that_cannot_be_started_leaves_nothing_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No such file"):
        Child(["/nowhere/at/all"], (), os.environ)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not end such a process")
def test_a_computation_ends_with_the_server(tmp_path: Path) -> None:
    """Nobody waits for its result, and nobody is left to end it when its time is over."""
    script = tmp_path / "computing.py"
    script.write_text(COMPUTING)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        computing = int(server.stdout.readline())
        server.kill()
        wait_until(lambda: not is_running(computing))


def test_a_computation_needs_no_right_to_change_its_priority(tmp_path: Path) -> None:
    """A unit of systemd may forbid that (SystemCallFilter=~@resources): then each computation failed."""
    (tmp_path / "sitecustomize.py").write_text(FORBIDDING)
    script = tmp_path / "computing.py"
    script.write_text(COMPUTING.replace("(time.sleep, (3600,))", '(len, ("four",))'))
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0
    assert done.stdout.strip().isdigit(), done.stderr


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
