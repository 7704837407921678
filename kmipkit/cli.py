"""The command ``kmipkit``: finds its subcommands through entry points, and loads them on use.

Each component, and any other package, adds commands in the entry-point group ``kmipkit.commands``.
A command that cannot be imported is listed as unavailable, and does not affect the others. A failure
is one line that says what is wrong and what to do; only a defect shows a traceback.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn, TextIO

import click

from kmipkit import __version__
from kmipkit.terminal import (
    OutputFailed,
    echo,
    flush,
    printable,
    printable_lines,
    write_escaped,
)

GROUP = "kmipkit.commands"

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as in shells."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: the reader of our output has ended, as in ``kmipkit decode ... | head``."""

EXTRA_OF = {
    "kmipkit": "client",
    "kmipkit_certs": "client",
    "kmipkit_client": "client",
    "kmipkit_conformance": "conformance",
    "kmipkit_load": "conformance",
    "kmipkit_migrate": "server",
    "kmipkit_proxy": "conformance",
    "kmipkit_server": "server",
    "kmipkit_testing": "testing",
    "kmipkit_vsphere": "vsphere",
}
"""The extra in setup.cfg with what each of our packages needs."""
EXTRA_WITH = {
    "opentelemetry": "otel",
    "pkcs11": "hsm",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "tpm2_pytss": "tpm",
}
"""The extra with a package that only a few users of a command need."""

_OURS = (
    click.MissingParameter,
    getattr(click.exceptions, "NoArgsIsHelpError", click.MissingParameter),  # since click 8.2
)
"""Errors whose texts are made of nothing but our own: such as the help of a group without a command."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class Commands(click.Group):
    """The subcommands of the installed packages."""

    def __init__(
        self, *args: Any, points: Iterable[EntryPoint] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._points = points
        self._by_name: dict[str, EntryPoint] | None = None
        self._loaded: EntryPoint | None = None
        """Of the command that was asked for last."""

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
        self._loaded = point
        try:
            command = point.load()
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, _remedy(error, point))
        except Exception as error:  # the import of a plug-in may raise anything
            return _unavailable(cmd_name, f"{point.value}: {type(error).__name__}: {error}")
        if not isinstance(command, click.Command):
            return _unavailable(cmd_name, f"{point.value} is not a click command")
        return command

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and exit: 0 on success, 1 on failure, 2 on wrong usage, 130 on Ctrl-C."""
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
            flush()
        except click.exceptions.Exit as stop:
            sys.exit(stop.exit_code)
        except click.ClickException as error:
            text = io.StringIO()
            # On one line, since it may name a file of others; but these have only what is ours.
            escape = printable_lines if isinstance(error, _OURS) else printable
            message = escape(error.format_message() + _suggestion(error))
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
            _discard(sys.stdout)
            sys.exit(EXIT_BROKEN_PIPE)
        except OutputFailed as error:
            _output_failed(error)
        except Exception as error:
            if not _is_told(error, self._loaded):
                raise
            sys.exit(EXIT_FAILURE)
        sys.exit(result if isinstance(result, int) else 0)


def _discard(stream: TextIO) -> None:
    """Python flushes the stream again at exit, which must not fail then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_told(error: Exception, loaded: EntryPoint | None) -> bool:
    """Say what is wrong; False for a defect, which shows its traceback."""
    # KMIPError cannot be named in an except clause, because importing it would slow down --help.
    if isinstance(error, ModuleNotFoundError) and _is_missing(error):
        echo(f"Error: {_remedy(error, loaded)}", err=True)
    elif _is_kmip_error(error):
        echo(f"Error: {error}", err=True)
    elif isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
        # Of a help, which click prints itself: what we write to files has its own errors.
        _output_failed(OutputFailed(error.strerror or str(error), err=False))
    else:
        return False
    return True


def _output_failed(error: OutputFailed) -> NoReturn:
    _discard(sys.stderr if error.err else sys.stdout)
    if not error.err:
        echo(f"Error: {error}", err=True)
    sys.exit(EXIT_FAILURE)


def _suggestion(error: click.ClickException) -> str:
    """What was meant: a command, as click says it for groups that are not loaded on use, or a place."""
    if isinstance(error, click.NoSuchOption):
        return _place_of_option(error)
    unknown = re.fullmatch(r"No such command '(.+)'\.", error.message)
    context = getattr(error, "ctx", None)
    if unknown is None or context is None or getattr(error, "possibilities", None):
        return ""
    meant = get_close_matches(unknown[1], context.command.list_commands(context), n=1)
    return f" Did you mean {meant[0]!r}?" if meant else ""


def _place_of_option(error: click.NoSuchOption) -> str:
    context = error.ctx
    outer = None if context is None else context.parent
    while context is not None and outer is not None:
        if any(error.option_name in each.opts for each in outer.command.params):
            command = f"{outer.command_path} {error.option_name} ... {context.info_name}"
            return f" It belongs before the command: {command}"
        context, outer = outer, outer.parent
    return ""


def _is_missing(error: ModuleNotFoundError) -> bool:
    """Whether another package is not installed, and not a module of our own."""
    return not (error.name or "kmipkit").startswith("kmipkit")


def _remedy(error: ModuleNotFoundError, point: EntryPoint | None) -> str:
    """What to install, for a command that cannot be loaded or run."""
    package = "" if point is None else point.value.split(".")[0]
    if not _is_missing(error) or package not in EXTRA_OF:
        return f"{'' if point is None else f'{point.value}: '}{type(error).__name__}: {error}"
    extra = EXTRA_WITH.get((error.name or "").partition(".")[0], EXTRA_OF[package])
    return f"the package {error.name} is not installed; run: pip install 'kmipkit[{extra}]'"


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
