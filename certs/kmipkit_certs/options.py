"""Options that several commands have; importing this module is cheap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def password_option(function: _Command) -> _Command:
    """``--key-password-file``; without it, the environment and the terminal are asked."""
    return click.option(
        "--key-password-file",
        type=click.Path(path_type=Path),
        envvar="KMIPKIT_KEY_PASSWORD_FILE",
        help="File whose first line is the password of the private key.  [default: the environment"
        " variable KMIPKIT_KEY_PASSWORD; else it is asked for]",
    )(function)
