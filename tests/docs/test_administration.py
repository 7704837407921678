"""The page for administrators: its examples run as they are printed, and name what there is."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from documents import PROJECT, blocks
from kmipkit_server.admin.cli import admin
from kmipkit_server.administration.api import MAX_BODY
from kmipkit_server.administration.openapi import describe
from kmipkit_server.administration.table import ROUTES
from servers import RunningServer

from kmipkit.cli import main
from kmipkit.spec.enums import CryptographicAlgorithm

PAGE = "docs/administration.md"
GROUPS = ("objects", "accounts", "users", "groups", "sessions")
"""The groups of commands that this page describes; others have pages of their own."""


def page() -> str:
    return (PROJECT / PAGE).read_text(encoding="utf-8")


class Shell:
    """Runs the lines of the page: commands of kmipkit in this process, which is much faster."""

    def __init__(self, server: RunningServer) -> None:
        self.variables = {"KMIPKIT_SERVER": f"127.0.0.1:{server.port}"}
        self.output = ""

    def run(self, line: str) -> None:
        for name, value in self.variables.items():
            line = line.replace(f"${name}", value)
        program, *arguments = shlex.split(line)
        if program == "export":
            self.variables |= dict(argument.split("=", 1) for argument in arguments)
        elif program == "kmipkit":
            result = CliRunner().invoke(main, arguments, env=self.variables)
            assert result.exit_code == 0, result.output
            self.output += result.output
        else:
            process = subprocess.run([program, *arguments], capture_output=True, text=True)
            assert process.returncode == 0, process.stderr
            self.output += f"{process.stdout}\n"


def test_the_examples_work_and_print_what_the_page_shows(
    own_server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server.start()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kms").symlink_to(server.folder)
    (tmp_path / "array.txt").write_text("the password of the array\n")
    (tmp_path / "new.txt").write_text("another password\n")
    with server.client("db01") as client:
        client.activate(client.create(CryptographicAlgorithm.AES, 256, name="backup 2026"))
    shell = Shell(server)
    for block in blocks(PAGE, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            shell.run(line)
    printed = {" ".join(line.split()) for line in shell.output.splitlines()}
    for shown in blocks(PAGE, "text"):
        assert {" ".join(line.split()) for line in shown.splitlines()} <= printed
    assert "1 object transferred from db01 to db01.example.com" in shell.output
    assert "Login              yes" in shell.output
    assert '"state":"Active","owner":"db01.example.com"' in shell.output


@pytest.mark.parametrize("name", GROUPS)
def test_the_page_names_each_command(name: str) -> None:
    group = admin.get_command(click.Context(admin), name)
    assert isinstance(group, click.Group)
    rows = " ".join(row for row in page().splitlines() if row.startswith(f"| `{name} "))
    assert {command for command in group.commands if command not in rows} == set()


def test_the_page_names_the_statuses_and_limits_of_the_description() -> None:
    text = page()
    description = describe(ROUTES.rows)
    operations = [each for path in description["paths"].values() for each in path.values()]
    statuses = {status for each in operations for status in each["responses"] if status.isdigit()}
    [table] = re.findall(r"^\| status \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"\b[45]\d\d\b", table))
    assert {status for status in statuses if status >= "400"} <= named
    assert MAX_BODY == 1 << 20
    assert "1 MiB" in table
