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

    @click.option("--config", "config_file", type=FILE, help="Configuration file of the server.")
    @click.option(
        "--data-dir",
        type=FILE,
        envvar="KMIPKIT_DATA_DIR",
        help="Directory of the server's objects and keys.  [default: ./kmipkit-data]",
    )
    @wraps(function)
    def run(config_file: Path | None, data_dir: Path | None, **arguments: Any) -> Any:
        from kmipkit_server import config

        loaded = config.load(config_file) if config_file is not None else config.Config()
        loaded = config.with_options(loaded, {"store": {"directory": data_dir}})
        return function(loaded, **arguments)

    return run  # type: ignore[return-value]  # click calls it with the options as keywords
