"""SIGHUP changes all that can change, or nothing, and the log says what; --check-config finds it all."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kmipkit_client import Client, ConnectionFailed, OperationFailed, opaque_object
from kmipkit_server.cli import serve
from kmipkit_server.service.reload import RELOADABLE
from old_stores import ALL, restore
from servers import RunningServer

from kmipkit.model.objects import ManagedObject

DONE = "certificates reloaded"
FAILED = "certificates not reloaded"


class Configured:
    """A server with a configuration file, and what its log says of reloads."""

    def __init__(self, server: RunningServer) -> None:
        self.file = server.folder.with_name("größe.toml")
        self.server = server
        server.arguments = ("--config", str(self.file))

    def start(self, text: str) -> "Configured":
        self.file.write_text(text)
        self.server.start()
        return self

    def reload(self, text: str, end: str = DONE) -> list[str]:
        """The lines of the log of a reload with another file."""
        before = len(self.server.lines())
        self.file.write_text(text)
        self.server.signal(signal.SIGHUP)
        return self.server.wait_for_line(end, before)


@pytest.fixture
def configured(own_server: RunningServer) -> Configured:
    return Configured(own_server)


def words(lines: list[str], level: str) -> str:
    return "\n".join(line for line in lines if f" {level} " in line)


CHANGED = """
[log]
level = "DEBUG"
[limits]
connections = 60
max_message = 4096
bytes_per_account = 20000
"""


def test_limits_and_the_level_of_the_log_change(configured: Configured) -> None:
    configured.start('[log]\nlevel = "WARNING"\n[limits]\nconnections = 50\n')
    text = "\n".join(configured.reload(CHANGED))
    file = configured.file
    assert f'log.level: "WARNING" -> "DEBUG" ({file}:3)' in text
    assert f"limits.connections: 50 -> 60 ({file}:5)" in text
    assert f"limits.max_message: 1048576 -> 4096 ({file}:6)" in text
    assert f"limits.bytes_per_account: - -> 20000 ({file}:7)" in text
    with configured.server.client() as kms:
        large = opaque_object(bytes(5000))
        with pytest.raises((OperationFailed, ConnectionFailed)):
            kms.register(large)
    with configured.server.client() as kms:
        small = opaque_object(bytes(2000))
        with pytest.raises(OperationFailed, match="20000 bytes"):
            fill(kms, small)
    log = "\n".join(configured.server.lines())
    assert re.search(
        r"DEBUG .*admin: Register of [-0-9a-f]{36} in KMIP \S+: Success, [\d.]+ ms", log
    )
    lines = configured.reload('[log]\nlevel = "WARNING"\n')
    assert 'log.level: "DEBUG" -> "WARNING"' in "\n".join(lines)
    with configured.server.client() as kms:
        kms.query()
    assert " DEBUG " not in configured.server.lines()[-1]


def fill(kms: Client, small: ManagedObject) -> None:
    """Register until there is no room."""
    for _ in range(20):
        kms.register(small)


FAULTS = {
    '[log]\nlevel = "DEBUG"\n[limits]\nworkers = 0\n': "limits.workers must be more than 0",
    '[log]\nlevel = "DEBUG"\n[limts]\n': "did you mean limits?",
    '[log]\nlevel = "DEBUG"\n[tls]\ncrl = ["missing.crl"]\n': "missing.crl",
    "[log]\nlevel = ": "not valid TOML",
    '[log]\nlevel = "DEBUG"\n[tls]\ncert = "a"\nca = "b"\n': "needs a restart",
}


def test_a_faulty_file_changes_nothing(configured: Configured) -> None:
    configured.start("")
    for text, fault in FAULTS.items():
        assert fault in words(configured.reload(text, FAILED), "ERROR")
    with configured.server.client() as kms:
        kms.query()
    assert not [line for line in configured.server.lines() if " DEBUG " in line]
    assert DONE in "\n".join(configured.reload(""))


def test_what_needs_a_restart_is_named_as_such(configured: Configured) -> None:
    port = configured.start("").server.port
    text = f'[listen]\ndrain_seconds = 1\n[metrics]\nlisten = "127.0.0.1:{port}"\n'
    for _ in range(2):  # also the next time: it has not taken effect yet
        warnings = words(configured.reload(text), "WARNING")
        assert "listen.drain_seconds: 10.0 -> 1" in warnings
        assert warnings.count("has no effect before a restart") == 2


def test_the_table_of_reloadable_settings_names_settings() -> None:
    from kmipkit_server.config.sources import all_settings

    names = {f"{section}.{key}" for section, key in all_settings()}
    sections = {f"{section}.*" for section, _ in all_settings()}
    assert set(RELOADABLE) <= names | sections


# --- --check-config --------------------------------------------------------------------------------


def check(folder: Path, text: str = "") -> Result:
    file = folder / "kms.toml"
    file.write_text(text)
    return CliRunner().invoke(serve, ["--config", str(file), "--check-config"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_check_reports_every_fault_at_once(here: Path) -> None:
    restore(ALL[0], here / "data", "objects.sqlite3")
    (here / "data" / "root.key").chmod(0o644)
    (here / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"""
            store.directory = "data"
            audit.directory = "file/audit"
            [listen]
            port = {port}
            [tls]
            cert = "missing.crt"
            ca = "missing-ca.crt"
            [kmip]
            operations = ["nothing:ROWS"]
            [limits]
            workers = -1
            [metrics]
            listen = "127.0.0.1:{port}"
        """
        done = check(here, text)
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    for expected in (
        "limits.workers must be more than 0",
        "'nothing:ROWS' cannot be imported",
        "missing.crt: No such file",
        "other users have access to",
        "file is not a directory",
        f"cannot listen on 127.0.0.1:{port}",
    ):
        assert [line for line in lines if line.startswith("Error: ") and expected in line], (
            done.stderr
        )
    assert "Traceback" not in done.stderr


def test_the_check_of_a_newer_store_and_of_another_root_key(here: Path) -> None:
    import sqlite3
    from contextlib import closing

    restore(ALL[-1], here / "kmipkit-data", "objects.sqlite3")
    fine = check(here)
    assert fine.exit_code == 0, fine.stderr
    assert "copy the data directory" in fine.stderr
    key = here / "kmipkit-data" / "root.key"
    right = key.read_text()
    key.write_text("11" * 32)
    assert "has another root key" in check(here).stderr
    key.unlink()
    assert "the root key kmipkit-data/root.key is missing" in check(here).stderr
    key.touch(0o600)
    key.write_text(right)
    with closing(sqlite3.connect(here / "kmipkit-data" / "objects.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer version of kmipkit (schema 99" in check(here).stderr
    (here / "kmipkit-data" / "objects.sqlite3").unlink()
    assert "is missing or empty, but there is a root key" in check(here).stderr


def test_the_check_may_be_made_while_the_server_runs(own_server: RunningServer) -> None:
    server = own_server.start()
    text = f'[listen]\nport = {server.port}\n[store]\ndirectory = "{server.folder}"\n'
    with server.paused():  # it writes by itself, for example the time
        before = {path: path.read_bytes() for path in server.folder.rglob("*") if path.is_file()}
        before = {path: data for path, data in before.items() if path.suffix != ".sqlite3-shm"}
        done = check(server.folder.parent, text)
        after = {path: path.read_bytes() for path in before}
    assert done.exit_code == 0, done.stderr
    assert server.process is not None
    assert f"in use by process {server.process.pid}" in done.stderr
    assert before == after


def test_metrics_for_everybody_are_a_warning(here: Path) -> None:
    done = check(here, '[metrics]\nlisten = "0.0.0.0:0"\n')
    assert done.exit_code == 0
    assert "everybody who reaches this address can read the metrics" in done.stderr
    assert check(here, '[metrics]\nlisten = "[::1]:0"\n').stderr == ""


# --- the log ---------------------------------------------------------------------------------------


def test_a_log_that_another_program_reads_is_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kmipkit", "serve", "--data-dir", "d", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("ready: ")
        running.send_signal(signal.SIGTERM)
        entries = [json.loads(line) for line in running.stderr]
    assert entries[-1]["message"] == "stopped"
    assert set(entries[-1]) == {"time", "level", "logger", "message"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entries[-1]["time"])
