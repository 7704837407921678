"""What a case says of itself, and which of its claims a failed step breaks."""

from pathlib import Path

from case_texts import UID, item, request, response
from kmipkit_conformance.cases import SUITE, Case, load, load_all
from kmipkit_conformance.clauses import clause
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.report import lines, make_report
from kmipkit_conformance.running import Run

from kmipkit.reports import Outcome, document
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import V1_0, V1_4, V2_1, V3_0

EVERY = list(load_all((SUITE,), frozenset(), ()))


def test_each_case_of_ours_names_its_clauses() -> None:
    """A vendor can look up what the tester relies on."""
    assert [case.name for case in EVERY if not names_its_clauses(case)] == []


def names_its_clauses(case: Case) -> bool:
    claims = [case.claim(number) for number in range(len(case.steps))]
    later = case.version >= V3_0  # operations that no published text describes
    return (
        "§" in case.about
        and "Generated" not in case.about
        and all(claims)
        and (any(step.marks.claim for step in case.steps) or case.family == "KIT-RNG")
        and (later or all("§" in claim for claim in claims))
    )


EXCHANGE = request("Activate", UID.format("a")) + response(item("Activate", UID.format("a")))


def write(folder: Path, before: str, between: str = "") -> Case:
    path = folder / "A-M-1-14.xml"
    path.write_text(f"{before}<KMIP>{EXCHANGE}{between}{EXCHANGE}</KMIP>")
    return load(path)


def test_a_published_case_says_what_it_is_without_its_legal_notice(tmp_path: Path) -> None:
    """Its words stay in its file; the report shows where it comes from."""
    case = write(tmp_path, "<!--\n Profiles Version 1.4\n Copyright (c) Somebody. -->")
    assert case.about == "Profiles Version 1.4"
    assert write(tmp_path, "").about == ""
    assert write(tmp_path, "", "<!-- later -->").about == ""


def test_a_claim_belongs_to_the_request_after_it(tmp_path: Path) -> None:
    between = "<!-- <RequestMessage> --><!-- claim: only once\n (KMIP 1.4 §3.22) --> # [Client-A]"
    case = write(tmp_path, "<!-- About. -->", between)
    assert case.claim(0) == "Activate (KMIP 1.4 §4.19)"
    assert case.claim(1) == "only once (KMIP 1.4 §3.22)"
    assert case.steps[1].marks.client == "Client-A"


def test_a_failed_step_names_the_claim_that_it_breaks(tmp_path: Path) -> None:
    """On the terminal and in every report."""
    case = write(tmp_path, "<!-- About. -->", "<!-- claim: it is Active -->")
    failed = Verdict(case, Outcome.FAILED, ("Activate: State is missing",), 1)
    assert list(lines(failed)) == [
        "step 1: Activate: State is missing",
        "broken: it is Active (KMIP 1.4 §4.19)",
    ]
    skipped = Verdict(case, Outcome.SKIPPED, ("not offered",))
    assert list(lines(skipped)) == ["not offered"]
    [row, _] = document(make_report(Run([failed, skipped])))["cases"]
    assert row["claim"] == "it is Active (KMIP 1.4 §4.19)"
    assert row["about"] == "About."


def test_the_clause_of_an_operation_is_that_of_the_version() -> None:
    assert clause(Operation.ENCRYPT, V1_0) == clause(Operation.ENCRYPT, V1_4) == "KMIP 1.4 §4.29"
    assert clause(Operation.ENCRYPT, V2_1) == "KMIP 2.1 §6.1.17"
    assert clause(Operation.OBLITERATE, V3_0) == ""
