"""What surrounds the cases: mistakes are found before the first one, and nothing played is lost."""

import json
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from case_texts import write_case
from click.testing import CliRunner
from kmipkit_conformance.cases import SUITE, Case, load, load_all
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.deviations import obsolete
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.interrupting import Interrupts
from kmipkit_conformance.parallel import may_share
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.profiles import Standing, judge_profiles
from kmipkit_conformance.progress import Progress, bar
from kmipkit_conformance.running import play_all
from kmipkit_conformance.scripted import ScriptedServer
from kmipkit_conformance.support import Offer
from kmipkit_conformance.target import Target
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.reports import Outcome
from kmipkit.spec.enums import ProfileName
from kmipkit.spec.versions import V1_4, V2_1
from kmipkit.terminal import StatusLine

NOWHERE = ["--target", "127.0.0.1:1"]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three cases that pass."""
    folder = tmp_path / "cases"
    folder.mkdir()
    for number in (1, 2, 3):
        write_case(folder, f"A-M-{number}-14")
    return folder


def files(server: RunningServer) -> list[str]:
    pairs = server.credentials("tester").items()
    return [part for name, path in pairs for part in (f"--{name}", str(path))]


def unused(folder: Path) -> list[str]:
    """Options that would fail if the command used them."""
    return [*NOWHERE, *(p for name in ("ca", "cert", "key") for p in (f"--{name}", str(folder)))]


def write_deviations(folder: Path, name: str) -> Path:
    path = folder / "deviations.toml"
    path.write_text(f'[deviations]\n"{name}" = "ticket 1"\n')
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--profile", "NOSUCH"], ["--profile", "NOSUCH", "conformance list"]),
        (["--profile", "A-M-41"], ["did you mean"]),
        (["--kmip", "2.1"], ["--kmip", "no case for KMIP 2.1"]),
        (["--timeout", "0"], ["--timeout"]),
        (["--wait", "-1"], ["--wait"]),
        (["--cases", "{}/nosuch"], ["--cases", "no such file or directory"]),
        (["--ca", "{}/nosuch"], ["no such file"]),
        (["--server", "127.0.0.1:99999"], ["--server", "HOST:PORT"]),
        (["--https", "99999"], ["--https", "PORT or PORT/PATH"]),
        (["--report", "json:{}/missing/r.json"], ["there is no directory"]),
        (["--report", "html:{}"], ["is a directory"]),
        (["--deviations", "{}/none.toml"], ["No such file"]),
    ],
)
def test_a_mistake_is_found_before_the_first_case(
    cases: Path, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    """Not after an hour, when the report cannot be written."""
    options = [option.format(tmp_path) for option in options]
    result = CliRunner().invoke(
        conformance, ["run", *unused(tmp_path), "--cases", str(cases), *options]
    )
    assert result.exit_code == 2, result.output
    assert all(word in result.output for word in words)


def test_a_deviation_must_name_a_case(cases: Path, tmp_path: Path) -> None:
    """A typing error in the list would excuse nothing, and nobody would know."""
    listed = write_deviations(tmp_path, "A-M-2-15")
    options = ["--cases", str(cases), "--deviations", str(listed)]
    result = CliRunner().invoke(conformance, ["run", *unused(tmp_path), *options])
    assert result.exit_code == 2
    assert "did you mean A-M-2-14?" in result.output


def test_a_listed_deviation_that_passes_is_reported(
    server: RunningServer, cases: Path, tmp_path: Path
) -> None:
    """The list would excuse the next failure of a case that was mended long ago."""
    listed = write_deviations(tmp_path, "A-M-2-14")
    report = tmp_path / "r.json"
    result = run(server, cases, report, "--deviations", str(listed))
    assert result.exit_code == 0, result.output
    assert f"A-M-2-14 passes; remove it from {listed}" in result.output
    assert json.loads(report.read_text())["obsolete_deviations"] == ["A-M-2-14"]


def test_a_deviation_that_fails_somewhere_is_not_obsolete() -> None:
    """Cases of the same name may come from two folders; what was not played says nothing."""
    case = next(load_all((SUITE,), frozenset({V1_4}), ()))
    verdicts = {outcome: Verdict(case, outcome) for outcome in Outcome}
    passed, known, skipped = (
        verdicts[each] for each in (Outcome.PASSED, Outcome.KNOWN, Outcome.SKIPPED)
    )
    listed = {case.name: "ticket 1"}
    assert obsolete([passed, skipped], listed) == [case.name]
    assert obsolete([passed, known], listed) == obsolete([skipped], listed) == []
    assert obsolete([passed], {}) == []


def test_ctrl_c_leaves_a_report_of_what_was_played(
    server: RunningServer, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of verdicts are not lost, and CI sees that the run was not complete."""
    interrupt_after(1, KeyboardInterrupt(), monkeypatch)
    report = tmp_path / "r.json"
    result = run(server, cases, report)
    assert result.exit_code == 130
    written = json.loads(report.read_text())
    assert written["interrupted"] is True
    assert [case["case"] for case in written["cases"]] == ["A-M-1-14"]
    assert "1 passed" in result.output


