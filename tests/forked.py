"""``kmipkit`` in a process that has imported the server already, and so starts in a third of the time.

Importing takes most of the start of a server. The fork server of multiprocessing does it once for all
servers that one test process starts. Each is a process of its own all the same, with its arguments,
environment and streams. Tests of the program's start, and those of the documentation, start it with
its name.
"""

import multiprocessing
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import forked_command

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["kmipkit.cli", "kmipkit_server.cli", "kmipkit_server.app"])


class ForkedCommand:
    """A command of kmipkit that runs: what tests use of ``subprocess.Popen``."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        """``log`` is the file to which its standard error is appended."""
        reader, writer = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=forked_command.run,
            args=(list(arguments), dict(os.environ), str(Path.cwd()), writer, log.absolute()),
        )
        self._process.start()
        writer.close()
        self.stdout: TextIO = os.fdopen(os.dup(reader.fileno()))
        reader.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal if the process has not ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Its exit code; ``subprocess.TimeoutExpired`` if it does not end in so many seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode
