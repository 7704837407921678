"""The drill: a server under load is backed up, its machine is lost, and its clients go on elsewhere."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner
from kmipkit_client import Client, ClientError, OperationFailed, material
from kmipkit_server.audit.records import Event, decode
from servers import RunningServer

from kmipkit.cli import main


def run(*arguments: object, code: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


def identity(folder: Path) -> tuple[Path, str]:
    file = folder / "backup.identity"
    return file, run("admin", "backup", "identity", file).strip()


class Load:
    """Clients that create keys until they are stopped; which of them were acknowledged, and when."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.keys: list[tuple[str, bytes]] = []
        self.credentials = server.credentials("db01")
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        while len(self.keys) < count:
            self._stopped.wait(0.01)

    def _run(self, number: int) -> None:
        with Client(port=self.server.port, **self.credentials) as client:
            while not self._stopped.is_set():
                try:
                    key = client.create(name=f"key {number} {len(self.keys)}")
                    self.keys.append((key, material(client.get(key))))
                except (ClientError, OSError):
                    return  # the machine is lost


@pytest.fixture
def configured(own_server: RunningServer, tmp_path: Path) -> RunningServer:
    """A server that makes backups by itself."""
    _, recipient = identity(tmp_path)
    config = tmp_path / "kms.toml"
    config.write_text(
        f'[backup]\ndirectory = "backups"\nrecipients = ["{recipient}"]\nevery_seconds = 86400\n'
        '[metrics]\nlisten = "127.0.0.1:0"\n'
    )
    own_server.arguments = ("--config", str(config))
    return own_server


@pytest.mark.parametrize("workers", [1, 2])
def test_the_machine_is_lost_and_clients_go_on(
    configured: RunningServer, tmp_path: Path, workers: int
) -> None:
    """With the same certificates, and with every key that was acknowledged before the last backup."""
    configured.arguments = (*configured.arguments, "--workers", str(workers))
    server = configured.start()
    admin = server.credentials()
    options = [f"--{name}={path}" for name, path in admin.items()]
    options.append(f"--server=127.0.0.1:{server.port}")
    with Load(server) as load:
        load.wait_for(30)
        first = [key for key, _ in load.keys]
        run("admin", "backup", "now", *options)
        load.wait_for(len(load.keys) + 30)
        saved = list(load.keys)
        made = json.loads(run("admin", "backup", "now", "--json", *options))
        load.wait_for(len(saved) + 30)
        server.kill()
        shutil.move(server.folder / "certs", tmp_path / "clients")  # what the clients have
        shutil.rmtree(server.folder)  # the machine is lost
    assert made["kind"] == "increment"
    backups, key = tmp_path / "backups", tmp_path / "backup.identity"
    assert "intact: backup" in run("admin", "backup", "verify", backups, "--identity", key)
    elsewhere = RunningServer(tmp_path / "elsewhere", port=server.port)
    printed = run("admin", "restore", backups, elsewhere.folder, "--identity", key)
    assert f"{tmp_path / 'kms.toml'}" in printed
    elsewhere.start()
    try:
        certificates = {
            name: tmp_path / "clients" / path.name for name, path in load.credentials.items()
        }
        with Client(port=elsewhere.port, **certificates) as client:
            for identifier, value in saved:
                assert material(client.get(identifier)) == value
            assert set(first) <= {each for each, _ in saved}
            client.activate(client.create(name="after the loss"))
            with pytest.raises(OperationFailed):  # acknowledged when the last backup was made
                client.get(load.keys[-1][0])
    finally:
        elsewhere.end()
    assert "intact" in run("admin", "audit", "verify", "--data-dir", elsewhere.folder)
    records = audit_records(elsewhere.folder)
    [restored] = [each for each in records if each.event is Event.RESTORED]
    assert restored.subject == f"backup {made['number']}"
    assert any("was restored from backup" in line for line in elsewhere.lines())
    elsewhere.start()
    elsewhere.end()
    events = [each.event for each in audit_records(elsewhere.folder)]
    assert events.count(Event.RESTORED) == 1, "it is recorded once"


