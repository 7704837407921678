"""``kmipkit conformance``: list and run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kmipkit_conformance.player import Verdict
    from kmipkit_conformance.profiles import ProfileVerdict
    from kmipkit_conformance.target import Target

FILE = click.Path(path_type=Path)
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]
PATH = "/kmip"
"""Of KMIP over HTTPS, as the profile recommends."""
FORMS = ("junit", "json", "html")


def _selection(function: Any) -> Any:
    """The options that choose cases."""
    for option in (
        click.option(
            "--profile",
            "profiles",
            multiple=True,
            help="Family of cases, or the beginning of a case's name; may be repeated.",
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
            help="A case in KMIP XML, or a directory of them; may be repeated.  [default: our own]",
        ),
    ):
        function = option(function)
    return function


def _reaching(function: Any) -> Any:
    """The options that say where the server is."""
    for option in (
        click.option(
            "--timeout", default=30.0, show_default=True, help="Seconds to wait for an answer."
        ),
        click.option("--key", required=True, type=FILE, help="Its private key, PEM."),
        click.option("--cert", required=True, type=FILE, help="Client certificate, PEM."),
        click.option("--ca", required=True, type=FILE, help="Authorities of the server, PEM."),
        click.option("--target", required=True, metavar="HOST:PORT", help="The server to test."),
    ):
        function = option(function)
    return function


@click.group()
def conformance() -> None:
    """Find out whether a KMIP server keeps to the standard.

    Cases are in the form in which OASIS publishes its own: requests and expected responses in the
    KMIP XML encoding. What may differ is what KMIP Profiles 2.1 §4.1 permits.

    \b
    Examples:
      kmipkit conformance list
      kmipkit conformance list --cases oasis/2.1
      kmipkit conformance run --target kms:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis/2.1/mandatory --report junit:report.xml
    """


def _chosen(folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]) -> Any:
    from kmipkit.spec.versions import Version
    from kmipkit_conformance.cases import OWN, load_all

    wanted = frozenset(Version(*map(int, version.split("."))) for version in versions)
    return load_all(folders or (OWN,), wanted, profiles)


@conformance.command("list")
@_selection
def list_cases(
    folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]
) -> None:
    """List cases: name, version, steps, operations.

    \b
    Example:
      kmipkit conformance list --cases oasis --kmip 1.4 --profile CS-BC
    """
    for case in _chosen(folders, versions, profiles):
        operations = ", ".join(sorted(operation.name for operation in case.operations()))
        click.echo(f"{case.name:<28} {case.version}  {len(case.steps):>3} steps  {operations}")


@conformance.command()
@_reaching
@click.option(
    "--https",
    metavar="PORT[/PATH]",
    help="Where KMIP over HTTPS is.  [default: the port of --target, /kmip]",
)
@click.option(
    "--encoding",
    type=click.Choice(["ttlv", "xml", "json"]),
    help="Play all cases in this encoding, XML and JSON over HTTPS.  [default: what each asks for]",
)
@click.option(
    "--wait",
    default=180.0,
    show_default=True,
    help="Seconds that a step may be repeated for which a case says so, such as a Poll.",
)
@click.option(
    "--deviations",
    type=FILE,
    help="Cases that are known to fail at this server, with the reason (TOML); they are told apart.",
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORM:FILE",
    help="Also write a report: junit, json or html; may be repeated.",
)
@_selection
def run(
    target: str,
    ca: Path,
    cert: Path,
    key: Path,
    timeout: float,
    wait: float,
    https: str | None,
    encoding: str | None,
    deviations: Path | None,
    reports: tuple[str, ...],
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Play cases against a server. Exit status 0 if none failed, 1 otherwise.

    Cases whose operations the server does not offer (Query) are skipped.

    \b
    Examples:
      kmipkit conformance run --target localhost:5696 --ca ca.crt --cert me.crt --key me.key \\
          --cases oasis --kmip 2.1 --report html:report.html
      kmipkit conformance run ... --cases oasis --profile SKLC --profile CS-BC
      kmipkit conformance run ... --encoding json --https 5697/kmip
      kmipkit conformance run ... --deviations vendor.toml --report junit:results.xml
    """
    from kmipkit_conformance import report
    from kmipkit_conformance.cases import OWN, find
    from kmipkit_conformance.deviations import known
    from kmipkit_conformance.deviations import load as load_deviations
    from kmipkit_conformance.player import Outcome, Player
    from kmipkit_conformance.profiles import judged
    from kmipkit_conformance.support import offered

    wanted = [_report_file(text) for text in reports]
    listed = load_deviations(deviations) if deviations is not None else {}
    https_port, path = _https(https)
    aimed = _target(target, ca, cert, key, timeout, https_port, path)
    player = Player(
        aimed,
        offered(aimed),
        find=lambda name: find(folders or (OWN,), name),
        patience=wait,
        encoding=encoding,
    )
    verdicts = []
    for case in _chosen(folders, versions, profiles):
        verdict = known(player.play(case), listed)
        _tell(verdict)
        verdicts.append(verdict)
        player.clean_up()
    profiles_found = list(judged(verdicts, player.offer))
    for one in profiles_found:
        _tell_profile(one)
    for form, file in wanted:
        report.write(form, file, report.Report(verdicts, profiles_found))
    click.echo(", ".join(f"{number} {name}" for name, number in report.counts(verdicts).items()))
    if any(verdict.outcome is Outcome.FAILED for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _https(text: str | None) -> tuple[int | None, str]:
    """Port and path; None stands for the port of the target."""
    port, slash, path = (text or "").partition("/")
    if port and not port.isdecimal():
        raise click.BadParameter(f"{text!r} is not PORT or PORT/PATH", param_hint="--https")
    return int(port) if port else None, f"/{path}" if slash else PATH


def _report_file(text: str) -> tuple[str, Path]:
    form, separator, path = text.partition(":")
    if form not in FORMS or not separator or not path:
        raise click.BadParameter(
            f"{text!r} is not FORM:FILE with {', '.join(FORMS)}", param_hint="--report"
        )
    return form, Path(path)


@conformance.command()
@_reaching
@click.option("--count", default=1000, show_default=True, help="Messages to send.")
@click.option("--seed", default=0, show_default=True, help="The same seed sends the same messages.")
def fuzz(
    target: str, ca: Path, cert: Path, key: Path, timeout: float, count: int, seed: int
) -> None:
    """Throw damaged messages at a server. Exit status 0 if it bears them, 1 otherwise.

    The messages are those of our own cases, damaged; some may still be understood, and make
    objects. Do not use it on a server that others need.

    \b
    Examples:
      kmipkit conformance fuzz --target localhost:5696 --ca ca.crt --cert me.crt --key me.key
      kmipkit conformance fuzz ... --count 100000 --seed 7 --timeout 5
    """
    from kmipkit_conformance.cases import OWN, load_all
    from kmipkit_conformance.fuzz import Fuzzer

    cases = list(load_all((OWN,), frozenset(), ()))
    found = 0
    with click.progressbar(length=count, label="messages", file=sys.stderr) as bar:
        fuzzer = Fuzzer(
            _target(target, ca, cert, key, timeout), cases, seed, lambda _: bar.update(1)
        )
        for finding in fuzzer.run(count):
            found += 1
            click.echo(f"message {finding.number}, {finding.damage}: {finding.what}")
            click.echo(f"         {finding.message.hex()}")
    click.echo(f"{count} messages with seed {seed}, {found} findings")
    if found:
        raise click.exceptions.Exit(1)


@conformance.command()
@click.option("--listen", default="127.0.0.1:5696", show_default=True, metavar="HOST:PORT")
@click.option("--ca", required=True, type=FILE, help="Authorities of the client, PEM.")
@click.option("--cert", required=True, type=FILE, help="Our server certificate, PEM.")
@click.option("--key", required=True, type=FILE, help="Its private key, PEM.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the client.")
@_selection
def client(
    listen: str,
    ca: Path,
    cert: Path,
    key: Path,
    timeout: float,
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Test a client: play the server's side of cases to it, one connection each.

    Start the client when a case is announced, and let it do what the case describes. Exit status 0
    if it did in every case.

    \b
    Examples:
      kmipkit conformance client --cert server.crt --key server.key --ca clients.crt \\
          --cases oasis/1.4/mandatory/SKLC-M-1-14.xml
      kmipkit conformance client --listen 0.0.0.0:5696 ... --profile TL-M-1 --kmip 2.1
    """
    import socket

    from kmipkit_conformance.player import Outcome
    from kmipkit_conformance.scripted import ScriptedServer, server_context

    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    context = server_context(ca, cert, key)
    failed = False
    with socket.create_server((host.strip("[]"), int(port))) as listening:
        where = "{}:{}".format(*listening.getsockname()[:2])
        for case in _chosen(folders, versions, profiles):
            click.echo(f"waiting  {case.name} on {where}")
            verdict = ScriptedServer(listening, context, timeout).play(case)
            _tell(verdict)
            failed |= verdict.outcome is Outcome.FAILED
    if failed:
        raise click.exceptions.Exit(1)


def _target(
    text: str,
    ca: Path,
    cert: Path,
    key: Path,
    timeout: float,
    https_port: int | None = None,
    path: str = PATH,
) -> "Target":
    from kmipkit_conformance.target import Target

    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--target")
    return Target(host.strip("[]"), int(port), ca, cert, key, timeout, https_port, path)


def _tell_profile(found: "ProfileVerdict") -> None:
    because = f": {'; '.join(found.because)}" if found.because else ""
    title = f"{found.profile.title} (KMIP {found.version})"
    click.echo(f"{found.standing.value:<12} {title}{because}")


def _tell(verdict: "Verdict") -> None:
    click.echo(f"{verdict.outcome.value:<8} {verdict.case.name}")
    for reason in verdict.reasons if verdict.outcome.value == "failed" else ():
        click.echo(f"         step {verdict.step}: {reason}")
