"""docs/extending.md: an operation from another package, served and called as the page shows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import blocks
from servers import RunningServer

from kmipkit.spec.enums import Operation

MODULE, CLIENT = blocks("docs/extending.md", "python")
[CONFIGURATION] = blocks("docs/extending.md", "toml")


def python_path(folder: Path) -> str:
    """The folder of the module, before whatever else Python searches."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """A server with the operation of the page."""
    (tmp_path / "age.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "server.toml").write_text(CONFIGURATION, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", python_path(tmp_path))
    server = RunningServer(tmp_path / "data", ("--config", str(tmp_path / "server.toml")))
    yield server.start()
    if server.process is not None:
        server.stop()


def test_the_example_is_short() -> None:
    assert len([line for line in MODULE.splitlines() if line and "import" not in line]) <= 15


def test_an_operation_from_another_package_is_served(
    extended: RunningServer, tmp_path: Path
) -> None:
    files = {"ca.crt": "ca", "me.crt": "cert", "me.key": "key"}
    credentials = extended.credentials("me")
    script = CLIENT.replace('"127.0.0.1"', f'"127.0.0.1", {extended.port}')
    for name, part in files.items():
        script = script.replace(f'"{name}"', repr(str(credentials[part])))
    process = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": python_path(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "seconds old" in process.stdout, process.stderr
    with extended.client("me") as kms:
        assert Operation(0x80000001) in kms.query().operations


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        ('["no_such_module:ROWS"]', "'no_such_module:ROWS' cannot be imported"),
        ('["os:no_such_name"]', "cannot be imported"),
        ('["os:sep"]', "must contain only ServedOperation"),
        ('["os:devnull"]', "must contain only ServedOperation"),
        ('["os:F_OK"]', "must be a sequence of ServedOperation"),
        ("7", "must be a list of strings"),
    ],
)
def test_unusable_operations_are_reported_before_the_start(
    tmp_path: Path, operations: str, complaint: str
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f"[kmip]\noperations = {operations}\n", encoding="utf-8")
    command = [sys.executable, "-m", "kmipkit", "serve", "--config", str(config)]
    for options in (["--check-config"], ["--data-dir", str(tmp_path / "data"), "--port", "0"]):
        process = subprocess.run([*command, *options], capture_output=True, text=True)
        assert process.returncode == 1
        assert complaint in process.stderr
        assert "Traceback" not in process.stderr
