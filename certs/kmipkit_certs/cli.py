"""``kmipkit certs``: create an authority; issue, sign, revoke, show and check certificates."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo, printable_json, printable_lines
from kmipkit_certs.clock import system_clock

if TYPE_CHECKING:
    from kmipkit_certs.authority import Purpose

FILE = click.Path(path_type=Path)

algorithm_option = click.option(
    "--algorithm",
    type=click.Choice(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"]),
    default="ecdsa-p256",
    show_default=True,
    help="Algorithm of the key; RSA for devices that support nothing else.",
)


def purpose_option(function: Callable[..., None]) -> Callable[..., None]:
    """``--server``, ``--client`` or ``--both``."""
    server = click.option(
        "--server/--client", default=False, help="Side of the connection.  [default: client]"
    )
    both = click.option("--both", is_flag=True, help="Both sides, for one who calls and is called.")
    return server(both(function))


def days_option(function: Callable[..., None]) -> Callable[..., None]:
    """``--days``."""
    return click.option(
        "--days",
        type=click.IntRange(1, 36500),
        default=825,
        show_default=True,
        help="Days for which the certificate is valid.",
    )(function)


def _purpose(server: bool, both: bool = False) -> "Purpose":
    from kmipkit_certs.authority import Purpose

    if both:
        return Purpose.BOTH
    return Purpose.SERVER if server else Purpose.CLIENT


@click.group()
def certs() -> None:
    """Issue, sign, revoke, show and check the certificates that KMIP over TLS needs.

    \b
    Examples:
      kmipkit certs init pki
      kmipkit certs issue pki kms --server --san kms.example.org --san 192.0.2.7
      kmipkit certs issue pki backup-appliance
      kmipkit certs check pki/backup-appliance.crt --ca pki/ca.crt
      kmipkit certs revoke pki pki/backup-appliance.crt
    """


@certs.command()
@click.argument("directory", type=FILE)
@click.option("--name", default="kmipkit CA", show_default=True, help="Name of the authority.")
@algorithm_option
def init(directory: Path, name: str, algorithm: str) -> None:
    """Create a certificate authority in DIRECTORY: ca.crt, which peers trust, and its key.

    \b
    Examples:
      kmipkit certs init pki
      kmipkit certs init pki --name "Storage laboratory" --algorithm rsa-3072
    """
    from kmipkit_certs.directory import Directory

    files = Directory(directory).init(name, algorithm, system_clock())
    echo(f"authority: {files.cert}, private key: {files.key}")


@certs.command()
@click.argument("directory", type=FILE)
@click.argument("name")
@click.option(
    "--san", multiple=True, help="Host name, address, e-mail address or URI; may be repeated."
)
@purpose_option
@algorithm_option
@days_option
def issue(
    directory: Path,
    name: str,
    san: tuple[str, ...],
    server: bool,
    both: bool,
    algorithm: str,
    days: int,
) -> None:
    """Create a key and its certificate, signed by the authority in DIRECTORY.

    NAME becomes the Common Name and the name of both files. Without --san, a server's certificate
    also has NAME as alternative name.

    \b
    Examples:
      kmipkit certs issue pki kms.example.org --server
      kmipkit certs issue pki kms --server --san localhost --san 127.0.0.1
      kmipkit certs issue pki vcenter --both
      kmipkit certs issue pki tape-library --algorithm rsa-2048 --days 365
    """
    from kmipkit_certs.directory import Directory

    alternative = san or ((name,) if server or both else ())
    files = Directory(directory).issue(
        name,
        _purpose(server, both),
        system_clock(),
        alternative=alternative,
        algorithm=algorithm,
        days=days,
    )
    echo(f"certificate: {files.cert}, private key: {files.key}")


@certs.command()
@click.argument("directory", type=FILE)
@click.argument("request", type=FILE)
@click.option("--out", type=FILE, help="File to write.  [default: REQUEST with the suffix .crt]")
@purpose_option
@days_option
def sign(
    directory: Path, request: Path, out: Path | None, server: bool, both: bool, days: int
) -> None:
    """Sign a certificate REQUEST (CSR), as a vCenter or a storage array exports it.

    Subject and alternative names come from the request. The usage comes from the options.

    \b
    Examples:
      kmipkit certs sign pki vcenter.csr
      kmipkit certs sign pki kms.csr --server --out kms.crt
    """
    from kmipkit_certs import files
    from kmipkit_certs.directory import Directory

    certificate = (
        Directory(directory)
        .authority()
        .sign(files.read_request(request), _purpose(server, both), system_clock(), days=days)
    )
    target = out or request.with_suffix(".crt")
    files.write_certificate(target, certificate)
    echo(f"certificate: {target}, for {certificate.subject.rfc4514_string()}")


@certs.command()
@click.argument("paths", type=FILE, nargs=-1, required=True, metavar="[DIRECTORY] [CERT]...")
@click.option("--list", "own_list", type=FILE, help="List of revoked certificates to add to.")
@click.option(
    "--reason",
    type=click.Choice(
        [
            "unspecified",
            "key-compromise",
            "affiliation-changed",
            "superseded",
            "cessation-of-operation",
        ]
    ),
    default="unspecified",
    show_default=True,
    help="Reason that the revocation list shows.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    default=365,
    show_default=True,
    help="Days for which the revocation list is valid.",
)
def revoke(paths: tuple[Path, ...], own_list: Path | None, reason: str, days: int) -> None:
    """Revoke the certificates in the files CERT.

    The authority in DIRECTORY signs its revocation list anew: ca.crl, which servers read. Without a
    CERT, this renews the list before it expires.

    With --list, there is no DIRECTORY: the certificates are added to a text file, for authorities
    whose key you do not have. Of a CERT with several certificates, the first is revoked.

    \b
    Examples:
      kmipkit certs revoke pki pki/tape-library.crt --reason key-compromise
      kmipkit certs revoke pki
      kmipkit certs revoke --list revoked.txt stolen.crt
    """
    if own_list is not None:
        _add_to_list(own_list, paths)
    else:
        _add_to_revocation_list(paths[0], paths[1:], reason, days)


def _add_to_revocation_list(path: Path, certs: tuple[Path, ...], reason: str, days: int) -> None:
    from kmipkit_certs import files
    from kmipkit_certs.directory import Directory
    from kmipkit_certs.revocation import REASONS

    directory = Directory(path)
    certificates = [files.read_certificates(cert)[0] for cert in certs]
    count = directory.revoke(certificates, system_clock(), reason=REASONS[reason], days=days)
    click.echo(f"revocation list: {directory.revocation_list}, certificates added: {count}")


def _add_to_list(own_list: Path, certs: tuple[Path, ...]) -> None:
    from kmipkit_certs import files
    from kmipkit_certs.revocation import signed_hash, text_line

    now = system_clock()
    known = files.read_revoked(own_list) if own_list.exists() else frozenset()
    certificates = [files.read_certificates(cert)[0] for cert in certs]
    new = [each for each in dict.fromkeys(certificates) if signed_hash(each) not in known]
    files.append(own_list, "".join(f"{text_line(each, now)}\n" for each in new).encode())
    click.echo(f"list: {own_list}, certificates added: {len(new)}")


@certs.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of objects.")
def show(file: Path, as_json: bool) -> None:
    """Show the contents of the certificates, or of the revocation lists, in FILE.

    \b
    Examples:
      kmipkit certs show pki/ca.crt
      kmipkit certs show chain.pem --json
      kmipkit certs show pki/ca.crl
    """
    from kmipkit_certs import files
    from kmipkit_certs.show import facts, revocation_facts, text

    if files.is_revocation_list(file):
        contents = [revocation_facts(crl) for crl in files.read_revocation_lists(file)]
    else:
        contents = [facts(certificate) for certificate in files.read_certificates(file)]
    if as_json:
        click.echo(json.dumps(contents, indent=2))
    else:
        click.echo(printable_lines("\n\n".join(text(rows) for rows in contents)))


@certs.command()
@click.argument("file", type=FILE)
@click.option(
    "--ca", type=FILE, required=True, help="Certificate authorities that the peer trusts."
)
@click.option("--key", type=FILE, help="Private key to compare with the certificate.")
@click.option(
    "--crl", type=FILE, multiple=True, help="Revocation list of an authority; may be repeated."
)
@click.option("--revoked", type=FILE, help="List of revoked certificates, as of revoke --list.")
@click.option("--host", help="Name or address by which clients connect; implies --server.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Date (UTC) at which to check.  [default: now]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the verdict and the reasons.")
@purpose_option
def check(
    file: Path,
    ca: Path,
    key: Path | None,
    crl: tuple[Path, ...],
    revoked: Path | None,
    host: str | None,
    at: datetime | None,
    as_json: bool,
    server: bool,
) -> None:
    """Explain why a peer would reject the certificate in FILE.

    It checks chain, dates, usage, name and algorithm, and with --crl or --revoked also revocation.
    FILE may contain intermediate certificates after the first. The exit status is 0 if a peer would
    accept the certificate, else 1.

    \b
    Examples:
      kmipkit certs check admin.crt --ca ca.crt --key admin.key
      kmipkit certs check kms.pem --ca company.pem --host kms.example.org
      kmipkit certs check admin.crt --ca ca.crt --crl ca.crl
    """
    from kmipkit_certs import files
    from kmipkit_certs.check import Check, reasons

    request = Check(
        chain=files.read_certificates(file),
        trusted=files.read_certificates(ca),
        purpose=_purpose(server or host is not None, False),
        now=at.replace(tzinfo=UTC) if at else system_clock(),
        host=host,
        key=files.read_key(key) if key else None,
        revocation_lists=[each for path in crl for each in files.read_revocation_lists(path)],
        revoked=files.read_revoked(revoked) if revoked else frozenset(),
    )
    _report(file, request.purpose.name.lower(), reasons(request), as_json)


def _report(file: Path, purpose: str, problems: list[str], as_json: bool) -> None:
    if as_json:
        verdict: dict[str, Any] = {"accepted": not problems, "reasons": problems}
        click.echo(printable_json(json.dumps(verdict, indent=2, ensure_ascii=False)))
    elif problems:
        echo(f"{file}: a peer would reject this certificate:")
        for problem in problems:
            echo(f"  {problem}")
    else:
        echo(f"{file}: valid as a {purpose} certificate")
    if problems:
        raise click.exceptions.Exit(1)
