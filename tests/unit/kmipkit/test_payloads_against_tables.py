"""The declared payloads are held against the payload tables of the standard, of every version.

Two sources: the tables taken from 1.4 and 2.1 (``tables/operations.json``), and the tables in the
texts of 1.0 to 2.1, read here. Each field is compared by tag, place, whether it is required and
whether it may be repeated. Where a declaration differs on purpose, a row of EXCEPTIONS says why.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kmipkit.model.operations import request_payload, response_payload
from kmipkit.model.payloads.asynchronous import AsynchronousCorrelationValues, AsynchronousRequest
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    ObjectDefaults,
    ObjectGroups,
    Objects,
    ObjectTypes,
    Operations,
    Right,
    Rights,
)
from kmipkit.model.payloads.query import (
    CapabilityInformation,
    ExtensionInformation,
    ProfileInformation,
    ProfileVersion,
    ValidationInformation,
)
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.model.plan import plan
from kmipkit.model.reference import FieldPlan
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, VERSIONS, Version

pytestmark = pytest.mark.standard

TESTED = tuple(version for version in VERSIONS if version <= V2_1)
NO_RESPONSE_PAYLOAD = frozenset((Operation.POLL, Operation.NOTIFY, Operation.PUT))
"""Poll is answered as the operation it asks about (1.4 §4.28); Notify and Put without payload."""
OPERATIONS = tuple(op for op in Operation if op.since <= V2_1)
ANY_OBJECT = "object"


@dataclass(frozen=True)
class Row:
    """A field as a table has it; ``required`` is None where it depends on circumstances."""

    item: Tag | str
    required: bool | None
    repeated: bool


# (class, item): (what differs, first and last version, reason)
LENIENT, STRICT, REPEATED, EXTRA = "lenient", "strict", "repeated", "extra"
EXCEPTIONS: dict[tuple[str, Tag | str], tuple[str, Version, Version, str]] = {
    ("LocateRequest", Tag.ATTRIBUTES): (
        LENIENT, V2_0, V2_1, "PyKMIP leaves it out when there are no criteria"
    ),
    ("QueryResponse", Tag.PROTECTION_STORAGE_MASKS): (
        LENIENT, V2_0, V2_1, "no server sends it with each answer, nor do the official cases"
    ),
    ("CreateSplitKeyResponse", Tag.OBJECT_TYPE): (
        LENIENT, V1_2, V1_2, "the official cases of 1.2 leave it out, 1.3 has it no more"
    ),
    ("JoinSplitKeyResponse", Tag.OBJECT_TYPE): (
        LENIENT, V1_2, V1_2, "the official cases of 1.2 leave it out, 1.3 has it no more"
    ),
    ("MACVerifyResponse", Tag.VALIDITY_INDICATOR): (
        LENIENT, V1_3, V1_4, "unknown before the last part of a stream; 2.0 says so"
    ),
    ("SignatureVerifyResponse", Tag.VALIDITY_INDICATOR): (
        LENIENT, V1_3, V1_4, "unknown before the last part of a stream; 2.0 says so"
    ),
    ("RNGRetrieveResponse", Tag.DATA): (
        LENIENT, V2_0, V2_1, "absent in the result of an Ephemeral item (2.1 §8.3)"
    ),
    ("SetConstraintsRequest", Tag.CONSTRAINTS): (
        LENIENT, V2_1, V2_1, "the official case TC-MD-24 removes all constraints without any"
    ),
    ("CheckResponse", Tag.UNIQUE_IDENTIFIER): (
        LENIENT, V1_0, V1_0, "later versions say: unless a failure"
    ),
}  # fmt: skip


def payloads(version: Version) -> Iterator[tuple[Operation, str, type[Structure]]]:
    for operation in OPERATIONS:
        for half, find in (("request", request_payload), ("response", response_payload)):
            cls = find(operation, version)
            if cls is not None:
                yield operation, half, cls


def declared(cls: type[Structure], version: Version) -> list[tuple[Row, FieldPlan]]:
    return [
        (Row(_item(field), field.required, field.repeated or field.spread), field)
        for field in plan(cls, version)
        if field.forms
    ]


def _item(field: FieldPlan) -> Tag | str:
    return ANY_OBJECT if field.name == "object" else field.forms[0].tag


def differences(
    cls: type[Structure], version: Version, rows: list[Row], excused: bool = True
) -> list[str]:
    """The differences as sentences; empty if there are none."""
    ours = [row for row, _ in declared(cls, version)]
    if [row.item for row in ours] != [row.item for row in rows]:
        actual, expected = ([str(row.item) for row in side] for side in (ours, rows))
        return [f"{cls.__name__} {version}: fields {actual}, in the table {expected}"]
    sentences = []
    for our_row, row in zip(ours, rows, strict=True):
        field = f"{cls.__name__} {version} {our_row.item}"
        kind, since, until, _ = EXCEPTIONS.get((cls.__name__, our_row.item), ("", V2_1, V2_1, ""))
        if not since <= version <= until or not excused:
            kind = ""
        allowed = LENIENT if row.required else STRICT
        if row.required not in (None, our_row.required) and kind != allowed:
            sentences.append(f"{field}: required {our_row.required}, in the table {row.required}")
        if our_row.repeated != row.repeated and kind != REPEATED:
            sentences.append(f"{field}: repeated {our_row.repeated}, in the table {row.repeated}")
    return sentences


# --- the tables of 1.4 and 2.1 as data ---------------------------------------------------------


def _json_row(field: dict[str, object]) -> Row:
    required = {"yes": True, "no": False}.get(str(field["required"]))
    item = Tag(int(str(field["tag"]), 16)) if "tag" in field else ANY_OBJECT
    return Row(item, required, bool(field["repeatable"]))


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_payloads_agree_with_the_tables_as_data(shared: Path, version: Version) -> None:
    source = json.loads((shared / "spec/tables/operations.json").read_text())
    rows = {int(row["value"], 16): row for row in source["operations"]}
    sentences, checked = [], 0
    for operation, half, cls in payloads(version):
        row = rows[int(operation)]["spec"][str(version)]
        table = (row.get("client-to-server") or row["server-to-client"])[half]
        sentences += differences(cls, version, [_json_row(field) for field in table])
        checked += len(table)
    assert not sentences
    assert checked > 100


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_every_object_of_the_tables_may_stand_in_its_place(shared: Path, version: Version) -> None:
    source = json.loads((shared / "spec/tables/operations.json").read_text())
    rows = {int(row["value"], 16): row for row in source["operations"]}
    for operation, half, cls in payloads(version):
        row = rows[int(operation)]["spec"][str(version)]
        table = (row.get("client-to-server") or row["server-to-client"])[half]
        for field in table:
            if "one_of" in field:
                expected = {int(option["tag"], 16) for option in field["one_of"]}
                [plan] = [f for _, f in declared(cls, version) if f.name == "object"]
                assert expected <= {int(form.tag) for form in plan.forms}, cls.__name__


def test_server_to_client_tables_have_no_further_fields(shared: Path) -> None:
    source = json.loads((shared / "spec/tables/operations.json").read_text())
    for row in source["operations"]:
        for version in (V1_4, V2_1):
            table = row["spec"].get(str(version), {}).get("server-to-client")
            operation = Operation(int(row["value"], 16))
            for half, find in (("request", request_payload), ("response", response_payload)):
                cls = find(operation, version)
                if not table or cls is None:
                    continue
                mine = iter([r.item for r, _ in declared(cls, version)])
                for field in table[half]:
                    assert _json_row(field).item in mine, (cls.__name__, field["name"])


# --- the tables in the texts of all versions ---------------------------------------------------

_HEADING = re.compile(r"^#{3,4} [456]\.[\d.]+ (?P<name>.*)$")
_PAYLOAD = re.compile(r"^\*\*(?P<half>Request|Response|Message) Payload\*\*$")


def _required(text: str) -> bool | None:
    sentence = text.split(",")[0].split(" MAY")[0].strip(" .").lower()
    if "unless" in text or "If and only" in text:
        return None
    return {"yes": True, "no": False}.get(sentence)


def _text_row(cells: list[str]) -> Row:
    name = re.sub(r",?( see .*)?$", "", cells[0]).strip()
    repeated = bool(re.search(r"repeated", cells[1], re.IGNORECASE))
    if "Opaque Object" in name or "Object (Section 2)" in name or name == "All Objects":
        return Row(ANY_OBJECT, _required(cells[1]), repeated)
    tag = Tag[re.sub(r"[^A-Za-z0-9]+", "_", name).upper()]
    return Row(tag, _required(cells[1]), repeated)


def _tables(text: str) -> Iterator[tuple[str, str, list[Row]]]:
    """(operation, half, rows) of each payload table, by the headings above it."""
    name, half, rows, inside = "", "", list[Row](), False
    for line in [*text.splitlines(), ""]:
        if match := _HEADING.match(line):
            name = match["name"]
        elif match := _PAYLOAD.match(line):
            half, rows, inside = match["half"], [], False
        elif half and line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if inside and not line.startswith("| ---"):
                rows.append(_text_row(cells))
            inside = True
        elif inside:
            yield name, "response" if half == "Response" else "request", rows
            half, inside = "", False


def _texts(shared: Path, version: Version) -> dict[tuple[str, str], list[Row]]:
    text = (shared / f"spec/kmip-spec-v{version}.md").read_text()
    tables: dict[tuple[str, str], list[Row]] = {}
    for name, half, rows in _tables(text):
        # Operations of both directions have two tables; the client's comes first and has more fields.
        tables.setdefault((re.sub(r"[^a-z0-9]", "", name.lower()), half), rows)
    return tables


def _key(operation: Operation, half: str) -> tuple[str, str]:
    return operation.name.lower().replace("_", ""), half


@pytest.mark.parametrize("version", TESTED, ids=str)
def test_payloads_agree_with_the_texts(shared: Path, version: Version) -> None:
    tables = _texts(shared, version)
    sentences = []
    for operation, half, cls in payloads(version):
        sentences += differences(cls, version, tables[_key(operation, half)])
    assert not sentences


def test_each_exception_is_still_needed(shared: Path) -> None:
    needed = set()
    for version in TESTED:
        tables = _texts(shared, version)
        for operation, half, cls in payloads(version):
            for sentence in differences(cls, version, tables[_key(operation, half)], excused=False):
                needed.add((sentence.split()[0], sentence.split()[2].rstrip(":")))
    assert needed == {(name, str(item)) for name, item in EXCEPTIONS}


_STRUCTURES: tuple[type[Structure], ...] = (
    AsynchronousCorrelationValues,
    AsynchronousRequest,
    CapabilityInformation,
    Constraint,
    Constraints,
    DefaultsInformation,
    DerivationParameters,
    ExtensionInformation,
    ObjectDefaults,
    ObjectGroups,
    ObjectTypes,
    Objects,
    Operations,
    ProfileInformation,
    ProfileVersion,
    Right,
    Rights,
    ValidationInformation,
)
_BOTH_TYPES = [Tag.OBJECT_TYPE, Tag.OBJECT_TYPES]
"""2.1 §7.22 prints "Object Type | ObjectTypes" as one field."""


def _structure_tables(text: str) -> dict[str, list[list[Tag]]]:
    """The tags of the fields of each structure, of every table that has it."""
    tables: dict[str, list[list[Tag]]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in table.splitlines()[2:]]
        if len(rows) > 1 and rows[0][1:2] == ["Structure"]:
            tags = [tag for row in rows[1:] for tag in _tags(row[0])]
            tables.setdefault(rows[0][0].strip(), []).append(tags)
    return tables


def _tags(cell: str) -> list[Tag]:
    if cell.startswith("Object Type \\"):
        return _BOTH_TYPES
    name = re.sub(r",?( see .*)?$", "", cell).strip()
    tag = Tag.__members__.get(re.sub(r"[^A-Za-z0-9]+", "_", name).upper())
    return [] if tag is None else [tag]


@pytest.mark.parametrize("version", TESTED, ids=str)
def test_structures_inside_payloads_agree_with_the_texts(shared: Path, version: Version) -> None:
    tables = _structure_tables((shared / f"spec/kmip-spec-v{version}.md").read_text())
    for cls in _STRUCTURES:
        assert cls.TAG is not None
        name = cls.TAG.name.replace("_", " ").title()
        if not cls.TAG.known_in(version):
            assert name not in tables
            continue
        mine = [row.item for row, _ in declared(cls, version)]
        # 1.x shows Derivation Parameters twice, without and with the fields of PBKDF2.
        assert mine == max(tables[name], key=len), (cls.__name__, version)


# --- without the texts ------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_payload_has_a_plan_in_every_version_that_has_the_operation(
    version: Version,
) -> None:
    classes = {
        (operation, half)
        for operation, half, cls in payloads(version)
        if plan(cls, version) is not None
    }
    for operation in OPERATIONS:
        known = operation.known_in(version)
        assert ((operation, "request") in classes) == known
        assert ((operation, "response") in classes) == (
            known and operation not in NO_RESPONSE_PAYLOAD
        )


def test_an_operation_that_the_version_lacks_has_no_payload() -> None:
    assert request_payload(Operation.ENCRYPT, V1_1) is None
    assert response_payload(Operation.IMPORT, V1_3) is None
    assert request_payload(Operation(0x80000001), V2_1) is None


def test_a_class_is_named_after_its_operation() -> None:
    for operation, half, cls in payloads(V2_1):
        assert cls.__name__.lower() == operation.name.replace("_", "").lower() + half
