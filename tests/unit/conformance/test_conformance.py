"""The tester's own judgement: what it lets pass, what not, and how it says so.

A tester that passes everything is worth less than none; each rule is tried from both sides.
"""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from case_texts import UID, attribute, item, request, response, write_case
from click.testing import CliRunner
from kmipkit_conformance import deviations, markers, placeholders
from kmipkit_conformance.cases import SUITE, Case, Step, load, load_all
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.compare import Comparison
from kmipkit_conformance.errata import CORRECTIONS, ERRATA
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.profiles import judge_profiles
from kmipkit_conformance.report import make_report
from kmipkit_conformance.running import Run
from kmipkit_conformance.support import Offer, query_offer
from kmipkit_conformance.target import Target
from servers import RunningServer

from kmipkit import reports
from kmipkit.reports import Outcome
from kmipkit.spec.enums import Operation, ProfileName
from kmipkit.spec.versions import V1_2, V1_4, V2_1, VERSIONS, Version
from kmipkit.ttlv import xml
from kmipkit.ttlv.tree import Item

pytestmark = pytest.mark.standard

NOW = 1_790_000_000


def tree(text: str) -> Item:
    [message] = xml.parse_all(text, placeholder=placeholders.read)
    return message


class Judge:
    """One case in progress."""

    def __init__(self) -> None:
        self.comparison = Comparison(Bindings(now=NOW))

    def __call__(
        self, expected: str, actual: str, sent: str = request("Activate", "")
    ) -> list[str]:
        step = Step(tree(sent), tree(response(expected)))
        received = tree(response(actual, stamp="2026-11-23T12:00:00+00:00"))
        return self.comparison.differences(step, received)


def test_identifiers_are_bound_once_and_must_agree_afterwards() -> None:
    judge = Judge()
    expected = item("Activate", UID.format("$UNIQUE_IDENTIFIER_0"))
    assert judge(expected, item("Activate", UID.format("a"))) == []
    assert judge(expected, item("Activate", UID.format("a"))) == []
    [reason] = judge(expected, item("Activate", UID.format("b")))
    assert reason == "Activate: expected Unique Identifier 'a' ($UNIQUE_IDENTIFIER_0), got 'b'"


def test_status_and_reason_are_strict_and_the_message_is_free() -> None:
    payload = UID.format("a")
    said = '<ResultMessage type="TextString" value="{}"/>'
    why = '<ResultReason type="Enumeration" value="{}"/>'
    failed = item("Activate", payload, "OperationFailed", why.format("ItemNotFound"))
    assert Judge()(failed, failed) == []
    other = item(
        "Activate", payload, "OperationFailed", why.format("ItemNotFound") + said.format("no")
    )
    assert Judge()(failed, other) == []
    assert Judge()(
        failed, item("Activate", payload, "OperationFailed", why.format("GeneralFailure"))
    )
    assert Judge()(failed, item("Activate", payload))


def test_attributes_may_come_in_any_order_and_with_more() -> None:
    a, b, c = (attribute(name, name) for name in ("x-A", "x-B", "x-C"))
    expected = item("GetAttributes", UID.format("k") + a + b)
    assert Judge()(expected, item("GetAttributes", UID.format("k") + c + b + a)) == []
    [reason] = Judge()(expected, item("GetAttributes", UID.format("k") + a + c))
    assert "'x-B'" in reason
    wrong = attribute("x-B", "other")
    assert Judge()(expected, item("GetAttributes", UID.format("k") + a + wrong))


def key(data: str) -> str:
    return f"""<ObjectType type="Enumeration" value="SymmetricKey"/>{UID.format("k")}
    <SymmetricKey><KeyBlock><KeyFormatType type="Enumeration" value="Raw"/><KeyValue>
    <KeyMaterial type="ByteString" value="{data}"/></KeyValue></KeyBlock></SymmetricKey>"""


def test_material_is_free_only_for_keys_that_the_server_made() -> None:
    registered, generated = Judge(), Judge()
    assert registered(item("Register", UID.format("k")), item("Register", UID.format("k"))) == []
    created = '<ObjectType type="Enumeration" value="SymmetricKey"/>' + UID.format("k")
    assert generated(item("Create", created), item("Create", created)) == []
    expected, other = item("Get", key("00" * 16)), item("Get", key("11" * 16))
    assert generated(expected, other) == []
    [reason] = registered(expected, other)
    assert "expected Key Material of 16 bytes in the Key Value, got 16 bytes with" in reason
    assert "11" * 8 not in reason, "a key never stands in a report"


