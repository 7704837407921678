"""The route for objects that an algorithm rule forbids to use, or will forbid."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from kmipkit.lifecycle import describe_state
from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.administration.approvals import policies_of
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import MAX_PAGE, POSITION, Text
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.objects.algorithms import facts_without_material, rules_of
from kmipkit_server.objects.managed import Managed
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.algorithms.judging import affected
from kmipkit_server.policy.algorithms.model import Violation
from kmipkit_server.store.base import Record
from kmipkit_server.store.inventory import Inventory, InventoryQuery
from kmipkit_server.store.owners import account_in_tenant, tenant_of
from kmipkit_server.store.slices import Steps

_PROTECTING = frozenset({State.PRE_ACTIVE, State.ACTIVE})
"""The states of keys that protect data, or will: it does not hurt others if they may not."""


class ListAffected(Request, frozen=True):
    """Which objects to list."""

    days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] | None = None
    """Only what is refused now, or within so many days; the default is everything."""
    owner: Text | None = None
    """The account of the owner."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    """How many objects to look at, at most."""
    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] | None = None
    """The value of next in the page before."""


class AffectedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object, and a rule that does not permit its use."""

    id: str
    """The Unique Identifier."""
    owner: str
    type: str
    state: str
    names: tuple[str, ...]
    rule: str
    """The name of the algorithm rule."""
    begins: datetime | None
    """From when on the server refuses it; null if the rule has no date."""
    refused: bool
    """Whether it is refused now."""
    text: str
    """What the rule does not permit."""


class AffectedPage(msgspec.Struct, frozen=True):
    """A part of a list; objects that no rule concerns are left out, so that it may be empty."""

    objects: tuple[AffectedObject, ...]
    next: int | None
    """What to give as after for the following page; null for the last one."""


async def list_affected(context: Context, request: ListAffected) -> AffectedPage:
    """A page of the objects in the scope that a rule concerns."""
    scope, owner = context.scope, request.owner
    query = InventoryQuery(
        owners=lambda name: (
            bool(account_in_tenant(name))
            and scope.has(name)
            and owner in (None, scope.account(name))
        ),
        now=context.now,
        after=context.meant(request.after, POSITION),
        oldest_first=True,
        maximum=request.limit,
    )
    end = None if request.days is None else context.now + timedelta(days=request.days)

    def work(reader: Inventory) -> Steps[AffectedPage]:
        page = yield from reader.inventory(query)
        policies = policies_of(context)
        found: list[AffectedObject] = []
        for listed in page.objects:
            if listed.record is not None:
                found += _affected(context, reader, policies, listed.record, end)
        return AffectedPage(tuple(found), context.shown(page.next, POSITION))

    return await context.read(work)


def _affected(
    context: Context,
    reader: Inventory,
    policies: ActivePolicies,
    record: Record,
    end: datetime | None,
) -> Iterator[AffectedObject]:
    rules = rules_of(policies.now(reader, tenant_of(record.owner)))
    if not rules or record.is_destroyed:
        return
    managed = Managed(record, context.now)
    for violation in affected(rules, facts_without_material(managed)):
        concerns = managed.state in _PROTECTING or violation.rule.refuses_processing
        is_soon = end is None or violation.begins is None or violation.begins <= end
        if concerns and is_soon:
            yield _shown(context, managed, violation)


def _shown(context: Context, managed: Managed, violation: Violation) -> AffectedObject:
    return AffectedObject(
        id=context.scope.identifier(managed.id),
        owner=context.scope.account(managed.record.owner),
        type=title(managed.object_type),
        state=describe_state(managed.state),
        names=tuple(name.name_value for name in managed.attributes.all(Tag.NAME)),
        rule=violation.rule.name,
        begins=violation.begins,
        refused=violation.is_in_force(context.now),
        text=violation.text,
    )


ROUTES = (
    Route(
        method="GET",
        path="/policy/warnings",
        name="policy warnings",
        summary="List objects whose use an algorithm rule refuses, or will refuse.",
        who=Who.TENANT,
        request=ListAffected,
        answer=AffectedPage,
        handler=list_affected,
    ),
)
