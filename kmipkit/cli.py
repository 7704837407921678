"""The command ``kmipkit``: finds its subcommands through entry points, and loads them on use.

Each component, and any other package, adds commands in the entry-point group ``kmipkit.commands``.
A command that cannot be imported is listed as unavailable, and does not affect the others. A failure
is one line that says what is wrong and what to do; only a defect shows a traceback.
"""

import io
import os
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn

import click

from kmipkit import __version__
from kmipkit.terminal import echo, printable, printable_lines, write_escaped

GROUP = "kmipkit.commands"

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as in shells."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: the reader of our output has ended, as in ``kmipkit decode ... | head``."""


class Commands(click.Group):
    """The subcommands of the installed packages."""

    def __init__(
        self, *args: Any, points: Iterable[EntryPoint] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._points = points
        self._by_name: dict[str, EntryPoint] | None = None

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._by_name is None:
            points = entry_points(group=GROUP) if self._points is None else self._points
            # If two packages define a command, the first one takes precedence.
            self._by_name = {point.name: point for point in reversed(list(points))}
        return self._by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._entry_points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._entry_points().get(cmd_name)
        if point is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = point.load()
        except Exception as error:  # the import of a plug-in may raise anything
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
            text = io.StringIO()
            # On one line, since it may name a file of others; but a missing parameter names only ours.
            escape = printable_lines if isinstance(error, click.MissingParameter) else printable
            message = escape(error.format_message())
            error.format_message = lambda: message  # type: ignore[method-assign]  # of this instance
            error.show(text)
            write_escaped(printable_lines(text.getvalue()), err=True)
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        except BaseExceptionGroup as group:  # Ctrl-C, where tasks ran
            if group.split(KeyboardInterrupt)[1] is not None:
                raise
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # Python flushes standard output again at exit, which must not fail then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BROKEN_PIPE)
        except Exception as error:
            # KMIPError cannot be named in an except clause, because importing it would slow down --help.
            # Any other exception is a defect, and shows its traceback.
            if not _is_kmip_error(error):
                raise
            echo(f"Error: {error}", err=True)
            sys.exit(EXIT_FAILURE)
        sys.exit(result if isinstance(result, int) else 0)


def _is_kmip_error(error: Exception) -> bool:
    from kmipkit.errors import KMIPError

    return isinstance(error, KMIPError)


def _unavailable(name: str, reason: str) -> click.Command:
    """The command in place of one that cannot be loaded."""

    @click.command(
        name,
        short_help=f"Not available: {reason}",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        del arguments
        raise click.ClickException(f"{name!r} is not available in this installation ({reason})")

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
      kmipkit serve                           start a key server on 127.0.0.1:5696
      kmipkit decode request.hex              show a message, without keys
      kmipkit COMMAND --help                  explain a command, with examples
    """
