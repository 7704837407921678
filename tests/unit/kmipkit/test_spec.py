"""The tables of the protocol are those of the specifications, complete and without additions."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kmipkit.spec import enums, masks, names
from kmipkit.spec.attributes import ATTRIBUTES, BY_NAME, BY_TAG
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.operation_spec import Side
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, VERSIONS, Version

PROJECT = Path(__file__).resolve().parents[3]
FROM_PKCS11 = {"PKCS#11 Function", "PKCS#11 Return Code"}
"""KMIP 2.1 §11.38 and §11.39 refer to PKCS #11 for these values; the tables have none."""


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_spec", PROJECT / "tools" / "gen_spec.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tables(shared: Path) -> dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (shared / "spec" / "tables").glob("*.json")
    }


def versions_of(row: dict[str, Any]) -> list[str]:
    return [str(version) for version in VERSIONS if str(version) in row["versions"]]


def known(member: Any) -> list[str]:
    until = member.until
    return [str(v) for v in VERSIONS if member.since <= v and (until is None or v <= until)]


def test_every_tag_is_there_with_its_versions(tables: dict[str, Any]) -> None:
    rows = tables["tags"]["tags"]
    assert {row["value"].lower(): versions_of(row) for row in rows} == {
        f"0x{int(tag):06x}": known(tag) for tag in Tag
    }


def test_every_enumeration_is_there_with_its_values_and_versions(tables: dict[str, Any]) -> None:
    for row in tables["enumerations"]["enumerations"]:
        kind = getattr(enums, row["name"].replace(" ", "").replace("#", ""))
        assert issubclass(kind, OpenEnum)
        if row["name"] in FROM_PKCS11:
            assert not row["values"]
            continue
        assert {int(value["value"], 16): versions_of(value) for value in row["values"]} == {
            int(member): known(member) for member in kind
        }, row["name"]


def test_every_mask_is_there_with_its_bits(tables: dict[str, Any]) -> None:
    for row in tables["masks"]["masks"]:
        kind = getattr(masks, row["name"].replace(" ", ""))
        expected = {
            int(bit["value"], 16): [v for v in versions_of(bit) if v != "3.0"]
            for bit in row["bits"]
        }
        # The text of 3.0 was not there to say which bits it has; those of 2.1 are taken to stay.
        actual = {bit.value: [v for v in known(bit) if v != "3.0"] for bit in kind.bits()}
        assert actual == expected, row["name"]


def test_every_result_reason_and_status_is_there(tables: dict[str, Any]) -> None:
    for key, kind in (("result_reasons", ResultReason), ("result_status", ResultStatus)):
        rows = tables["result_reasons"][key]
        assert {int(row["value"], 16) for row in rows} == {int(member) for member in kind}


def test_every_operation_is_there_with_the_side_that_may_ask(tables: dict[str, Any]) -> None:
    rows = tables["operations"]["operations"]
    assert {int(row["value"], 16) for row in rows} == {int(operation) for operation in Operation}
    for row in rows:
        spec = BY_OPERATION[Operation(int(row["value"], 16))]
        assert [str(v) for v in VERSIONS if spec.known_in(v)] == versions_of(row)
        directions = {side for each in row["spec"].values() for side in each} or {
            "client-to-server"
        }
        assert ("server-to-client" in directions) == (Side.FROM_SERVER in spec.sides)
        assert ("client-to-server" in directions) == (Side.FROM_CLIENT in spec.sides)


@pytest.mark.parametrize(("version", "column"), [(V1_4, "1.4"), (V2_1, "2.1")])
def test_attributes_have_the_printed_rules(
    tables: dict[str, Any], version: Version, column: str
) -> None:
    without_row = {"Certificate Attributes", "Vendor Attribute"}  # many tags, and any tag
    count = 0
    for row in tables["attributes"]["attributes"]:
        if column not in row["spec"] or row["name"] in without_row:
            continue
        count += 1
        spec = BY_NAME[row["name"]]
        printed = row["spec"][column]["rules"]
        assert spec.known_in(version), row["name"]
        assert spec.multi_instance == row["spec"][column]["multi_instance"], row["name"]
        assert spec.rules(version) == (
            "Client" in printed["initially_set_by"],
            printed["modifiable_by_client"].startswith("Yes"),
            printed["deletable_by_client"].startswith("Yes"),
        ), row["name"]
    assert count > 50


def test_attributes_without_a_row_of_the_older_version_do_not_exist_there() -> None:
    assert not BY_TAG[Tag.KEY_FORMAT_TYPE].known_in(V1_4)
    assert BY_TAG[Tag.CERTIFICATE_SUBJECT_CN].known_in(V2_0)
    assert not BY_TAG[Tag.OPERATION_POLICY_NAME].known_in(V2_0)
    assert len({row.tag for row in ATTRIBUTES}) == len(ATTRIBUTES)


def test_names_in_xml_are_those_that_the_rules_make(
    tables: dict[str, Any], generator: ModuleType
) -> None:
    for row in tables["tags"]["tags"]:
        name = generator.camel_case(row["name"])
        assert names.tag_name(int(row["value"], 16)) == name
        assert names.tag_number(name) == int(row["value"], 16)
    for row in tables["enumerations"]["enumerations"]:
        tag = int(row.get("tag") or hex(Tag.EXTENSION_TYPE), 16)
        for value in row["values"]:
            spellings = {value["name"], *value.get("names_by_version", {}).values()}
            for name in map(generator.camel_case, spellings):
                assert names.value_number(tag, name) == int(value["value"], 16), (row["name"], name)


def test_the_generated_files_are_up_to_date(generator: ModuleType, shared: Path) -> None:
    pytest.importorskip("ruff", reason="the generator formats with ruff, of the extra check")
    assert generator.main(["--check", str(shared / "spec" / "tables")]) == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Block Cipher Mode", "BlockCipherMode"),
        ("X.509", "X_509"),
        ("3DES", "DES3"),
        ("PKCS#12 Friendly Name", "PKCS_12FriendlyName"),
        ("SHA-512/256", "SHA_512_256"),
        ("Re-key", "ReKey"),
        ("IV/Counter/Nonce", "IVCounterNonce"),
    ],
)
def test_the_rules_for_names(generator: ModuleType, text: str, name: str) -> None:
    assert generator.camel_case(text) == name


def test_numbers_of_vendors_and_of_the_future_survive() -> None:
    assert int(Tag(0x540001)) == 0x540001
    assert not Tag(0x540001).is_named
    assert names.tag_name(0x540001) == "0x540001"
    assert names.tag_number("0x540001") == 0x540001
    assert int(enums.State(0x80000042)) == 0x80000042
    assert masks.CryptographicUsageMask(0x80000001).names() == ["SIGN", "0x80000000"]


def test_what_may_never_be_shown_is_listed() -> None:
    assert {Tag.KEY_MATERIAL, Tag.PASSWORD, Tag.OPAQUE_DATA_VALUE, Tag.DATA} <= SECRET_TAGS
