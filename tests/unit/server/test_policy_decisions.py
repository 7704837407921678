"""The properties of decisions: what a user relies on, whatever the document says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import ALL, CLASSES, SESSION, KeyUse
from kmipkit_server.policy.conditions import Networks
from kmipkit_server.policy.decision import BuiltIn, Documents, decide, explain, refusal
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Effect, Policy, Rule
from kmipkit_server.store.base import Record

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.limits import Right
from kmipkit.spec.enums import NameType, ObjectType, Operation, ResultReason, State
from kmipkit.spec.tags import Tag

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)  # a Friday

ACCOUNTS = ["a", "b", "c", "tenant:t:a", "tenant:t:b", "tenant:u:a"]
NAMES = ["prod-1", "PROD-1", "test", ""]
OPERATIONS = [
    Operation.GET,
    Operation.DESTROY,
    Operation.GET_ATTRIBUTES,
    Operation.QUERY,
    KeyUse.WRAP_KEY,
]

operation_lists = st.lists(
    st.sampled_from(["Get", "Destroy", "Get Attributes", "Query", "Wrap Key", "all", "use"]),
    min_size=1, max_size=3,
)  # fmt: skip
who = st.sampled_from(
    [
        {"accounts": "a"}, {"accounts": ["a", "b"]}, {"accounts": "*"}, {"administrators": True},
        {"networks": "10.0.0.0/8"}, {"groups": "some"},
    ]
)  # fmt: skip
objects = st.sampled_from(
    [
        {"owners": "b"}, {"owners": ["a", "c"]}, {"names": "prod-*"}, {"types": "Symmetric Key"},
        {"states": "Active"}, {"identifiers": "1"}, {"owner_groups": "some"},
    ]
)  # fmt: skip
when = st.sampled_from([{"days": "Mon-Fri"}, {"hours": "13:00-14:00"}, {"until": NOW}])


@st.composite
def rules(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    """The table of a rule."""
    effect = effect or draw(st.sampled_from(["allow", "deny"]))
    table: dict[str, Any] = {effect: draw(operation_lists), "who": draw(who)}
    for key, strategy in (("objects", objects), ("when", when)):
        value = draw(st.none() | strategy)
        if value is not None:
            table[key] = value
    exception = draw(st.none() | who)
    if exception is not None:
        table["unless"] = {"who": exception}
    return table


def policy_of(tables: list[dict[str, Any]], tenant: str = "") -> Policy:
    """The policy with these rules, which are written as TOML."""
    text = '[groups]\nsome = ["a", "c"]\n'
    for number, table in enumerate(tables):
        text += f'[rules."{number}"]\n' + "".join(_lines(table))
    return read_policy(text, tenant)


def _lines(table: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            lines.append(f"{prefix}{key} = {str(value).lower()}\n")
        elif isinstance(value, datetime):
            lines.append(f"{prefix}{key} = {value.isoformat()}\n")
        else:
            lines.append(f"{prefix}{key} = {str(value)!s}\n" if isinstance(value, list)
                         else f'{prefix}{key} = "{value}"\n')  # fmt: skip
    return lines


def record(owner: str = "b", name: str = "prod-1", state: State = State.ACTIVE) -> Record:
    names = Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    attributes = Attributes((Attribute(Tag.NAME, names),))
    return Record("1", owner, ObjectType.SYMMETRIC_KEY, state, attributes, None)


identities = st.builds(
    Identity,
    st.sampled_from(ACCOUNTS),
    is_administrator=st.booleans(),
    address=st.sampled_from(["", "10.1.2.3", "192.0.2.1"]),
)
questions = st.builds(
    Question,
    identities,
    st.sampled_from(OPERATIONS),
    st.sampled_from([NOW, NOW + timedelta(hours=1.5), NOW + timedelta(days=1)]),
    st.none() | st.builds(record, st.sampled_from([*ACCOUNTS, ""]), st.sampled_from(NAMES)),
)
documents = st.builds(lambda tables: Documents(policy_of(tables)), st.lists(rules(), max_size=4))


def is_permitted_without(question: Question) -> bool:
    """What the server decides if it has no policy at all."""
    identity, owned = question.identity, question.record
    if owned is None or owned.owner == identity.name:
        return True
    reads = question.action in (Operation.GET_ATTRIBUTES, Operation.GET_ATTRIBUTE_LIST)
    is_here = Identity(owned.owner).tenant == identity.tenant
    return identity.is_administrator and is_here and (reads or owned.owner == identity.system)


@given(questions)
def test_an_empty_document_changes_nothing(question: Question) -> None:
    decision = decide(question, Documents())
    assert decision.is_permitted is is_permitted_without(question)
    assert isinstance(decision.by, BuiltIn)


@given(questions, st.lists(rules(), max_size=4), rules("allow"))
def test_a_rule_that_allows_takes_nothing_away(
    question: Question, tables: list[dict[str, Any]], added: dict[str, Any]
) -> None:
    before = decide(question, Documents(policy_of(tables)))
    after = decide(question, Documents(policy_of([*tables, added])))
    assert after.is_permitted or not before.is_permitted


@given(questions, st.lists(rules(), max_size=4), rules("deny"))
def test_a_rule_that_denies_gives_nothing(
    question: Question, tables: list[dict[str, Any]], added: dict[str, Any]
) -> None:
    before = decide(question, Documents(policy_of(tables)))
    after = decide(question, Documents(policy_of([*tables, added])))
    assert before.is_permitted or not after.is_permitted


@given(questions, documents)
def test_what_denies_takes_precedence(question: Question, documents: Documents) -> None:
    decision = decide(question, documents)
    if any(
        rule.effect is Effect.DENY and not rule.why_not(question) for rule, _ in documents.rules()
    ):
        assert not decision.is_permitted


@given(questions, st.lists(rules(), max_size=5), st.randoms())
def test_the_order_of_rules_makes_no_difference(
    question: Question, tables: list[dict[str, Any]], random: Any
) -> None:
    policy = policy_of(tables)
    shuffled = list(policy.rules)
    random.shuffle(shuffled)
    decision = decide(question, Documents(policy))
    other = decide(question, Documents(replace(policy, rules=tuple(shuffled))))
    assert other.is_permitted is decision.is_permitted
    assert isinstance(other.by, Rule) is isinstance(decision.by, Rule)


@given(questions, documents)
def test_an_explanation_says_what_was_decided(question: Question, documents: Documents) -> None:
    explanation = explain(question, documents)
    assert explanation.decision == decide(question, documents)
    by = explanation.decision.by
    if isinstance(by, Rule):
        assert (by, "") in explanation.rules


@given(questions, st.lists(rules(), max_size=4), st.lists(rules(), max_size=4))
def test_nothing_is_permitted_across_tenants(
    question: Question, of_server: list[dict[str, Any]], of_tenant: list[dict[str, Any]]
) -> None:
    tenant = question.identity.tenant
    own = policy_of(of_tenant, tenant) if tenant else None
    documents = Documents(policy_of(of_server), own)
    if question.record is not None and decide(question, documents).is_permitted:
        assert Identity(question.record.owner).tenant == tenant


@given(questions, st.lists(rules("allow"), max_size=4))
def test_what_the_server_allows_is_not_for_tenants(
    question: Question, tables: list[dict[str, Any]]
) -> None:
    documents = Documents(policy_of(tables), Policy("t"))
    if question.identity.tenant == "t":
        assert decide(question, documents).is_permitted is is_permitted_without(question)


@given(questions, st.lists(rules(), max_size=4))
def test_rules_of_a_tenant_name_its_accounts(
    question: Question, tables: list[dict[str, Any]]
) -> None:
    """A tenant decides about its account "a" as the server does about its own one."""
    identity = question.identity
    if identity.tenant != "t" or question.record is None or not question.record.owner:
        return
    in_tenant = decide(question, Documents(tenant=policy_of(tables, "t")))
    if Identity(question.record.owner).tenant == "t":
        plain = replace(question, identity=replace(identity, name=identity.account),
                        record=question.record.replace(
                            owner=question.record.owner.removeprefix("tenant:t:")))  # fmt: skip
        assert decide(plain, Documents(policy_of(tables))).is_permitted is in_tenant.is_permitted


@given(questions)
def test_nobody_gets_objects_while_the_policy_is_unreadable(question: Question) -> None:
    """Nobody knows what the policy denies, so that it might deny this."""
    decision = decide(question, Documents(is_unreadable=True))
    if question.action not in SESSION:
        assert not decision.is_permitted
        assert refusal(question, decision).reason is ResultReason.PERMISSION_DENIED


@given(questions, documents)
def test_a_ticket_has_no_more_rights_than_its_account(
    question: Question, documents: Documents
) -> None:
    rights = (Right(),)  # all operations with all objects
    with_ticket = replace(question, identity=replace(question.identity, rights=rights))
    assert decide(with_ticket, documents).is_permitted is decide(question, documents).is_permitted
    without = replace(question, identity=replace(question.identity, rights=()))
    if question.record is not None:
        assert not decide(without, documents).is_permitted


def ask(
    text: str, action: Any = Operation.GET, identity: Identity | None = None, **values: Any
) -> str:
    """ "" if it is permitted, else what has decided."""
    owned = values.pop("record", record())
    question = Question(identity or Identity("a"), action, values.pop("now", NOW), owned, **values)
    decision = decide(question, Documents(read_policy(text)))
    return "" if decision.is_permitted else decision.name


def test_the_objects_of_the_server_are_not_meant_by_all_objects() -> None:
    """A rule for an auditor must not give away the keys of the server's authorities."""
    text = '[rules.x]\nwho = "a"\nallow = "all"\n'
    assert ask(text) == ""
    assert ask(text, record=record(owner="")) == "default"


