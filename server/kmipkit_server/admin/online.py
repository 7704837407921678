"""Options of commands that ask a running server: those of ``kmipkit client``, with the same defaults."""

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit_server.admin.options import FILE

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.offline import DataDirectory
    from kmipkit_server.admin.stopped import StoppedServer
    from kmipkit_server.config import Config

    Source = AdminConnection | DataDirectory
    Opener = Callable[[], Source]
    Target = AdminConnection | StoppedServer

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--server",
        default="127.0.0.1:5696",
        show_default=True,
        envvar="KMIPKIT_SERVER",
        metavar="HOST:PORT",
        help="Address of the key server.",
    ),
    click.option(
        "--ca", type=FILE, envvar="KMIPKIT_CA", help="Certificate authorities of the server."
    ),
    click.option(
        "--cert",
        type=FILE,
        envvar="KMIPKIT_CERT",
        help="Certificate of an administrator, PEM or PKCS #12.",
    ),
    click.option(
        "--key",
        type=FILE,
        envvar="KMIPKIT_KEY",
        help="Its private key, if the file of the certificate does not have it.",
    ),
    password_option,
)


def server_options(function: _Function) -> _Function:
    """Options for a connection to a server: the function gets it as its first argument."""

    @wraps(function)
    def run(**arguments: Any) -> Any:
        with _connection(arguments) as connection:
            return function(connection, **arguments)

    return _with(run, _OPTIONS)  # type: ignore[no-any-return]  # click calls it with the options


def reading_options(function: _Function) -> _Function:
    """The same, or ``--data-dir`` or ``--config`` for a server that does not run."""

    @wraps(function)
    def run(opener: "Opener", **arguments: Any) -> Any:
        with opener() as source:
            return function(source, **arguments)

    return opening_options(run)  # type: ignore[return-value]  # click calls it with the options


def opening_options(function: _Function) -> _Function:
    """The same options: the function gets another one, which opens the source if it is needed."""

    @wraps(function)
    def run(data_dir: Path | None, config_file: Path | None, **arguments: Any) -> Any:
        values = {name: arguments.pop(name) for name in _NAMES}
        _require_one_place(data_dir, config_file)

        def opener() -> "Source":
            if data_dir is None and config_file is None:
                return _connection(values)
            from kmipkit_server.admin.offline import DataDirectory

            return DataDirectory(_config(data_dir, config_file))

        return function(opener, **arguments)

    return _with(run, (*_OPTIONS, *_OFFLINE))  # type: ignore[no-any-return]  # as above


def changing_options(function: _Function) -> _Function:
    """The same for changes: of a server that runs, or of the data directory of one that does not."""

    @wraps(function)
    def run(data_dir: Path | None, config_file: Path | None, **arguments: Any) -> Any:
        values = {name: arguments.pop(name) for name in _NAMES}
        _require_one_place(data_dir, config_file)
        if data_dir is None and config_file is None:
            with _connection(values) as connection:
                return function(connection, **arguments)
        from kmipkit_server.admin.stopped import StoppedServer

        with StoppedServer(_config(data_dir, config_file)) as server:
            return function(server, **arguments)

    return _with(run, (*_OPTIONS, *_STOPPED))  # type: ignore[no-any-return]  # as above


def _require_one_place(data_dir: Path | None, config_file: Path | None) -> None:
    """Refuse a server and files at the same time: one of them would be ignored."""
    given = click.get_current_context().get_parameter_source("server")
    if given is click.core.ParameterSource.COMMANDLINE and (data_dir or config_file):
        raise click.UsageError(
            "--server asks a server that runs, --data-dir and --config read files: give one of them"
        )


def _config(data_dir: Path | None, config_file: Path | None) -> "Config":
    from kmipkit_server.config import read_settings

    options = {"store": {"directory": data_dir}}
    return read_settings(config_file, os.environ, options).config


def explicit_server_options(function: _Function) -> _Function:
    """``--server``: the function gets a connection as its first argument, or None without it."""

    @wraps(function)
    def run(**arguments: Any) -> Any:
        if arguments["server"] is not None:
            with _connection(arguments) as connection:
                return function(connection, **arguments)
        for name in _NAMES:
            arguments.pop(name)
        return function(None, **arguments)

    return _with(run, (_EXPLICIT_SERVER, *_OPTIONS[1:]))  # type: ignore[no-any-return]  # as above


def files_or_server_options(function: _Function) -> _Function:
    """``--config`` and ``--data-dir`` for the files of a server, running or not; or ``--server``.

    The function gets the configuration, or a connection, as its first argument.
    """

    @wraps(function)
    def run(data_dir: Path | None, config_file: Path | None, **arguments: Any) -> Any:
        if arguments["server"] is not None:
            with _connection(arguments) as connection:
                return function(connection, **arguments)
        from kmipkit_server.config import read_settings

        for name in _NAMES:
            arguments.pop(name)
        settings = read_settings(config_file, os.environ, {"store": {"directory": data_dir}})
        return function(settings.config, **arguments)

    return _with(run, (*_FILES, _EXPLICIT_SERVER, *_OPTIONS[1:]))  # type: ignore[no-any-return]  # as above


_NAMES = ("server", "ca", "cert", "key", "key_password_file")
_FILES = (
    click.option(
        "--config",
        "config_file",
        type=FILE,
        envvar="KMIPKIT_CONFIG",
        help="Configuration file of the server.",
    ),
    click.option(
        "--data-dir",
        type=FILE,
        help="Directory of the server's objects and keys.  [default: ./kmipkit-data]",
    ),
)
_EXPLICIT_SERVER = click.option(
    "--server", metavar="HOST:PORT", help="Ask this server, instead of reading its files."
)
_STOPPED = (
    click.option(
        "--data-dir",
        type=FILE,
        help="Change the data directory of a server that does not run, instead of asking a server.",
    ),
    click.option(
        "--config",
        "config_file",
        type=FILE,
        help="The same by the configuration file of the server.",
    ),
)
_OFFLINE = (
    click.option(
        "--data-dir",
        type=FILE,
        help="Read the data directory of a server that does not run, instead of asking a server.",
    ),
    click.option(
        "--config",
        "config_file",
        type=FILE,
        help="The same by the configuration file of the server.",
    ),
)


def _connection(arguments: dict[str, Any]) -> "AdminConnection":
    """A connection from the values of the options, which are taken out."""
    from kmipkit_certs.passwords import from_command_line

    from kmipkit_server.admin.connection import connect

    server, ca, cert, key, key_password_file = [arguments.pop(name) for name in _NAMES]
    return connect(server, ca, cert, key, from_command_line(key_password_file))


def _with(run: Callable[..., Any], options: Iterable[Callable[[Any], Any]]) -> Any:
    for option in reversed(tuple(options)):
        run = option(run)
    return run