def test_dates_count_when_the_request_fixed_them() -> None:
    judge = Judge()
    dated = attribute("Activation Date", "{}", "DateTime")
    early, late = "2011-03-01T00:00:00+00:00", "2012-03-01T00:00:00+00:00"
    expected = item("GetAttributes", UID.format("k") + dated.format(early))
    other = item("GetAttributes", UID.format("k") + dated.format(late))
    assert judge(expected, other) == []
    judge.comparison.bindings.fill(tree(request("Create", dated.format(early))))
    assert judge(expected, other)


def test_query_answers_may_name_more_and_must_not_name_less() -> None:
    names = '<Operation type="Enumeration" value="{}"/>'
    expected = item("Query", names.format("Create") + names.format("Get"))
    more = item("Query", "".join(map(names.format, ("Get", "Locate", "Create"))))
    assert Judge()(expected, more) == []
    [reason] = Judge()(expected, item("Query", names.format("Create")))
    assert "Get" in reason


def test_located_objects_are_a_set_unless_a_page_is_asked_for() -> None:
    a, b = UID.format("a"), UID.format("b")
    assert Judge()(item("Locate", a + b), item("Locate", b + a)) == []
    assert Judge()(item("Locate", a + b), item("Locate", a))
    assert Judge()(item("Locate", a + b), item("Locate", a + a))
    page = request("Locate", '<MaximumItems type="Integer" value="2"/>')
    assert Judge()(item("Locate", a + b), item("Locate", b + a), page)


def test_a_missing_time_stamp_and_a_missing_item_are_noticed() -> None:
    expected = tree(response(item("Activate", UID.format("a"))))
    step = Step(tree(request("Activate", "")), expected)
    headless = response(item("Activate", UID.format("a"))).replace(
        '<TimeStamp type="DateTime" value="$NOW"/>', ""
    )
    assert "Time Stamp is missing" in Comparison(Bindings(NOW)).differences(step, tree(headless))[0]
    empty = tree(response("", 0))
    assert any("expected 1 batch item, got 0" in reason for reason in _all(step, empty))


def _all(step: Step, actual: Item) -> list[str]:
    return Comparison(Bindings(NOW)).differences(step, actual)


def test_placeholders_are_filled_into_requests() -> None:
    bindings = Bindings(now=NOW, values={"UNIQUE_IDENTIFIER_0": "abc"})
    dated = attribute("Activation Date", "$NOW-60", "DateTime")
    sent = bindings.fill(tree(request("Create", UID.format("$UNIQUE_IDENTIFIER_0") + dated)))
    text = xml.dump(sent)
    assert 'value="abc"' in text
    assert NOW - 60 in bindings.sent_dates
    assert "$" not in text


def test_cases_are_found_chosen_and_named(tmp_path: Path) -> None:
    for name in ("SKLC-M-1-14", "CS-BC-M-2-14", "SKLC-M-1-12"):
        write_case(tmp_path, name)
    every = list(load_all([tmp_path], frozenset(), ()))
    assert [case.family for case in every] == ["CS-BC", "SKLC", "SKLC"]
    assert [case.name for case in load_all([tmp_path], frozenset({V1_2}), ())] == ["SKLC-M-1-12"]
    chosen = load_all([tmp_path], frozenset({V1_4}), ("SKLC",))
    assert [case.name for case in chosen] == ["SKLC-M-1-14"]
    with pytest.raises(ConformanceError, match="no such file"):
        list(load_all([tmp_path / "missing"], frozenset(), ()))
    (tmp_path / "broken.xml").write_text("<KMIP><Foo/></KMIP>")
    with pytest.raises(ConformanceError, match=r"broken\.xml"):
        load(tmp_path / "broken.xml")


@pytest.fixture
def player(server: RunningServer) -> Player:
    files = server.credentials("tester")
    target = Target("127.0.0.1", server.port, **files)
    return Player(target, query_offer(target))


def test_a_case_is_played_and_a_wrong_expectation_is_a_failure(
    player: Player, tmp_path: Path
) -> None:
    assert player.play(load(write_case(tmp_path, "A-M-1-14"))).outcome is Outcome.PASSED
    wrong = player.play(load(write_case(tmp_path, "A-M-2-14", "OperationFailed")))
    assert wrong.outcome is Outcome.FAILED
    assert "Create: expected Operation Failed" in wrong.reasons[0]
    assert "got Success" in wrong.reasons[0]


def test_what_the_server_does_not_offer_is_skipped_with_the_reason(
    player: Player, tmp_path: Path
) -> None:
    path = write_case(tmp_path, "A-M-3-14")
    poor = replace(player, offer=Offer(frozenset({Operation.GET}), None))
    verdict = poor.play(load(path))
    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reasons == ("the server does not support Create",)


def test_a_version_that_the_server_does_not_support_is_skipped(
    player: Player, tmp_path: Path
) -> None:
    old = replace(player, offer=Offer(None, frozenset({V1_4})))
    verdict = old.play(load(write_case(tmp_path, "A-M-1-30")))
    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reasons == ("the server does not support KMIP 3.0",)


