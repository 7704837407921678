"""Generates the cases of the built-in suite that differ between versions in their form only.

    python tools/gen_suite.py [--check]

Each case is a list of steps, written once with the message classes; the files in
``conformance/kmipkit_conformance/suite`` are its encodings. ``--check`` writes nothing and fails if
a file would change.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kmipkit_conformance.wording import value_title
from suite_cases import rules
from suite_cases.building import ANY_REASON, SUCCESS, WHOLE_MESSAGE, Batch, Refused
from suite_cases.cryptography import digests, macs, random_bytes, signatures
from suite_cases.key_operations import certify, derive_key, key_pair, re_key, split_key
from suite_cases.life_cycle import asynchronous, leases, missing_objects, reasons
from suite_cases.steps import CORRELATION_VALUE, NOW, SYMBOLS, Case, Step, symbol

from kmipkit.model.codec import to_tree
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.payloads.attributes import AttributeChangedResponse
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V2_0, V3_0, VERSIONS, Version
from kmipkit.ttlv import xml
from kmipkit.ttlv.tree import Item

SUITE = Path(__file__).resolve().parent.parent / "conformance" / "kmipkit_conformance" / "suite"

CASES = (
    Case("LEASE", "Leases, Archive and Recover (KMIP 1.4 §4.17, §4.22, §4.23).", leases),
    Case("MISSING", "Objects that do not exist (KMIP 1.4 §11, KMIP 2.1 §6.1).", missing_objects),
    Case("ASYNC", "Asynchronous requests: Poll and Cancel (KMIP 1.4 §4.27, §4.28).", asynchronous),
    Case("CERTIFY", "A certificate and its links (KMIP 1.4 §4.7, §4.24).", certify, V1_1),
    Case("MAC", "Codes of RFC 4231 §4.2 (KMIP 1.4 §4.33, §4.34).", macs, V1_2),
    Case("HASH", "SHA-256 of FIPS 180-4 (KMIP 1.4 §4.37).", digests, V1_2),
    Case("RNG", "Random bytes (KMIP 1.4 §4.35).", random_bytes, V1_2),
    Case("PAIR", "A key pair, its attributes and links (KMIP 1.4 §4.2).", key_pair),
    Case("SIGN", "Signatures by a new RSA pair (KMIP 1.4 §4.31, §4.32).", signatures, V1_2),
    Case("DERIVE", "PBKDF2 of RFC 6070, and links (KMIP 1.4 §4.6).", derive_key),
    Case("REKEY", "A replacement key has name and state of the old one (KMIP 1.4 §4.4).", re_key),
    Case("REASONS", "Result Reasons of failures (KMIP 1.4 §11, KMIP 2.1 §6.1).", reasons),
    Case(
        "SPLIT",
        "A key in three parts with a threshold of two (KMIP 1.4 §4.38, §4.39).",
        split_key,
        V1_2,
    ),
    *rules.CASES,
)


def messages(step: Step | Batch, version: Version) -> tuple[Item, Item]:
    """The request and response of a step."""
    batch = step if isinstance(step, Batch) else Batch((step,), with_ids=False)
    edit = batch.edit or (batch.steps[0].edit if len(batch.steps) == 1 else None)
    protocol_version = ProtocolVersion.of(version)
    is_asynchronous = any(each.asynchronous for each in batch.steps)
    mandatory = True if version < V2_0 else AsynchronousIndicator.MANDATORY
    header = {"asynchronous_indicator": mandatory if is_asynchronous else None, **batch.header}
    answered = batch.steps[: batch.answered]
    request = RequestMessage(
        request_header=RequestHeader(
            protocol_version=protocol_version, batch_count=_count(batch.steps, version), **header
        ),
        batch_items=tuple(
            RequestBatchItem(
                operation=each.operation,
                unique_batch_item_id=number if batch.with_ids else None,
                request_payload=each.request,
            )
            for number, each in _numbered(batch.steps)
        ),
    )
    response = ResponseMessage(
        response_header=ResponseHeader(
            protocol_version=protocol_version, time_stamp=NOW, batch_count=_count(answered, version)
        ),
        batch_items=tuple(
            _response_item(each, version, number if batch.with_ids else None)
            for number, each in _numbered(answered)
        ),
    )
    tree = to_tree(request, version)
    return edit(tree) if edit else tree, to_tree(response, version)


def _count(steps: Sequence[Step], version: Version) -> int | None:
    return len(steps) if version < V3_0 else None


def _numbered(steps: Sequence[Step]) -> Iterator[tuple[bytes, Step]]:
    """The steps with their Unique Batch Item IDs."""
    return ((bytes([number]), step) for number, step in enumerate(steps, 1))


def _response_item(step: Step, version: Version, number: bytes | None) -> ResponseBatchItem:
    """The result of one operation."""
    operation = step.response_operation or step.operation
    fields: dict[str, Any]
    if isinstance(step.response, ResultStatus):
        is_pending = step.response is ResultStatus.OPERATION_PENDING
        fields = {
            "result_status": step.response,
            "asynchronous_correlation_value": CORRELATION_VALUE if is_pending else None,
        }
    elif isinstance(step.response, ResultReason | Refused):
        how = step.response
        reasons = how.reasons(version) if isinstance(how, Refused) else (how,)
        fields = {
            "result_status": ResultStatus.OPERATION_FAILED,
            "result_reason": (*reasons, ResultReason.GENERAL_FAILURE)[0],
        }
    else:
        payload = step.response
        if isinstance(payload, AttributeChangedResponse) and version >= V2_0:
            payload = payload.replace(attribute=None)  # only 1.x returns it (2.1 §6.1.2)
        fields = {"result_status": ResultStatus.SUCCESS, "response_payload": payload}
    return ResponseBatchItem(operation=operation, unique_batch_item_id=number, **fields)


def _accepted(step: Step | Batch, version: Version) -> str:
    """What the case accepts of the failures that it expects."""
    steps = step.steps if isinstance(step, Batch) else (step,)
    named: list[str] = []
    for each in steps:
        if isinstance(each.response, Refused):
            reasons = each.response.reasons(version)
            named += [value_title(Tag.RESULT_REASON, reason) for reason in reasons] or [ANY_REASON]
            named += [SUCCESS] if each.response.or_success else []
            named += [WHOLE_MESSAGE] if each.response.whole and len(steps) == 1 else []
    more = [step.accept] if isinstance(step, Batch) and step.accept else []
    names = list(dict.fromkeys(named + more))
    # A single reason is in the response itself.
    is_one = len(names) == 1 and names[0] not in (ANY_REASON, WHOLE_MESSAGE)
    return "" if is_one else ", ".join(names)


_DATE = re.compile(r'"((?:1999|2000)-\d\d-\d\dT[^"]*)"')


def _relative(match: re.Match[str]) -> str:
    """A date near ``NOW`` as a placeholder."""
    seconds = int((datetime.fromisoformat(match[1]) - NOW).total_seconds())
    return f'"$NOW{seconds:+}"' if seconds else '"$NOW"'


def case_text(case: Case, version: Version) -> str:
    """The file of a case in a version."""
    parts = []
    for step in case.steps(version):
        remarks = (
            ("claim", step.claim),
            ("accept", _accepted(step, version)),
            ("optional", step.optional),
        )
        parts += [f"<!-- {name}: {text} -->\n" for name, text in remarks if text]
        parts += [xml.dump(message) for message in messages(step, version)]
    text = (
        f"<!-- {case.about} Generated by tools/gen_suite.py. -->\n<KMIP>\n{''.join(parts)}</KMIP>\n"
    )
    text = _DATE.sub(_relative, text)
    for name in SYMBOLS:
        text = text.replace(f'"{symbol(name).hex()}"', f'"${name}"')
    return text


def files() -> Iterator[tuple[Path, str]]:
    """Every file and its content."""
    for case in CASES:
        for version in VERSIONS:
            if case.known_in(version):
                major, minor = version
                path = SUITE / str(version) / f"KIT-{case.name}-{major}{minor}.xml"
                yield path, case_text(case, version)


def main() -> int:
    """Write the files; with --check, report files that differ."""
    check = "--check" in sys.argv[1:]
    stale = []
    known = dict(files())
    for path, text in known.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.write_text(text, encoding="utf-8")
    for path in SUITE.rglob("KIT-*.xml"):
        if path not in known and "Generated by tools/gen_suite.py" in path.read_text("utf-8")[:400]:
            stale.append(path)
            if not check:
                path.unlink()
    if check and stale:
        print(f"{len(stale)} cases are out of date, such as {stale[0]}; run tools/gen_suite.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
