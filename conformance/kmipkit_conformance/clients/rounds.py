"""A client that is a command: it is run once undisturbed, and once for each provocation."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kmipkit_conformance.clients.free_play import FreePlay
from kmipkit_conformance.clients.plan import Plan
from kmipkit_conformance.errors import ConformanceError

ADDRESS_VARIABLE = "KMIPKIT_SERVER"
"""The environment variable in which the command finds the tester, as HOST:PORT."""
UNDISTURBED, SUCCESS = "undisturbed", "exit status 0"
CLOSING_SECONDS = 5.0
"""How long connections may outlive the command that opened them."""
SHOWN_LINES = 10
"""Lines of the output of an undisturbed run that failed."""


def play_rounds(
    play: FreePlay,
    command: Sequence[str],
    provocations: Sequence[str],
    address: str,
    tell: Callable[[str, str, Sequence[str]], None],
) -> Iterator[tuple[str, str]]:
    """Run the command for each provocation; each run with how it ended. ``tell`` gets both, and
    the last lines of what the command printed, if it has failed undisturbed.

    ConformanceError if the command cannot be run, or fails undisturbed, or does not connect then.
    """
    for key in ("", *provocations):
        play.plan = Plan([key] if key else [], gap=0, label=key)
        seen = len(play.session.connections)
        ended, output = _run(command, address, play.timeout)
        play.end_connections(CLOSING_SECONDS)
        is_bad = not key and ended != SUCCESS
        tell(key or UNDISTURBED, ended, output.splitlines()[-SHOWN_LINES:] if is_bad else ())
        yield key or UNDISTURBED, ended
        if not key and len(play.session.connections) == seen:
            raise ConformanceError(f"the command did not connect to {address}: {ended}")
        if is_bad:
            raise ConformanceError(f"the command failed without any provocation: {ended}")
        if play.problem:
            return


def _run(command: Sequence[str], address: str, timeout: float) -> tuple[str, str]:
    """How the command ended, and what it printed."""
    with tempfile.TemporaryFile() as output:
        environment = os.environ | {ADDRESS_VARIABLE: address}
        with _process(command, environment, output.fileno()) as process:
            try:
                status = process.wait(timeout)
                ended = f"exit status {status}" if status >= 0 else f"signal {-status}"
            except subprocess.TimeoutExpired:
                ended = f"ended by the tester after {timeout:g} seconds"
        output.seek(0)
        return ended, output.read().decode("utf-8", "replace")


@contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str], output: int
) -> "Iterator[subprocess.Popen[bytes]]":
    """The command in a group of its own, of which nothing is left afterwards."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the command of the user
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ConformanceError(f"{Path(command[0])}: {error.strerror}") from None
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
