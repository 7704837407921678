"""Whatever a client sends, it is judged: no message makes a rule of the tester fail itself."""

from typing import Any

from damage_strategies import damaged_bytes, damaged_tree
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_conformance.clients.client_profiles import judge_session
from kmipkit_conformance.clients.client_report import Play, make_report
from kmipkit_conformance.clients.free_play import forwarded, listed_versions
from kmipkit_conformance.clients.observed import Connection, Exchange, Message, Session
from kmipkit_conformance.clients.plan import Plan
from kmipkit_conformance.clients.provocations import PROVOCATIONS
from kmipkit_conformance.clients.response_rules import RESPONSE_RULES
from kmipkit_conformance.clients.rule import judge
from kmipkit_conformance.clients.table import PROVOCATION_KEYS, RULES
from mutations import suite_requests

from kmipkit.reports import as_json, junit
from kmipkit.ttlv import binary

REQUESTS = suite_requests()


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Requests of the suite, some of them damaged, with requests in place of the answers."""
    connection = Connection(1)
    for number in range(1, draw(st.integers(2, 5))):
        request, response = (message(draw) for _ in range(2))
        exchange = Exchange(connection=connection, number=number, request=request)
        exchange.response = response
        exchange.provoked = draw(st.sampled_from(("", *PROVOCATION_KEYS)))
        exchange.bait = draw(st.sampled_from(("", "bait")))
        connection.exchanges.append(exchange)
    return Session([connection])


def message(draw: st.DrawFn) -> Message:
    item = draw(st.sampled_from(REQUESTS))
    if draw(st.booleans()):
        item = draw(damaged_tree(item))
    data = binary.encode(item)
    if draw(st.booleans()):
        data = draw(damaged_bytes(data))
    return Message.read(data, float(draw(st.integers(0, 100))))


@given(sessions())
def test_any_session_is_judged_and_reported(session: Session) -> None:
    verdicts = judge(session, (*RULES, *RESPONSE_RULES))
    play = Play(session, verdicts, list(judge_session(session, verdicts)), "here")
    report: Any = make_report(play)
    assert as_json(report)
    assert junit(report)


@given(sessions())
def test_any_request_is_provoked_and_passed_on(session: Session) -> None:
    """What free play does with a request before anybody judges it."""
    plan = Plan(list(PROVOCATION_KEYS), gap=0)
    for exchange in session.exchanges:
        plan.opened(exchange.connection)
        plan.older_limit(exchange, listed_versions(exchange))
        plan.fell_back()
        plan.choose(exchange)
        for provocation in PROVOCATIONS:
            if provocation.fits(exchange) and provocation.answer is not None:
                assert binary.decode(provocation.answer.to(exchange, "bait"))
        assert forwarded(exchange.request)
