"""The machines of the drill as network namespaces, with two networks between them.

Clients reach the nodes over the front network, and nodes reach the databases over the back network, so
that a node can be cut off from either. A cut host is one whose cable is pulled at the switch: packets
vanish, and nobody is told.

The drill runs in namespaces of its own (:func:`enter`): when its first process ends, all others end, and
nothing of the networks and mounts is left.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

INSIDE = "DRILL_INSIDE"
"""Set in the environment of a drill that has namespaces of its own."""

_UNSHARE = (
    "unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"
)  # fmt: skip


class Side(StrEnum):
    """A network."""

    FRONT = "front"
    BACK = "back"


BOTH = (Side.FRONT, Side.BACK)
_PREFIX = {Side.FRONT: "10.81.0", Side.BACK: "10.82.0"}
_SWITCH = 1
"""The last number of the address that the drill itself has, as client and as manager."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine."""

    name: str
    number: int
    """The last part of its addresses."""
    sides: tuple[Side, ...] = BOTH

    def address(self, side: Side) -> str:
        """Its address in a network."""
        return f"{_PREFIX[side]}.{self.number}"


def why_impossible() -> str | None:
    """Why this process cannot have networks of its own; None if it can."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    trial = (
        "ip link add drill0 type bridge && ip link add drill1 type veth peer name drill2"
        " && ip netns add drill && mount -t tmpfs -o size=1m none /mnt"
    )
    done = subprocess.run(
        [*_UNSHARE, "sh", "-c", f"mount -t tmpfs none /run && {trial}"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return f"network namespaces cannot be made here: {said[-1] if said else done.returncode}"
    return None


def enter(arguments: Sequence[str]) -> None:
    """Run this program again in namespaces of its own, instead of this process."""
    os.environ[INSIDE] = "1"
    command = [*_UNSHARE, sys.executable, "-m", "drill", *arguments]
    sys.stdout.flush()
    os.execvp(command[0], command)


class Network:
    """Two networks, and the hosts in them."""

    def __init__(self) -> None:
        """Only in namespaces of its own."""
        _run("mount", "-t", "tmpfs", "none", "/run")  # where ip keeps the names of namespaces
        self.folder = Path("/run/drill")
        """For the files of all machines: in memory, and gone with the drill."""
        self.folder.mkdir()
        _run("ip", "link", "set", "lo", "up")
        for side in Side:
            _run("ip", "link", "add", side, "type", "bridge")
            _run("ip", "address", "add", f"{_PREFIX[side]}.{_SWITCH}/24", "dev", side)
            _run("ip", "link", "set", side, "up")

    def add(self, host: Host) -> None:
        """Connect a machine."""
        _run("ip", "netns", "add", host.name)
        inside = ("ip", "-n", host.name)
        _run(*inside, "link", "set", "lo", "up")
        for side in host.sides:
            port = _port(host, side)
            _run(
                "ip", "link", "add", port, "type", "veth", "peer", "name", side, "netns", host.name
            )
            _run("ip", "link", "set", port, "master", side, "up")
            _run(*inside, "address", "add", f"{host.address(side)}/24", "dev", side)
            _run(*inside, "link", "set", side, "up")

    def cut(self, host: Host, sides: Sequence[Side] = BOTH) -> None:
        """Pull the cables of a machine out of the switch."""
        for side in set(sides) & set(host.sides):
            _run("ip", "link", "set", _port(host, side), "nomaster")

    def mend(self, host: Host, sides: Sequence[Side] = BOTH) -> None:
        """Plug them in again."""
        for side in set(sides) & set(host.sides):
            _run("ip", "link", "set", _port(host, side), "master", side)

    def command(self, host: Host) -> list[str]:
        """What a command begins with that runs on a machine."""
        return ["ip", "netns", "exec", host.name]


class Disk:
    """A disk of a machine, of limited size."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(path))
        self.path = path
        self._ballast = path / "ballast"

    @property
    def is_full(self) -> bool:
        """Whether hardly anything can be written any longer."""
        return shutil.disk_usage(self.path).free < 1 << 20

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("wb", buffering=0) as file:
            with suppress(OSError):  # nearly all of it at once; others write meanwhile
                free = shutil.disk_usage(self.path).free
                os.posix_fallocate(file.fileno(), 0, max(1, free - (4 << 20)))
                file.seek(0, os.SEEK_END)
            for size in (1 << 20, 4096):
                block = bytes(size)
                try:
                    while True:
                        file.write(block)
                except OSError:
                    continue  # with smaller blocks

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


def _port(host: Host, side: Side) -> str:
    return f"{side}-{host.name}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
