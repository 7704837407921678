"""kmipkit bench run against a real server: what it reports, and that nothing is left behind."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_load.cli import bench
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.terminal import StatusLine

IDENTITY = "load"
QUICK = ("--warm-up", "0", "--objects", "4", "--connections", "4")


def target(server: RunningServer) -> list[str]:
    files = server.credentials(IDENTITY)
    place = ["--target", f"127.0.0.1:{server.port}"]
    return [*place, *(part for name in files for part in (f"--{name}", str(files[name])))]


@pytest.fixture
def options(server: RunningServer) -> Iterator[list[str]]:
    """The options for the shared server; afterwards, the account must have no object that lives."""
    yield target(server)
    with server.client(IDENTITY) as kms:
        assert kms.locate().ids == ()


def run(options: list[str], *more: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(bench, ["run", *options, *QUICK, "--json", *more])
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize(
    "more",
    [
        ("--mix", "arrays", "--processes", "2"),
        ("--mix", "arrays", "--kmip", "1.0", "--rate", "2000"),
        ("--mix", "crypto"),
        ("--mix", "crypto", "--kmip", "1.2", "--key-size", "AES-128"),
        ("--mix", "life-cycle", "--encoding", "xml"),
        ("--mix", "create", "--encoding", "json"),
        ("--mix", "register", "--encoding", "ttlv", "--kmip", "2.0"),
    ],
    ids=" ".join,
)
def test_mixes_versions_and_encodings(options: list[str], more: tuple[str, ...]) -> None:
    document = run(options, "--requests", "60", *more)
    assert (document["succeeded"], document["failed"], document["errors"]) == (60, 0, [])
    assert document["cleanup"]["left"] == {}
    assert document["latency"]["p50"] > 0
    assert sum(row["succeeded"] for row in document["series"]) == 60


@pytest.mark.parametrize(
    ("more", "resumed"), [(["--cold"], False), (["--resumed", "--tls", "1.2"], True)]
)
def test_a_connection_for_each_request(
    own_server: RunningServer, more: list[str], resumed: bool
) -> None:
    own_server.arguments = ("--workers", "1")  # a session is resumed by the worker that has made it
    server = own_server.start()
    connections = run(target(server), "--requests", "12", *more)["connections"]
    assert connections["opened"] == 12
    assert connections["handshake"]["p50"] > 0
    assert (connections["resumed"] > 0) is resumed


def test_ttlv_over_https(server: RunningServer, options: list[str]) -> None:
    document = run(options, "--requests", "5", "--https", f"{server.port}/kmip")
    assert document["settings"]["transport"] == "HTTPS"
    assert document["succeeded"] == 5


def test_reports_are_written(options: list[str], tmp_path: Path) -> None:
    files = {form: tmp_path / f"run.{form}" for form in ("json", "html")}
    reports = [part for form in files for part in ("--report", f"{form}:{files[form]}")]
    document = run(options, "--requests", "10", *reports)
    assert json.loads(files["json"].read_text()) == document
    assert "<svg" in files["html"].read_text()


def test_failures_decide_the_exit_status(own_server: RunningServer) -> None:
    """An account may have 20 objects here: a run that prepares more is refused before it measures, and
    one that creates more counts the refusals by their reason."""
    config = own_server.folder.with_name("limits.toml")
    config.write_text("[limits]\nobjects_per_account = 20\n")
    own_server.arguments = ["--config", str(config)]
    own_server.start()
    files = own_server.credentials(IDENTITY)
    options = ["--target", f"127.0.0.1:{own_server.port}"]
    options += [part for name in files for part in (f"--{name}", str(files[name]))]
    many = ["run", *options, "--objects", "30", "--requests", "1", "--warm-up", "0"]
    refused = CliRunner().invoke(bench, many)
    assert refused.exit_code == 1
    assert "Error: the server refuses Create for get: " in refused.stderr
    assert "Cleaned up: 20 objects destroyed." in refused.stderr
    more = ("--mix", "create", "--requests", "50")
    document = run(options, *more, code=1)
    assert document["succeeded"] + document["failed"] == 50
    [error] = document["errors"]
    assert (error["operation"], error["count"]) == ("create", document["failed"])
    tolerated = run(options, *more, "--max-errors", "100%")
    assert tolerated["failed"] > 0
    with own_server.client(IDENTITY) as kms:
        assert kms.locate().ids == ()


COMMAND = (
    "import sys; from kmipkit.cli import Commands; from kmipkit_load.cli import bench;"
    " commands = Commands('kmipkit', points=[]); commands.add_command(bench);"
    " commands.main(sys.argv[1:])"
)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_ctrl_c_ends_the_run_and_cleans_up(
    server: RunningServer, options: list[str], ending: signal.Signals
) -> None:
    """As on a terminal, all processes of the run get the signal; and as from ``timeout`` or a CI job."""
    arguments = ["bench", "run", *options, "--warm-up", "0", "--objects", "2", "--duration", "600"]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments, "--mix", "create", "--processes", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        with server.client(IDENTITY) as kms:
            while len(kms.locate().ids) < 50:
                assert process.poll() is None
        os.killpg(process.pid, ending)
        output, errors = process.communicate(timeout=ANSWER_TIMEOUT)
    assert process.returncode == 130, errors
    assert errors == ""
    assert "The run was interrupted; the results are those until then." in output
    assert "objects destroyed" in output


def test_ctrl_c_while_objects_are_prepared(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(_: StatusLine, text: str) -> None:
        if text == "preparing objects: 3 of 4":
            raise KeyboardInterrupt

    monkeypatch.setattr(StatusLine, "show", show)
    result = CliRunner().invoke(bench, ["run", *options, *QUICK, "--duration", "600"])
    assert result.exit_code == 130
    assert result.stderr == "Cleaned up: 3 objects destroyed.\n"


def kill_a_process_at(monkeypatch: pytest.MonkeyPatch, progress: str) -> None:
    """Kill one of two load processes when the progress line says something."""
    others = multiprocessing.active_children()

    def show(_: StatusLine, text: str) -> None:
        # Without the server of the tests, which is one as well.
        children = [each for each in multiprocessing.active_children() if each not in others]
        if re.search(progress, text) and len(children) == 2:
            children[0].kill()

    monkeypatch.setattr(StatusLine, "show", show)


def test_a_load_process_that_is_killed_is_no_success(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has measured is lost, and what it may have left is said; the rest is cleaned up."""
    kill_a_process_at(monkeypatch, "[1-9][0-9,]* requests")
    document = run(options, "--processes", "2", "--duration", "2", code=1)
    [problem] = document["problems"]
    assert "ended without a result; objects whose names begin with kmipkit-load-" in problem
    assert document["succeeded"] > 0
    assert document["cleanup"] == {"removed": 4, "left": {}}


def test_a_load_process_that_dies_before_the_start_ends_the_run(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at once if nothing has been sent yet, and with the measurement otherwise."""
    kill_a_process_at(monkeypatch, "opening connections")
    more = ["--processes", "2", "--duration", "1"]
    result = CliRunner().invoke(bench, ["run", *options, *QUICK, *more])
    assert result.exit_code == 1
    assert "ended without a result" in result.output


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["run", "--target", f"127.0.0.1:{port}", "--duration", "1"]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 1
    assert "Connection refused" in str(result.exception)
