"""``kmipkit conformance``: list cases, test servers and clients."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click
from kmipkit_certs.options import password_option

from kmipkit.report_option import report_option
from kmipkit.terminal import StatusLine, echo, echo_json, progress_bar
from kmipkit_conformance.client_cli import client, client_rules
from kmipkit_conformance.options import (
    ABOUT_WIDTH,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    FILE,
    MAX_PORT,
    SECONDS,
    address,
    case_options,
    load_cases,
    print_verdict,
    write_reports,
    wrong_usage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kmipkit_conformance.listening import Mailbox
    from kmipkit_conformance.profiles import ProfileVerdict
    from kmipkit_conformance.running import Run
    from kmipkit_conformance.support import Offer
    from kmipkit_conformance.target import Target

PATH = "/kmip"
"""The path of KMIP over HTTPS that the profile recommends."""


def _target_options(function: Any) -> Any:
    """The options that locate the server and identify the client, with the variables of the client."""
    for option in (
        click.option(
            "--timeout",
            type=SECONDS,
            default=30.0,
            show_default=True,
            help="Seconds to wait for a response.",
        ),
        password_option,
        click.option(
            "--key",
            type=FILE,
            envvar="KMIPKIT_KEY",
            help="Private key, if the file of the certificate has none.",
        ),
        click.option(
            "--cert",
            required=True,
            type=FILE,
            envvar="KMIPKIT_CERT",
            help="Client certificate, PEM or PKCS #12.",
        ),
        click.option(
            "--ca",
            required=True,
            type=FILE,
            envvar="KMIPKIT_CA",
            help="Certificate authorities of the server.",
        ),
        click.option(
            "--server",
            "--target",
            "target",
            required=True,
            envvar="KMIPKIT_SERVER",
            metavar="HOST:PORT",
            help="The server to test.",
        ),
    ):
        function = option(function)
    return function


@click.group()
def conformance() -> None:
    """Test whether a KMIP server or client conforms to the standard.

    A case is a sequence of requests and expected responses in the KMIP XML encoding, the form in
    which OASIS publishes its cases. A response may differ from the expected one only as KMIP
    Profiles 2.1 §4.1 permits.

    The environment variables KMIPKIT_SERVER, KMIPKIT_CA, KMIPKIT_CERT and KMIPKIT_KEY set the
    defaults of the options that locate a server and identify the tester to it.

    \b
    The exit status is
      0    if nothing failed
      1    if something failed, or the peer could not be tested
      2    for wrong usage, such as a profile without cases
      130  after Ctrl-C; the reports then have what was played

    \b
    Examples:
      kmipkit conformance list
      kmipkit conformance list --cases oasis/2.1
      kmipkit conformance run --server kms:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis/2.1/mandatory --report junit:report.xml
      kmipkit conformance diff yesterday.json today.json
    """


def _load_deviations(path: Path | None, folders: tuple[Path, ...]) -> "Mapping[str, str]":
    """The known deviations; a usage error if one names no case."""
    from kmipkit_conformance.cases import SUITE
    from kmipkit_conformance.deviations import load
    from kmipkit_conformance.errors import ConformanceError
    from kmipkit_conformance.selection import check_deviations

    if path is None:
        return {}
    try:
        deviations = load(path)
        check_deviations(deviations, folders or (SUITE,))
    except ConformanceError as error:
        raise click.BadParameter(str(error), param_hint="--deviations") from None
    return deviations


@conformance.command("list")
@case_options
def list_cases(
    folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]
) -> None:
    """List cases with name, version, steps and operations, and what they are about.

    \b
    Example:
      kmipkit conformance list --cases oasis --kmip 1.4 --profile CS-BC
    """
    from kmipkit_conformance.wording import listed

    for case in load_cases(folders, versions, profiles):
        operations = listed(case.operations())
        echo(f"{case.name:<28} {case.version}  {len(case.steps):>3} steps  {operations}")
        if case.about:
            echo(f"    {shorten(case.about, ABOUT_WIDTH)}")


@conformance.command()
@_target_options
@click.option(
    "--https",
    metavar="PORT[/PATH]",
    help="Port and path of KMIP over HTTPS.  [default: port of --server, path /kmip]",
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
    type=SECONDS,
    default=180.0,
    show_default=True,
    help="Seconds for which to repeat a step that waits for a result, such as a Poll.",
)
@click.option(
    "--deviations",
    type=FILE,
    help="TOML file of cases that are known to fail at this server, with the reasons.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of cases to play at the same time, as far as they are independent.",
)
@report_option
@case_options
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
    jobs: int,
    reports: tuple[tuple[str, Path], ...],
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Run cases against a server. The exit status is 0 if no case failed, else 1.

    Cases that need operations which the server does not support, as Query reports them, are skipped,
    and so are cases over HTTPS, unless Query reports their profile or --https or --encoding is given.
    After Ctrl-C, the reports have the cases played so far, and the exit status is 130.

    \b
    Examples:
      kmipkit conformance run --server localhost:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis --kmip 2.1 --report html:report.html
      kmipkit conformance run ... --cases oasis --profile SKLC --profile CS-BC
      kmipkit conformance run ... --encoding json --https 5697/kmip
      kmipkit conformance run ... --deviations vendor.toml --report junit:results.xml
      kmipkit conformance run ... --jobs 4 --report json:today.json
    """
    from kmipkit_conformance.cases import SUITE
    from kmipkit_conformance.chains import Library
    from kmipkit_conformance.interrupting import Interrupts
    from kmipkit_conformance.player import Player
    from kmipkit_conformance.profiles import judge_profiles
    from kmipkit_conformance.progress import Progress
    from kmipkit_conformance.report import LEFT, make_report
    from kmipkit_conformance.running import play_all, play_queried
    from kmipkit_conformance.support import query_offer

    https_port, path = _https(https)
    listen_address = None if listen is None else address(listen, "--listen")
    address(target, "--server")  # before files are read
    known_deviations = _load_deviations(deviations, folders)
    cases = load_cases(folders, versions, profiles)
    server = _target(target, ca, cert, key, key_password_file, timeout, https_port, path)

    def play(offer: "Offer") -> "Run":
        with _mailbox(server, offer, listen_address, listen_cert, listen_key) as mailbox:
            player = Player(
                server,
                offer,
                library=Library(folders or (SUITE,)),
                mailbox=mailbox,
                repeat_timeout=wait,
                encoding=encoding,
                https=https is not None,
            )
            with Progress(len(cases), print_verdict, StatusLine()) as progress:
                return play_all(player, cases, known_deviations, progress, jobs, interrupts)

    with Interrupts() as interrupts:
        result, offer = play_queried(partial(query_offer, server), play, len(cases))
        interrupts.hold()
        played = {id(verdict.case) for verdict in result.verdicts}
        unplayed = [case for case in cases if id(case) not in played]
        profile_verdicts = list(judge_profiles(result.verdicts, offer, unplayed))
        report = make_report(result, profile_verdicts, target, offer)
        write_reports(report, reports)
    for profile_verdict in profile_verdicts:
        _print_profile(profile_verdict)
    for remark in result.clean_up:
        echo(f"clean-up: {remark}; {LEFT}")
    for name in result.obsolete_deviations:
        echo(f"{name} passes; remove it from {deviations}")
    echo(report.summary())
    _exit(result)


