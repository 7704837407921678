"""What a case permits: several Result Reasons, a refusal as a whole, and optional features.

A server that the standard permits must not fail, and one that it does not permit must.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from case_texts import UID, item, request, response
from kmipkit_conformance.cases import Case, load
from kmipkit_conformance.markers import OF_TYPE
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.support import UNKNOWN, Offer
from kmipkit_conformance.target import Target

from kmipkit.reports import Outcome
from kmipkit.spec.enums import ObjectType, Operation
from kmipkit.spec.versions import V1_4
from kmipkit.ttlv import binary, xml

ACTIVATE = request("Activate", UID.format("a"))
ACTIVATED = item("Activate", UID.format("a"))
WITH_ID = ACTIVATE.replace(
    "<RequestPayload>", '<UniqueBatchItemID type="ByteString" value="01"/><RequestPayload>'
)


def failed(reason: str, operation: str = "Activate") -> str:
    """A batch item that failed; without an operation, as for a message that cannot be read."""
    text = f"""<BatchItem><Operation type="Enumeration" value="{operation}"/>
    <ResultStatus type="Enumeration" value="OperationFailed"/>
    <ResultReason type="Enumeration" value="{reason}"/></BatchItem>"""
    return text if operation else text.replace('<Operation type="Enumeration" value=""/>', "")


@dataclass
class Saying:
    """A server that always responds the same."""

    text: str

    @contextmanager
    def connect(self, suite: object = None, media: object = None) -> Iterator["Saying"]:
        del suite, media
        yield self

    def exchange(self, data: bytes) -> bytes:
        del data
        return binary.encode(xml.parse(self.text))


def verdict(
    folder: Path,
    marks: str,
    expected: str,
    said: str,
    asked: str = ACTIVATE,
    offer: Offer = UNKNOWN,
) -> Verdict:
    path = folder / "A-M-1-14.xml"
    path.write_text(f"<!-- About. --><KMIP>{marks}{asked}{response(expected)}</KMIP>")
    case: Case = load(path)
    return Player(cast("Target", Saying(said)), offer).play(case)


def said(items: str, count: int = 1) -> str:
    return response(items, count, "2026-11-29T12:00:00+00:00")


TWO = "<!-- accept: Item Not Found, Invalid Field -->"
WHOLE = "<!-- accept: Invalid Message, whole message -->"
OLDER = said(failed("InvalidMessage", "")).replace(
    'Minor type="Integer" value="4"', 'Minor type="Integer" value="0"'
)


@pytest.mark.parametrize(
    ("marks", "answer", "outcome"),
    [
        ("", said(failed("InvalidField")), Outcome.FAILED),
        ("", said(failed("ItemNotFound")), Outcome.PASSED),
        (TWO, said(failed("InvalidField")), Outcome.PASSED),
        (TWO, said(failed("GeneralFailure")), Outcome.FAILED),
        (TWO, said(ACTIVATED), Outcome.FAILED),
        ("<!-- accept: any reason -->", said(failed("GeneralFailure")), Outcome.PASSED),
        ("<!-- accept: any reason -->", said(ACTIVATED), Outcome.FAILED),
        ("<!-- accept: Item Not Found, success -->", said(ACTIVATED), Outcome.PASSED),
        ("<!-- accept: Item Not Found, success -->", said(failed("InvalidField")), Outcome.FAILED),
        (WHOLE, OLDER, Outcome.PASSED),
        (WHOLE.replace(", whole message", ", Invalid Field"), OLDER, Outcome.FAILED),
        (WHOLE, said(failed("GeneralFailure", "")), Outcome.FAILED),
        (WHOLE, said(failed("InvalidMessage") + ACTIVATED, 2), Outcome.FAILED),
    ],
)  # fmt: skip
def test_only_the_reasons_that_the_case_accepts_pass(
    tmp_path: Path, marks: str, answer: str, outcome: Outcome
) -> None:
    assert verdict(tmp_path, marks, failed("ItemNotFound"), answer).outcome is outcome


def test_the_verdict_names_all_reasons_that_would_have_passed(tmp_path: Path) -> None:
    one = verdict(tmp_path, TWO, failed("ItemNotFound"), said(failed("GeneralFailure")))
    assert one.reasons == (
        "Activate: expected Item Not Found or Invalid Field, got General Failure",
    )
    any_of_them = "<!-- accept: any reason -->"
    one = verdict(tmp_path, any_of_them, failed("ItemNotFound"), said(ACTIVATED))
    assert one.reasons == ("Activate: expected Operation Failed, got Success",)


def test_a_server_that_lacks_an_optional_feature_is_not_judged(tmp_path: Path) -> None:
    """And the report says which one, so that a vendor who has it sees the difference."""
    marks = "<!-- optional: leases (KMIP 1.4 §3.20) -->"
    one = verdict(tmp_path, marks, ACTIVATED, said(failed("FeatureNotSupported")))
    assert one.outcome is Outcome.SKIPPED
    assert one.reasons == ("the server does not offer leases (KMIP 1.4 §3.20)",)
    other = said(item("Activate", UID.format("b")))
    assert verdict(tmp_path, marks, ACTIVATED, other).outcome is Outcome.FAILED


REGISTER = request("Register", '<ObjectType type="Enumeration" value="SecretData"/>')
REGISTERED = item("Register", UID.format("$UNIQUE_IDENTIFIER_0"))


@pytest.mark.parametrize(
    ("types", "outcome"),
    [
        (None, Outcome.SKIPPED),
        (frozenset({ObjectType.SECRET_DATA}), Outcome.FAILED),
        (frozenset({ObjectType.CERTIFICATE}), Outcome.SKIPPED),
    ],
    ids=["unknown", "listed", "not listed"],
)
def test_an_object_type_that_query_lists_must_be_registered(
    tmp_path: Path, types: Any, outcome: Outcome
) -> None:
    offer = Offer(frozenset({Operation.REGISTER}), frozenset({V1_4}), object_types=types)
    marks = f"<!-- optional: {OF_TYPE} Secret Data -->"
    refusal = said(failed("InvalidField", "Register"))
    assert verdict(tmp_path, marks, REGISTERED, refusal, REGISTER, offer).outcome is outcome


@pytest.mark.parametrize(("number", "outcome"), [("01", Outcome.PASSED), ("02", Outcome.FAILED)])
def test_a_result_has_the_identifier_of_its_batch_item(
    tmp_path: Path, number: str, outcome: Outcome
) -> None:
    """KMIP 1.4 §6.4."""
    answer = said(ACTIVATED).replace(
        "<ResultStatus", f'<UniqueBatchItemID type="ByteString" value="{number}"/><ResultStatus'
    )
    assert verdict(tmp_path, "", ACTIVATED, answer, WITH_ID).outcome is outcome
    assert verdict(tmp_path, "", ACTIVATED, said(ACTIVATED), WITH_ID).outcome is Outcome.FAILED


def test_discover_versions_returns_only_versions_of_the_request(tmp_path: Path) -> None:
    """ "SHALL return only the protocol versions that are supported by both" (KMIP 1.4 §4.26)."""

    def version(minor: int) -> str:
        return f"""<ProtocolVersion><ProtocolVersionMajor type="Integer" value="1"/>
        <ProtocolVersionMinor type="Integer" value="{minor}"/></ProtocolVersion>"""

    expected = item("DiscoverVersions", version(4))
    more = said(item("DiscoverVersions", version(4) + version(3)))
    with_list, without = (request("DiscoverVersions", text) for text in (version(4), ""))
    assert verdict(tmp_path, "", expected, more, with_list).outcome is Outcome.FAILED
    assert verdict(tmp_path, "", expected, more, without).outcome is Outcome.PASSED