def test_a_refusal_tells_nothing_about_objects_of_others() -> None:
    """That a rule about a name has refused would tell the name."""
    text = '[rules.secret]\ndeny = "all"\nobjects = "prod-*"\n'
    assert ask(text) == "default"
    assert ask(text, identity=Identity("b")) == "secret"


def test_the_server_itself_comes_from_no_network() -> None:
    """A rotation is not refused because it does not come from the network of the account."""
    text = '[rules.x]\nwho = "b"\ndeny = "all"\nunless.who.networks = "10.0.0.0/8"\n'
    outside = Identity("b", address="192.0.2.1")
    assert ask(text, Operation.RE_KEY, outside) == "x"
    assert ask(text, Operation.RE_KEY, replace(outside, address="10.9.9.9")) == ""
    assert ask(text, Operation.RE_KEY, Identity("b", is_internal=True)) == ""
    assert ask(text, Operation.RE_KEY, Identity("b")) == "x"  # an address that is not known


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.1.2.3%eth0", True), ("11.1.2.3", False),
        ("2001:db8::1", False), ("", False), ("unix", False),
    ],
)  # fmt: skip
def test_addresses(address: str, *, is_in: bool) -> None:
    networks = Networks((ip_network("10.0.0.0/8"),))
    question = Question(Identity("a", address=address), Operation.GET, NOW)
    assert networks.is_met(question) is is_in


