"""Provocations: answers that no server should give, and what a client must not do after them.

Most of them carry a *bait*: a Unique Identifier in an answer that is not a success, or not an answer to
the request. A client that later uses this identifier has taken the answer for one.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType

from kmipkit.model.codec import to_tree
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import MessageExtension, ResponseBatchItem
from kmipkit.model.operations import row
from kmipkit.model.payloads.create import CreateKeyPairResponse, CreateResponse
from kmipkit.model.payloads.lifecycle import ActivateResponse
from kmipkit.model.payloads.locate import LocateResponse
from kmipkit.model.payloads.register import RegisterResponse
from kmipkit.model.payloads.rekey import DeriveKeyResponse, ReKeyResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import ObjectType, Operation, ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.clients.observed import Act, Exchange, Session, descend
from kmipkit_conformance.clients.rule import Level, Rule, Seen

_OP = Operation
UNKNOWN_REASON = 0x8000ABCD
"""A Result Reason in the range of extensions (KMIP 1.4 §9.1.3.2.29), which nobody has defined."""
VENDOR = "kmipkit.conformance"

_PAYLOADS: Mapping[Operation, Callable[[str, ObjectType], Structure]] = MappingProxyType(
    {
        _OP.CREATE: lambda bait, kind: CreateResponse(object_type=kind, unique_identifier=bait),
        _OP.REGISTER: lambda bait, _: RegisterResponse(unique_identifier=bait),
        _OP.DERIVE_KEY: lambda bait, _: DeriveKeyResponse(unique_identifier=bait),
        _OP.RE_KEY: lambda bait, _: ReKeyResponse(unique_identifier=bait),
        _OP.LOCATE: lambda bait, _: LocateResponse(unique_identifiers=(bait,)),
        _OP.CREATE_KEY_PAIR: lambda bait, _: CreateKeyPairResponse(
            private_key_unique_identifier=bait, public_key_unique_identifier=bait
        ),
        _OP.ACTIVATE: lambda bait, _: ActivateResponse(unique_identifier=bait),
    }
)
"""Answers with an identifier, which a client goes on to use if it does not know it yet."""

_FINDING = frozenset(_PAYLOADS) - {_OP.ACTIVATE}
"""Operations whose answer has an identifier that the client does not know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a provoking answer differs from a success with the bait."""

    status: ResultStatus = ResultStatus.SUCCESS
    reason: ResultReason | None = None
    message: str | None = None
    is_of_other: bool = False
    """Whether the answer is to another operation and has its payload."""
    has_other_id: bool = False
    """Whether the Unique Batch Item ID is another one."""
    is_critical: bool = False
    """Whether a Message Extension says that whoever does not understand it must reject the message."""
    without: frozenset[Tag] = frozenset()
    """Fields that are left out."""

    def to(self, exchange: Exchange, bait: str) -> bytes:
        """The message, in the version of the request."""
        version = exchange.version
        assert version is not None
        items = [self._item(act, bait, version) for act in exchange.acts]
        header = ResponseHeader(
            protocol_version=ProtocolVersion.of(version),
            time_stamp=datetime.now(UTC),
            batch_count=len(items) if version < V3_0 else None,
        )
        parts = (to_tree(header, version, strict=False), *items)
        tree = Item(Tag.RESPONSE_MESSAGE, ItemType.STRUCTURE, parts)
        return binary.encode(_without(tree, self.without))

    def _item(self, act: Act, bait: str, version: Version) -> Item:
        operation = act.operation
        if self.is_of_other:
            operation = _OP.REGISTER if operation is not _OP.REGISTER else _OP.CREATE
        item_id = act.item_id
        if self.has_other_id:
            item_id = bytes(byte ^ 0xFF for byte in item_id or b"") or b"\0"
        extension = MessageExtension(
            vendor_identification=VENDOR,
            criticality_indicator=True,
            vendor_extension=Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, ()),
        )
        item = ResponseBatchItem(
            operation=operation,
            unique_batch_item_id=item_id,
            result_status=self.status,
            result_reason=self.reason,
            result_message=self.message,
            response_payload=_PAYLOADS[operation](bait, ObjectType.SYMMETRIC_KEY),
            message_extensions=(extension,) if self.is_critical else (),
        )
        return to_tree(item, version, strict=False)


def _without(item: Item, tags: frozenset[Tag]) -> Item:
    if not isinstance(item.value, tuple):
        return item
    kept = (child for child in item.value if child.tag not in tags)
    return Item(item.tag, item.type, tuple(_without(child, tags) for child in kept))


def is_single(exchange: Exchange) -> bool:
    """Whether a request has one batch item, whose answer has an identifier."""
    return len(exchange.acts) == 1 and exchange.operations[0] in _FINDING and bool(exchange.version)


def has_item_id(exchange: Exchange) -> bool:
    """Whether all items have an ID, the first one finds or makes an object, and all can be answered."""
    acts = exchange.acts
    is_finding = bool(acts) and acts[0].operation in _FINDING and bool(exchange.version)
    has_ids = all(act.item_id is not None and act.operation in _PAYLOADS for act in acts)
    return is_finding and has_ids


def is_new(exchange: Exchange) -> bool:
    """Whether a request must not be repeated, since each time it does something."""
    if len(exchange.acts) != 1:
        return False
    known = row(exchange.operations[0])
    return exchange.operations[0] in _FINDING and known is not None and not known.may_be_repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Provocation:
    """A row: what the tester does once, and the rule that it tests."""

    key: str
    does: str
    """What the tester does, for people."""
    answer: Answer | None = None
    """None if the connection is closed instead."""
    fits: Callable[[Exchange], bool] = is_single
    level: Level = Level.SHALL
    clause: str
    says: str
    problem: str
    """What a client has done that breaks the rule."""

    def rule(self) -> Rule:
        """The row of the table of rules."""
        return Rule(
            key=f"after-{self.key}",
            level=self.level,
            clause=self.clause,
            says=self.says,
            how=f"the provocation {self.key!r}: {self.does}",
            judge=self._judge,
        )

    def _judge(self, session: Session) -> Iterator[Seen]:
        for exchange in session.exchanges:
            if exchange.provoked == self.key:
                breaking = next(self._breaking(session, exchange), None)
                problem = self.problem if breaking is not None else ""
                shown = breaking or exchange
                yield Seen(shown.where, problem, shown, exchange)

    def _breaking(self, session: Session, exchange: Exchange) -> Iterator[Exchange]:
        """The later requests of the same run that show it."""
        run = exchange.connection.round
        later = (each for each in session.after(exchange) if each.connection.round == run)
        if self.answer is not None:
            return (each for each in later if _takes(exchange, each))
        # Only the next request is a repetition; a later one is the next wish of the user.
        following = (each for each in later if not set(each.operations) <= _LOOKING)
        return (each for each in islice(following, 1) if _repeats(exchange, each))


_LOOKING = frozenset({_OP.DISCOVER_VERSIONS, _OP.QUERY})
"""What a client asks first on a new connection."""

_NO_IDENTIFIERS = frozenset({"", "None", "null", "nil", "<nil>", "undefined"})
"""What programs send in place of an identifier that they have not got."""


def _takes(exchange: Exchange, later: Exchange) -> bool:
    """Whether a later request uses what the answer had, or what it did not have."""
    if later.request.item is None:
        return False
    return any(
        isinstance(item.value, str)
        and (item.value == exchange.bait or item.value in _NO_IDENTIFIERS)
        and item.tag in _IDENTIFIERS
        for item in descend(later.request.item)
    )


_NEW_IDENTIFIERS = frozenset(
    {
        Tag.UNIQUE_IDENTIFIER,
        Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER,
        Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER,
    }
)
_IDENTIFIERS = _NEW_IDENTIFIERS | {Tag.LINKED_OBJECT_IDENTIFIER}


def _repeats(exchange: Exchange, later: Exchange) -> bool:
    """Whether a later request asks the same again."""
    before, after = (
        [(act.operation, act.payload) for act in each.acts] for each in (exchange, later)
    )
    return before == after


def new_bait() -> str:
    """An identifier that no object has."""
    return str(uuid.uuid4())


_UNDERSTANDS = "KMIP 1.4 §4, KMIP 2.1 §6.1"
_FAILED = ResultStatus.OPERATION_FAILED
_USES = "used the identifier in an answer that is not a success"

PROVOCATIONS = (
    Provocation(
        key="refusal",
        does="the operation fails with Permission Denied",
        answer=Answer(_FAILED, ResultReason.PERMISSION_DENIED, "you may not do this"),
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §6.9, KMIP 2.1 §9.19",
        says="After a failed operation, the client does not go on as if it had an object.",
        problem=_USES,
    ),
    Provocation(
        key="unknown-reason",
        does="the operation fails with a Result Reason in the range of extensions",
        answer=Answer(_FAILED, ResultReason(UNKNOWN_REASON), "for a reason of our own"),
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §9.1.3.2.29, KMIP 2.1 §11.46",
        says="A failure for a reason that the client does not know is a failure.",
        problem=_USES,
    ),
    Provocation(
        key="undone",
        does="the operation was undone",
        answer=Answer(ResultStatus.OPERATION_UNDONE, ResultReason.GENERAL_FAILURE, "undone"),
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §6.9, KMIP 2.1 §9.19",
        says="After an operation that was undone, the client does not go on as if it had an"
        " object.",
        problem=_USES,
    ),
    Provocation(
        key="no-status",
        does="the answer has no Result Status",
        answer=Answer(without=frozenset({Tag.RESULT_STATUS})),
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §7.2 Table 285, KMIP 2.1 §8.6",
        says="An answer without Result Status is no success.",
        problem=_USES,
    ),
    Provocation(
        key="no-identifier",
        does="the answer says Success and has no Unique Identifier",
        answer=Answer(without=_NEW_IDENTIFIERS),
        fits=lambda exchange: is_single(exchange) and exchange.operations != [_OP.LOCATE],
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §4.1 Table 164, KMIP 2.1 §6.1.8",
        says="Without the identifier of the new object in the answer, the client does not go on.",
        problem="went on with an empty identifier",
    ),
    Provocation(
        key="other-operation",
        does="the answer is to another operation",
        answer=Answer(is_of_other=True),
        level=Level.ADVICE,
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §6.2 and §7.2 Table 285, KMIP 2.1 §9.15 and §8.6",
        says="An answer to another operation is not the answer to the request.",
        problem="used the identifier in an answer to another operation",
    ),
    Provocation(
        key="other-item-id",
        does="the answer has another Unique Batch Item ID",
        answer=Answer(has_other_id=True),
        fits=has_item_id,
        level=Level.ADVICE,
        clause=f"{_UNDERSTANDS}; KMIP 1.4 §6.4, KMIP 2.1 §9.21",
        says="An answer with another Unique Batch Item ID is not the answer to the request.",
        problem="used the identifier in an answer to another batch item",
    ),
    Provocation(
        key="critical-extension",
        does="the answer has a critical Message Extension that nobody knows",
        answer=Answer(is_critical=True),
        clause="KMIP 1.4 §6.16, KMIP 2.1 §9.13",
        says="A message with a critical extension that the client does not understand is rejected.",
        problem="used the identifier in a message that it must reject",
    ),
    Provocation(
        key="lost-answer",
        does="the operation succeeds, and the connection ends without an answer",
        fits=is_new,
        level=Level.ADVICE,
        clause="KMIP 1.4 §4.1 and §4.3, KMIP 2.1 §6.1.8 and §6.1.43",
        says="A request that makes an object is not sent again when its answer is lost, since it makes"
        " another one.",
        problem="sent the same request again",
    ),
)
"""What free play does to single requests."""

REACTION_RULES = tuple(provocation.rule() for provocation in PROVOCATIONS)
