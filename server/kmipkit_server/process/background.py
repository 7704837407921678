"""The server in the background: a child process without a terminal, and how to stop it.

A data directory has at most one server, which locks the lock file of its database and writes its
process ID into it. So the lock shows whether a server is running, and its release that the server
has ended. No file is left behind by a crash, and nothing here waits for a time to pass.
"""

import fcntl
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kmipkit.errors import KMIPError
from kmipkit.terminal import echo

Announce = Callable[[str], None]

LOG = "server.log"
"""The log file of a server in the background, in the data directory."""

_READY, _FAILED = "+", "-"


class BackgroundError(KMIPError):
    """The server in the background cannot be started or stopped; the text says why."""


def explain(error: KMIPError | OSError) -> str:
    """An error in one line, without its number in the operating system."""
    if isinstance(error, OSError):
        prefix = f"{error.filename}: " if error.filename else ""
        return f"{prefix}{error.strerror or error}"
    return str(error)


def start(work: Callable[[Announce], None], directory: Path) -> tuple[int, str]:
    """Run ``work`` in a child process; its process ID, and the line that it announces when ready.

    Raises :class:`BackgroundError` with the child's error if it fails before that.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_serve(work, log, write_end))
    os.close(write_end)
    os.close(log)
    try:
        with open(read_end, encoding="utf-8") as pipe:
            # Until end of file: the child closes the pipe when it is ready, or by ending.
            message = pipe.read()
    except BaseException:
        # Ctrl-C must stop the child, too, but the terminal does not send it a signal.
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    if message.startswith(_READY):
        return child, message[1:]
    os.waitpid(child, 0)
    raise BackgroundError(
        message[1:] or f"the server ended while it was starting; see {directory / LOG}"
    )


def _serve(work: Callable[[Announce], None], log: int, write_end: int) -> int:
    """Run the child process; its exit status."""
    _detach(log, write_end)
    with open(write_end, "w", encoding="utf-8") as pipe:

        def announce(line: str) -> None:
            pipe.write(_READY + line)
            pipe.close()

        try:
            work(announce)
        except (KMIPError, OSError) as error:
            echo(explain(error), err=True)  # standard error is the log
            if not pipe.closed:
                pipe.write(_FAILED + explain(error))
            return 1
        except BaseException:
            # The child must not return into the caller's code, of which it is a copy. Whatever
            # ends it goes to the log.
            traceback.print_exc()
            return 1
    return 0


def _detach(log: int, write_end: int) -> None:
    """Leave the terminal, and close all files of the caller, who may wait for their end of file."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream, replacement in ((0, null), (1, null), (2, log)):
        os.dup2(replacement, stream)
    os.closerange(3, write_end)
    os.closerange(write_end + 1, os.sysconf("SC_OPEN_MAX"))


def stop(lock: Path) -> int:
    """Ask the server that holds a lock to stop, and wait until it has ended; its process ID.

    Raises :class:`BackgroundError` if no server is running.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BackgroundError(f"no server is running on {lock.parent}") from None
    try:
        process = _holder(descriptor)
        if process is None:
            raise BackgroundError(f"no server is running on {lock.parent}")
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(process, signal.SIGTERM)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits until the server has ended
    except PermissionError:
        raise BackgroundError(f"the server on {lock.parent} belongs to another user") from None
    else:
        return process
    finally:
        os.close(descriptor)


def _holder(lock: int) -> int | None:
    """The ID of the process that holds a lock; None if no process does."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            process_id = os.pread(lock, 20, 0).strip()
            if process_id:  # otherwise it has just got the lock, and is about to write its ID
                return int(process_id)
        else:
            return None