def audit_records(folder: Path) -> list[Any]:
    """The records of all workers."""
    return [
        decode(line)
        for path in sorted((folder / "audit").rglob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


@pytest.mark.parametrize(("workers", "workers_elsewhere"), [(1, 1), (2, 2), (2, 1)])
def test_without_its_audit_log_a_restored_server_says_so(
    own_server: RunningServer, tmp_path: Path, workers: int, workers_elsewhere: int
) -> None:
    """The new logs of all workers verify: they say which records are elsewhere."""
    own_server.arguments = ("--workers", str(workers))
    server = own_server.start()
    with server.client() as client:
        client.create()
    server.end()
    key, recipient = identity(tmp_path)
    run(
        *("admin", "backup", "create", tmp_path / "backups", "-r", recipient, "--no-audit"),
        *("--data-dir", server.folder),
    )
    elsewhere = RunningServer(tmp_path / "elsewhere", ("--workers", str(workers_elsewhere)))
    run("admin", "backup", "restore", tmp_path / "backups", elsewhere.folder, "-i", key)
    elsewhere.start()
    with elsewhere.client() as client:
        assert client.locate().ids
    elsewhere.end()
    assert "intact" in run("admin", "audit", "verify", "--data-dir", elsewhere.folder)
    records = audit_records(elsewhere.folder)
    lost = [each for each in records if each.event is Event.LOST]
    assert len(lost) == workers
    assert all(each.count for each in lost)
    assert len([each for each in records if each.event is Event.RESTORED]) == 1


def test_a_backup_while_the_server_writes_takes_none_of_its_answers(
    own_server: RunningServer, tmp_path: Path
) -> None:
    """The command reads the files of a running server, and what it has is consistent."""
    server = own_server.start()
    key, recipient = identity(tmp_path)
    backups = tmp_path / "backups"
    with Load(server) as load:
        for count in range(1, 5):
            load.wait_for(20 * count)
            known = len(load.keys)
            made = json.loads(
                run(
                    *("admin", "backup", "create", backups, "-r", recipient, "--json"),
                    *("--data-dir", server.folder),
                )
            )
            assert made["objects"] >= known
            assert "intact" in run("admin", "backup", "verify", backups, "-i", key)


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_kill_9_of_a_backup_leaves_nothing_that_looks_whole(
    own_server: RunningServer, tmp_path: Path, rounds: int
) -> None:
    """Whatever the moment: all that the list has can be restored."""
    server = own_server.start()
    with server.client() as client:
        for _ in range(200):
            client.create()
    server.end()
    key, recipient = identity(tmp_path)
    backups = tmp_path / "backups"
    command = ["admin", "backup", "create", backups, "-r", recipient, "--data-dir", server.folder]
    run(*command)
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-m", "kmipkit", *map(str, command), "--full"],
            stdout=subprocess.DEVNULL,
        )
        appeared = threading.Event()
        while process.poll() is None and not appeared.wait(0.001):
            files = list(backups.iterdir()) + list(server.folder.glob(".backup-*"))
            if len(files) > 4 + number % 3:
                appeared.set()
        process.kill()
        process.wait()
        assert "intact" in run("admin", "backup", "verify", backups, "-i", key)
    run(*command)
    assert not list(server.folder.glob(".backup-*"))
    assert not list(backups.glob("*.new"))


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["list", "nowhere"], 1, "nowhere is not a directory"),
        (["verify", "nowhere", "-i", "none"], 1, "nowhere is not a directory"),
        (["verify", "nowhere"], 2, "Missing option '--identity'"),
        (["create", "backups", "--data-dir", "nowhere"], 1, "no recipient"),
        (["create", "--data-dir", "nowhere"], 1, "no directory for the backup"),
        (["create", "b", "-r", "age1", "--data-dir", "nowhere"], 1, "not a public key of age"),
        (["verify", ".", "-i", "none", "--at", "noon"], 2, "'noon' is not a time"),
        (["identity", "nowhere/file"], 1, "nowhere/file: No such file or directory"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = run("admin", "backup", *arguments, code=code)
    assert text in printed
    assert "Traceback" not in printed
