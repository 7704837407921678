"""``kmipkit serve --ephemeral`` and ``--test-mode``: what the tests of other languages rely on."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import Client, OperationFailed
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.spec.enums import ResultReason, State
from kmipkit.spec.tags import Tag

SERVE = [sys.executable, "-m", "kmipkit", "serve"]


@contextmanager
def ephemeral(*arguments: str, end: int = signal.SIGTERM) -> Iterator[str]:
    """The line of an ephemeral server that is ready; it ends with this signal."""
    with subprocess.Popen(
        [*SERVE, "--ephemeral", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.send_signal(end)
            _, log = process.communicate(timeout=ANSWER_TIMEOUT)
    assert process.returncode == 0, log
    assert "TEST MODE: tests can move the time" in log


def client(ready: dict[str, Any]) -> Client:
    files = {name: ready[name] for name in ("ca", "cert", "key")}
    return Client(ready["host"], ready["port"], **files)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_an_ephemeral_server(tmp_path: Path, end: int) -> None:
    ready_file = tmp_path / "kms.json"
    ready_file.write_text("of a server that was killed")
    with ephemeral("--ready-file", str(ready_file), end=end) as line:
        ready = json.loads(ready_file.read_text())
        assert f"listening on {ready['address']}," in line
        assert line.endswith(", TEST MODE\n")
        assert ready["test_mode"]
        with client(ready) as kms:
            assert kms.query().vendor_identification == "kmipkit (test mode)"
            kms.create(name="backup")
        assert [path.name for path in tmp_path.iterdir()] == ["kms.json"]
    assert not Path(ready["directory"]).exists()
    assert not ready_file.exists()


def test_a_server_that_does_not_start_writes_no_file(tmp_path: Path) -> None:
    """A test must not take the file of an earlier server for that of its own."""
    ready_file = tmp_path / "kms.json"
    ready_file.write_text("of a server that was killed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "--ephemeral", "--port", port, "--ready-file", str(ready_file)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert not ready_file.exists()


def test_a_file_that_cannot_be_written_prevents_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "kms.json"
    done = subprocess.run(
        [*SERVE, "--ephemeral", "--ready-file", str(missing)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"Error: {missing}: No such file or directory"


@pytest.mark.parametrize("option", [("--data-dir", "kms"), ("--detach",), ("--check-config",)])
def test_options_that_contradict_it_are_refused(option: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [*SERVE, "--ephemeral", *option], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "--ephemeral cannot be used with" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_ready_file_is_for_all_servers(tmp_path: Path) -> None:
    ready_file = tmp_path / "kms.json"
    server = RunningServer(tmp_path / "data", ("--ready-file", str(ready_file)))
    try:
        server.start()
        ready = json.loads(ready_file.read_text())
        assert not ready["test_mode"]
        with client(ready) as kms:
            assert kms.query().vendor_identification == "kmipkit"
    finally:
        server.end()
    assert not ready_file.exists()


def admin(ready: dict[str, Any], *arguments: str) -> "subprocess.CompletedProcess[str]":
    options = [part for name in ("ca", "cert", "key") for part in (f"--{name}", ready[name])]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "kmipkit",
            "admin",
            *arguments,
            "--server",
            ready["address"],
            *options,
        ],
        capture_output=True,
        text=True,
    )


def test_administrators_move_the_time_of_a_test_mode(tmp_path: Path) -> None:
    """A test in another language need not wait until a key expires."""
    ready_file = tmp_path / "kms.json"
    with ephemeral("--ready-file", str(ready_file)):
        ready = json.loads(ready_file.read_text())
        with client(ready) as kms:
            begin = datetime.now(UTC)
            dates = {"Activation Date": begin, "Deactivation Date": begin + timedelta(days=30)}
            key = kms.create(attributes=dates)
            done = admin(ready, "clock", "advance", "31d")
            assert "put forward by 31 days" in done.stdout, done.stderr
            assert kms.get_attributes(key, "State").get(Tag.STATE) is State.DEACTIVATED
        shown = json.loads(admin(ready, "clock", "show", "--json").stdout)
        assert datetime.fromisoformat(shown["now"]) > begin + timedelta(days=31)
        assert shown["ahead"] == 31 * 86400
        refused = admin(ready, "clock", "advance", "-1d")
        assert refused.returncode == 2
        records = admin(ready, "audit", "query", "--server", ready["address"], "--json")
        assert '"clock advance"' in records.stdout.lower(), records.stderr


def test_nobody_moves_the_time_of_another_server(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", ("--ready-file", str(tmp_path / "kms.json")))
    try:
        server.start()
        done = admin(json.loads((tmp_path / "kms.json").read_text()), "clock", "advance", "1d")
    finally:
        server.end()
    assert done.returncode == 1
    assert "the server is not in test mode" in done.stderr


def test_an_ephemeral_server_has_the_faults_of_a_file(tmp_path: Path) -> None:
    faults, ready_file = tmp_path / "faults.toml", tmp_path / "kms.json"
    faults.write_text(
        '[[fault]]\nname = "failure"\noperations = ["Create"]\nreason = "Item Not Found"'
    )
    with ephemeral("--faults", str(faults), "--ready-file", str(ready_file)):
        kms = client(json.loads(ready_file.read_text()))
        with kms, pytest.raises(OperationFailed, match="a fault on demand") as caught:
            kms.create()
    assert caught.value.reason is ResultReason.ITEM_NOT_FOUND


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "--faults and --personality need --test-mode or --ephemeral"),
        (
            ("--ephemeral", "--personality", "valt"),
            1,
            "unknown personality 'valt'; did you mean vault?",
        ),
        (
            ("--ephemeral",),
            1,
            "faults.toml: [[fault]] 1: unknown fault 'dropp'; did you mean drop?",
        ),
    ],
)
def test_faults_that_cannot_be_used(
    options: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nname = "dropp"')
    command = [*SERVE, "--faults", str(faults), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["faults.toml"]


def refusal(folder: Path, *arguments: str) -> str:
    server = RunningServer(folder, arguments)
    with pytest.raises(AssertionError) as caught:
        server.start()
    assert server.exit_code == 1
    return str(caught.value)


def test_a_data_directory_is_for_tests_or_for_keys_of_value(tmp_path: Path) -> None:
    """A server that never had its clock moved must not open a store from the future, nor the reverse."""
    trial = RunningServer(tmp_path / "trial", ("--test-mode",))
    trial.start()
    trial.end()
    assert f"{trial.folder} was used in test mode" in refusal(trial.folder)
    trial.start()  # in test mode again
    trial.end()

    server = RunningServer(tmp_path / "data")
    server.start()
    server.end()
    text = refusal(server.folder, "--test-mode")
    assert f"{server.folder} has the objects of a server that is not in test mode" in text
