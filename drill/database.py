"""A machine with a server of PostgreSQL, which is the primary or a replica of another one."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from drill import programs
from drill.network import Disk, Host, Network, Side

PATIENCE = 300.0
"""Seconds until something that does not happen is an error of the drill."""
OWNER = "owner"
PORT = 5432

_SETTINGS = {
    "listen_addresses": "*",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "96MB",
    "min_wal_size": "32MB",
    "hot_standby": "on",
    # How soon the two sides of the replication notice that the other one is gone.
    "wal_sender_timeout": "3s",
    "wal_receiver_timeout": "3s",
    "wal_retrieve_retry_interval": "1s",
    "dynamic_shared_memory_type": "sysv",  # so that a killed server leaves nothing in /dev/shm
}
_SYNCHRONOUS = "synchronous_standby_names"


class Database:
    """The machine; what is said about a role, such as the primary's, is for the manager to know."""

    def __init__(self, network: Network, host: Host, disk: Disk, log: Path) -> None:
        self.host = host
        self.disk = disk
        self._network = network
        self._data = disk.path / "data"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        found = programs.postgresql()
        if found is None:
            raise RuntimeError("the programs of PostgreSQL are not installed")
        self._binaries = found
        self._user = programs.database_user()
        if self._user is not None:
            os.chown(disk.path, self._user.pw_uid, self._user.pw_gid)

    @property
    def name(self) -> str:
        """The name of the machine."""
        return self.host.name

    @property
    def is_running(self) -> bool:
        """Whether the machine has a server."""
        return self._process is not None and self._process.poll() is None

    def create(self) -> None:
        """Make an empty database, whose owner every machine of the back network may be."""
        self._run(
            "initdb", "-D", str(self._data), "-U", OWNER, "-A", "trust", "-E", "UTF8",
            "--no-sync", "--locale", "C.UTF-8",
        )  # fmt: skip
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet trust\nhost replication all samenet trust\n")
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data), "-k", ""),
                stdout=log,
                stderr=log,
                cwd=self._data,
            )
        wait_for(self.answers, f"{self.name} answers", self._log)

    def kill(self) -> None:
        """End the server as a loss of power does."""
        if self._process is not None:
            programs.kill_whole(self._process.pid)
            self._process.wait(PATIENCE)
            self._process = None

    def free_disk(self) -> None:
        """Give the room back."""
        self.disk.free()

    def clone(self, primary: "Database") -> None:
        """Throw everything away, and begin as a replica of the primary."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)
        self._run(
            "pg_basebackup", "--pgdata", str(self._data), "--write-recovery-conf",
            "--checkpoint", "fast", "--no-sync", "--dbname",
            f"host={primary.address} user={OWNER} application_name={self.name}",
        )  # fmt: skip
        # A copy of what the primary has; a replica that is promoted has no replica of its own.
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(f"{_SYNCHRONOUS} = ''\n")
        self.start()

    def promote(self) -> None:
        """Make the replica the primary."""
        self._run("pg_ctl", "promote", "-D", str(self._data), "--wait")

    def require_replica(self, required: bool) -> None:
        """Whether a commit waits until a replica has it on its disk, too."""
        self.sql(f"ALTER SYSTEM SET {_SYNCHRONOUS} = '{'*' if required else ''}'")
        self.sql("SELECT pg_reload_conf()")

    def has_synchronous_replica(self) -> bool:
        """Whether a replica confirms commits."""
        return bool(self.sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))

    def wait_for_replica(self) -> None:
        """Have commits wait for a replica, and return when it has all that was committed before."""
        self.require_replica(True)
        wait_for(self.has_synchronous_replica, f"a replica of {self.name} confirms commits")
        # The checkpointer tells all sessions that they have to wait; it does so before a checkpoint.
        self.sql("CHECKPOINT")
        [(position,)] = self.sql("SELECT pg_current_wal_flush_lsn()")
        written = f"SELECT 1 FROM pg_stat_replication WHERE flush_lsn >= '{position}'"
        wait_for(lambda: bool(self.sql(written)), f"a replica of {self.name} has everything")

    def answers(self) -> bool:
        """Whether somebody in the back network can use it."""
        try:
            self.sql("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Carry out a statement as the owner of everything."""
        with psycopg.connect(
            self.url(OWNER, database), autocommit=True, connect_timeout=2
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def address(self) -> str:
        """Its address in the back network."""
        return self.host.address(Side.BACK)

    def url(self, user: str, database: str) -> str:
        """How a client connects to this machine."""
        return f"postgresql://{user}@{self.address}:{PORT}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, cwd=self.disk.path
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {program}: {done.stderr.strip()}")

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = self._network.command(self.host)
        if self._user is not None:
            command += [
                "setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}",
                "--clear-groups",
            ]  # fmt: skip
        return [*command, str(self._binaries / program), *arguments]


def _holds(condition: Callable[[], bool]) -> bool:
    """Whether something holds; a database that does not answer has not said so."""
    try:
        return condition()
    except psycopg.Error:
        return False


def wait_for(
    condition: Callable[[], bool], what: str, log: Path | None = None, pause: float = 0.1
) -> None:
    """Wait until something holds. RuntimeError if it takes too long."""
    end = time.monotonic() + PATIENCE
    while not _holds(condition):
        if time.monotonic() > end:
            said = "" if log is None else "\n" + log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"waited for {PATIENCE:g} seconds in vain until {what}{said}")
        time.sleep(pause)
