"""The page about policies: its examples do what it says, and its tables are those of the program."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from documents import PROJECT, blocks
from kmipkit_client import OperationFailed, calls
from kmipkit_client.calls import raw
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import CLASSES, action_title
from kmipkit_server.policy.decision import Documents
from kmipkit_server.policy.description import DescribedObject, answer_to, question_of
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.expectations import Expectation, read_expectations
from kmipkit_server.policy.values import OBJECTS, WHO
from policies import PolicyLaboratory, outcome_of

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Operation,
    PaddingMethod,
    QueryFunction,
)
from kmipkit.spec.masks import CryptographicUsageMask

PAGE = "docs/policy.md"
TEXT = (PROJECT / PAGE).read_text(encoding="utf-8")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
)
MASK = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CALLS = {
    "Get": lambda key: calls.get(key, None, None, None),
    "Destroy": calls.destroy,
    "Get Attributes": lambda key: calls.get_attributes(key, ()),
    "Encrypt": lambda key: calls.encrypt(key, b"data", CBC, None, None),
    "Query": lambda _: raw(
        Operation.QUERY, QueryRequest(query_functions=(QueryFunction.QUERY_OPERATIONS,))
    ),
}


def examples() -> list[tuple[str, str]]:
    """The policies of the page, each with its expectations."""
    texts = blocks(PAGE, "toml")
    pairs = [(one, two) for one, two in pairwise(texts) if "[[expect]]" in two and "[rules" in one]
    assert len(pairs) * 2 == len(texts)
    return pairs


def expectations(text: str) -> list[Expectation]:
    return read_expectations(text, PAGE, NOW)


@pytest.mark.parametrize(("policy", "expected"), examples())
def test_an_example_decides_as_the_page_says(policy: str, expected: str) -> None:
    documents = Documents(read_policy(policy))
    for each in expectations(expected):
        question = question_of(each.description, lambda _: None)
        assert each.failure(answer_to(question, documents)) == ""


def carried_out(laboratory: PolicyLaboratory, each: Expectation) -> str:
    """The outcome of the operation that an expectation describes."""
    asked, key = each.description, ""
    if isinstance(asked.object, DescribedObject):
        owner = asked.object.owner or asked.client.account
        name = asked.object.names[0] if asked.object.names else None
        make = calls.create(CryptographicAlgorithm.AES, 256, MASK, name, None)
        maker = Identity(owner, address=asked.client.address)
        key = laboratory.ask_as(maker, make)
        if asked.object.state == "Active" and asked.operation == "Encrypt":
            laboratory.ask_as(maker, calls.activate(key))
    laboratory.now = asked.time
    client = Identity(asked.client.account, address=asked.client.address)
    try:
        laboratory.ask_as(client, CALLS[asked.operation](key))
    except OperationFailed as failure:
        return outcome_of(failure)
    return ""


@pytest.mark.parametrize(("policy", "expected"), examples())
def test_an_example_is_carried_out_as_the_page_says(
    policy: str, expected: str, tmp_path: Path
) -> None:
    for number, each in enumerate(expectations(expected)):
        laboratory = PolicyLaboratory(tmp_path / str(number), now=each.description.time)
        try:
            laboratory.apply(policy)
            outcome = carried_out(laboratory, each)
        finally:
            laboratory.close()
        if each.is_allowed:
            assert outcome == ""
        else:
            assert outcome == (f"rule {each.by}" if each.by else outcome)
            assert outcome.startswith("rule ") or outcome == "PERMISSION_DENIED"


def table(head: str) -> dict[str, str]:
    """The rows of a table after a heading: what is in backquotes in the first column, and the second."""
    [text] = re.findall(rf"^{head}\n.*?\n(\| .*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    for row in text.splitlines()[2:]:
        _, keys, value, _ = row.split("|")
        for key in re.findall(r"`([^`]+)`", keys):
            found[key] = value.strip()
    return found


def test_the_table_of_classes_has_their_operations() -> None:
    classes = table("### Operations")
    assert set(classes) == set(CLASSES)
    for name, text in classes.items():
        if name in ("all", "change"):
            continue
        names = text.replace("Re-Provision", "Re Provision").split(", ")
        assert set(names) == {action_title(each) for each in CLASSES[name]}, name


def test_the_tables_of_keys_are_complete() -> None:
    assert set(table("### who")) == set(WHO)
    assert set(table("### objects")) >= {*OBJECTS, "attributes"}
    assert set(table("### when")) >= {"from", "until", "days", "hours", "zone"}


def test_the_first_example_is_one() -> None:
    [text] = re.findall(r"^(    \[rules\..*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    policy: Any = read_policy("\n".join(line.strip() for line in text.splitlines()))
    assert [rule.name for rule in policy.rules] == ["audit sees prod"]
