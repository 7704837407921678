"""The page of the load generator: its commands work as they are printed, and it names every option."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from documents import PROJECT, blocks
from kmipkit_load import mixes
from kmipkit_load.operations import OPERATIONS

PAGE = "docs/load.md"
QUICK = {"--duration 5": "--duration 0.5", "kmipkit bench run": "kmipkit bench run --warm-up 0"}
"""So that the measurements of the page take no longer than the test needs."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where the commands of the page run: with the mix of the page, and a port of this test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = tmp_path / "bin" / "kmipkit"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\n[ "$1" != serve ] || set -- "$@" --port {port}\n'
        f'exec "{sys.executable}" -m kmipkit "$@"\n'
    )
    command.chmod(0o755)
    [mix] = blocks(PAGE, "toml")
    (tmp_path / "hosts.toml").write_text(mix)
    return os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PORT": str(port)}


def test_the_commands_of_the_page_work(environment: dict[str, str], tmp_path: Path) -> None:
    *measure, stop = blocks(PAGE, "sh")
    script = "".join(measure)
    for printed, quick in QUICK.items():
        script = script.replace(printed, quick)
    script = script.replace("127.0.0.1:5696", "127.0.0.1:$PORT")

    def play(text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-e"], input=text, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    try:
        played = play(script)
        assert played.returncode == 0, played.stderr + played.stdout
        assert played.stdout.count("objects destroyed.") >= 7
        assert "create AES-128" in played.stdout
        assert {"before.html", "comparison.html"} <= {path.name for path in tmp_path.iterdir()}
    finally:
        stopped = play(stop)
    assert stopped.returncode == 0, stopped.stderr


def test_the_mix_of_the_page_is_valid_and_every_key_is_described(tmp_path: Path) -> None:
    [text] = blocks(PAGE, "toml")
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    mix = mixes.load(path)
    assert sum(line.weight for line in mix.lines) == 100
    described = (PROJECT / PAGE).read_text(encoding="utf-8")
    for key in ("description", "objects", "operation", "weight", "key", "data"):
        assert f"| `{key}` |" in described
    assert OPERATIONS["life-cycle"].creates
