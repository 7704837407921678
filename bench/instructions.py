"""Instructions of the server per request, counted by Callgrind: ``make instructions``.

Time is too noisy to compare a change with the code before it on a machine that others use;
instructions are not. A server runs in a process under Callgrind (:mod:`bench.served_in_process`), once
with a number of requests and once with twice as many: the difference is what the requests cost. The
counts depend on the version of Python, so that ``bench/instructions.json`` has one table for each. CI
compares them with what it counts (``tests/integration/test_instructions.py``).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.servers import PROJECT

BASELINE = PROJECT / "bench" / "instructions.json"
TOLERANCE = 0.05
"""By how much a count may exceed that of the baseline."""

_SOURCE = PROJECT / "bench" / "callgrind_marks.c"
_TITLE = re.compile(r"^desc: Trigger: Client Request: (.+): (\d+)$", re.MULTILINE)
_TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)

Counts = dict[str, int]
"""Instructions per request, by the name of the measurement."""


class CannotCount(Exception):
    """A tool is missing; the text says which."""


def python() -> str:
    """The version to which counts belong."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def baseline() -> Counts | None:
    """The counts in the repository for this version of Python; None if there are none."""
    tables: dict[str, Counts] = json.loads(BASELINE.read_text())
    return tables.get(python())


def count() -> Counts:
    """Count now. CannotCount if Valgrind or a C compiler is missing."""
    for tool, package in (("valgrind", "valgrind"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            raise CannotCount(f"{tool} is missing; install the package {package}")
    with tempfile.TemporaryDirectory(prefix="kmipkit-instructions-") as directory:
        folder = Path(directory)
        marks = folder / "marks.so"
        compiler = subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", marks, _SOURCE], capture_output=True, text=True
        )
        if compiler.returncode:
            raise CannotCount(f"{_SOURCE.name} cannot be compiled: {compiler.stderr}")
        profile = folder / "callgrind.out"
        subprocess.run(
            [
                "valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
                f"--callgrind-out-file={profile}",
                sys.executable, "-m", "bench.served_in_process", folder / "data", marks,
            ],
            check=True,
            capture_output=True,
            cwd=PROJECT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )  # fmt: skip
        return _per_request(folder.glob("callgrind.out.*"))


def _per_request(profiles: Iterable[Path]) -> Counts:
    """The counts from the files of Callgrind, each of which is for a number of requests."""
    totals: dict[str, dict[int, int]] = {}
    for profile in profiles:
        text = profile.read_text()
        title, total = _TITLE.search(text), _TOTAL.search(text)
        if title is not None and total is not None:
            totals.setdefault(title[1], {})[int(title[2])] = int(total[1])
    counts = {}
    for name, by_requests in totals.items():
        _, fewer, more = sorted(by_requests)
        counts[name] = (by_requests[more] - by_requests[fewer]) // (more - fewer)
    return counts


def exceeded(counted: Counts, expected: Counts) -> list[str]:
    """What costs more than the baseline permits."""
    return [
        f"{name}: {counted[name]:,} instructions per request, {counted[name] / number - 1:+.1%}"
        for name, number in expected.items()
        if counted[name] > number * (1 + TOLERANCE)
    ]


def table(counted: Counts, expected: Counts) -> str:
    """The counts beside those of the baseline."""
    lines = [f"{'instructions per request':26}{'before':>12}{'now':>12}"]
    for name, number in sorted(counted.items()):
        before = expected.get(name)
        change = f"{number / before - 1:+8.1%}" if before else ""
        lines.append(f"{name:26}{before or 0:12,}{number:12,}{change}")
    return "\n".join(lines)


def main() -> None:
    """Count, print, and with ``--write`` keep the counts in the repository."""
    try:
        counted = count()
    except CannotCount as error:
        sys.exit(str(error))
    print(table(counted, baseline() or {}))
    if "--write" in sys.argv:
        tables = json.loads(BASELINE.read_text()) | {python(): dict(sorted(counted.items()))}
        BASELINE.write_text(json.dumps(dict(sorted(tables.items())), indent=4) + "\n")


if __name__ == "__main__":
    main()
