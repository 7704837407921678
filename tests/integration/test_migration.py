"""Migrations as processes: killed at any moment, they go on, and nothing is there twice."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from servers import RunningServer

from kmipkit.cli import main

LONG = 10_000
"""Objects of the long form."""


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    old, new = (RunningServer(tmp_path / name).start() for name in ("old", "new"))
    yield old, new
    old.end()
    new.end()


def options(old: RunningServer, new: RunningServer) -> list[str]:
    return [
        *("--from", f"127.0.0.1:{old.port}", "--server", f"127.0.0.1:{new.port}"),
        *(f"--from-{name}={path}" for name, path in old.credentials().items()),
        *(f"--{name}={path}" for name, path in new.credentials().items()),
    ]


def fill(server: RunningServer, count: int) -> None:
    with server.client() as client:
        for start in range(0, count, 500):
            with client.batch() as batch:
                for number in range(start, min(start + 500, count)):
                    batch.create(name=f"key {number}", attributes={"x-Number": str(number)})


@pytest.mark.parametrize("count", [60, pytest.param(LONG, marks=pytest.mark.long)])
def test_kill_9_anywhere_and_run_again(
    two_servers: tuple[RunningServer, RunningServer], tmp_path: Path, count: int
) -> None:
    old, new = two_servers
    fill(old, count)
    journal = tmp_path / "journal"
    command = [sys.executable, "-m", "kmipkit", "admin", "migrate", *options(old, new)]
    for part in range(1, 4):
        process = subprocess.Popen([*command, "--journal", str(journal)], stdout=subprocess.PIPE)
        while process.poll() is None:
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
            if lines > part * count // 4:
                process.kill()
            with suppress(subprocess.TimeoutExpired):  # what is counted here must not slow it down
                process.wait(0.01)
        process.communicate()
    result = CliRunner().invoke(
        main, ["admin", "migrate", *options(old, new), "--journal", str(journal), "--json"]
    )
    assert result.exit_code == 0, result.output[-2000:]
    assert json.loads(result.output)["outcomes"] == {"copied": count}
    compared = CliRunner().invoke(main, ["admin", "compare", *options(old, new), "--json"])
    assert compared.exit_code == 0, compared.output[-2000:]
    assert json.loads(compared.output)["outcomes"] == {"equal": count}
    for server in (old, new):
        with server.client() as client:
            assert len(client.locate().ids) == count, "no wrapping key is left"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["migrate"], 2, "Missing option '--from'"),
        (["migrate", "--from", "nowhere:1:2"], 2, "--from"),
        (["migrate", "--from", "127.0.0.1:"], 2, "'127.0.0.1:' is not an address"),
        (["migrate", "--from", "SERVER"], 2, "--from and --server are the same server, 127.0.0.1"),
        (["migrate", "--from", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["compare", "--from", "127.0.0.1:1", "--journal", "none"], 1, "127.0.0.1:1"),
        (["migrate", "--from", "127.0.0.1:1", "--report", "pdf:x"], 2, "is not FORM:FILE"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    server: RunningServer, arguments: list[str], code: int, text: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    files = [f"--{name}={path}" for name, path in server.credentials().items()]
    at = f"127.0.0.1:{server.port}"
    arguments = [at if each == "SERVER" else each for each in arguments]
    result = CliRunner().invoke(main, ["admin", *arguments, "--server", at, *files])
    assert result.exit_code == code, result.output
    assert text in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_away_is_named_once(
    two_servers: tuple[RunningServer, RunningServer],
) -> None:
    old, new = two_servers
    command = ["admin", "compare", *options(old, new)]
    old.end()
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert result.output.count(f"127.0.0.1:{old.port}") == 1
    assert CliRunner().invoke(main, [*command, "--timeout", "0"]).exit_code == 2
