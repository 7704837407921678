"""``kmipkit admin enrol``: a bundle for a new client, from the development PKI of a server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from kmipkit_certs.options import validity_options

from kmipkit.terminal import echo
from kmipkit_server.admin.options import FILE, data_directory_options

if TYPE_CHECKING:
    from kmipkit_server.config import Config


@click.command()
@click.argument("name")
@data_directory_options
@click.option("--out", type=FILE, help="New directory for the bundle.  [default: ./NAME]")
@click.option(
    "--algorithm",
    type=click.Choice(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"]),
    default="ecdsa-p256",
    show_default=True,
    help="Algorithm of the key; RSA for products that support nothing else.",
)
@validity_options()
@click.option(
    "--pkcs12-password-file",
    type=FILE,
    help="File whose first line is the password of the PKCS #12 and JKS files.  [default: asked for]",
)
@click.option(
    "--pkcs12-old",
    is_flag=True,
    help="Encrypt them with Triple DES and SHA-1, for products that read nothing better.",
)
@click.option(
    "--jks",
    is_flag=True,
    help="Also write JKS files, for Java products that read no PKCS #12. They protect the key badly:"
    " whoever has the file can guess the password fast.",
)
def enrol(
    config: "Config",
    name: str,
    out: Path | None,
    algorithm: str,
    days: float,
    pkcs12_password_file: Path | None,
    pkcs12_old: bool,
    jks: bool,
) -> None:
    """Make a bundle for a new client: key, certificate and authority, in the forms that products take.

    NAME becomes the account of the client. The bundle is a directory with PEM and PKCS #12 files; Java
    8 and later read the PKCS #12 files as key store and trust store. Whoever has the bundle is the
    client: copy it over an encrypted connection, and delete it here. The server keeps the certificate
    only, for "kmipkit certs renew" and "kmipkit certs revoke".

    This is for servers with the development PKI, on the machine of the server; it may be running.
    docs/products.md says which product takes which file.

    \b
    Examples:
      kmipkit admin enrol mongodb --data-dir kms
      kmipkit admin enrol tape-library --data-dir kms --algorithm rsa-2048 --out bundle \\
          --pkcs12-password-file secret
      kmipkit admin enrol old-array --data-dir kms --algorithm rsa-2048 --jks
    """
    from kmipkit_certs import bundle
    from kmipkit_certs.passwords import new_password

    from kmipkit_server.service.enrolment import enrol as enrol_client
    from kmipkit_server.service.enrolment import require_possible

    path = Path(name) if out is None else out
    require_possible(config, name)
    password = new_password(pkcs12_password_file, "the PKCS #12 files")
    enrol_client(
        config,
        name,
        path,
        password,
        algorithm=algorithm,
        days=days,
        for_old_devices=pkcs12_old,
        with_jks=jks,
    )
    described = bundle.described(name, with_jks=jks)
    width = max(map(len, described))
    echo(f"bundle for the account {name}: {path}")
    for file, text in described.items():
        echo(f"  {file.ljust(width)}  {text}")
