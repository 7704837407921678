"""A server of PostgreSQL for tests: in a directory of its own, on a socket in it, ended with them."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType

from drill import programs

PATIENCE = 120
"""Seconds until a server that does not start counts as hanging."""

_PR_SET_PDEATHSIG = 1
_numbers = count(1)

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine survives the tests, and so does what the system has in memory
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",
}


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


class PostgreSQLServer:
    """A server, and its databases."""

    def __init__(
        self, settings: Mapping[str, str] = MappingProxyType({}), directory: Path | None = None
    ) -> None:
        """``settings`` take the place of those in :data:`SETTINGS`.

        Without a ``directory``, the databases end with the server; with one, they are kept there.
        """
        found = programs.postgresql()
        self._settings = {**SETTINGS, **settings}
        assert found is not None
        self._binaries, self._owner = found, programs.database_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_kept = directory is not None
        if directory is not None:
            self.directory = directory.resolve()
            if self.data.exists():
                return
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self.directory = Path(tempfile.mkdtemp(prefix="kmipkit-postgresql-"))
        if self._owner is not None:
            os.chown(self.directory, self._owner.pw_uid, self._owner.pw_gid)
        self._run(
            "initdb", "-D", str(self.data), "-U", "owner", "-A", "trust", "-E", "UTF8",
            "--no-sync", "--locale", "C.UTF-8",
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", user: str = "owner") -> str:
        """How a client connects."""
        port = self._settings.get("port")
        return f"postgresql://{user}@/{database}?host={self.directory}" + (
            f"&port={port}" if port else ""
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, "-k", self.directory, *options],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it calls one function of the system
                **self._identity(),  # type: ignore[call-overload]  # of the process
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < end, (self.directory / "log").read_text()
            assert self._process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server as a loss of power does: it and its sessions, at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)
        self._process = None

    def close(self) -> None:
        """End the server, and remove its files unless they are kept."""
        if self._is_kept and self._process is not None:
            self._process.send_signal(signal.SIGINT)  # it writes what it has in memory
            self._process.wait(PATIENCE)
        elif self._process is not None:
            self.kill()
        self._process = None
        if not self._is_kept:
            shutil.rmtree(self.directory, ignore_errors=True)

    def create(self, template: str = "template1") -> str:
        """The name of a new database."""
        name = f"test_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Carry out a statement as the owner of everything."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.directory,
            **self._identity(),  # type: ignore[call-overload]  # of the process
        )

    def _identity(self) -> dict[str, object]:
        if self._owner is None:
            return {}
        return {
            "user": self._owner.pw_uid,
            "group": self._owner.pw_gid,
            "extra_groups": [],
            "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        }


@contextmanager
def running() -> Iterator[PostgreSQLServer]:
    """A server that runs."""
    server = PostgreSQLServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