def test_the_command_ends_with_1_when_a_case_fails_and_reports_it(
    server: RunningServer, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    write_case(cases, "A-M-1-14")
    write_case(cases, "A-M-2-14", "OperationFailed")
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--cases", str(cases)]
    for name, path in server.credentials("tester").items():
        arguments += [f"--{name}", str(path)]
    for form in ("junit", "json", "html"):
        arguments += ["--report", f"{form}:{tmp_path / form}"]
    result = CliRunner().invoke(conformance, arguments)
    assert result.exit_code == 1, result.output
    assert "1 passed, 1 failed, 0 known, 0 skipped" in result.output
    suite = ET.parse(tmp_path / "junit").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert json.loads((tmp_path / "json").read_text())["failed"] == 1
    assert 'class="failed">failed</td>' in (tmp_path / "html").read_text()
    good = CliRunner().invoke(conformance, [*arguments, "--profile", "A-M-1"])
    assert good.exit_code == 0


ENCODINGS = ("ttlv", "json", "xml")


@cache
def own_suite() -> dict[str, list[Case]]:
    """The cases of our own suite by what they test: one for each version."""
    families: dict[str, list[Case]] = {}
    for case in load_all((SUITE,), frozenset(), ()):
        families.setdefault(case.name.rpartition("-")[0], []).append(case)
    return families


@cache
def shares() -> dict[str, list[Case]]:
    """The cases that the normal run plays, by encoding.

    What has cases in several versions is played in one of them and in one encoding: a pair that has the
    fewest cases so far.
    """
    played: dict[str, list[Case]] = {encoding: [] for encoding in ENCODINGS}
    counts: Counter[tuple[Version, str]] = Counter()
    for cases in own_suite().values():
        case, encoding = min(
            product(cases, ENCODINGS), key=lambda pair: counts[pair[0].version, pair[1]]
        )
        counts[case.version, encoding] += 1
        played[encoding].append(case)
    return played


def test_the_normal_run_has_each_case_and_each_version() -> None:
    """What only the long run plays could fail unnoticed."""
    every = [case for family in own_suite().values() for case in family]
    played = [case for cases in shares().values() for case in cases]
    assert {case.name.rpartition("-")[0] for case in played} == own_suite().keys()
    assert {case.version for case in played} == set(VERSIONS)
    assert min(map(len, shares().values())) > 200
    everywhere, somewhere = (
        {operation for case in those for operation in case.operations()}
        for those in (every, played)
    )
    assert everywhere == somewhere


@pytest.mark.parametrize("part", ["a share", pytest.param("all", marks=pytest.mark.long)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_our_own_suite_passes_in_every_version_and_encoding(
    server: RunningServer, tmp_path: Path, encoding: str, part: str
) -> None:
    """And the tester needs no other files to be of use."""
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--encoding", encoding]
    chosen = shares()[encoding] if part == "a share" else []
    arguments += [word for case in chosen for word in ("--profile", case.name)]
    for name, path in server.credentials("own suite").items():
        arguments += [f"--{name}", str(path)]
    report = tmp_path / "report.json"
    # Pairs of RSA keys are made, which takes long on a busy machine.
    arguments += ["--jobs", "4", "--timeout", "300", "--report", f"json:{report}"]
    result = CliRunner().invoke(conformance, arguments)
    assert result.exit_code == 0, result.output
    cases = json.loads(report.read_text())["cases"]
    other = {case["case"] for case in cases if case["outcome"] != "passed"}
    assert len(cases) >= (len(chosen) or 500)
    # The server refuses to export what is destroyed, which the standard does not demand, and lets
    # only administrators set constraints and defaults.
    expected = {"KIT-EXPORT-DESTROYED", "KIT-CONSTRAINTS", "KIT-DEFAULTS", "KIT-DEFAULTS-READ-ONLY"}
    assert {name[:-3] for name in other} <= expected


def test_our_own_suite_is_listed() -> None:
    listed = CliRunner().invoke(conformance, ["list", "--kmip", "2.1"]).output
    assert "KIT-LIFECYCLE-21" in listed


def test_reports_show_names_as_text_whatever_they_hold(tmp_path: Path) -> None:
    case = Case("<script>", V1_4, ())
    verdict = Verdict(case, Outcome.FAILED, ("<b>bold</b> \x00",))
    assert "&lt;script&gt;</td>" in reports.as_html(make_report(Run([verdict])))
    assert ET.fromstring(reports.junit(make_report(Run([verdict])))).tag == "testsuite"
    with pytest.raises(reports.ReportNotWritten):
        reports.write("json", tmp_path / "missing" / "r", make_report(Run([verdict])))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "nowhere"], "HOST:PORT"),
        (["--target", "127.0.0.1:1", "--report", "pdf:x"], "FORM:FILE"),
    ],
)
def test_wrong_options_are_explained(tmp_path: Path, arguments: list[str], words: str) -> None:
    files = [part for name in ("ca", "cert", "key") for part in (f"--{name}", "x")]
    result = CliRunner().invoke(conformance, ["run", *arguments, *files, "--cases", str(tmp_path)])
    assert result.exit_code == 2
    assert words in result.output


