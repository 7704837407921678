"""Options of the commands; importing this module is cheap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit.numbers_option import seconds

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])

_CONNECTION = (
    click.option(
        "--ca", type=FILE, envvar="KMIPKIT_CA", help="Certificate authorities of the target."
    ),
    click.option(
        "--cert",
        type=FILE,
        envvar="KMIPKIT_CERT",
        help="Certificate that the target sees, PEM or PKCS #12.",
    ),
    click.option(
        "--key",
        type=FILE,
        envvar="KMIPKIT_KEY",
        help="Its private key, if the file of the certificate does not have it.",
    ),
    password_option,
    click.option(
        "--timeout",
        default=30.0,
        show_default=True,
        type=seconds(),
        help="Seconds for the target to connect, and to answer.",
    ),
)


def target_options(variable: str | None = None) -> Callable[[F], F]:
    """Where the target is, with an environment variable for it, and how to connect."""

    def decorate(function: F) -> F:
        for option in reversed(_CONNECTION):
            function = option(function)
        return click.option(
            "--server",
            "--target",
            "target",
            required=True,
            envvar=variable,
            metavar="HOST:PORT",
            help="The key server that gets the requests.",
        )(function)

    return decorate
