"""What the commands of all roles share: options, and files that are named on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.tls import Credentials

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def certificate_options(function: F) -> F:
    """``--cert``, ``--key``, ``--key-password-file`` and ``--ca``."""
    for name, is_required, text in (
        ("--ca", True, "Authorities of the other roles."),
        ("--key", False, "Private key, if the file of the certificate has none."),
        ("--cert", True, "Own certificate, PEM or PKCS #12."),
    ):
        function = click.option(name, type=FILE, required=is_required, help=text)(function)
    return password_option(function)


def listen_options(function: F) -> F:
    """``--listen`` and ``--port``."""
    port = click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True)
    listen = click.option("--listen", default="127.0.0.1", show_default=True, help="Address.")
    return listen(port(function))


def credentials(
    cert: Path, key: Path | None, ca: Path, password_file: Path | None
) -> "Credentials":
    """The files of a certificate; its password is asked for if it has one and no file."""
    from kmipkit_certs.passwords import from_command_line

    from kmipkit_vsphere.rpc.tls import Credentials

    return Credentials(cert, key, ca, from_command_line(password_file))


def host_and_port(where: str, option: str) -> tuple[str, int]:
    """The address in HOST:PORT; a usage error about ``option`` if it is none."""
    host, separator, port = where.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{where!r} is not HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


def password(file: Path) -> bytes:
    """The password in a file, without its line end."""
    return content(file).rstrip(b"\r\n")


def content(file: Path) -> bytes:
    """The bytes of a file; a usage error if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"cannot read {file}: {error}") from error