# --- profiles, deviations, corrections -----------------------------------------------------------


def verdict_of(name: str, outcome: Outcome) -> Verdict:
    return Verdict(Case(name, V2_1, ()), outcome, (), 3)


def standings(verdicts: list[Verdict], offer: Offer) -> dict[str, str]:
    return {
        verdict.profile.title: verdict.standing.value for verdict in judge_profiles(verdicts, offer)
    }


ALL = frozenset(Operation)


def test_a_profile_stands_or_falls_with_its_mandatory_cases() -> None:
    verdicts = [
        verdict_of("SKLC-M-1-21", Outcome.PASSED),
        verdict_of("CS-BC-M-1-21", Outcome.FAILED),
        verdict_of("CS-RNG-O-1-21", Outcome.FAILED),
        verdict_of("CS-RNG-M-1-21", Outcome.PASSED),
        verdict_of("QS-M-1-21", Outcome.SKIPPED),
    ]
    results = standings(verdicts, Offer(ALL, None))
    assert results["Symmetric Key Lifecycle Server"] == "passed"
    assert results["Basic Cryptographic Server"] == "failed"
    assert results["RNG Cryptographic Server"] == "passed", "an optional case does not count"
    assert results["Quantum Safe Server"] == "not testable"
    assert results["Complete Server"] == "failed"
    [why] = [
        verdict
        for verdict in judge_profiles(verdicts, Offer(ALL, None))
        if "Basic C" in verdict.profile.title
    ]
    assert why.because == ("CS-BC-M-1-21, step 3",)


def test_what_a_server_does_not_claim_it_cannot_fail() -> None:
    verdicts = [verdict_of("SKLC-M-1-21", Outcome.FAILED)]
    claims = frozenset({ProfileName.BASELINE_SERVER})
    results = standings(verdicts, Offer(ALL, None, claims))
    assert results == {
        "Baseline Server": "failed",
        "Symmetric Key Lifecycle Server": "not claimed",
        "Complete Server": "not claimed",
    }
    assert "failed" not in standings(verdicts, Offer(frozenset(), None)).values()


def test_a_known_deviation_is_told_apart_and_costs_no_exit_status(
    server: RunningServer, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    write_case(cases, "A-M-2-14", "OperationFailed")
    listed = tmp_path / "deviations.toml"
    listed.write_text('[deviations]\n"A-M-2-14" = "der Hersteller weiß davon"\n')
    arguments = ["run", "--target", f"127.0.0.1:{server.port}", "--cases", str(cases)]
    for name, path in server.credentials("tester").items():
        arguments += [f"--{name}", str(path)]
    arguments += ["--deviations", str(listed), "--report", f"html:{tmp_path / 'r.html'}"]
    result = CliRunner().invoke(conformance, arguments)
    assert result.exit_code == 0, result.output
    assert "1 known" in result.output
    page = (tmp_path / "r.html").read_text()
    assert "der Hersteller weiß davon" in page
    assert "<h3>expected</h3>" in page
    assert "<h3>received</h3>" in page


@pytest.mark.parametrize("text", ["", "[other]\n", "[deviations]\nx = 1\n", "not toml"])
def test_a_file_of_deviations_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(text)
    with pytest.raises(ConformanceError):
        deviations.load(path)


def test_marks_name_the_client_and_repeated_requests() -> None:
    text = """<!-- # [Client-Z] in a comment --><KMIP># TIME 0 # [Client-A]
    <RequestMessage></RequestMessage><ResponseMessage></ResponseMessage> # TIME 1
    # [Client-B] # [REPEAT] until it is there
    <RequestMessage></RequestMessage><ResponseMessage></ResponseMessage>
    <RequestMessage></RequestMessage></KMIP>"""
    results = list(markers.marks(text))
    assert [mark.client for mark in results] == ["Client-A", "", "Client-B", "", ""]
    assert [mark.repeated for mark in results] == [False, False, True, False, False]


def test_a_case_is_played_as_it_must_have_been_meant(tmp_path: Path) -> None:
    for name, corrections in CORRECTIONS.items():
        assert all(correction.reason for correction in corrections), name
    text = 'x fd912d102dbb482f6f6e91bd57119095 "'
    [correction] = CORRECTIONS["CS-BC-M-6-12"]
    assert "d9bcce11b0b437b90239552df3a360c9" in correction.apply(text)
    assert not set(CORRECTIONS) & set(ERRATA)
