"""Rules for the answers of the server in a capture: what a request and its answer show together."""

from collections.abc import Callable, Iterator

from kmipkit.errors import ProtocolError
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import children
from kmipkit_conformance.clients.observed import Exchange, Session, find, value
from kmipkit_conformance.clients.rule import Judge, Problems, Rule, Seen

_FAILED = ResultStatus.OPERATION_FAILED


def _each_answer(check: Callable[[Exchange, Item], Problems]) -> Judge:
    def judge(session: Session) -> Iterator[Seen]:
        for exchange in session.exchanges:
            if exchange.response is None or exchange.response.item is None:
                continue
            problems = check(exchange, exchange.response.item)
            if problems is not None:
                found = [Seen(exchange.where, problem, exchange) for problem in problems]
                yield from found or [Seen(exchange.where, exchange=exchange)]

    return judge


def _well_formed(session: Session) -> Iterator[Seen]:
    for exchange in session.exchanges:
        if exchange.response is not None:
            yield Seen(exchange.where, exchange.response.problem, exchange)


def _fields(exchange: Exchange, _response: Item) -> Problems:
    assert exchange.response is not None
    try:
        decode_response(exchange.response.data)
    except ProtocolError as error:
        return [str(error)]
    return []


def _version(exchange: Exchange, _response: Item) -> Problems:
    assert exchange.response is not None
    asked, got = exchange.version, exchange.response.version
    if asked is None or got == asked or (got is not None and got < asked):
        return []  # a server without the version of the request has an older one
    return [f"the response has KMIP {got or 'without a number'}, and the request {asked}"]


def _count(_exchange: Exchange, response: Item) -> Problems:
    count = value(response, Tag.RESPONSE_HEADER, Tag.BATCH_COUNT)
    number = len(children(response, Tag.BATCH_ITEM))
    if count is None:
        return None
    return (
        [] if count == number else [f"Batch Count is {count!r}, and there are {number} batch items"]
    )


def _item_ids(exchange: Exchange, response: Item) -> Problems:
    asked = [act.item_id for act in exchange.acts]
    if exchange.version is None or exchange.version > V2_1 or not any(asked):
        return None
    got = [value(item, Tag.UNIQUE_BATCH_ITEM_ID) for item in children(response, Tag.BATCH_ITEM)]
    if _is_refused(response):
        return None
    return (
        []
        if all(each in asked for each in got)
        else ["a Unique Batch Item ID is not of the request"]
    )


def _reasons(_exchange: Exchange, response: Item) -> Problems:
    items = children(response, Tag.BATCH_ITEM)
    failed = [item for item in items if value(item, Tag.RESULT_STATUS) == _FAILED]
    if not failed:
        return None
    without = [item for item in failed if find(item, Tag.RESULT_REASON) is None]
    return ["a failure without Result Reason"] if without else []


def _operations(exchange: Exchange, response: Item) -> Problems:
    if _is_refused(response) or Operation.POLL in exchange.operations:
        return None  # the result of a Poll is that of the operation before it (KMIP 1.4 §4.28)
    got = [value(item, Tag.OPERATION) for item in children(response, Tag.BATCH_ITEM)]
    asked = [int(operation) for operation in exchange.operations]
    return [] if all(each in asked for each in got) else ["an item has another operation"]


def _is_refused(response: Item) -> bool:
    """Whether the request was refused as a whole (KMIP 1.4 §11.1)."""
    items = children(response, Tag.BATCH_ITEM)
    return len(items) == 1 and find(items[0], Tag.OPERATION) is None


RESPONSE_RULES = (
    Rule(
        key="response-well-formed",
        clause="KMIP 1.4 §9.1, KMIP 2.1 §10.1",
        says="Each response of the server is well-formed TTLV.",
        how="each response in the capture",
        judge=_well_formed,
    ),
    Rule(
        key="response-fields",
        clause="KMIP 1.4 §7.2 Tables 284 and 285 and §4, KMIP 2.1 §8.5, §8.6 and §6.1",
        says="A response has the required fields, and only those of its version, in this order.",
        how="each response is read strictly",
        judge=_each_answer(_fields),
    ),
    Rule(
        key="response-version",
        clause="KMIP 1.4 §6.1, KMIP 2.1 §9.16",
        says="A response has no newer version than its request.",
        how="each request with its response",
        judge=_each_answer(_version),
    ),
    Rule(
        key="response-batch-count",
        clause="KMIP 1.4 §6.14, KMIP 2.1 §9.5",
        says="Batch Count is the number of batch items.",
        how="each response",
        judge=_each_answer(_count),
    ),
    Rule(
        key="response-item-ids",
        clause="KMIP 1.4 §6.4, KMIP 2.1 §9.21",
        says="A response has the Unique Batch Item IDs of its request.",
        how="responses to requests with such IDs",
        judge=_each_answer(_item_ids),
    ),
    Rule(
        key="response-reason",
        clause="KMIP 1.4 §6.10, KMIP 2.1 §9.18",
        says="A failure has a Result Reason.",
        how="failures in responses",
        judge=_each_answer(_reasons),
    ),
    Rule(
        key="response-operation",
        clause="KMIP 1.4 §7.2 Table 285, KMIP 2.1 §8.6",
        says="An item of a response has the operation of the request.",
        how="each request with its response",
        judge=_each_answer(_operations),
    ),
)
"""Judged in captures only: the server of free play is our own."""
