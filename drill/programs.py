"""Programs that the drill and the tests start: where PostgreSQL's are, who runs them, how they end."""

import os
import pwd
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def postgresql() -> Path | None:
    """The directory with the programs of a server of PostgreSQL; None if there is none."""
    found = [Path(path).resolve() for name in ("postgres",) if (path := shutil.which(name))]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    return next((path.parent for path in found if (path.parent / "initdb").exists()), None)


def database_user() -> pwd.struct_passwd | None:
    """The user that runs a database, which refuses root; None for the one that runs this program."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL refuses root, and there is no user to run it")


def kill_whole(pid: int) -> None:
    """End a process and all that it has started, at once, as a loss of power does."""
    processes = [pid, *_descendants(pid)]
    for each in processes:  # first, so that none of them can act on the end of another
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGSTOP)
    for each in dict.fromkeys([*processes, *_descendants(pid)]):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def limit_files(pid: int, size: int) -> None:
    """Let a process and all that it has started write no file beyond a size; -1 for any."""
    for each in (pid, *_descendants(pid)):
        with suppress(ProcessLookupError):
            resource.prlimit(each, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            # The name of the program, in parentheses, may have spaces in it.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    yield from found[1:]
