"""``system_calls.py UNIT COMMAND...`` runs a program with what a unit of systemd permits to it."""

import ctypes
import os
import re
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
"""The names of system calls with their numbers, of the one machine that is supported here."""

_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL_WITH_EPERM = 0x7FFF0000, 0x00050001


@cache
def group(name: str) -> frozenset[str]:
    """The system calls of a group of systemd, or one call."""
    if not name.startswith("@"):
        return frozenset({name})
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()[1:]]
    return frozenset().union(*(group(each) for each in lines if each and each[0] != "#"))


def permitted(unit: str) -> frozenset[str]:
    """What the lines ``SystemCallFilter=`` of a unit permit, in their order (systemd.exec(5))."""
    names = group("@default")
    for line in re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        listed = frozenset().union(*map(group, line.removeprefix("~").split()))
        names = names - listed if line.startswith("~") else names | listed
    return names


def apply(names: frozenset[str]) -> None:
    """Have all other system calls of this process, and of all that it starts, fail with EPERM."""
    known = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", NUMBERS.read_text()))
    steps = [(_LOAD, 0, 0, 0)]
    for number in sorted(int(known[name]) for name in names & known.keys()):
        steps += (_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)
    steps.append((_RETURN, 0, 0, _FAIL_WITH_EPERM))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SECCOMP, _FILTER, program, 0, 0)):
        if library.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    apply(permitted(Path(sys.argv[1]).read_text(encoding="utf-8")))
    os.execvp(sys.argv[2], sys.argv[2:])
