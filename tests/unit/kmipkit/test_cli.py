"""The command ``kmipkit``: what it does with subcommands that other packages bring."""

from importlib.metadata import EntryPoint, entry_points

import click
import pytest
from click.testing import CliRunner

from kmipkit.cli import GROUP, Commands
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
