"""How long a key server inside a test takes to start: ``python -m bench.starts [NUMBER]``.

The first start of a process also loads the modules and makes the certificates; those after it are what a
test pays that has a server of its own.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median, quantiles

NUMBER = 50
GOAL = 0.05
"""Seconds that a start may take."""

_FIRST = """
import time
begun = time.perf_counter()
from kmipkit.testing import key_server
with key_server():
    print(time.perf_counter() - begun)
"""


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from the call to a server that accepts connections."""

    first: float
    """In a new process, with the imports."""
    median: float
    percentile_90: float


def measure(number: int = NUMBER) -> Starts:
    """Start servers, one after the other."""
    from kmipkit.testing import key_server

    done = subprocess.run(
        [sys.executable, "-c", _FIRST], capture_output=True, text=True, check=True
    )
    with key_server():
        pass  # loads the modules, and makes the certificates
    seconds = []
    for _ in range(number):
        begun = time.perf_counter()
        with key_server():
            seconds.append(time.perf_counter() - begun)
    return Starts(float(done.stdout), median(seconds), quantiles(seconds, n=10)[-1])


if __name__ == "__main__":
    starts = measure(int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER)
    print(f"first of a process: {starts.first * 1000:.0f} ms")
    print(
        f"each of the others: {starts.median * 1000:.1f} ms (90 %: {starts.percentile_90 * 1000:.1f} ms)"
    )
