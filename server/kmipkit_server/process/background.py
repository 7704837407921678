"""The server in the background: a child process without terminal, and how to stop it.

A data directory has at most one server, which holds the lock file of its database and writes its
process number into it. So the lock tells whether a server runs, and its release that it has ended:
there is no file that outlives a crash, and nothing here asks a clock.
"""

import fcntl
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kmipkit.errors import KMIPError

Announce = Callable[[str], None]

LOG = "server.log"
"""In the data directory: where a server in the background logs."""

_READY, _FAILED = "+", "-"


class BackgroundError(KMIPError):
    """A server in the background cannot be started or stopped; the text says why."""


def explain(error: KMIPError | OSError) -> str:
    """An error in one line, without the number that the operating system gives it."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def start(work: Callable[[Announce], None], directory: Path) -> tuple[int, str]:
    """Run ``work`` in a child process; its number, and the line with which it says it is ready.

    Raises :class:`BackgroundError` with what the child says if it fails before that.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_serve(work, log, sending))
    os.close(sending)
    os.close(log)
    try:
        with open(receiving, encoding="utf-8") as pipe:
            said = pipe.read()  # to its end, which the child closes when it is ready, or by ending
    except BaseException:  # Ctrl-C is for the child as well, which no terminal can reach
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    if said.startswith(_READY):
        return child, said[1:]
    os.waitpid(child, 0)
    raise BackgroundError(said[1:] or f"the server ended at its start; see {directory / LOG}")


def _serve(work: Callable[[Announce], None], log: int, sending: int) -> int:
    """What the child does; its exit status."""
    _leave(log, sending)
    with open(sending, "w", encoding="utf-8") as pipe:

        def announce(line: str) -> None:
            pipe.write(_READY + line)
            pipe.close()

        try:
            work(announce)
        except (KMIPError, OSError) as error:
            print(explain(error), file=sys.stderr)  # noqa: T201 - standard error is the log
            if not pipe.closed:
                pipe.write(_FAILED + explain(error))
            return 1
        except BaseException:
            traceback.print_exc()
            return 1
    return 0


def _leave(log: int, sending: int) -> None:
    """Leave the terminal and every file of the caller, who may wait until nobody has them open."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard, instead in ((0, nothing), (1, nothing), (2, log)):
        os.dup2(instead, standard)
    os.closerange(3, sending)
    os.closerange(sending + 1, os.sysconf("SC_OPEN_MAX"))


def stop(lock: Path) -> int:
    """Ask the server that holds a lock to stop, and wait until it has; its process number.

    Raises :class:`BackgroundError` where no server runs.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BackgroundError(f"no server runs on {lock.parent}") from None
    try:
        process = _holder(descriptor)
        if process is None:
            raise BackgroundError(f"no server runs on {lock.parent}")
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(process, signal.SIGTERM)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # which is given when the server has ended
    except PermissionError:
        raise BackgroundError(f"the server on {lock.parent} belongs to another user") from None
    else:
        return process
    finally:
        os.close(descriptor)


def _holder(lock: int) -> int | None:
    """The process that holds a lock; None if nobody does."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            number = os.pread(lock, 20, 0).strip()
            if number:  # else it has the lock just now, and writes its number next
                return int(number)
        else:
            return None
