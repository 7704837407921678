"""Writes the man pages and completions of all commands: ``gen_man.py DIRECTORY``, as ``make man`` runs it.

They are made from the commands themselves, so that they say what ``--help`` says. click-man knows the
format; it does not know commands that are loaded on use, so that they are found here.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete
from click_man.core import generate_man_page

from kmipkit import __version__
from kmipkit.cli import main as kmipkit

NAME = "kmipkit"
COMPLETIONS: dict[str, type[ShellComplete]] = {
    "bash-completion/completions/kmipkit": BashComplete,
    "zsh/vendor-completions/_kmipkit": ZshComplete,
    "fish/vendor_completions.d/kmipkit.fish": FishComplete,
}
"""Where each shell looks below /usr/share."""


def commands(context: click.Context) -> Iterator[click.Context]:
    """The command and all inside it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from commands(click.Context(command, info_name=name, parent=context))


def write(directory: Path) -> None:
    """One page for each command, in ``man1``, and the completions of the shells."""
    pages = directory / "man" / "man1"
    pages.mkdir(parents=True, exist_ok=True)
    for context in commands(click.Context(kmipkit, info_name=NAME)):
        # A paragraph whose lines are kept begins with a backspace, which means nothing in a man page:
        # there, the spaces before the lines of the examples do the same. A backslash would be read.
        text = context.command.help or ""
        context.command.help = text.replace("\b\n", "").replace("\\", "\\e")
        page = pages / f"{context.command_path.replace(' ', '-')}.1"
        page.write_text(generate_man_page(context, __version__), encoding="utf-8")
    for place, shell in COMPLETIONS.items():
        file = directory / place
        file.parent.mkdir(parents=True, exist_ok=True)
        script = shell(kmipkit, {}, NAME, f"_{NAME.upper()}_COMPLETE").source()
        file.write_text(script, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
