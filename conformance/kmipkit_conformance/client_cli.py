"""``kmipkit conformance client``: judges a client, by cases, in free play, or from a capture."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import click
from kmipkit_certs.options import password_option

from kmipkit.report_option import report_option
from kmipkit.terminal import StatusLine, echo, echo_json
from kmipkit_conformance.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    FILE,
    SECONDS,
    address,
    case_options,
    load_cases,
    print_verdict,
    write_reports,
    wrong_usage,
)

if TYPE_CHECKING:
    import socket

    from kmipkit_certs.passwords import KeyPassword

    from kmipkit_conformance.cases import Case
    from kmipkit_conformance.clients.client_profiles import ProfileJudged
    from kmipkit_conformance.clients.client_report import Play
    from kmipkit_conformance.clients.free_play import FreePlay
    from kmipkit_conformance.clients.rule import Judged
    from kmipkit_conformance.player import Verdict

ALL, NONE = "all", "none"
_STEP = 0.2
"""Seconds between two looks at whether free play is over."""


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:5696",
    show_default=True,
    metavar="HOST:PORT",
    help="Address to listen on; port 0 is any free one.",
)
@click.option("--ca", type=FILE, help="Certificate authorities of the client.")
@click.option("--cert", type=FILE, help="Server certificate, PEM or PKCS #12.")
@click.option("--key", type=FILE, help="Private key, if the file of the certificate has none.")
@password_option
@click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    show_default=True,
    help="Seconds to wait for the client. Free play ends after so many seconds of silence.",
)
@click.option(
    "--reconnect",
    type=SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds to wait for another connection, if the client closes one within a case.",
)
@click.option(
    "--free-play", is_flag=True, help="Let the client do what it wants, and judge it by rules."
)
@click.option(
    "--capture", type=FILE, help="Judge the clients of a capture of kmipkit proxy by rules."
)
@click.option(
    "--provoke",
    "provocations",
    multiple=True,
    metavar="NAME",
    help="With --free-play, what to do to the client; may be repeated: all, none, or names of"
    " `kmipkit conformance client-rules --provocations`.  [default: all]",
)
@report_option
@case_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def client(
    listen: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    reconnect: float,
    free_play: bool,
    capture: Path | None,
    provocations: tuple[str, ...],
    reports: tuple[tuple[str, Path], ...],
    folders: tuple[Path, ...],
    versions: tuple[str, ...],
    profiles: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    """Test a client: by cases, in free play, or from a capture.

    By cases, which is the default, the command plays the server's side of each case. Start the client
    when a case is announced, and let it send the requests of that case, on one connection or several.
    What a client may ask besides (Discover Versions, Query, Interop, Log, Ping) is answered, and a
    version other than that of the case is refused so that the client can fall back.

    In free play, the client does what it wants with a key server that is made for it, and is judged by
    the rules of the standard for clients. Errors are provoked on purpose, to see what it does next. With
    a COMMAND after --, the command is run once undisturbed and once for each provocation, and finds the
    address in KMIPKIT_SERVER. Without, connect the client yourself; Ctrl-C, or --timeout seconds of
    silence, end the play.

    The exit status is 0 if no case failed and no rule that says SHALL was broken, else 1; 130 after
    Ctrl-C. The reports then have what was played so far.

    \b
    Examples:
      kmipkit conformance client --cert server.crt --key server.key --ca clients.crt \\
          --cases oasis/1.4/mandatory/SKLC-M-1-14.xml
      kmipkit conformance client --listen 0.0.0.0:5696 ... --profile TL-M-1 --kmip 2.1
      kmipkit conformance client --free-play --cert server.crt --key server.key --ca clients.crt \\
          --report html:client.html -- ./my-client --config test.ini
      kmipkit conformance client --free-play ... -- sh -c './my-client --server "$KMIPKIT_SERVER"'
      kmipkit conformance client --free-play ... --provoke none
      kmipkit conformance client --capture day.jsonl --report junit:client.xml
    """
    from kmipkit_certs.passwords import from_command_line

    has_cases = folders or versions or profiles
    _require(
        not (has_cases and (free_play or capture is not None)),
        "--cases, --kmip and --profile",
        "neither free play nor a capture has cases",
    )
    if capture is not None:
        _require(not (free_play or command or provocations), "--capture", "a capture is not played")
        _judge_capture(capture, reports)
        return
    _require(free_play or not (command or provocations), "COMMAND and --provoke", "use --free-play")
    if ca is None or cert is None:
        raise click.UsageError("the tester needs --ca and --cert, unless it judges a --capture")
    host_and_port, password = address(listen, "--listen"), from_command_line(key_password_file)
    files = (ca, cert, key, password)
    if free_play:
        keys = _chosen(provocations)
        is_program = not command or which(command[0]) is not None
        _require(is_program, "COMMAND", f"there is no program {' '.join(command[:1])!r}")
        _play_freely(host_and_port, files, timeout, keys, command, reports)
        return
    cases = load_cases(folders, versions, profiles)
    _play_cases(host_and_port, files, timeout, reconnect, cases, reports)


_Files = tuple[Path, Path, Path | None, "KeyPassword"]


def _require(is_fine: bool, options: str, why: str) -> None:
    if not is_fine:
        raise click.UsageError(f"{options}: {why}")


def _chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """The provocations that the option selects; a usage error for one that there is not."""
    from kmipkit_conformance.clients.table import PROVOCATION_KEYS

    for name in names:
        if name not in (*PROVOCATION_KEYS, ALL, NONE):
            known = ", ".join((ALL, NONE, *PROVOCATION_KEYS))
            raise click.BadParameter(
                f"there is no provocation {name!r}; there are {known}", param_hint="--provoke"
            )
    if NONE in names and len(set(names)) > 1:
        raise click.BadParameter("none cannot be combined with others", param_hint="--provoke")
    if not names or ALL in names:
        return PROVOCATION_KEYS
    return tuple(key for key in PROVOCATION_KEYS if key in names)


def _play_cases(
    where: tuple[str, int],
    files: _Files,
    timeout: float,
    reconnect: float,
    cases: "list[Case]",
    reports: tuple[tuple[str, Path], ...],
) -> None:
    from dataclasses import replace

    from kmipkit_conformance.clients.client_profiles import judge_cases
    from kmipkit_conformance.clients.client_report import profile_members, profile_table
    from kmipkit_conformance.interrupting import Interrupts
    from kmipkit_conformance.report import make_report
    from kmipkit_conformance.running import play_with
    from kmipkit_conformance.scripted import ScriptedServer
    from kmipkit_conformance.streams import server_context

    with wrong_usage():
        context = server_context(*files)
    with _listening(where) as (listening, name):
        tester = ScriptedServer(listening, context, timeout, reconnect)

        def play(case: "Case") -> "Verdict":
            echo(f"waiting  {case.name} on {name}")
            return tester.play(case)

        with Interrupts() as interrupts:
            result = play_with(play, cases, print_verdict)
            interrupts.hold()
            verdicts = list(judge_cases(result.verdicts))
            report = make_report(result)
            if verdicts:
                members = {**report.members, "profiles": profile_members(verdicts)}
                report = replace(report, members=members, tables=[profile_table(verdicts)])
            write_reports(report, reports)
    _print_profiles(verdicts)
    echo(report.summary())
    if result.is_interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if result.has_failed:
        raise click.exceptions.Exit(EXIT_FAILED)


@contextmanager
def _listening(where: tuple[str, int]) -> "Iterator[tuple[socket.socket, str]]":
    """A socket that listens, and its address for people. ConformanceError if that is not possible."""
    import socket

    from kmipkit_conformance.errors import ConformanceError

    try:
        listener = socket.create_server(where)
    except OSError as error:
        raise ConformanceError(f"{where[0]}:{where[1]}: {error.strerror or error}") from None
    with listener:
        yield listener, "{}:{}".format(*listener.getsockname()[:2])


def _play_freely(
    where: tuple[str, int],
    files: _Files,
    timeout: float,
    provocations: tuple[str, ...],
    command: tuple[str, ...],
    reports: tuple[tuple[str, Path], ...],
) -> None:
    import tempfile

    from kmipkit_conformance.clients.backend import ephemeral_server
    from kmipkit_conformance.clients.client_profiles import judge_session
    from kmipkit_conformance.clients.client_report import Play, silence
    from kmipkit_conformance.clients.free_play import Contexts, FreePlay
    from kmipkit_conformance.clients.impostor import impostor_context
    from kmipkit_conformance.clients.plan import Plan
    from kmipkit_conformance.clients.rule import judge
    from kmipkit_conformance.clients.table import RULES
    from kmipkit_conformance.clock import SYSTEM_CLOCK
    from kmipkit_conformance.interrupting import Interrupts
    from kmipkit_conformance.streams import server_context

    with wrong_usage():
        own = server_context(*files)
    started, runs = SYSTEM_CLOCK.now(), list[tuple[str, str]]()
    with (
        Interrupts() as interrupts,
        tempfile.TemporaryDirectory(prefix="kmipkit-conformance-") as folder,
    ):
        contexts = Contexts(own, impostor_context(Path(folder), where[0], files[0]))
        with _listening(where) as (listening, name), ephemeral_server() as target:
            line = StatusLine()
            play = FreePlay(listening, contexts, target, timeout, plan=Plan(list(provocations)))
            is_interrupted, problem = False, ""
            with play:
                try:
                    problem = _let_play(play, command, provocations, name, runs, line)
                except KeyboardInterrupt:
                    is_interrupted = True
                interrupts.hold()
            line.clear()
            problem = problem or play.problem or ("" if is_interrupted else silence(play.session))
        verdicts = judge(play.session, RULES)
        judged = Play(
            session=play.session,
            rules=verdicts,
            profiles=list(judge_session(play.session, verdicts)),
            source=name,
            started=started,
            seconds=SYSTEM_CLOCK.now() - started,
            is_interrupted=is_interrupted,
            problem=problem,
            runs=runs,
        )
        _tell(judged, reports)


def _let_play(
    play: "FreePlay",
    command: tuple[str, ...],
    provocations: tuple[str, ...],
    name: str,
    runs: list[tuple[str, str]],
    line: StatusLine,
) -> str:
    """Let the client play; why it could not, if so."""
    from kmipkit_conformance.clients.rounds import play_rounds
    from kmipkit_conformance.errors import ConformanceError

    def progress() -> str:
        connections = list(play.session.connections)
        requests = sum(len(each.exchanges) for each in connections)
        return f"{len(connections)} connections, {requests} requests"

    if not command:
        echo(f"waiting  for a client on {name}; Ctrl-C ends")
        _wait(
            play,
            lambda: line.show(f"{progress()}, {len(play.plan.remaining)} provocations to come"),
        )
        return ""

    def tell(key: str, ended: str, output: Sequence[str]) -> None:
        line.clear()
        echo(f"run      {key}: {ended}")
        for text in output:
            echo(f"         {text}")
        line.show(f"[{len(runs) + 1} of {len(provocations) + 1}] {progress()}")

    try:
        runs.extend(play_rounds(play, command, provocations, name, tell))
    except ConformanceError as error:
        return str(error)
    return ""


def _wait(play: "FreePlay", show: Callable[[], None]) -> None:
    """Until the client has been silent for long, or something has ended the play."""
    while not play.problem and not play.is_full:
        if play.clock.now() - play.last_activity > play.timeout:
            return
        show()
        play.clock.sleep(_STEP)


def _judge_capture(capture: Path, reports: tuple[tuple[str, Path], ...]) -> None:
    from kmipkit_conformance.clients.capture_reader import load
    from kmipkit_conformance.clients.client_profiles import judge_session
    from kmipkit_conformance.clients.client_report import Play
    from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
    from kmipkit_conformance.clients.rule import judge
    from kmipkit_conformance.clients.table import RULES

    with wrong_usage():
        session = load(capture)
    verdicts = judge(session, RULES)
    exchanges = session.exchanges
    judged = Play(
        session=session,
        rules=[*verdicts, *judge(session, RESPONSE_RULES)],
        profiles=list(judge_session(session, verdicts)),
        source=str(capture),
        started=exchanges[0].request.at if exchanges else 0.0,
        seconds=exchanges[-1].request.at - exchanges[0].request.at if exchanges else 0.0,
        problem="" if exchanges else "the capture has no request of a client",
    )
    _tell(judged, reports)


def _tell(play: "Play", reports: tuple[tuple[str, Path], ...]) -> None:
    """Print and write the verdicts, and exit accordingly."""
    from kmipkit_conformance.clients.client_report import make_report

    report = make_report(play)
    write_reports(report, reports)
    if play.session.exchanges or play.session.unreadable or not play.problem:
        _print_rules(play.rules)
        _print_profiles(play.profiles)
        echo(report.summary())
    if play.problem:
        raise click.ClickException(play.problem)
    if play.is_interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    if play.has_failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def _print_rules(verdicts: "Sequence[Judged]") -> None:
    from kmipkit_conformance.clients.client_report import lines

    for verdict in verdicts:
        rule = verdict.rule
        if verdict.occasions:
            echo(f"{verdict.standing.value:<8} {rule.key}")
        if verdict.broken:
            echo(f"         {rule.level.value}: {rule.says} ({rule.clause})")
            for line in lines(verdict):
                echo(f"         {line}")
    unseen = [verdict.rule.key for verdict in verdicts if not verdict.occasions]
    if unseen:
        echo(f"not seen {', '.join(unseen)}")


def _print_profiles(verdicts: "Sequence[ProfileJudged]") -> None:
    """A line for the profiles with the same verdict for the same reason."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for verdict in verdicts:
        found = alike.setdefault((verdict.standing.value, verdict.because), [])
        found.append(verdict.profile.title)
    for (standing, because), titles in alike.items():
        why = f": {'; '.join(because)}" if because else ""
        echo(f"{standing:<12} {', '.join(titles)}{why}")


@click.command("client-rules")
@click.option("--provocations", is_flag=True, help="List what free play does to a client instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def client_rules(provocations: bool, as_json: bool) -> None:
    """List the rules by which clients are judged, with their clauses.

    \b
    Examples:
      kmipkit conformance client-rules
      kmipkit conformance client-rules --provocations
      kmipkit conformance client-rules --json
    """
    from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
    from kmipkit_conformance.clients.table import DOES, RULES

    if provocations:
        rows = [{"provocation": key, "does": does} for key, does in DOES.items()]
    else:
        rows = [
            {"rule": each.key, "level": each.level.value, "clause": each.clause, "says": each.says}
            for each in (*RULES, *RESPONSE_RULES)
        ]
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        first, *rest = row.values()
        echo(f"{first:<34} {'  '.join(rest)}")
