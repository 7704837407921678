"""The page of the rules for clients has the rows of the tables, and the verdicts that tests hold."""

import json

import pytest
from documents import PROJECT
from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
from kmipkit_conformance.clients.rule import Rule
from kmipkit_conformance.clients.table import DOES, RULES

PAGE = (PROJECT / "docs" / "client-rules.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", [*RULES, *RESPONSE_RULES], ids=lambda rule: rule.key)
def test_the_page_has_each_rule(rule: Rule) -> None:
    level = rule.level.value
    assert f"| `{rule.key}` | {level} | {rule.clause} | {rule.says} | {rule.how} |\n" in PAGE


def test_the_page_has_no_other_rule_and_each_provocation() -> None:
    assert PAGE.count("| SHALL | KMIP") + PAGE.count("| SHALL | Profiles") == sum(
        rule.level.value == "SHALL" for rule in (*RULES, *RESPONSE_RULES)
    )
    for key, does in DOES.items():
        assert f"| `{key}` | {does} |\n" in PAGE


def test_the_page_has_what_clients_of_others_break() -> None:
    golden = json.loads((PROJECT / "tests/interop/client-verdicts.json").read_text("utf-8"))
    for client, verdict in golden.items():
        name = client.split(",")[0]
        for rule in verdict["broken"]:
            assert f"| {name} | `{rule}`" in PAGE
