"""Rules about the order of requests: states, archives, leases, placeholders, polls, parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    Operation,
    ResultStatus,
    RevocationReasonCode,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0
from kmipkit_conformance.clients.attribute_views import given, has_template, referred
from kmipkit_conformance.clients.content_rules import CREATING
from kmipkit_conformance.clients.observed import Act, Exchange, Session, find, value
from kmipkit_conformance.clients.rule import Judge, Level, Problems, Rule, Seen, each_act
from kmipkit_conformance.wording import operation_title

_OP = Operation
PROTECTING = frozenset({_OP.ENCRYPT, _OP.SIGN, _OP.MAC, _OP.DERIVE_KEY})
PROCESSING = frozenset({_OP.DECRYPT, _OP.SIGNATURE_VERIFY, _OP.MAC_VERIFY})
USING = PROTECTING | PROCESSING
"""Operations that use an object for a cryptographic purpose."""
_DATES = frozenset({"Activation Date", "Deactivation Date", "State"})
_COMPROMISES = frozenset({RevocationReasonCode.KEY_COMPROMISE, RevocationReasonCode.CA_COMPROMISE})


class Condition(Enum):
    """What is known of an object."""

    PRE_ACTIVE = auto()
    ACTIVE = auto()
    DEACTIVATED = auto()
    COMPROMISED = auto()
    DESTROYED = auto()


@dataclass(slots=True)
class Known:
    """An object, as far as the session shows its life."""

    condition: Condition | None = None
    """None if it is not known."""
    is_archived: bool = False
    lease_end: float | None = None
    """When the lease ends, if the client has obtained one."""
    is_replaced: bool = False
    """Whether Re-key has replaced it."""


@dataclass(slots=True)
class Objects:
    """The objects of a session. The acts must come in their order."""

    known: dict[str, Known] = field(default_factory=dict)
    _placeholder: tuple[Exchange, str] | None = None

    def identifier(self, act: Act) -> str | None:
        """The object that a request is about, also by the ID Placeholder; None if it is not known."""
        tags = (Tag.UNIQUE_IDENTIFIER, Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)
        for tag in tags:
            given_value = act.get(tag)
            if isinstance(given_value, str):
                return given_value
        if self._placeholder is not None and self._placeholder[0] is act.exchange:
            return self._placeholder[1]
        return None

    def of(self, act: Act) -> Known:
        """What is known of the object of a request."""
        identifier = self.identifier(act)
        return Known() if identifier is None else self.known.setdefault(identifier, Known())

    def note(self, act: Act) -> None:
        """Take the result of an act into account."""
        if not act.has_succeeded:
            return
        about = self.of(act)
        change = _CHANGES.get(act.operation)
        if change is not None:
            change(about, act)
        made = [act.got(tag) for tag in _MADE] if act.operation in _MAKING else []
        names = [name for name in made if isinstance(name, str)]
        if act.operation in CREATING - {_OP.IMPORT, _OP.CERTIFY, _OP.RE_CERTIFY}:
            for name in names:
                self.known[name] = Known(_first_condition(act))
        if names:
            self._placeholder = (act.exchange, names[0])


_MADE = (
    Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER,
    Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER,
    Tag.UNIQUE_IDENTIFIER,
)
_MAKING = CREATING | {_OP.LOCATE, _OP.RECOVER}
"""Operations whose result is the ID Placeholder (KMIP 1.4 §4)."""


def _first_condition(act: Act) -> Condition | None:
    """The state of a new object; None if dates decide, or what it replaces."""
    names = {attribute.name for attribute in given(act)}
    is_plain = act.operation in (_OP.CREATE, _OP.REGISTER, _OP.CREATE_KEY_PAIR, _OP.DERIVE_KEY)
    is_certain = is_plain and not names & _DATES and not has_template(act)
    return Condition.PRE_ACTIVE if is_certain else None


def _activated(known: Known, _act: Act) -> None:
    known.condition = Condition.ACTIVE


def _revoked(known: Known, act: Act) -> None:
    reason = act.get(Tag.REVOCATION_REASON, Tag.REVOCATION_REASON_CODE)
    is_compromised = reason in _COMPROMISES
    known.condition = Condition.COMPROMISED if is_compromised else Condition.DEACTIVATED


def _destroyed(known: Known, _act: Act) -> None:
    known.condition = Condition.DESTROYED


def _archived(known: Known, _act: Act) -> None:
    known.is_archived = True


def _recovered(known: Known, _act: Act) -> None:
    known.is_archived = False


def _leased(known: Known, act: Act) -> None:
    seconds = act.got(Tag.LEASE_TIME)
    known.lease_end = (
        act.exchange.request.at + seconds if isinstance(seconds, int) and seconds else None
    )


def _replaced(known: Known, _act: Act) -> None:
    known.is_replaced = True


def _dated(known: Known, act: Act) -> None:
    names = {*(attribute.name for attribute in given(act)), *referred(act)}
    if names & _DATES:
        known.condition = None


_CHANGES: dict[Operation, Callable[[Known, Act], None]] = {
    _OP.ACTIVATE: _activated,
    _OP.REVOKE: _revoked,
    _OP.DESTROY: _destroyed,
    _OP.ARCHIVE: _archived,
    _OP.RECOVER: _recovered,
    _OP.OBTAIN_LEASE: _leased,
    _OP.RE_KEY: _replaced,
    _OP.ADD_ATTRIBUTE: _dated,
    _OP.MODIFY_ATTRIBUTE: _dated,
    _OP.SET_ATTRIBUTE: _dated,
    _OP.ADJUST_ATTRIBUTE: _dated,
    _OP.DELETE_ATTRIBUTE: _dated,
}


def _each_life(check: Callable[[Act, Known], Problems]) -> Judge:
    """Looks at each request with what was known of its object before it."""

    def judge(session: Session) -> Iterator[Seen]:
        objects = Objects()
        for act in session.acts:
            problems = check(act, objects.of(act))
            if problems is not None:
                found = [Seen(act.where, problem, act.exchange) for problem in problems]
                yield from found or [Seen(act.where, exchange=act.exchange)]
            objects.note(act)

    return judge


def _in_condition(
    operations: frozenset[Operation], forbidden: frozenset[Condition], text: str
) -> Judge:
    def check(act: Act, known: Known) -> Problems:
        if act.operation not in operations or known.condition is None:
            return None
        if known.condition is Condition.PRE_ACTIVE and act.has_succeeded:
            return None  # this server activates objects by itself
        is_broken = known.condition in forbidden
        return [f"{operation_title(act.operation)} with {text}"] if is_broken else []

    return _each_life(check)


def _not_archived(act: Act, known: Known) -> Problems:
    if not known.is_archived or act.operation is _OP.RECOVER:
        return [] if known.is_archived else None
    return [f"{operation_title(act.operation)} of an object that the client has archived"]


def _within_lease(act: Act, known: Known) -> Problems:
    if act.operation not in USING or known.lease_end is None:
        return None
    late = act.exchange.request.at - known.lease_end
    return [f"use {late:.0f} seconds after the end of the lease"] if late > 1 else []


def _replaced_once(act: Act, known: Known) -> Problems:
    if act.operation is not _OP.RE_KEY:
        return None
    return ["a second Re-key of the same key"] if known.is_replaced else []


_WITH_OBJECT = frozenset(
    {
        _OP.GET,
        _OP.GET_ATTRIBUTES,
        _OP.GET_ATTRIBUTE_LIST,
        _OP.ADD_ATTRIBUTE,
        _OP.MODIFY_ATTRIBUTE,
        _OP.DELETE_ATTRIBUTE,
        _OP.SET_ATTRIBUTE,
        _OP.ADJUST_ATTRIBUTE,
        _OP.ACTIVATE,
        _OP.REVOKE,
        _OP.DESTROY,
        _OP.ARCHIVE,
        _OP.RECOVER,
        _OP.OBTAIN_LEASE,
        _OP.GET_USAGE_ALLOCATION,
        _OP.CHECK,
        _OP.RE_KEY,
        _OP.EXPORT,
        *USING - {_OP.DERIVE_KEY},
    }
)
"""Operations that use the ID Placeholder if the request has no Unique Identifier."""


def _placeholder(act: Act) -> Problems:
    version = act.exchange.version
    identifier = find(act.payload, Tag.UNIQUE_IDENTIFIER)
    is_placeholder = identifier is None or isinstance(identifier.value, int)
    if version is None or not is_placeholder:
        return None
    if act.position == 0:
        return [
            f"{operation_title(act.operation)} without Unique Identifier, and nothing before it"
        ]
    header = find(act.exchange.request.item, Tag.REQUEST_HEADER)
    order = value(header, Tag.BATCH_ORDER_OPTION)
    if order is False or (order is None and version < V2_0):
        return ["the ID Placeholder in a batch whose Batch Order Option is not True"]
    option = value(header, Tag.BATCH_ERROR_CONTINUATION_OPTION)
    if option == BatchErrorContinuationOption.CONTINUE:
        return ["the ID Placeholder in a batch that continues after an error"]
    return []


def _poll_values(session: Session) -> Iterator[Seen]:
    issued = set()
    for act in session.acts:
        asked = act.get(Tag.ASYNCHRONOUS_CORRELATION_VALUE)
        if act.operation in (_OP.POLL, _OP.CANCEL):
            problem = "" if asked in issued else "a value that no response of the server has had"
            yield Seen(act.where, problem, act.exchange)
        issued.add(value(act.result, Tag.ASYNCHRONOUS_CORRELATION_VALUE))


def _is_polled(session: Session) -> Iterator[Seen]:
    for act in session.acts:
        pending = value(act.result, Tag.ASYNCHRONOUS_CORRELATION_VALUE)
        status = value(act.result, Tag.RESULT_STATUS)
        if status != ResultStatus.OPERATION_PENDING or act.operation is _OP.POLL or not pending:
            continue
        later = [each for exchange in session.after(act.exchange) for each in exchange.acts]
        if not later:
            continue  # nothing tells whether the client would have polled
        asked = {each.get(Tag.ASYNCHRONOUS_CORRELATION_VALUE) for each in later}
        problem = "" if pending in asked else "went on without Poll or Cancel"
        yield Seen(act.where, problem, act.exchange)


def _parts(session: Session) -> Iterator[Seen]:
    open_parts: set[object] = set()
    for act in session.acts:
        if act.operation not in USING | {_OP.HASH} or act.exchange.version is None:
            continue
        correlation = act.get(Tag.CORRELATION_VALUE)
        if correlation is not None:
            problem = (
                "" if correlation in open_parts else "a Correlation Value that no response has had"
            )
            if act.get(Tag.INIT_INDICATOR):
                problem = "Init Indicator with a Correlation Value"
            yield Seen(act.where, problem, act.exchange)
        elif act.get(Tag.FINAL_INDICATOR) and not act.get(Tag.INIT_INDICATOR):
            yield Seen(act.where, "Final Indicator without a Correlation Value", act.exchange)
        open_parts.add(act.got(Tag.CORRELATION_VALUE))


_STATES = "KMIP 1.4 §3.22, KMIP 2.1 §4.57"
_ACTIVE = frozenset({Condition.ACTIVE})

ORDER_RULES = (
    Rule(
        key="pre-active-unused",
        clause=_STATES,
        says="A Pre-Active object is not used for any cryptographic purpose.",
        how="cryptographic operations on objects that the session has created",
        judge=_in_condition(USING, frozenset({Condition.PRE_ACTIVE}), "a Pre-Active object"),
    ),
    Rule(
        key="ended-not-protecting",
        clause=_STATES,
        says="A Deactivated or Compromised object does not protect anything any more.",
        how="Encrypt, Sign, MAC and Derive Key with objects that the session has created or revoked",
        judge=_in_condition(
            PROTECTING,
            frozenset({Condition.DEACTIVATED, Condition.COMPROMISED}),
            "an object that the client has revoked",
        ),
    ),
    Rule(
        key="destroyed-unused",
        clause=_STATES,
        says="A Destroyed object is not used for any cryptographic purpose.",
        how="cryptographic operations on objects that the session has created or destroyed",
        judge=_in_condition(
            USING, frozenset({Condition.DESTROYED}), "an object that the client has destroyed"
        ),
    ),
    Rule(
        key="active-not-destroyed",
        clause="KMIP 1.4 §4.21, KMIP 2.1 §6.1.15",
        says="An Active object is revoked before it is destroyed.",
        how="Destroy of objects that the session has created or activated",
        judge=_in_condition(frozenset({_OP.DESTROY}), _ACTIVE, "an Active object"),
    ),
    Rule(
        key="archived-recovered-first",
        clause="KMIP 1.4 §4, KMIP 2.1 §6.1",
        says="An archived object is recovered before another operation names it.",
        how="operations on objects that the session has archived",
        judge=_each_life(_not_archived),
    ),
    Rule(
        key="lease-renewed",
        clause="KMIP 1.4 §4.17, KMIP 2.1 §6.1.35",
        says="After the end of a lease, the object is not used before another lease is obtained.",
        how="cryptographic operations on objects with a lease of this session",
        judge=_each_life(_within_lease),
    ),
    Rule(
        key="re-key-once",
        level=Level.SHOULD,
        clause="KMIP 1.4 §4.4, KMIP 2.1 §6.1.46",
        says="A key is replaced once; the next Re-key is about its replacement.",
        how="each Re-key",
        judge=_each_life(_replaced_once),
    ),
    Rule(
        key="id-placeholder",
        level=Level.ADVICE,
        clause="KMIP 1.4 §4, KMIP 2.1 §6.1",
        says="The Unique Identifier is left out only after an item of the same batch that sets the ID"
        " Placeholder, in a batch that is executed in its order and stops at an error.",
        how="requests without Unique Identifier, or with the ID Placeholder",
        judge=each_act(_placeholder, _WITH_OBJECT),
    ),
    Rule(
        key="poll-value",
        clause="KMIP 1.4 §6.8, KMIP 2.1 §9.1",
        says="Poll and Cancel have the Asynchronous Correlation Value of the server.",
        how="each Poll and Cancel",
        judge=_poll_values,
    ),
    Rule(
        key="pending-polled",
        clause="KMIP 1.4 §6.9, KMIP 2.1 §9.19",
        says="The result of a pending operation is obtained by Poll, or the operation is canceled.",
        how="responses with Operation Pending; the provocation 'pending' makes one",
        judge=_is_polled,
    ),
    Rule(
        key="parts-correlated",
        clause="KMIP 1.4 §4, KMIP 2.1 §6.1",
        says="The parts of a cryptographic operation have the Correlation Value of its first response.",
        how="operations in several parts, from 1.3 on",
        judge=_parts,
    ),
)