@pytest.mark.parametrize(
    ("when", "now", "is_met"),
    [
        ('days = "Mon-Fri"', NOW, True),
        ('days = "Sat-Sun"', NOW, False),
        ('days = "Sat-Mon"', NOW + timedelta(days=2), True),
        ('hours = "08:00-18:00"', NOW, True),
        ('hours = "22:00-06:00"', NOW, False),
        ('hours = "22:00-06:00"', NOW + timedelta(hours=11), True),
        ('hours = "22:00-06:00"', NOW + timedelta(hours=17, minutes=59), True),
        ('hours = "22:00-06:00"', NOW + timedelta(hours=18), False),
        ('hours = "12:00-24:00"', NOW + timedelta(hours=11, minutes=59), True),
        ('hours = "12:30-13:30"\nwhen.zone = "Europe/Berlin"', NOW, True),  # 13:00 there
        ('hours = "12:30-13:30"', NOW, False),
        # 23:30 in Berlin is still Friday, and in Tokyo it is Saturday.
        ('days = "Sat"\nwhen.zone = "Asia/Tokyo"', NOW + timedelta(hours=10.5), True),
        ('days = "Sat"\nwhen.zone = "Europe/Berlin"', NOW + timedelta(hours=10.5), False),
        ("until = 2026-11-27", NOW + timedelta(hours=11), True),
        ("until = 2026-11-27", NOW + timedelta(hours=12), False),
        ("from = 2026-11-28", NOW + timedelta(hours=12), True),
        ("from = 2026-11-28", NOW, False),
        ('from = 2026-11-27T13:00:00\nwhen.zone = "Europe/Berlin"', NOW, True),
    ],
)
def test_times(when: str, now: datetime, *, is_met: bool) -> None:
    text = f'[rules.x]\nwho = "*"\nallow = "Get"\nwhen.{when}\n'
    assert (ask(text, now=now) == "") is is_met


def test_the_hour_that_comes_twice_when_summer_time_ends() -> None:
    """02:30 in Berlin on 25 October 2026 comes twice, and a rule holds both times."""
    when = 'when.hours = "02:00-03:00"\nwhen.zone = "Europe/Berlin"\n'
    text = f'[rules.x]\nwho = "*"\nallow = "Get"\n{when}'
    for hour, is_met in ((0, True), (1, True), (2, False)):
        now = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
        assert (ask(text, now=now) == "") is is_met


def test_a_class_stands_for_its_operations() -> None:
    for name, actions in CLASSES.items():
        text = f'[rules.x]\nwho = "*"\nallow = "{name}"\n'
        for action in CLASSES[ALL]:
            assert (ask(text, action) == "") is (action in actions)
