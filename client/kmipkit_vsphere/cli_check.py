"""``kmipkit vcenter check-kms``."""

import shlex
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kmipkit_certs.options import password_option

from kmipkit.numbers_option import NumberRange
from kmipkit.report_option import report_option
from kmipkit.terminal import echo, echo_json, progress_bar
from kmipkit_vsphere.cli_options import FILE, host_and_port, make_credentials, password

if TYPE_CHECKING:
    from kmipkit_vsphere.check_kms.endpoint import Address, Endpoint
    from kmipkit_vsphere.check_kms.runner import Verdict
    from kmipkit_vsphere.check_kms.steps import Step
    from kmipkit_vsphere.check_kms.subject import Options
    from kmipkit_vsphere.providers.kmip_session import Login
    from kmipkit_vsphere.rpc.tls import Credentials

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def _list_steps(context: click.Context, _option: click.Parameter, is_set: bool) -> None:
    if not is_set:
        return
    from kmipkit_vsphere.check_kms.report import listed
    from kmipkit_vsphere.check_kms.steps import STEPS

    for line in listed(STEPS):
        echo(line)
    context.exit()


@click.command("check-kms")
@click.argument("where", metavar="HOST:PORT")
@click.option("--ca", type=FILE, required=True, help="Authorities of the key server.")
@click.option(
    "--cert", type=FILE, required=True, help="Client certificate of vCenter, PEM, DER or PKCS #12."
)
@click.option("--key", type=FILE, help="Private key, if the file of the certificate has none.")
@password_option
@click.option("--user", help="User name of the key provider, if the key server wants one.")
@click.option("--password-file", type=FILE, help="File with the password of --user.")
@click.option(
    "--replica",
    "replicas",
    multiple=True,
    metavar="HOST:PORT",
    help="Another server with the same keys; may be repeated.",
)
@click.option("--new-cert", type=FILE, help="A renewed client certificate of the same vCenter.")
@click.option("--new-key", type=FILE, help="Private key of --new-cert.")
@click.option(
    "--sign-command",
    default="",
    help="Command that signs a request (standard input) and prints the certificate.",
)
@click.option(
    "--trust-command",
    default="",
    help="Command that makes the key server trust a certificate (standard input).",
)
@click.option(
    "--hosts",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Number of hosts in a power cut.",
)
@click.option(
    "--timeout",
    type=NumberRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for an answer, and for a key on a replica.",
)
@click.option(
    "--steps", metavar="NAME,...", default="", help="Only these steps, and what they need."
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_steps,
    help="List the steps and exit.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@report_option
def check_kms(
    where: str,
    ca: Path,
    cert: Path,
    key: Path | None,
    key_password_file: Path | None,
    user: str | None,
    password_file: Path | None,
    replicas: tuple[str, ...],
    new_cert: Path | None,
    new_key: Path | None,
    sign_command: str,
    trust_command: str,
    hosts: int,
    timeout: float,
    steps: str,
    as_json: bool,
    reports: tuple[tuple[str, Path], ...],
) -> None:
    """Check a key server: send it what a vCenter and its hosts send, and judge the answers.

    Each step is one moment in the life of a key provider. For a step that fails, the report says what an
    administrator sees in the vSphere Client, and what the vendor should do. All keys that the check
    creates are destroyed at the end, also after Ctrl-C; nothing else on the server is touched.

    The exit status is 0 if no step failed, 1 if one did, 2 for wrong usage, and 130 after Ctrl-C.

    \b
    Examples:
      kmipkit vcenter check-kms kms.example.com:5696 --ca kms-ca.crt --cert vc.crt --key vc.key
      kmipkit vcenter check-kms ... --hosts 200 --report junit:kms.xml --report html:kms.html
      kmipkit vcenter check-kms ... --steps power-cut,unknown-key --json
      kmipkit vcenter check-kms --list
    """
    from kmipkit_vsphere.check_kms.endpoint import Commands, Endpoint, Settings
    from kmipkit_vsphere.check_kms.subject import Options

    selected = _selected(steps)
    credentials = _usable(make_credentials(cert, key, ca, key_password_file))
    renewed = None if new_cert is None else _usable(make_credentials(new_cert, new_key, ca, None))
    commands = Commands(
        _command(sign_command, "--sign-command"), _command(trust_command, "--trust-command")
    )
    addresses = [(where, "HOST:PORT"), *((replica, "--replica") for replica in replicas)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kmipkit-check-kms-")))
        settings = Settings(_login(user, password_file), timeout, renewed, commands)
        endpoints = [
            stack.enter_context(
                Endpoint(f"kms{n}", _address(*each), credentials, folder / str(n), settings)
            )
            for n, each in enumerate(addresses, 1)
        ]
        _check(selected, endpoints, Options(hosts, timeout), as_json=as_json, reports=reports)


def _check(
    steps: "Sequence[Step]",
    endpoints: "Sequence[Endpoint]",
    options: "Options",
    *,
    as_json: bool,
    reports: "Sequence[tuple[str, Path]]",
) -> None:
    """Play the steps, print the verdicts, write the reports, and exit."""
    import trio

    from kmipkit.reports import Outcome, document, write
    from kmipkit_vsphere.check_kms.report import make_report
    from kmipkit_vsphere.check_kms.runner import play
    from kmipkit_vsphere.check_kms.subject import Subject

    first, *others = endpoints
    replicas = [replica.server() for replica in others]
    subject = Subject(first.server(), replicas, first, options)
    if as_json:
        with progress_bar("steps", len(steps)) as bar:
            run = trio.run(play, steps, subject, lambda _: bar.update(1))
    else:
        run = trio.run(play, steps, subject, _print_verdict)
    report = make_report(run, str(first.address), subject.facts.members())
    for form, file in reports:
        write(form, file, report)
    if as_json:
        echo_json(document(report))
    else:
        echo(report.summary())
    if run.is_interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if any(verdict.outcome is Outcome.FAILED for verdict in run.verdicts):
        raise click.exceptions.Exit(EXIT_FAILED)


def _print_verdict(verdict: "Verdict") -> None:
    from kmipkit_vsphere.check_kms.report import lines

    for line in lines(verdict):
        echo(line)


def _selected(text: str) -> "list[Step]":
    from kmipkit_vsphere.check_kms.steps import select

    try:
        return select([name.strip() for name in text.split(",") if name.strip()])
    except KeyError as error:
        raise click.BadParameter(
            f"there is no step {error.args[0]!r}; --list shows all", param_hint="--steps"
        ) from None


def _usable(credentials: "Credentials") -> "Credentials":
    """The credentials; a usage error if a file cannot be used."""
    from kmipkit_vsphere.model.errors import InvalidArgument

    try:
        credentials.client_context()
    except InvalidArgument as error:
        raise click.UsageError(error.message) from None
    return credentials


def _command(text: str, option: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def _login(user: str | None, file: Path | None) -> "Login | None":
    from kmipkit_vsphere.model.keys import Secret
    from kmipkit_vsphere.providers.kmip_session import Login

    if (user is None) is not (file is None):
        raise click.UsageError("--user and --password-file must be used together")
    return None if user is None or file is None else Login(user, Secret(password(file)))


def _address(text: str, option: str) -> "Address":
    from kmipkit_vsphere.check_kms.endpoint import Address

    return Address(*host_and_port(text, option))
