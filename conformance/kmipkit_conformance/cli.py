"""``kmipkit conformance``: list cases, test servers and clients."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kmipkit_certs.options import password_option

from kmipkit.report_option import report_option
from kmipkit.terminal import echo, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kmipkit_conformance.cases import Case
    from kmipkit_conformance.listening import Mailbox
    from kmipkit_conformance.player import Player, Verdict
    from kmipkit_conformance.profiles import ProfileVerdict
    from kmipkit_conformance.support import Offer
    from kmipkit_conformance.target import Target

FILE = click.Path(path_type=Path)
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]
PATH = "/kmip"
"""The path of KMIP over HTTPS that the profile recommends."""


def _case_options(function: Any) -> Any:
    """The options that select cases."""
    for option in (
        click.option(
            "--profile",
            "profiles",
            multiple=True,
            help="Family of cases, or the first part of a case name; may be repeated.",
        ),
        click.option(
            "--kmip",
            "versions",
            multiple=True,
            type=click.Choice(VERSIONS),
            help="Protocol version; may be repeated.  [default: all]",
        ),
        click.option(
            "--cases",
            "folders",
            multiple=True,
            type=FILE,
            help="Case file or directory of cases; may be repeated.  [default: the built-in suite]",
        ),
    ):
        function = option(function)
    return function


def _target_options(function: Any) -> Any:
    """The options that locate the server and identify the client."""
    for option in (
        click.option(
            "--timeout", default=30.0, show_default=True, help="Seconds to wait for a response."
        ),
        password_option,
        click.option(
            "--key", type=FILE, help="Private key, if the file of the certificate has none."
        ),
        click.option(
            "--cert", required=True, type=FILE, help="Client certificate, PEM or PKCS #12."
        ),
        click.option(
            "--ca", required=True, type=FILE, help="Certificate authorities of the server."
        ),
        click.option("--target", required=True, metavar="HOST:PORT", help="The server to test."),
    ):
        function = option(function)
    return function


@click.group()
def conformance() -> None:
    """Test whether a KMIP server or client conforms to the standard.

    A case is a sequence of requests and expected responses in the KMIP XML encoding, the form in
    which OASIS publishes its cases. A response may differ from the expected one only as KMIP
    Profiles 2.1 §4.1 permits.

    \b
    Examples:
      kmipkit conformance list
      kmipkit conformance list --cases oasis/2.1
      kmipkit conformance run --target kms:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis/2.1/mandatory --report junit:report.xml
    """


def _load_cases(
    folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]
) -> Any:
    from kmipkit.spec.versions import Version
    from kmipkit_conformance.cases import SUITE, load_all

    selected = frozenset(Version(*map(int, version.split("."))) for version in versions)
    return load_all(folders or (SUITE,), selected, profiles)


@conformance.command("list")
@_case_options
def list_cases(
    folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]
) -> None:
    """List cases with name, version, steps and operations.

    \b
    Example:
      kmipkit conformance list --cases oasis --kmip 1.4 --profile CS-BC
    """
    for case in _load_cases(folders, versions, profiles):
        operations = ", ".join(sorted(operation.name for operation in case.operations()))
        echo(f"{case.name:<28} {case.version}  {len(case.steps):>3} steps  {operations}")


@conformance.command()
@_target_options
@click.option(
    "--https",
    metavar="PORT[/PATH]",
    help="Port and path of KMIP over HTTPS.  [default: port of --target, path /kmip]",
)
@click.option(
    "--encoding",
    type=click.Choice(["ttlv", "xml", "json"]),
    help="Encoding of all cases; XML and JSON use HTTPS.  [default: as each case specifies]",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Address to which the server sends Notify and Put."
    "  [default: none; the tester uses Set Endpoint Role]",
)
@click.option(
    "--listen-cert",
    type=FILE,
    help="Certificate that the tester shows the server that connects, PEM.  [default: --cert]",
)
@click.option(
    "--listen-key", type=FILE, help="Private key of --listen-cert, PEM.  [default: --key]"
)
@click.option(
    "--wait",
    default=180.0,
    show_default=True,
    help="Seconds for which to repeat a step that waits for a result, such as a Poll.",
)
@click.option(
    "--deviations",
    type=FILE,
    help="TOML file of cases that are known to fail at this server, with the reasons.",
)
@report_option
@_case_options
def run(
    target: str,
    ca: Path,
    cert: Path,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    wait: float,
    https: str | None,
    encoding: str | None,
    listen: str | None,
    listen_cert: Path | None,
    listen_key: Path | None,
    deviations: Path | None,
    reports: tuple[tuple[str, Path], ...],
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Run cases against a server. The exit status is 0 if no case failed, else 1.

    Cases that need operations which the server does not support, as Query reports them, are skipped.

    \b
    Examples:
      kmipkit conformance run --target localhost:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis --kmip 2.1 --report html:report.html
      kmipkit conformance run ... --cases oasis --profile SKLC --profile CS-BC
      kmipkit conformance run ... --encoding json --https 5697/kmip
      kmipkit conformance run ... --deviations vendor.toml --report junit:results.xml
    """
    from kmipkit.reports import Outcome, write
    from kmipkit_conformance.cases import SUITE
    from kmipkit_conformance.chains import Library
    from kmipkit_conformance.deviations import load as load_deviations
    from kmipkit_conformance.player import Player
    from kmipkit_conformance.profiles import judge_profiles
    from kmipkit_conformance.report import make_report
    from kmipkit_conformance.support import query_offer

    known_deviations = load_deviations(deviations) if deviations is not None else {}
    https_port, path = _https(https)
    server = _target(target, ca, cert, key, key_password_file, timeout, https_port, path)
    offer = query_offer(server)
    with _mailbox(server, offer, listen, listen_cert, listen_key) as mailbox:
        player = Player(
            server,
            offer,
            library=Library(folders or (SUITE,)),
            mailbox=mailbox,
            repeat_timeout=wait,
            encoding=encoding,
        )
        cases = _load_cases(folders, versions, profiles)
        verdicts = _play_all(player, cases, known_deviations)
    profile_verdicts = list(judge_profiles(verdicts, offer))
    for profile_verdict in profile_verdicts:
        _print_profile(profile_verdict)
    report = make_report(verdicts, profile_verdicts)
    for form, file in reports:
        write(form, file, report)
    echo(report.summary())
    if any(verdict.outcome is Outcome.FAILED for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _play_all(
    player: "Player", cases: "Iterable[Case]", known_deviations: "Mapping[str, str]"
) -> list["Verdict"]:
    """Play the cases one after the other, and print each verdict."""
    from kmipkit_conformance.deviations import apply

    verdicts = []
    for case in cases:
        verdict = apply(player.play(case), known_deviations)
        _print_verdict(verdict)
        verdicts.append(verdict)
        player.clean_up()
    return verdicts


def _mailbox(
    server: "Target", offer: "Offer", listen: str | None, cert: Path | None, key: Path | None
) -> AbstractContextManager["Mailbox"]:
    """Where requests of the server arrive: at the address, or on a connection with changed roles."""
    from kmipkit.spec.enums import Operation
    from kmipkit_conformance.listening import NO_MAILBOX, RoleMailbox, listener

    if listen is not None:
        address = _address(listen, "--listen")
        if cert is None:
            cert, key = server.cert, server.key
        return listener(address, server.ca, cert, key, server.password)
    operations = offer.operations or frozenset()
    has_roles = Operation.SET_ENDPOINT_ROLE in operations
    return nullcontext(RoleMailbox(server) if has_roles else NO_MAILBOX)


def _address(text: str, option: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


def _https(text: str | None) -> tuple[int | None, str]:
    """Port and path; None for the port of the target."""
    port, slash, path = (text or "").partition("/")
    if port and not port.isdecimal():
        raise click.BadParameter(f"{text!r} is not PORT or PORT/PATH", param_hint="--https")
    return int(port) if port else None, f"/{path}" if slash else PATH


@conformance.command()
@_target_options
@click.option("--count", default=1000, show_default=True, help="Number of messages to send.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of the random generator; the same seed sends the same messages.",
)
def fuzz(
    target: str,
    ca: Path,
    cert: Path,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    count: int,
    seed: int,
) -> None:
    """Send damaged messages to a server. The exit status is 0 if it handles all of them, else 1.

    The messages are requests of the built-in suite with random damage. Some remain valid and may
    create or destroy objects, so do not use this command on a server in production.

    \b
    Examples:
      kmipkit conformance fuzz --target localhost:5696 --ca ca.crt --cert me.crt --key me.key
      kmipkit conformance fuzz ... --count 100000 --seed 7 --timeout 5
    """
    from kmipkit_conformance.cases import SUITE, load_all
    from kmipkit_conformance.fuzz import Fuzzer

    cases = list(load_all((SUITE,), frozenset(), ()))
    findings = 0
    with progress_bar("messages", count) as bar:
        fuzzer = Fuzzer(
            _target(target, ca, cert, key, key_password_file, timeout),
            cases,
            seed,
            lambda _: bar.update(1),
        )
        for finding in fuzzer.run(count):
            findings += 1
            echo(f"message {finding.number}, {finding.damage}: {finding.problem}")
            echo(f"         {finding.message.hex()}")
    echo(f"{count} messages with seed {seed}, {findings} findings")
    if findings:
        raise click.exceptions.Exit(1)


@conformance.command()
@click.option(
    "--listen",
    default="127.0.0.1:5696",
    show_default=True,
    metavar="HOST:PORT",
    help="Address to listen on.",
)
@click.option("--ca", required=True, type=FILE, help="Certificate authorities of the client.")
@click.option("--cert", required=True, type=FILE, help="Server certificate, PEM or PKCS #12.")
@click.option("--key", type=FILE, help="Private key, if the file of the certificate has none.")
@password_option
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the client.")
@_case_options
def client(
    listen: str,
    ca: Path,
    cert: Path,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Test a client: play the server's side of each case on one connection.

    Start the client when the command announces a case, and let it send the requests of that case.
    The exit status is 0 if the client did so in all cases, else 1.

    \b
    Examples:
      kmipkit conformance client --cert server.crt --key server.key --ca clients.crt \\
          --cases oasis/1.4/mandatory/SKLC-M-1-14.xml
      kmipkit conformance client --listen 0.0.0.0:5696 ... --profile TL-M-1 --kmip 2.1
    """
    import socket

    from kmipkit_certs.passwords import from_command_line

    from kmipkit.reports import Outcome
    from kmipkit_conformance.scripted import ScriptedServer
    from kmipkit_conformance.streams import server_context

    host_and_port = _address(listen, "--listen")
    context = server_context(ca, cert, key, from_command_line(key_password_file))
    failed = False
    with socket.create_server(host_and_port) as listening:
        address = "{}:{}".format(*listening.getsockname()[:2])
        for case in _load_cases(folders, versions, profiles):
            echo(f"waiting  {case.name} on {address}")
            verdict = ScriptedServer(listening, context, timeout).play(case)
            _print_verdict(verdict)
            failed |= verdict.outcome is Outcome.FAILED
    if failed:
        raise click.exceptions.Exit(1)


def _target(
    text: str,
    ca: Path,
    cert: Path,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    https_port: int | None = None,
    path: str = PATH,
) -> "Target":
    from kmipkit_certs.passwords import from_command_line

    from kmipkit_conformance.target import Target

    host, port = _address(text, "--target")
    password = from_command_line(key_password_file)
    return Target(host, port, ca, cert, key, timeout, password, https_port, path)


def _print_profile(verdict: "ProfileVerdict") -> None:
    cases = f": {'; '.join(verdict.because)}" if verdict.because else ""
    title = f"{verdict.profile.title} (KMIP {verdict.version})"
    echo(f"{verdict.standing.value:<12} {title}{cases}")


def _print_verdict(verdict: "Verdict") -> None:
    echo(f"{verdict.outcome.value:<8} {verdict.case.name}")
    for reason in verdict.reasons if verdict.outcome.value == "failed" else ():
        echo(f"         step {verdict.step}: {reason}")
