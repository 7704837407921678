"""What the commands of all roles share: options, and files that are named on the command line."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.tls import Credentials

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def certificate_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--cert``, ``--key``, ``--ca`` and others, which the function gets as ``credentials``."""

    @functools.wraps(function)
    def run(
        *arguments: Any,
        cert: Path,
        key: Path | None,
        ca: Path,
        key_password_file: Path | None,
        crl: tuple[Path, ...],
        revoked: Path | None,
        **options: Any,
    ) -> None:
        credentials = make_credentials(cert, key, ca, key_password_file, crl, revoked)
        function(*arguments, credentials=credentials, **options)

    for option in (
        click.option(
            "--revoked",
            type=FILE,
            help="Further revoked certificates, as of kmipkit certs revoke --list.",
        ),
        click.option(
            "--crl",
            type=FILE,
            multiple=True,
            help="Revocation list of an authority; may be repeated.",
        ),
        click.option("--ca", type=FILE, required=True, help="Authorities of the other roles."),
        password_option,
        click.option(
            "--key", type=FILE, help="Private key, if the file of the certificate has none."
        ),
        click.option(
            "--cert", type=FILE, required=True, help="Own certificate, PEM, DER or PKCS #12."
        ),
    ):
        option(run)  # adds to the parameters of the function
    return run


def listen_options(function: F) -> F:
    """``--listen`` and ``--port``."""
    port = click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True)
    listen = click.option("--listen", default="127.0.0.1", show_default=True, help="Address.")
    return listen(port(function))


def make_credentials(
    cert: Path,
    key: Path | None,
    ca: Path,
    password_file: Path | None,
    crls: tuple[Path, ...] = (),
    revoked: Path | None = None,
) -> "Credentials":
    """The files of a certificate; its password is asked for if it has one and no file."""
    from kmipkit_certs.passwords import from_command_line
    from kmipkit_certs.revocation_files import RevocationFiles

    from kmipkit_vsphere.rpc.tls import Credentials

    password = from_command_line(password_file)
    return Credentials(cert, key, ca, password, RevocationFiles(crls, revoked))


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
