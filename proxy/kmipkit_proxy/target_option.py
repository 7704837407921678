"""Addresses and the target, from the values of options."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kmipkit_client.endpoints import Endpoint

    from kmipkit_proxy.endpoint import Target


def address_of(text: str, option: str) -> "Endpoint":
    """The address that an option has. click.BadParameter if it is none."""
    from kmipkit_proxy.endpoint import address
    from kmipkit_proxy.errors import ProxyError

    try:
        return address(text)
    except ProxyError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def target_of(
    target: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
) -> "Target":
    """The target that the options name; ClientError if the certificates cannot be used."""
    from kmipkit_certs.passwords import from_command_line
    from kmipkit_client.tls import FileTLS

    from kmipkit_proxy.endpoint import Target

    tls = FileTLS(ca, cert, key, from_command_line(key_password_file))
    return Target(address_of(target, "--server"), tls.context, timeout)
