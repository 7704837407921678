"""``kmipkit certs``: create an authority; issue, sign, revoke, show and check certificates."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo, echo_json, echo_lines
from kmipkit_certs.clock import system_clock
from kmipkit_certs.options import password_option, validity_options

if TYPE_CHECKING:
    from kmipkit_certs.authority import Purpose
    from kmipkit_certs.check import Verdict
    from kmipkit_certs.key_stores import Form

FILE = click.Path(path_type=Path)

algorithm_option = click.option(
    "--algorithm",
    type=click.Choice(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"]),
    default="ecdsa-p256",
    show_default=True,
    help="Algorithm of the key; RSA for devices that support nothing else.",
)


def purpose_option(function: Callable[..., None]) -> Callable[..., None]:
    """``--server`` or ``--client``."""
    server = click.option(
        "--server/--client", default=False, help="Side of the connection.  [default: client]"
    )
    return server(function)


def both_option(function: Callable[..., None]) -> Callable[..., None]:
    """``--both``."""
    both = click.option("--both", is_flag=True, help="Both sides, for one who calls and is called.")
    return both(function)


def pkcs12_options(function: Callable[..., None]) -> Callable[..., None]:
    """``--pkcs12-password-file`` and ``--pkcs12-old``."""
    file = click.option(
        "--pkcs12-password-file",
        type=FILE,
        help="File whose first line is the password of the file.  [default: asked for]",
    )
    old = click.option(
        "--pkcs12-old",
        is_flag=True,
        help="Encrypt with Triple DES and SHA-1, for devices that read nothing better.",
    )
    return file(old(function))


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
      kmipkit certs renew pki
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
@both_option
@algorithm_option
@validity_options()
@click.option("--pkcs12", is_flag=True, help="Also write NAME.p12, for devices that want PKCS #12.")
@pkcs12_options
@password_option
def issue(
    directory: Path,
    name: str,
    san: tuple[str, ...],
    server: bool,
    both: bool,
    algorithm: str,
    days: float,
    pkcs12: bool,
    pkcs12_password_file: Path | None,
    pkcs12_old: bool,
    key_password_file: Path | None,
) -> None:
    """Create a key and its certificate, signed by the authority in DIRECTORY.

    NAME becomes the Common Name and the name of both files. Without --san, a server's certificate
    also has NAME as alternative name.

    With --pkcs12, a third file has the key, the certificate and that of the authority, encrypted
    with a password.

    \b
    Examples:
      kmipkit certs issue pki kms.example.org --server
      kmipkit certs issue pki kms --server --san localhost --san 127.0.0.1
      kmipkit certs issue pki vcenter --both
      kmipkit certs issue pki tape-library --algorithm rsa-2048 --days 365
      kmipkit certs issue pki contractor --until 2027-01-31
      kmipkit certs issue pki array7 --pkcs12 --pkcs12-password-file secret
    """
    from kmipkit_certs.directory import Directory
    from kmipkit_certs.passwords import from_command_line, new_password

    target = Directory(directory, from_command_line(key_password_file))
    store = target.pkcs12(name) if pkcs12 else None
    password = new_password(pkcs12_password_file, str(store)) if store is not None else b""
    alternative = san or ((name,) if server or both else ())
    files = target.issue(
        name,
        _purpose(server, both),
        system_clock(),
        alternative=alternative,
        algorithm=algorithm,
        days=days,
    )
    echo(f"certificate: {files.cert}, private key: {files.key}")
    if store is not None:
        form: Form = "pkcs12-old" if pkcs12_old else "pkcs12"
        _write_store(store, form, files.cert, files.key, target.ca, password, None)


def _write_store(
    path: Path,
    form: "Form",
    cert: Path,
    key: Path | None,
    ca: Path | None,
    password: bytes,
    key_password_file: Path | None,
) -> None:
    from kmipkit_certs import credentials, files, key_stores
    from kmipkit_certs.passwords import from_command_line

    key_password = from_command_line(key_password_file)
    own = credentials.load_credentials(cert, key, key_password)
    authorities = [] if ca is None else credentials.load_certificates(ca, key_password)
    data = key_stores.pack(form, own, authorities, path.stem, password, system_clock())
    files.write_new(path, data, files.SECRET)
    echo(f"{key_stores.describe(form)}: {path}")


@certs.command()
@click.argument("cert", type=FILE)
@click.argument("file", type=FILE)
@click.option("--key", type=FILE, help="Private key, if CERT does not have it.")
@click.option("--ca", type=FILE, help="Certificates of authorities to add.")
@click.option(
    "--jks",
    is_flag=True,
    help="Write a Java key store (JKS), for products that read no PKCS #12. It protects the key badly:"
    " whoever has the file can guess the password fast.",
)
@pkcs12_options
@password_option
def export(
    cert: Path,
    file: Path,
    key: Path | None,
    ca: Path | None,
    jks: bool,
    pkcs12_password_file: Path | None,
    pkcs12_old: bool,
    key_password_file: Path | None,
) -> None:
    """Write the certificate in CERT with its chain and private key to FILE, as PKCS #12 or JKS.

    \b
    Examples:
      kmipkit certs export pki/array7.crt array7.p12 --key pki/array7.key --ca pki/ca.crt
      kmipkit certs export array7.pem array7.p12 --pkcs12-old --pkcs12-password-file secret
      kmipkit certs export array7.crt array7.jks --key array7.key --ca ca.crt --jks
    """
    from kmipkit_certs.passwords import new_password

    if jks and pkcs12_old:
        raise click.UsageError("--pkcs12-old is about PKCS #12, and --jks writes another form")
    password = new_password(pkcs12_password_file, str(file))
    form: Form = "jks" if jks else "pkcs12-old" if pkcs12_old else "pkcs12"
    _write_store(file, form, cert, key, ca, password, key_password_file)


@certs.command()
@click.argument("directory", type=FILE)
@click.argument("request", type=FILE)
@click.option("--out", type=FILE, help="File to write.  [default: REQUEST with the suffix .crt]")
@purpose_option
@both_option
@validity_options()
@password_option
def sign(
    directory: Path,
    request: Path,
    out: Path | None,
    server: bool,
    both: bool,
    days: float,
    key_password_file: Path | None,
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
    from kmipkit_certs.passwords import from_command_line

    certificate = (
        Directory(directory, from_command_line(key_password_file))
        .authority()
        .sign(files.read_request(request), _purpose(server, both), system_clock(), days=days)
    )
    target = out or request.with_suffix(".crt")
    files.write_certificate(target, certificate)
    echo(f"certificate: {target}, for {certificate.subject.rfc4514_string()}")


@certs.command()
@click.argument("directory", type=FILE)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--within",
    type=click.IntRange(0, 36500),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Without a NAME: renew what ends in this time.",
)
@click.option("--san", multiple=True, help="Further name for the certificates; may be repeated.")
@validity_options(default=None)
@password_option
def renew(
    directory: Path,
    names: tuple[str, ...],
    within: int,
    san: tuple[str, ...],
    days: float | None,
    key_password_file: Path | None,
) -> None:
    """Renew certificates in DIRECTORY before they end: NAME.crt is replaced, NAME.key stays.

    Without a NAME, all certificates are renewed that end within 30 days, and that of the authority if
    it ends within a year. What the authority signed before remains valid; peers need its new
    certificate (ca.crt) before the old one ends. The NAME of the authority is ca.

    Only the certificate is needed: copy it to the client, which keeps its key. A revoked certificate
    is not renewed. A server that is running uses a new certificate of its own after SIGHUP.

    \b
    Examples:
      kmipkit certs renew kms/certs
      kmipkit certs renew kms/certs tape-library --days 365
      kmipkit certs renew pki kms --san kms2.example.org
    """
    from datetime import timedelta

    from kmipkit_certs import renewal
    from kmipkit_certs.directory import Directory
    from kmipkit_certs.errors import CertificateError
    from kmipkit_certs.passwords import from_command_line

    if san and not names:
        raise click.UsageError("--san needs the NAME of the certificate that is to get it")
    target, now = Directory(directory, from_command_line(key_password_file)), system_clock()
    target.authority()  # without one, there is nothing to say about single certificates
    failures = 0
    names = names or tuple(renewal.due(target, now, timedelta(days=within)))
    if not names:
        echo(f"nothing ends within {within} days")
    for name in names:
        try:
            new = renewal.renew(target, name, now, alternative=san, days=days)
        except CertificateError as error:
            failures += 1
            echo(f"not renewed: {name}: {error}", err=True)
        else:
            end = new.not_valid_after_utc
            echo(f"renewed: {target.files(name).cert}, valid until {end:%Y-%m-%d}")
    if failures:
        raise click.exceptions.Exit(1)


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
@password_option
def revoke(
    paths: tuple[Path, ...],
    own_list: Path | None,
    reason: str,
    days: int,
    key_password_file: Path | None,
) -> None:
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
        _add_to_revocation_list(paths[0], paths[1:], reason, days, key_password_file)


def _add_to_revocation_list(
    path: Path, certs: tuple[Path, ...], reason: str, days: int, key_password_file: Path | None
) -> None:
    from kmipkit_certs.credentials import load_certificates
    from kmipkit_certs.directory import Directory
    from kmipkit_certs.passwords import from_command_line
    from kmipkit_certs.revocation import REASONS

    directory = Directory(path, from_command_line(key_password_file))
    certificates = [load_certificates(cert)[0] for cert in certs]
    count = directory.revoke(certificates, system_clock(), reason=REASONS[reason], days=days)
    echo(f"revocation list: {directory.revocation_list}, certificates added: {count}")


def _add_to_list(own_list: Path, certs: tuple[Path, ...]) -> None:
    from kmipkit_certs import files
    from kmipkit_certs.credentials import load_certificates
    from kmipkit_certs.revocation import signed_hash, text_line

    now = system_clock()
    known = files.read_revoked(own_list) if own_list.exists() else frozenset()
    certificates = [load_certificates(cert)[0] for cert in certs]
    new = [each for each in dict.fromkeys(certificates) if signed_hash(each) not in known]
    files.append(own_list, "".join(f"{text_line(each, now)}\n" for each in new).encode())
    echo(f"list: {own_list}, certificates added: {len(new)}")


@certs.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of objects.")
@password_option
def show(file: Path, as_json: bool, key_password_file: Path | None) -> None:
    """Show the contents of the certificates, or of the revocation lists, in FILE.

    \b
    Examples:
      kmipkit certs show pki/ca.crt
      kmipkit certs show chain.pem --json
      kmipkit certs show pki/ca.crl
    """
    from kmipkit_certs import files
    from kmipkit_certs.credentials import load_certificates
    from kmipkit_certs.passwords import from_command_line
    from kmipkit_certs.show import facts, revocation_facts, text

    password = from_command_line(key_password_file)
    if files.is_revocation_list(file, password):
        contents = [revocation_facts(crl) for crl in files.read_revocation_lists(file)]
    else:
        contents = [facts(certificate) for certificate in load_certificates(file, password)]
    if as_json:
        echo_json(contents)
    else:
        echo_lines("\n\n".join(text(rows) for rows in contents))


@certs.command()
@click.argument("file", type=FILE)
@click.option(
    "--ca", type=FILE, required=True, help="Certificate authorities that the peer trusts."
)
@click.option("--key", type=FILE, help="Private key to compare with the certificate.")
@password_option
@click.option(
    "--identity",
    type=click.Choice(["cn", "san", "cn-or-san", "subject", "fingerprint"]),
    default="cn",
    show_default=True,
    help="Part of a client's certificate that names its account, as in the server's configuration.",
)
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
    key_password_file: Path | None,
    identity: str,
    crl: tuple[Path, ...],
    revoked: Path | None,
    host: str | None,
    at: datetime | None,
    as_json: bool,
    server: bool,
) -> None:
    """Explain why a peer would reject the certificate in FILE.

    The verdict is that of a TLS handshake with the settings of the key server, or with --server of a
    client. It also considers the name that leads to the account, and with --crl or --revoked
    revocation. FILE may contain intermediate certificates and the private key. The exit status is
    0 if a peer would accept the certificate, else 1.

    \b
    Examples:
      kmipkit certs check admin.crt --ca ca.crt --key admin.key
      kmipkit certs check kms.pem --ca company.pem --host kms.example.org
      kmipkit certs check admin.crt --ca ca.crt --crl ca.crl
      kmipkit certs check array.p12 --ca ca.crt --identity san
    """
    from kmipkit_certs import credentials, files
    from kmipkit_certs.check import Check, verdict
    from kmipkit_certs.passwords import from_command_line

    password = from_command_line(key_password_file)
    request = Check(
        chain=credentials.load_chain(file, key, password),
        trusted=credentials.load_certificates(ca, password),
        purpose=_purpose(server or host is not None),
        now=at.replace(tzinfo=UTC) if at else system_clock(),
        is_present=at is None,
        host=host,
        key=credentials.load_key(key, password).key if key else None,
        identity_source=identity,
        revocation_lists=[each for path in crl for each in files.read_revocation_lists(path)],
        revoked=files.read_revoked(revoked) if revoked else frozenset(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the library's about serial numbers; we warn
        result = verdict(request)
    _report(file, request.purpose.name.lower(), result, as_json)


def _report(file: Path, purpose: str, verdict: "Verdict", as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {
            "accepted": verdict.is_accepted,
            "openssl": verdict.openssl,
            "reasons": verdict.reasons,
            "warnings": verdict.warnings,
        }
        echo_json(document)
    elif verdict.is_accepted:
        echo(f"{file}: valid as a {purpose} certificate")
    else:
        echo(f"{file}: a peer would reject this certificate:")
        for reason in verdict.reasons:
            echo(f"  {reason}")
        if verdict.openssl is not None:
            echo(f"  (OpenSSL: {verdict.openssl})")
    if not as_json:
        for warning in verdict.warnings:
            echo(f"  warning: {warning}")
    if not verdict.is_accepted:
        raise click.exceptions.Exit(1)
