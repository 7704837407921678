"""What a newcomer meets at the commands of administrators: help, wrong options, no such directory."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kmipkit_server.admin.attribute_texts import attribute_text
from kmipkit_server.admin.cli import admin
from kmipkit_server.admin.connection import host_and_port

from kmipkit.cli import main


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words of each command, and whether it is a group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words, is_group = (*path, name), isinstance(command, click.Group)
        yield words, is_group
        if isinstance(command, click.Group):
            yield from commands(command, words)


EVERY = list(commands(admin, ("admin",)))
GROUPS = [("admin",), *(words for words, is_group in EVERY if is_group)]


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_a_group_without_a_command_shows_its_help_on_lines(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, words)
    assert "\n  Examples:\n" in result.output
    assert "\nCommands:\n" in result.output
    assert "\\n" not in result.output


@pytest.mark.parametrize("words", [words for words, _ in EVERY], ids=" ".join)
def test_a_wrong_option_is_wrong_usage(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--no-such-option"])
    assert result.exit_code == 2
    assert "Error: No such option" in result.output


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "command",
    [
        "objects list",
        "policy show",
        "policy revert 1",
        "audit query",
        "audit verify",
        "audit public-key",
    ],
)
def test_a_directory_without_a_server_is_named_and_not_made(command: str, tmp_path: Path) -> None:
    """And not its root key, which nobody misses there."""
    nowhere = tmp_path / "nowhere"
    result = CliRunner().invoke(main, ["admin", *command.split(), "--data-dir", str(nowhere)])
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith(f"Error: {nowhere}")
    assert "--data-dir or --config says where the server has its data" in line
    assert not nowhere.exists()


@pytest.mark.parametrize("command", ["objects list", "policy show", "policy revert 1"])
@pytest.mark.parametrize("place", ["--data-dir", "--config"])
def test_a_server_and_its_files_are_not_meant_both(command: str, place: str) -> None:
    """Otherwise a policy would be changed in another place than the one that is named."""
    both = ["--server", "kms:5696", place, "kms"]
    result = CliRunner().invoke(main, ["admin", *command.split(), *both])
    assert result.exit_code == 2
    assert "give one of them" in result.output
    environment = {"KMIPKIT_SERVER": "kms:5696"}
    result = CliRunner(env=environment).invoke(main, ["admin", *command.split(), place, "nowhere"])
    assert "give one of them" not in result.output


def test_a_log_that_does_not_exist_is_named() -> None:
    result = CliRunner().invoke(main, ["admin", "audit", "verify", "no-such.jsonl"])
    assert result.exit_code == 1
    assert result.output == "Error: no-such.jsonl: no such file or directory\n"


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("Name", {"name_value": "disk", "name_type": "UNINTERPRETED_TEXT_STRING"}, "disk"),
        ("Name", {"name_value": "urn:x", "name_type": "URI"}, "urn:x (URI)"),
        ("Initial Date", "2026-11-29T17:26:03+00:00", "2026-11-29 17:26:03 UTC"),
        ("Cryptographic Usage Mask", ["ENCRYPT", "DECRYPT"], "ENCRYPT, DECRYPT"),
        ("Random Number Generator", {"rng_algorithm": "DRBG"}, "RNG Algorithm DRBG"),
        ("Usage Limits", {"usage_limits_total": 7}, "Usage Limits Total 7"),
        ("x-Note", {"a_part": {"no_tag": ["a", "b"]}}, "a part (no tag a b)"),
        ("x-Date", "2026-11-29T17:26:03+00:00", "2026-11-29T17:26:03+00:00"),
        ("Cryptographic Length", 256, "256"),
    ],
)
def test_a_value_of_an_attribute_is_shown_for_people(
    attribute: str, value: object, text: str
) -> None:
    """A Name was shown as a structure, between braces, with the names of its fields."""
    assert attribute_text(attribute, value) == text


@pytest.mark.parametrize(
    ("server", "parts"),
    [
        ("kms.example.org", ("kms.example.org", 5696)),
        ("kms.example.org:5697", ("kms.example.org", 5697)),
        ("[::1]", ("::1", 5696)),
        ("[fe80::1%eth0]:5697", ("fe80::1%eth0", 5697)),
    ],
)
def test_a_server_is_named_as_for_the_client(server: str, parts: tuple[str, int]) -> None:
    """KMIPKIT_SERVER without a port worked with kmipkit client only."""
    assert host_and_port(server) == parts


@pytest.mark.parametrize("server", ["", ":5696", "kms:", "kms:0", "kms:65536", "::1", "a,b", "a b"])
def test_what_is_no_server_is_refused(server: str) -> None:
    with pytest.raises(click.BadParameter, match="is not HOST:PORT"):
        host_and_port(server)
