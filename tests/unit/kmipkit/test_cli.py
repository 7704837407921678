"""The command ``kmipkit``: what it does with subcommands that other packages bring."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kmipkit.cli import GROUP, Commands, main
from kmipkit.errors import Cause, LocalProtocolError


@pytest.mark.parametrize("point", entry_points(group=GROUP), ids=lambda point: point.name)
def test_every_command_can_be_loaded(point: EntryPoint) -> None:
    assert isinstance(point.load(), click.Command)


BROKEN = [
    EntryPoint("missing", "kmipkit_missing:command", GROUP),
    EntryPoint("nameless", "kmipkit.cli:no_such_name", GROUP),
    EntryPoint("other", "kmipkit.cli:GROUP", GROUP),
]
SOUND = EntryPoint("decode", "kmipkit.decode:decode", GROUP)
COMMANDS = Commands("kmipkit", points=[*BROKEN, SOUND])


def test_help_says_why_a_command_cannot_be_loaded_and_lists_the_others() -> None:
    result = CliRunner().invoke(COMMANDS, ["--help"], terminal_width=200)
    assert result.exit_code == 0
    assert "No module named 'kmipkit_missing'" in result.output
    assert "no_such_name" in result.output
    assert "kmipkit.cli:GROUP is not a click command" in result.output
    assert "without keys" in result.output


def test_ctrl_c_among_tasks_ends_as_ctrl_c_does() -> None:
    @click.command()
    def interrupted() -> None:
        raise BaseExceptionGroup("tasks", [KeyboardInterrupt()])

    commands = Commands("kmipkit", points=[])
    commands.add_command(interrupted)
    assert CliRunner().invoke(commands, ["interrupted"]).exit_code == 130


@pytest.mark.parametrize("point", BROKEN, ids=lambda point: point.name)
@pytest.mark.parametrize("arguments", [[], ["--help"], ["anything", "--option", "1"]], ids=str)
def test_a_command_that_cannot_be_loaded_fails_with_the_reason(
    point: EntryPoint, arguments: list[str]
) -> None:
    result = CliRunner().invoke(COMMANDS, [point.name, *arguments])
    assert result.exit_code == 1
    assert f"{point.name!r} is not available in this installation ({point.value}" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "is_shown"),
    [
        (LocalProtocolError("no such version", cause=Cause.BAD_VALUE), True),
        (KeyError("key"), False),
    ],
    ids=["expected", "defect"],
)
def test_a_failure_is_one_line_and_a_defect_is_not_hidden(error: Exception, is_shown: bool) -> None:
    @click.command()
    def failing() -> None:
        raise error

    commands = Commands("kmipkit", points=[])
    commands.add_command(failing)
    result = CliRunner().invoke(commands, ["failing"])
    assert result.exit_code == 1
    assert (result.output == f"Error: {error}\n") is is_shown
    assert (result.exception is error) is not is_shown


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["srve"], "serve"),
        (["admin", "user"], "users"),
        (["client", "lcate"], "locate"),
        (["conformance", "rn"], "run"),
        (["certs", "isue"], "issue"),
        (["trust-authority", "srve"], "serve"),
        (["qqqqqq"], None),
    ],
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(
    arguments: list[str], meant: str | None
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.output.count("Did you mean") == (meant is not None)
    assert meant is None or f"'{meant}'" in result.output


def _groups(command: click.Command, path: str = "kmipkit") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inside = command.get_command(context, name)
            assert inside is not None
            yield from _groups(inside, f"{path} {name}")


def test_where_a_server_is_has_one_name() -> None:
    """Who knows one command of the toolkit need not look up the option of the next one."""
    places = {
        name: {
            option.opts[0]
            for option in command.params
            if set(option.opts) & SERVER_OPTIONS and option.metavar == "HOST:PORT"
        }
        for name, command in _groups(main)
    }
    assert set().union(*places.values()) == {"--server"}


SERVER_OPTIONS = {"--server", "--target", "--vcenter", "--host"}


def test_an_option_of_the_connection_has_its_place_before_the_command() -> None:
    """With ``kmipkit admin`` it comes after the command: people try it here."""
    result = CliRunner().invoke(main, ["client", "locate", "--cert", "me.crt"])
    assert result.exit_code == 2
    assert "It belongs before the command: main client --cert ... locate" in result.output
    assert "belongs" not in CliRunner().invoke(main, ["client", "locate", "--nothing"]).output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "--version", "decode --help", "bench mixes"])
def test_a_full_disk_is_no_defect(arguments: str) -> None:
    """For a script: one line on the error stream, and a status that is not 0."""
    command = f"{sys.executable} -m kmipkit {arguments} > /dev/full"
    played = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert played.returncode == 1
    assert played.stderr == "Error: cannot write to standard output: No space left on device\n"
