"""The roles as child processes, which all end with the demonstration."""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from kmipkit_vsphere.model.errors import VSphereError

STOP_TIMEOUT = 60.0
_READY = re.compile(r"^ready: .*?listening on (\S+):(\d+)")


class Process:
    """One ``kmipkit`` command that listens somewhere. Its log goes to a file."""

    def __init__(self, title: str, arguments: Sequence[str], log: Path) -> None:
        self.title = title
        self.log = log
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[str] | None = None
        self.address: tuple[str, int] = ("", 0)

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self, *, keep_port: bool = True) -> None:
        """Start it and wait until it is ready; at a restart it listens on the same port again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        port = str(self.address[1] if keep_port else 0)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "kmipkit", *self._arguments, "--port", port],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the demonstration, which stops the others
            )
        assert self._process.stdout is not None
        ready = _READY.match(self._process.stdout.readline())
        if ready is None:
            self.stop()
            raise VSphereError(
                f"{self.title} did not start; its log is {self.log}{self._end_of_log()}"
            )
        self.address = (ready[1].strip("[]"), int(ready[2]))

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return f", which ends with: {lines[-1]}" if lines else ""

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def kill(self) -> None:
        """SIGKILL: the process cannot clean up."""
        assert self._process is not None
        self._process.kill()
        self._reap(None)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not end; does nothing if it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._reap(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def _reap(self, timeout: float | None) -> None:
        assert self._process is not None
        self._process.wait(timeout)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


class Processes:
    """All child processes of the story; leaving the context stops them, the last one first."""

    def __init__(self) -> None:
        self._all: list[Process] = []

    def start(self, title: str, arguments: Sequence[str], log: Path) -> Process:
        """Start one more."""
        process = Process(title, arguments, log)
        self._all.append(process)
        process.start()
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._all):
            process.stop()