def test_a_server_that_goes_away_leaves_a_report_too(
    server: RunningServer, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts up to a crash are those that matter."""
    interrupt_after(2, ConformanceError("127.0.0.1:5696: Connection refused"), monkeypatch)
    report = tmp_path / "r.json"
    result = run(server, cases, report)
    assert result.exit_code == 1
    assert "Connection refused" in result.output
    written = json.loads(report.read_text())
    assert (written["passed"], written["problem"]) == (2, "127.0.0.1:5696: Connection refused")


def interrupt_after(number: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many cases be played, and then raise the error."""
    play, played = Player.play, []

    def interrupted(player: Player, case: Case) -> Any:
        if len(played) == number:
            raise error
        played.append(case)
        return play(player, case)

    monkeypatch.setattr(Player, "play", interrupted)


def run(server: RunningServer, cases: Path, report: Path, *more: str) -> Any:
    target = ["--target", f"127.0.0.1:{server.port}", *files(server)]
    options = ["--cases", str(cases), "--report", f"json:{report}", *more]
    return CliRunner().invoke(conformance, ["run", *target, *options])


def test_the_variables_of_the_client_hold_here_as_well(server: RunningServer, cases: Path) -> None:
    """One set of variables for all commands."""
    paths = server.credentials("tester")
    variables = {f"KMIPKIT_{name.upper()}": str(path) for name, path in paths.items()}
    variables["KMIPKIT_SERVER"] = f"127.0.0.1:{server.port}"
    arguments = ["run", "--cases", str(cases)]
    result = CliRunner().invoke(conformance, arguments, env=variables)
    assert result.exit_code == 0, result.output


CLAIMING = Offer(None, None, frozenset({ProfileName.JSON_SERVER}))


@pytest.mark.parametrize(
    ("offer", "options", "is_played"),
    [
        (Offer(None, None), {}, False),
        (CLAIMING, {}, True),
        (Offer(None, None), {"https": True}, True),
        (Offer(None, None), {"encoding": "json"}, True),
        (Offer(None, None, frozenset({ProfileName.XML_SERVER})), {}, False),
    ],
)
def test_https_is_tested_where_it_is_claimed_or_asked_for(
    server: RunningServer, tmp_path: Path, offer: Offer, options: dict[str, Any], is_played: bool
) -> None:
    """A server without HTTPS must not fail cases of a profile that it never claimed."""
    target = Target("127.0.0.1", server.port, **server.credentials("tester"))
    player = replace(Player(target, offer), **options)
    verdict = player.play(load(write_case(tmp_path, "MSGENC-JSON-M-1-14")))
    assert verdict.outcome is (Outcome.PASSED if is_played else Outcome.SKIPPED)
    assert is_played or "use --https" in verdict.reasons[0]


def test_the_tester_of_clients_writes_reports_too(
    server: RunningServer, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that was tested by hand for an hour leaves its verdicts, also after Ctrl-C."""
    outcomes = iter([Outcome.PASSED, Outcome.FAILED])

    def play(_: ScriptedServer, case: Case) -> Verdict:
        try:
            return Verdict(case, next(outcomes), ("Activate: State is missing",))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(ScriptedServer, "play", play)
    report = tmp_path / "r.json"
    options = ["--listen", "127.0.0.1:0", "--cases", str(cases), "--report", f"json:{report}"]
    result = CliRunner().invoke(conformance, ["client", *files(server), *options])
    assert result.exit_code == 130, result.output
    written = json.loads(report.read_text())
    assert (written["passed"], written["failed"], written["interrupted"]) == (1, 1, True)
    assert written["cases"][1]["claim"] == "Create (KMIP 1.4 §4.1)"


# --- several cases at once, and the progress -----------------------------------------------------


def test_cases_at_once_have_the_verdicts_of_cases_one_by_one(
    server: RunningServer, tmp_path: Path
) -> None:
    """And the report has them in the same order."""
    report = tmp_path / "r.json"
    target = ["--target", f"127.0.0.1:{server.port}", *files(server)]
    # A busy machine may take long to make a pair of RSA keys.
    options = ["--kmip", "1.4", "--jobs", "4", "--timeout", "300", "--report", f"json:{report}"]
    result = CliRunner().invoke(conformance, ["run", *target, *options])
    assert result.exit_code == 0, result.output
    names = [case["case"] for case in json.loads(report.read_text())["cases"]]
    assert names == sorted(names)
    assert len(names) == len(list(load_all((SUITE,), frozenset({V1_4}), ())))


def test_cases_with_a_common_name_never_meet() -> None:
    """The name of an object is unique in the account of the tester, and so the second would fail.

    The first two cases are the same one from two folders; the barrier is passed only by two different
    cases that are played at the same time.
    """
    cases = list(load_all((SUITE,), frozenset({V1_4, V2_1}), ("KIT-REKEY",)))
    cases = [cases[0], replace(cases[0]), cases[1], replace(cases[1])]
    barrier, lock = threading.Barrier(2), threading.Lock()
    playing: Counter[str] = Counter()

    class Recording(Player):
        def play(self, case: Case) -> Verdict:
            with lock:
                playing[case.name] += 1
                alone = playing[case.name] == 1
            barrier.wait(ANSWER_TIMEOUT)
            with lock:
                playing[case.name] -= 1
            return Verdict(case, Outcome.PASSED if alone else Outcome.FAILED)

    result = play_all(Recording(NO_TARGET), cases, {}, lambda _: None, jobs=2)
    assert [id(verdict.case) for verdict in result.verdicts] == list(map(id, cases))
    assert not result.has_failed


NO_TARGET = Target("127.0.0.1", 1, Path(), Path(), None)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("KIT-LIFECYCLE-14", True),
        ("KIT-CIPHER-21", True),
        ("KIT-LOCATE-14", False),
        ("KIT-ASYNC-21", False),
    ],
)
def test_a_case_that_may_see_the_objects_of_others_is_played_alone(name: str, shares: bool) -> None:
    [case] = load_all((SUITE,), frozenset(), (name,))
    assert may_share(case) is shares


def test_the_progress_says_how_long_the_rest_will_take() -> None:
    assert bar(0, 4, 0, 0.0) == "[....................] 0 of 4 cases, 0 failed"
    assert bar(1, 4, 1, 25.0) == "[#####...............] 1 of 4 cases, 1 failed, about 1:15 left"
    assert bar(4, 4, 1, 90.0) == "[####################] 4 of 4 cases, 1 failed"


def test_the_progress_is_below_the_verdicts() -> None:
    """The line is removed before a verdict is printed, and at the end."""
    told: list[str] = []

    class Line(StatusLine):
        def show(self, text: str) -> None:
            told.append(text)

        def clear(self) -> None:
            told.append("clear")

    verdict = Verdict(Case("A", V1_4, ()), Outcome.FAILED)
    with Progress(1, lambda verdict: told.append(verdict.case.name), Line()) as progress:
        progress(verdict)
    first, *others = told
    assert first.endswith("0 of 1 cases, 0 failed")
    assert others[:2] == ["clear", "A"]
    assert others[2].endswith("1 of 1 cases, 1 failed")
    assert others[3:] == ["clear"]


def test_signals_end_the_cases_then_the_clean_up_and_nothing_else() -> None:
    """Users press Ctrl-C several times, and CI sends several signals: the report is written."""
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # between the cases and the clean-up
        reached = False
        with interrupts.cleaning():
            signal.raise_signal(signal.SIGINT)
            reached = True
        assert not reached
        signal.raise_signal(signal.SIGINT)
        interrupts.hold()
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_after_ctrl_c_the_clean_up_may_be_ended_too(server: RunningServer, cases: Path) -> None:
    """A server that is silent would otherwise keep the tester for half a minute per object."""

    class Slow(Player):
        def clean_up(self) -> None:
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the clean-up goes on")

    target = Target("127.0.0.1", server.port, **server.credentials("tester"))
    player = Slow(target)
    with Interrupts() as interrupts:
        result = play_all(
            player, list(load_all((cases,), frozenset(), ())), {}, lambda _: None, 1, interrupts
        )
    assert result.is_interrupted
    assert (len(result.verdicts), result.unplayed) == (1, 2)


def test_no_profile_passes_with_cases_that_were_not_played(tmp_path: Path) -> None:
    """After Ctrl-C, the report must not say that a server conforms."""
    played, unplayed = (load(write_case(tmp_path, f"BL-M-{number}-14")) for number in (1, 2))
    for outcome, left, expected in (
        (Outcome.PASSED, [], Standing.PASSED),
        (Outcome.PASSED, [unplayed], Standing.NOT_TESTABLE),
        (Outcome.FAILED, [unplayed], Standing.FAILED),
    ):
        verdicts = list(judge_profiles([Verdict(played, outcome)], Offer(None, None), left))
        assert {verdict.standing for verdict in verdicts} == {expected}
        if expected is Standing.NOT_TESTABLE:
            assert verdicts[0].because == ("1 of its 2 cases were not played",)
