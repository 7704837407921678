"""Captures of ``kmipkit proxy`` are judged like sessions in free play, with the answers in them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from broken_clients import CREATE, QUERY
from click.testing import CliRunner, Result
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.clients.capture_reader import load
from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
from kmipkit_conformance.clients.rule import Standing, judge
from watched_clients import Ask, item, message

from kmipkit.captures import CLIENT, SERVER, Entry, Heading
from kmipkit.spec.enums import ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

AT = "2026-11-29T08:14:02.113Z"


def answer(*items: Item, version: Version = V1_4, count: int | None = None) -> Item:
    """A response with these batch items."""
    numbers = (
        item(Tag.PROTOCOL_VERSION_MAJOR, version.major),
        item(Tag.PROTOCOL_VERSION_MINOR, version.minor),
    )
    header = (
        item(Tag.PROTOCOL_VERSION, numbers),
        item(Tag.TIME_STAMP, 1_764_000_000, ItemType.DATE_TIME),
        item(Tag.BATCH_COUNT, len(items) if count is None else count),
    )
    return item(Tag.RESPONSE_MESSAGE, (item(Tag.RESPONSE_HEADER, header), *items))


def result(ask: Ask, *fields: Item, status: ResultStatus = ResultStatus.SUCCESS) -> Item:
    """A batch item of a response, with an empty payload if it is a success."""
    ids = () if ask.item_id is None else (item(Tag.UNIQUE_BATCH_ITEM_ID, ask.item_id),)
    head = (item(Tag.OPERATION, ask.operation), *ids, item(Tag.RESULT_STATUS, status))
    payload = () if fields else (item(Tag.RESPONSE_PAYLOAD, ()),)
    return item(Tag.BATCH_ITEM, (*head, *fields, *payload))


def write(path: Path, *pairs: tuple[bytes, bytes | None], notes: Iterable[str] = ()) -> Path:
    """A capture of requests with their answers."""
    lines = [Heading(AT, "kms:5696").line()]
    for request, response in pairs:
        for sender, data in ((CLIENT, request), (SERVER, response)):
            if data is not None:
                entry = Entry(connection=1, time=AT, sender=sender, version="1.4", message=data)
                lines.append(entry.line())
    lines += [Entry(connection=1, time=AT, note=note).line() for note in notes]
    path.write_text("\n".join(lines) + "\n")
    return path


def pair(ask: Ask, response: Item | None, **parts: Any) -> tuple[bytes, bytes | None]:
    return (
        binary.encode(message(ask, **parts)),
        None if response is None else binary.encode(response),
    )


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(conformance, ["client", "--capture", str(path), *options])


GOOD = pair(QUERY, answer(result(QUERY)))
GOOD_ANSWER = binary.encode(answer(result(QUERY)))
FAILED = ResultStatus.OPERATION_FAILED


def test_a_capture_is_judged_by_the_rules_for_clients(tmp_path: Path) -> None:
    """What a customer sends can be judged without their devices."""
    good = run(write(tmp_path / "good.jsonl", GOOD))
    assert good.exit_code == 0, good.output
    assert "kept     batch-count" in good.output
    assert "client-certificate" in good.output.split("not seen")[1]
    bad = run(write(tmp_path / "bad.jsonl", GOOD, pair(QUERY, None, count=2)))
    assert bad.exit_code == 1
    assert "connection 1, request 2 (Query): Batch Count is 2, and there are 1 batch" in bad.output
    assert "KMIP 1.4 §6.14" in bad.output


def test_what_the_proxy_could_not_record_counts_as_well(tmp_path: Path) -> None:
    """A redacted capture does not have malformed messages, only a note of them."""
    note = "a malformed message of 61 bytes from the client: Boolean of 2; passed on"
    session = load(write(tmp_path / "c.jsonl", GOOD, notes=[note, "closed"]))
    assert [problem for _, problem in session.unreadable] == [note]
    other = "from the client: not a KMIP message; passed on, and not recorded from here on"
    assert load(write(tmp_path / "d.jsonl", GOOD, notes=[other])).unreadable == []


def test_the_reports_are_those_of_the_other_testers(tmp_path: Path) -> None:
    import json
    import xml.etree.ElementTree as ET

    path = write(tmp_path / "c.jsonl", pair(QUERY, None, count=2))
    names = {form: tmp_path / f"r.{form}" for form in ("json", "junit", "html")}
    options = [part for form, file in names.items() for part in ("--report", f"{form}:{file}")]
    assert run(path, *options).exit_code == 1
    written = json.loads(names["json"].read_text())
    rules = {each["rule"]: each for each in written["rules"]}
    assert rules["batch-count"]["verdict"] == "broken"
    assert rules["batch-count"]["broken"][0]["where"] == "connection 1, request 1 (Query)"
    assert written["profiles"][0]["standing"] == "failed"
    suite = ET.parse(names["junit"]).getroot()
    assert int(suite.attrib["failures"]) == sum(r["verdict"] == "broken" for r in rules.values())
    page = names["html"].read_text()
    assert "batch-count" in page
    assert "Messages of connection 1, request 1 (Query)" in page


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"hello", "not a capture of kmipkit proxy"),
        (b'{"kmipkit_capture": 9}\n', "the capture has the format 9"),
        (Heading(AT, "kms").line().encode() + b"\n", "no request of a client"),
    ],
)
def test_what_is_no_capture_is_said(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "c.jsonl"
    if content is not None:
        path.write_bytes(content)
    result = run(path)
    assert result.exit_code == (1 if "no request" in words else 2)
    assert words in result.output + str(result.exception)


def test_text_of_the_client_reaches_the_terminal_escaped(tmp_path: Path) -> None:
    """An attribute name that clears the screen of whoever judges a capture."""
    from broken_clients import AES256, MASK, create

    ask = create(*AES256, MASK, ("\x1b[2J", "x"))
    result = run(write(tmp_path / "c.jsonl", pair(ask, None)))
    assert "custom-attributes" in result.output
    assert "\x1b" not in result.output


REASON = item(Tag.RESULT_REASON, ResultReason.ITEM_NOT_FOUND)
IDENTIFIED = Ask(QUERY.operation, QUERY.payload, b"1")
OTHER = Ask(QUERY.operation, QUERY.payload, b"2")
BROKEN_ANSWERS: dict[str, Callable[[], tuple[bytes, bytes | None]]] = {
    "response-well-formed": lambda: (GOOD[0], GOOD_ANSWER[:-9] + b"\x0f" + bytes(8)),
    "response-fields": lambda: pair(QUERY, answer(item(Tag.BATCH_ITEM, ()))),
    "response-version": lambda: pair(QUERY, answer(result(QUERY), version=Version(2, 1))),
    "response-batch-count": lambda: pair(QUERY, answer(result(QUERY), count=2)),
    "response-item-ids": lambda: pair(IDENTIFIED, answer(result(OTHER))),
    "response-reason": lambda: pair(
        QUERY, answer(result(QUERY, item(Tag.RESULT_MESSAGE, "no"), status=FAILED))
    ),
    "response-operation": lambda: pair(QUERY, answer(result(CREATE))),
}


@pytest.mark.parametrize("key", [rule.key for rule in RESPONSE_RULES])
def test_an_answer_that_breaks_a_rule_is_found_out(tmp_path: Path, key: str) -> None:
    broken = load(write(tmp_path / "b.jsonl", BROKEN_ANSWERS[key]()))
    [verdict] = [each for each in judge(broken, RESPONSE_RULES) if each.rule.key == key]
    assert verdict.standing is Standing.BROKEN
    failed = result(QUERY, REASON, status=FAILED)
    pairs = GOOD, pair(IDENTIFIED, answer(result(IDENTIFIED))), pair(QUERY, answer(failed))
    good = write(tmp_path / "g.jsonl", *pairs)
    [verdict] = [each for each in judge(load(good), RESPONSE_RULES) if each.rule.key == key]
    assert verdict.standing is Standing.KEPT


@pytest.mark.parametrize(
    "options", [["--free-play"], ["--provoke", "refusal"], ["--", "true"]], ids=str
)
def test_a_capture_is_not_played(tmp_path: Path, options: list[str]) -> None:
    result = run(write(tmp_path / "c.jsonl", GOOD), *options)
    assert result.exit_code == 2
