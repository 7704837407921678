"""A route for the audit log: its records, as the commands on its files find them."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Literal

import msgspec
import trio

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import Moment, Text
from kmipkit_server.administration.problems import bad_request, forbidden, unavailable
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.audit.forms import to_json
from kmipkit_server.audit.logs import last, last_numbers, logs_in, place_of, place_text, search
from kmipkit_server.audit.query import Filter, Match

MAX_RECORDS = 1000
_RECORD = "record "
"""The kind of number that a record of a log has."""

_PLACE = "^[0-9]{1,18}(,worker-[0-9]{1,5}:[0-9]{1,18})*$"

_searching = trio.CapacityLimiter(1)
"""One search at a time: each reads the whole log."""


class FindRecords(Request, frozen=True):
    """Which records to find: those that meet all conditions."""

    object: Text | None = None
    """A Unique Identifier."""
    account: Text | None = None
    """The name of an account, inside its tenant or as a whole, such as tenant:acme:db01."""
    tenant: Text | None = None
    """Empty for the accounts without one; the administrators of a tenant can only name their own."""
    user: Text | None = None
    """The Unique Identifier of a user."""
    operation: Text | None = None
    """An operation, or what an administrator has requested, such as accounts block."""
    outcome: Literal["success", "failed", "undone", "pending", "not-committed"] | None = None
    reason: Text | None = None
    """A Result Reason."""
    address: Text | None = None
    """The address or network of the client."""
    certificate: Text | None = None
    """A serial number or fingerprint, in hexadecimal digits."""
    correlation: Text | None = None
    """A Client or Server Correlation Value."""
    since: Moment | None = None
    """A time with its zone."""
    until: Moment | None = None
    after: Annotated[str, msgspec.Meta(pattern=_PLACE)] | None = None
    """Only records after this place, the ``place`` of an earlier answer."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_RECORDS)] = 100
    """How many records to return, at most: the newest."""


class FoundRecords(msgspec.Struct, frozen=True):
    """Records of the audit log, oldest first."""

    records: tuple[Any, ...]
    """Each as in the log; "committed" is false if the change did not take place."""
    place: str
    """Where the log has ended: the numbers of the last record of each worker."""


async def find_records(context: Context, request: FindRecords) -> FoundRecords:
    """The newest records that meet the conditions."""
    config = context.parts.config()
    if not config.audit.enabled:
        raise unavailable("the server has no audit log: the setting audit.enabled is false")
    scope = context.scope
    if not scope.is_server and request.tenant not in (None, scope.tenant):
        raise forbidden("these are the records of others")
    conditions = _filter(context, request)

    def find() -> tuple[list[Match], str]:
        logs = logs_in(config.audit_directory)
        ends = last_numbers(logs)
        if conditions == Filter():
            matches = last(logs, request.limit)
        else:
            matches = search(logs, conditions, request.limit)
        # What was written meanwhile is for the next question.
        known = [each for each in matches if each.entry.n <= ends.get(each.entry.log, 0)]
        return known, place_text(_shown(context, ends))

    try:
        matches, place = await trio.to_thread.run_sync(find, limiter=_searching)
    except OSError as error:
        raise unavailable(f"the audit log cannot be read: {error.strerror}") from None
    return FoundRecords(tuple(_record(context, match) for match in matches), place)


def _shown(context: Context, numbers: Mapping[str, int]) -> dict[str, int]:
    """The numbers of records of each log, as they are shown in the scope."""
    return {log: context.shown(number, _RECORD + log) or 0 for log, number in numbers.items()}


def _record(context: Context, match: Match) -> Any:
    """A record as in the log. For a tenant, without what says how many there are of others: its number
    is another one, and it has no hash, which goes over the records of all."""
    if context.scope.is_server:
        return msgspec.Raw(to_json(match).encode())
    record = msgspec.json.decode(to_json(match))
    record["n"] = context.shown(record["n"], _RECORD + match.entry.log)
    del record["hash"]
    return record


def _after(context: Context, place: str | None) -> dict[str, int] | None:
    if place is None:
        return None
    return {
        log: context.meant(number, _RECORD + log) or 0 for log, number in place_of(place).items()
    }


def _filter(context: Context, request: FindRecords) -> Filter:
    try:
        network = None if request.address is None else ip_network(request.address, strict=False)
    except ValueError:
        raise bad_request("address must be an address or a network") from None
    return Filter(
        object=request.object,
        account=request.account,
        tenant=request.tenant if context.scope.is_server else context.scope.tenant,
        user=request.user,
        operation=request.operation,
        outcome=request.outcome,
        reason=request.reason,
        network=network,
        certificate=request.certificate,
        correlation_value=request.correlation,
        since=request.since,
        until=request.until,
        after=_after(context, request.after),
    )


ROUTES = (
    Route(
        method="GET",
        path="/audit",
        name="audit query",
        summary="Find records of the audit log.",
        who=Who.TENANT,
        request=FindRecords,
        answer=FoundRecords,
        handler=find_records,
    ),
)
