"""Locate under a policy: what it finds of other accounts, and what it does not find.

A rule that allows Locate makes objects of others findable; the index looks for them by the most
selective condition of the rule. Whether an object is permitted is then decided about each one, as for
any other operation. Objects that a rule denies are not found.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from kmipkit.model.attribute import AttributeKey
from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine import permission
from kmipkit_server.engine.call import Call
from kmipkit_server.policy.active import NO_POLICY
from kmipkit_server.policy.conditions import (
    AttributeTexts,
    Condition,
    Identifiers,
    Owners,
    States,
    Types,
)
from kmipkit_server.policy.patterns import has_wildcards
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Effect, Rule
from kmipkit_server.store.base import Criterion, Located, LocateQuery, Share
from kmipkit_server.store.owners import owner_name, tenant_of

MAX_ALTERNATIVES = 100
"""Values of a condition for which the index is asked one by one, at most."""


def locate(call: Call, query: LocateQuery) -> Located:
    """The objects that meet the criteria, of those that the policy lets the account find."""
    documents = permission.documents_in_force(call)
    if documents is NO_POLICY:
        return call.store.locate(query)
    rules = documents.concerning(call.identity, Operation.LOCATE)
    shares = () if query.object_group_member is not None else tuple(_shares(call, query, rules))
    if not shares and not any(rule.needs_object for rule in rules):
        return call.store.locate(query)
    return call.store.locate_permitted(
        query, shares, lambda record: permission.is_permitted(call, record, documents)
    )


def _shares(call: Call, query: LocateQuery, rules: Iterable[Rule]) -> Iterator[Share]:
    question = Question(call.identity, Operation.LOCATE, call.now)
    for rule in rules:
        if rule.effect is not Effect.ALLOW or query.owner != call.identity.name:
            continue
        if any(not each.is_met(question) for each in rule.clause.when.values()):
            continue
        owners = _owners(call, rule)
        if owners:
            yield from (Share(owners, criteria) for criteria in _alternatives(rule))


def _owners(call: Call, rule: Rule) -> tuple[str, ...]:
    """The other owners whose objects a rule is about, by their whole names."""
    tenant = call.identity.tenant
    named = [each for each in rule.clause.objects.values() if isinstance(each, Owners)]
    if not named:
        found = {name for name in call.store.owners(tenant) if tenant_of(name) == tenant}
    else:
        names = frozenset.intersection(*(each.names for each in named))
        found = {owner_name(tenant, name) for name in names}
    return tuple(sorted(found - {call.identity.name, call.identity.system}))


def _alternatives(rule: Rule) -> list[tuple[Criterion, ...]]:
    """Criteria of which each object that the rule is about meets one; none if the index has none."""
    candidates = [
        criteria
        for condition in rule.clause.objects.values()
        if (criteria := _criteria(condition)) and len(criteria) <= MAX_ALTERNATIVES
    ]
    if not candidates:
        return [()]
    best = min(candidates, key=lambda criteria: (_BREADTH.get(criteria[0].key, 1), len(criteria)))
    return [(criterion,) for criterion in best]


_BREADTH: Mapping[AttributeKey, int] = MappingProxyType(
    {Tag.UNIQUE_IDENTIFIER: 0, Tag.NAME: 0, Tag.OBJECT_TYPE: 2, Tag.STATE: 2}
)
"""How many objects a condition on an attribute usually leaves: 0 for few, 2 for most."""


def _criteria(condition: Condition) -> list[Criterion]:
    """The criteria of a condition, of which one must be met; none if the index does not help."""
    match condition:
        case Identifiers(identifiers):
            return [_text(Tag.UNIQUE_IDENTIFIER, each) for each in sorted(identifiers)]
        case Types(types):
            return [_number(Tag.OBJECT_TYPE, each) for each in sorted(types)]
        case States(states):
            return [_number(Tag.STATE, each) for each in sorted(states)]
        case AttributeTexts(key, patterns) if key in (Tag.NAME, Tag.OBJECT_GROUP):
            if any(each.is_broad or has_wildcards(each.text) for each in patterns):
                return []
            return [_text(key, each.text) for each in patterns]
    return []


def _text(key: Tag, value: str) -> Criterion:
    if key is Tag.NAME:
        text = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, value)
        return Criterion(key, Item(key, ItemType.STRUCTURE, (text,)))
    return Criterion(key, Item(key, ItemType.TEXT_STRING, value))


def _number(key: Tag, value: int) -> Criterion:
    return Criterion(key, Item(key, ItemType.ENUMERATION, int(value)))
