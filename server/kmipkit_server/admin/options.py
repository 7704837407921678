"""Options that several commands of ``kmipkit admin`` have."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

FILE = click.Path(path_type=Path)

_Function = TypeVar("_Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def data_directory_options(function: _Function) -> _Function:
    """``--config`` and ``--data-dir``: the function gets the configuration as its first argument.

    For commands that work on the files of a server, which may be running or not.
    """

    @click.option(
        "--config",
        "config_file",
        type=FILE,
        envvar="KMIPKIT_CONFIG",
        help="Configuration file of the server.",
    )
    @click.option(
        "--data-dir",
        type=FILE,
        help="Directory of the server's objects and keys.  [default: ./kmipkit-data]",
    )
    @wraps(function)
    def run(config_file: Path | None, data_dir: Path | None, **arguments: Any) -> Any:
        import os

        from kmipkit_server.config import read_settings

        options = {"store": {"directory": data_dir}}
        settings = read_settings(config_file, os.environ, options)
        return function(settings.config, **arguments)

    return run  # type: ignore[return-value]  # click calls it with the options as keywords
