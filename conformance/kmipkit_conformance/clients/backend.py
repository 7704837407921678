"""The key server behind free play: ``kmipkit serve --ephemeral`` in a process of its own.

The tester knows servers from outside, and so does it here: it is a client of that server.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target

START_SECONDS = 60.0
_STEP = 0.05


@contextmanager
def ephemeral_server(timeout: float = 30.0) -> Iterator[Target]:
    """A server that keeps everything in memory. ConformanceError if it does not start."""
    with tempfile.TemporaryDirectory(prefix="kmipkit-conformance-") as folder:
        ready, log = Path(folder, "ready.json"), Path(folder, "log")
        command = [sys.executable, "-m", "kmipkit", "serve", "--ephemeral"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [*command, "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tester, which ends the server
            )
        try:
            found = _wait(process, ready, log)
            files = (Path(found["ca"]), Path(found["cert"]), Path(found["key"]))
            yield Target(found["host"], found["port"], *files, timeout=timeout)
        finally:
            process.terminate()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready: Path, log: Path) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text("utf-8", "replace").splitlines()[-1:] or ["no reason given"]
            raise ConformanceError(f"the key server for free play does not start: {lines[0]}")
        time.sleep(_STEP)
    return json.loads(ready.read_text("utf-8"))
