"""The command ``kmipkit``: finds its subcommands through entry points and loads them when used.

Each component, and any other package, adds commands in the entry-point group ``kmipkit.commands``.
A command that cannot be imported is listed with the reason and harms no other. What is said about a
failure is one line: what is wrong and what to do; tracebacks are for defects.
"""

import os
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import click

from kmipkit import __version__

GROUP = "kmipkit.commands"

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: whoever read our output has gone, as in ``kmipkit decode ... | head``."""


class Commands(click.Group):
    """The subcommands that installed packages offer."""

    def __init__(
        self, *args: Any, found: Iterable[EntryPoint] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._found = found
        self._by_name: dict[str, EntryPoint] | None = None

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._by_name is None:
            found = entry_points(group=GROUP) if self._found is None else self._found
            # The first one wins, so that a name taken by this project stays with it.
            self._by_name = {point.name: point for point in reversed(list(found))}
        return self._by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._entry_points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._entry_points().get(cmd_name)
        if point is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = point.load()
        except Exception as error:  # a broken plug-in may raise anything
            return _unavailable(cmd_name, f"{point.value}: {type(error).__name__}: {error}")
        if not isinstance(command, click.Command):
            return _unavailable(cmd_name, f"{point.value} is not a click command")
        return command

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and exit: 0 on success, 1 on failure, 2 on wrong usage, 130 on Ctrl-C."""
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except click.exceptions.Exit as stop:
            sys.exit(stop.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        except BaseExceptionGroup as group:  # Ctrl-C, where tasks ran
            if group.split(KeyboardInterrupt)[1] is not None:
                raise
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # Python flushes again at exit; give it a place where that works.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BROKEN_PIPE)
        except Exception as error:
            if not _ours(error):
                raise
            click.echo(f"Error: {error}", err=True)
            sys.exit(EXIT_FAILURE)
        sys.exit(result if isinstance(result, int) else 0)


def _ours(error: Exception) -> bool:
    """Whether it is a KMIPError; looked up late, so that ``--help`` does not import the tables."""
    from kmipkit.errors import KMIPError

    return isinstance(error, KMIPError)


def _unavailable(name: str, why: str) -> click.Command:
    """A stand-in for a command that cannot be loaded."""

    @click.command(
        name,
        short_help=f"Not available: {why}",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        del arguments
        raise click.ClickException(f"{name!r} is not available in this installation ({why})")

    return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kmipkit")
def main() -> None:
    """A KMIP toolkit: key server, clients, conformance tester, virtual-machine encryption.

    \b
    Examples:
      kmipkit serve                           a key server on 127.0.0.1:5696
      kmipkit decode request.hex              what a message says, keys hidden
      kmipkit COMMAND --help                  what a command does, with examples
    """
