"""Rules about the form of requests: header, batch, payloads, credentials."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import from_tree
from kmipkit.model.headers import RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CredentialType,
    Operation,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V2_1, V3_0
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import children
from kmipkit_conformance.clauses import clause
from kmipkit_conformance.clients.observed import Act, Exchange, Session, find, value
from kmipkit_conformance.clients.rule import Level, Problems, Rule, Seen, each_act, each_request
from kmipkit_conformance.wording import operation_title, tag_title


def _header(exchange: Exchange) -> Item | None:
    return find(exchange.request.item, Tag.REQUEST_HEADER)


def _items(exchange: Exchange) -> list[Item]:
    assert exchange.request.item is not None
    return children(exchange.request.item, Tag.BATCH_ITEM)


def _well_formed(session: Session) -> Iterator[Seen]:
    for connection, problem in session.unreadable:
        yield Seen(connection.where, problem)
    for exchange in session.exchanges:
        yield Seen(exchange.where, exchange.request.problem, exchange)


def _known_version(session: Session) -> Iterator[Seen]:
    for exchange in session.exchanges:
        if exchange.request.item is not None:
            problem = (
                "" if exchange.version else "the header has no Protocol Version of KMIP 1.0 to 3.0"
            )
            yield Seen(exchange.where, problem, exchange)


def _header_fields(exchange: Exchange) -> Problems:
    header, version = _header(exchange), exchange.version
    assert version is not None
    if header is None:
        return ["the Request Header is missing"]
    try:
        from_tree(RequestHeader, header, version)
    except ProtocolError as error:
        return [str(error)]
    return []


def _payload_fields(act: Act) -> Problems:
    version = act.exchange.version
    assert version is not None
    if not act.operation.known_in(version):
        return None
    try:
        from_tree(RequestBatchItem, act.item, version)
    except ProtocolError as error:
        named = clause(act.operation, version)
        return [f"{operation_title(act.operation)}: {error}" + (f" ({named})" if named else "")]
    return []


def _known_operation(act: Act) -> Problems:
    version = act.exchange.version
    assert version is not None
    is_extension = act.operation >= 0x80000000
    if is_extension or act.operation.known_in(version):
        return []
    return [f"KMIP {version} has no operation {operation_title(act.operation)}"]


def _batch_count(exchange: Exchange) -> Problems:
    count, number = value(_header(exchange), Tag.BATCH_COUNT), len(_items(exchange))
    if count is None or count == number:
        return [] if count is not None else None
    return [f"Batch Count is {count!r}, and there are {number} batch items"]


def _item_ids(exchange: Exchange) -> Problems:
    items = _items(exchange)
    if len(items) < 2:
        return None
    ids = [value(item, Tag.UNIQUE_BATCH_ITEM_ID) for item in items]
    if None in ids:
        return [f"{ids.count(None)} of {len(ids)} batch items have no Unique Batch Item ID"]
    return [] if len(set(ids)) == len(ids) else ["a Unique Batch Item ID is there twice"]


def _error_continuation(exchange: Exchange) -> Problems:
    option = find(_header(exchange), Tag.BATCH_ERROR_CONTINUATION_OPTION)
    if option is None:
        return None
    is_batch = len(_items(exchange)) > 1
    return [] if is_batch else ["Batch Error Continuation Option with a single batch item"]


def _check_batch(exchange: Exchange) -> Problems:
    items = _items(exchange)
    if len(items) < 2 or Operation.CHECK not in exchange.operations:
        return None
    header, problems = _header(exchange), []
    order = value(header, Tag.BATCH_ORDER_OPTION)
    is_default = order is None and exchange.version is not None and exchange.version.major > 1
    if not order and not is_default:
        problems.append("a batch with Check, and Batch Order Option is not True")
    if value(header, Tag.BATCH_ERROR_CONTINUATION_OPTION) == BatchErrorContinuationOption.CONTINUE:
        problems.append("a batch with Check, and Batch Error Continuation Option is Continue")
    return problems


_IDENTIFYING: Mapping[CredentialType, tuple[Tag, ...]] = MappingProxyType(
    {
        CredentialType.DEVICE: (
            Tag.DEVICE_SERIAL_NUMBER,
            Tag.PASSWORD,
            Tag.DEVICE_IDENTIFIER,
            Tag.NETWORK_IDENTIFIER,
            Tag.MACHINE_IDENTIFIER,
            Tag.MEDIA_IDENTIFIER,
        ),
        CredentialType.ATTESTATION: (Tag.ATTESTATION_MEASUREMENT, Tag.ATTESTATION_ASSERTION),
    }
)
"""Credentials of which at least one field must be there."""


def _credentials(exchange: Exchange) -> Problems:
    authentication = find(_header(exchange), Tag.AUTHENTICATION)
    if authentication is None:
        return None
    problems, is_occasion = [], False
    for credential in children(authentication, Tag.CREDENTIAL):
        kind = value(credential, Tag.CREDENTIAL_TYPE)
        fields = _IDENTIFYING.get(kind)  # type: ignore[call-overload]  # any value may come
        if fields is None:
            continue
        is_occasion = True
        inner = find(credential, Tag.CREDENTIAL_VALUE)
        if not any(find(inner, field) is not None for field in fields):
            problems.append(f"the Credential has none of {', '.join(map(tag_title, fields))}")
    return problems if is_occasion else None


MESSAGE_RULES = (
    Rule(
        key="well-formed",
        clause="KMIP 1.4 §9.1, KMIP 2.1 §10.1",
        says="Each message is well-formed TTLV.",
        how="each message is read",
        judge=_well_formed,
    ),
    Rule(
        key="protocol-version",
        clause="KMIP 1.4 §6.1, KMIP 2.1 §9.16",
        says="Each request begins with a header that has the Protocol Version.",
        how="the header of each request",
        judge=_known_version,
    ),
    Rule(
        key="header-fields",
        clause="KMIP 1.4 §7.2 Table 282, KMIP 2.1 §8.2",
        says="The header has the required fields, and only those of its version, in this order.",
        how="the header of each request is read strictly",
        judge=each_request(_header_fields),
    ),
    Rule(
        key="payload-fields",
        clause="KMIP 1.4 §7.2 Table 283 and §4, KMIP 2.1 §8.3 and §6.1",
        says="A batch item and its payload have the required fields, and only those of their version,"
        " with their types, in the order specified.",
        how="each batch item is read strictly, with the table of its operation",
        judge=each_act(_payload_fields),
    ),
    Rule(
        key="operation-of-version",
        clause="KMIP 1.4 §9.1.3.2.27, KMIP 2.1 §11.36",
        says="A request has operations of its version only.",
        how="the operation of each batch item",
        judge=each_act(_known_operation),
    ),
    Rule(
        key="batch-count",
        clause="KMIP 1.4 §6.14, KMIP 2.1 §9.5",
        says="Batch Count is the number of batch items.",
        how="each request",
        judge=each_request(_batch_count, until=V2_1),
    ),
    Rule(
        key="batch-item-ids",
        clause="KMIP 1.4 §7.2 Table 283 and §6.4, KMIP 2.1 §8.3 and §9.21",
        says="Each item of a batch has a Unique Batch Item ID of its own.",
        how="requests with several batch items",
        judge=each_request(_item_ids, until=V2_1),
    ),
    Rule(
        key="error-continuation",
        clause="KMIP 1.4 §6.13, KMIP 2.1 §9.6",
        says="Batch Error Continuation Option is there only if there are several batch items.",
        how="requests with this option",
        judge=each_request(_error_continuation, until=V2_1),
    ),
    Rule(
        key="batch-with-check",
        level=Level.SHOULD,
        clause="KMIP 1.4 §4.10, KMIP 2.1 §6.1.7",
        says="A batch with Check has Batch Order Option True, and stops or undoes at an error.",
        how="batches with Check",
        judge=each_request(_check_batch, since=V1_1, until=V2_1),
    ),
    Rule(
        key="credential-fields",
        clause="KMIP 1.4 §2.1.2, KMIP 2.1 §9.11",
        says="A Device or Attestation Credential has at least one of the fields that identify.",
        how="requests with such a Credential",
        judge=each_request(_credentials, since=V1_2, until=V3_0),
    ),
)
