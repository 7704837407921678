"""What cases ask of a server breaks no rule for clients: a rule that accuses them would be wrong.

Cases of OASIS are the judgment of those who wrote the standard. A step that the case expects to fail may
break a rule, since that is what it tests.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kmipkit_conformance.cases import SUITE, Case, children, load_all
from kmipkit_conformance.clients.observed import Connection, Exchange, Message, Session, value
from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
from kmipkit_conformance.clients.rule import Level, Seen, judge
from kmipkit_conformance.clients.table import RULES
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.scripted import Script

from kmipkit.spec.enums import ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary

NOW = 1_700_000_000

DISAGREEMENTS = {
    ("TC-CS-CORVAL-1-14", "create-attributes"),  # Table 165 requires a Cryptographic Usage Mask
}
"""Cases of the Committee Notes, which are not normative, that contradict the specification."""


def session_of(case: Case) -> Session:
    """The case as if a client had played it with a server that answers as the case says."""
    connection = Connection(1)
    script = Script(Bindings(now=NOW))
    for step in case.steps:
        if step.is_from_server:
            continue
        messages = []
        for template in (step.request, step.response):
            script._set_server_values(template)
            data = binary.encode(script.bindings.fill(template))
            messages.append(Message.read(data, NOW + len(connection.exchanges)))
        request, response = messages
        number = len(connection.exchanges) + 1
        connection.exchanges.append(
            Exchange(connection=connection, number=number, request=request, response=response)
        )
    return Session([connection])


def accusations(folder: Path) -> Iterator[str]:
    for case in load_all((folder,), frozenset(), ()):
        for verdict in judge(session_of(case), (*RULES, *RESPONSE_RULES)):
            rule = verdict.rule
            if rule.level is Level.SHALL and (case.name, rule.key) not in DISAGREEMENTS:
                for seen in verdict.broken:
                    if not is_meant_to_fail(seen):
                        yield f"{case.name}, {rule.key}: {seen.where}: {seen.problem}"


def is_meant_to_fail(seen: Seen) -> bool:
    assert seen.exchange is not None
    assert seen.exchange.response is not None
    assert seen.exchange.response.item is not None
    items = children(seen.exchange.response.item, Tag.BATCH_ITEM)
    return any(value(each, Tag.RESULT_STATUS) == ResultStatus.OPERATION_FAILED for each in items)


def test_our_own_cases_break_no_rule() -> None:
    assert list(accusations(SUITE)) == []


@pytest.mark.standard
def test_the_cases_of_oasis_break_no_rule(shared: Path) -> None:
    assert list(accusations(shared / "oasis-all")) == []
