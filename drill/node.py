"""A machine with a key server."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from drill import programs
from drill.database import PATIENCE, wait_for
from drill.network import Disk, Host, Network, Side

PORT = 5696


class Node:
    """The machine, with the data directory of its server on a disk of its own."""

    def __init__(
        self,
        network: Network,
        host: Host,
        disk: Disk,
        log: Path,
        pki: Path,
        databases: str,
        workers: int = 1,
    ) -> None:
        """``databases`` is the URL of the store."""
        self.host = host
        self.disk = disk
        self.folder = disk.path / "kms"
        self.log = log
        self._network = network
        self._pki = pki
        self._workers = workers
        self._environment: Mapping[str, str] = {
            **os.environ,
            "KMIPKIT_STORE_URL": databases,
            "KMIPKIT_STORE_NODE": host.name,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The name of the machine."""
        return self.host.name

    @property
    def address(self) -> str:
        """Where clients find the server."""
        return f"{self.host.address(Side.FRONT)}:{PORT}"

    @property
    def is_running(self) -> bool:
        """Whether the machine has a server."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> None:
        """Start the server, without waiting for it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._network.command(self.host), *self._serve()],
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def wait(self, since: int = 0) -> None:
        """Wait until it says that it listens, after so many bytes of its log."""

        def is_listening() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended:\n{self._said()[since:][-3000:]}")
            return "listening on" in self._said()[since:]

        wait_for(is_listening, f"{self.name} listens", self.log)

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        since = len(self._said())
        self.begin()
        self.wait(since)

    def fill_disk(self) -> None:
        """Leave no room on the disk, and none of what the server keeps in reserve for its audit log."""
        self.disk.fill()
        self._limit_files(0)

    def free_disk(self) -> None:
        """Give the room back."""
        self.disk.free()
        self._limit_files(-1)

    def _limit_files(self, size: int) -> None:
        if self._process is not None:
            programs.limit_files(self._process.pid, size)

    def kill(self) -> None:
        """End the server as a loss of power does."""
        if self._process is not None:
            programs.kill_whole(self._process.pid)
            self._process.wait(PATIENCE)
            self._process = None

    def stop(self) -> None:
        """End the server as an administrator does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Carry out a command of the administrator."""
        return subprocess.run(
            [*self._network.command(self.host), sys.executable, "-m", "kmipkit", *arguments],
            capture_output=True,
            text=True,
            env=self._environment,
        )

    def _said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _serve(self) -> Sequence[str]:
        files = ("--tls-cert", "server.crt"), ("--tls-key", "server.key"), ("--tls-ca", "ca.crt")
        tls = [part for option, name in files for part in (option, str(self._pki / name))]
        return [
            sys.executable, "-m", "kmipkit", "serve", "--data-dir", str(self.folder),
            "--host", self.host.address(Side.FRONT), "--port", str(PORT),
            "--workers", str(self._workers), "--log-level", "info", *tls,
        ]  # fmt: skip