def _exit(result: "Run") -> None:
    if result.problem:
        raise click.ClickException(result.problem)
    if result.is_interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if result.has_failed:
        raise click.exceptions.Exit(EXIT_FAILED)


@conformance.command()
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(before: Path, after: Path, as_json: bool) -> None:
    """Compare two JSON reports: which cases got better or worse.

    A case is worse if its outcome falls in the order passed, skipped, known, failed. The exit status is
    0 if no case got worse, no new one failed, and the second run did not end early; else 1.

    \b
    Examples:
      kmipkit conformance diff yesterday.json today.json
      kmipkit conformance diff yesterday.json today.json --json
    """
    from kmipkit_conformance.comparison import differences, is_worse, members, read, summary

    with wrong_usage():
        told = [read(path) for path in (before, after)]
    found = list(differences(*(report.cases for report in told)))
    if as_json:
        echo_json([members(difference) for difference in found])
    else:
        for difference in found:
            was, is_now = (
                "-" if played is None else played.text()
                for played in (difference.before, difference.after)
            )
            echo(f"{difference.change.value:<7} {difference.case:<20} {was} -> {is_now}")
            for reason in difference.after.reasons if difference.after else ():
                echo(f"        {reason}")
        echo(summary(found))
    if told[1].problem:
        echo(f"{after}: the run has ended early: {told[1].problem}", err=True)
    if is_worse(found) or told[1].problem:
        raise click.exceptions.Exit(EXIT_FAILED)


def _mailbox(
    server: "Target",
    offer: "Offer",
    listen: tuple[str, int] | None,
    cert: Path | None,
    key: Path | None,
) -> AbstractContextManager["Mailbox"]:
    """Where requests of the server arrive: at the address, or on a connection with changed roles."""
    from kmipkit.spec.enums import Operation
    from kmipkit_conformance.listening import NO_MAILBOX, RoleMailbox, listener

    if listen is not None:
        if cert is None:
            cert, key = server.cert, server.key
        return listener(listen, server.ca, cert, key, server.password)
    operations = offer.operations or frozenset()
    has_roles = Operation.SET_ENDPOINT_ROLE in operations
    return nullcontext(RoleMailbox(server) if has_roles else NO_MAILBOX)


def _https(text: str | None) -> tuple[int | None, str]:
    """Port and path; None for the port of the target."""
    port, slash, path = (text or "").partition("/")
    if port and not (port.isdecimal() and 0 < int(port) <= MAX_PORT):
        raise click.BadParameter(f"{text!r} is not PORT or PORT/PATH", param_hint="--https")
    return int(port) if port else None, f"/{path}" if slash else PATH


@conformance.command()
@_target_options
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Number of messages to send.",
)
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
      kmipkit conformance fuzz --server localhost:5696 --ca ca.crt --cert me.crt --key me.key
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

    host, port = address(text, "--server")
    password = from_command_line(key_password_file)
    target = Target(host, port, ca, cert, key, timeout, password, https_port, path)
    with wrong_usage():
        target.context()
    return target


def _print_profile(verdict: "ProfileVerdict") -> None:
    cases = f": {'; '.join(verdict.because)}" if verdict.because else ""
    title = f"{verdict.profile.title} (KMIP {verdict.version})"
    echo(f"{verdict.standing.value:<12} {title}{cases}")


conformance.add_command(client)
conformance.add_command(client_rules)
