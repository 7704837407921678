"""Questions in words: an account, an operation, an object that exists or is described.

Commands ask them to explain a decision, and files of expectations to test a policy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import NameType, ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.actions import (
    ALWAYS_LOADING,
    NAMES,
    Action,
    action_title,
    actions_named,
)
from kmipkit_server.policy.conditions import fingerprint
from kmipkit_server.policy.decision import Documents, Explanation, explain, refusal
from kmipkit_server.policy.errors import InvalidValue
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.rule import Rule
from kmipkit_server.policy.values import attribute_key, members_named, type_of
from kmipkit_server.store.base import Record
from kmipkit_server.store.owners import owner_name
from kmipkit_server.toml.suggestion import suggestion

Find = Callable[[str], Record | None]
"""Finds an object by its Unique Identifier."""

NOBODY_KNOWS = "described"
"""The identifier of an object that is only described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedObject:
    """An object that need not exist."""

    owner: str = ""
    """Empty for the account itself."""
    type: str = "Symmetric Key"
    state: str = "Active"
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Values by the names of attributes: each a value, or a list of them."""
    identifier: str = NOBODY_KNOWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks, as far as rules see it."""

    account: str
    tenant: str = ""
    administrator: bool = False
    linked_groups: tuple[str, ...] = ()
    address: str = ""
    subject: str = ""
    """The subject of the certificate (RFC 4514)."""
    issuer: str = ""
    san: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def identity(self) -> Identity:
        """The identity of such a client."""
        digest = fingerprint(self.fingerprint)
        try:
            signed_hash = bytes.fromhex(digest)
        except ValueError:
            raise InvalidValue(f"{self.fingerprint!r} is not a fingerprint") from None
        if self.address and not _is_address(self.address):
            raise InvalidValue(f"{self.address!r} is not an address, such as 10.1.2.3")
        return Identity(
            owner_name(self.tenant, self.account),
            is_administrator=self.administrator,
            address=self.address,
            certificate=PeerCertificate(
                subject=self.subject,
                issuer=(),
                serial=0,
                signed_hash=signed_hash,
                encoded_issuer=b"",
                encoded_serial=b"",
                issuer_name=self.issuer,
                alternative_names=self.san,
            ),
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A question."""

    client: Client
    operation: str
    time: datetime
    object: str | DescribedObject | None = None
    """An identifier, or a description; None for an operation on no object."""
    is_new: bool = False
    """Whether the operation makes the object."""


def question_of(description: Description, find: Find) -> Question:
    """The question. InvalidValue if it is about something that does not exist, or about no object where
    the operation needs one: its answer would be about an operation that there is not."""
    client = description.client
    time = description.time
    action = _action(description.operation)
    if description.object is None and action in ALWAYS_LOADING:
        raise InvalidValue(
            f"{action_title(action)} needs an object: name it, or describe it, for example by its owner"
        )
    return Question(
        client.identity,
        action,
        time if time.tzinfo is not None else time.replace(tzinfo=UTC),
        _record(description, find),
        is_new=description.is_new,
        groups=lambda: frozenset(client.linked_groups),
    )


def _action(name: str) -> Action:
    actions = actions_named(name)
    if actions is None:
        raise InvalidValue(f"there is no operation {name!r}{suggestion(name, NAMES)}")
    if len(actions) != 1:
        raise InvalidValue(f"{name!r} is a class of operations; name one of them")
    [action] = actions
    return action


def _record(description: Description, find: Find) -> Record | None:
    value = description.object
    if value is None:
        return None
    if isinstance(value, str):
        record = find(value)
        if record is None:
            raise InvalidValue(f"no object has the Unique Identifier {value!r}")
        return record
    client = description.client
    object_type = _member("type", value.type, ObjectType)
    state = _member("state", value.state, State)
    return Record(
        value.identifier,
        owner_name(client.tenant, value.owner or client.account),
        object_type,
        state,
        Attributes(tuple(_attributes(value))),
        None,
    )


def _member(name: str, text: str, kind: type[OpenEnum]) -> Any:
    """The member with a name; the error says of what it is one."""
    try:
        [member] = members_named(text, kind)
    except InvalidValue as error:
        raise InvalidValue(f"{name} {error}") from None
    return member


def _attributes(value: DescribedObject) -> list[Attribute]:
    found = [
        Attribute(Tag.NAME, Name(name_value=each, name_type=NameType.UNINTERPRETED_TEXT_STRING))
        for each in value.names
    ]
    found += [Attribute(Tag.OBJECT_GROUP, each) for each in value.groups]
    for name, values in value.attributes.items():
        try:
            key = attribute_key(name)
            kind = type_of(key)
            for each in values if isinstance(values, list) else [values]:
                found.append(Attribute(key, _typed(each, kind)))
        except InvalidValue as error:
            raise InvalidValue(f"the attribute {name!r}: {error}") from None
    return found


def _typed(value: Any, kind: type | None) -> Any:
    """A value of an attribute as objects have it: commands write all of them as texts."""
    if kind is None or not isinstance(value, str):
        return value
    if issubclass(kind, OpenEnum):
        [member] = members_named(value, kind)
        return member
    if issubclass(kind, OpenMask):
        bits = {each.name: each.value for each in kind.bits()}
        names = value.upper().replace(" ", "_").split("|")
        return kind(sum(bits.get(name, 0) for name in names))
    try:
        if issubclass(kind, bool):
            return {"true": True, "false": False}[value.lower()]
        if issubclass(kind, datetime):
            return datetime.fromisoformat(value)
        return kind(value) if issubclass(kind, int) else value
    except (ValueError, KeyError):
        raise InvalidValue(f"{value!r} is not a value of this attribute") from None


# --- answers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """What became of a rule."""

    name: str
    effect: str
    unmet: str
    """The key of the condition that is not met; empty if the rule applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is decided, and why."""

    allowed: bool
    by: str
    """The name of the rule, or what is built in."""
    is_rule: bool
    message: str
    """What a client would be told; empty if it is allowed."""
    requires: tuple[str, ...]
    """What must be fulfilled besides."""
    rules: tuple[RuleOutcome, ...]


def answer_to(question: Question, documents: Documents, *, for_tenant: bool = False) -> Answer:
    """The decision in words; ``for_tenant`` as for :func:`.decision.explain`."""
    explanation: Explanation = explain(question, documents, for_tenant=for_tenant)
    decision = explanation.decision
    return Answer(
        allowed=decision.is_permitted,
        by=decision.name,
        is_rule=isinstance(decision.by, Rule),
        message="" if decision.is_permitted else refusal(question, decision).message,
        requires=tuple(f"{each.kind} ({each.rule})" for each in decision.obligations),
        rules=tuple(
            RuleOutcome(name=rule.name, effect=rule.effect.value, unmet=unmet)
            for rule, unmet in explanation.rules
        ),
    )
