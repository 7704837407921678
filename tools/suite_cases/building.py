"""How the cases of one rule each are put together: objects, refusals, batches, and damaged requests."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kmipkit_conformance.markers import ANY_REASON, SUCCESS, WHOLE_MESSAGE
from kmipkit_conformance.wording import operation_title, value_title

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, attribute_name
from kmipkit.model.attributes import RevocationReason
from kmipkit.model.payloads import attributes as payloads
from kmipkit.model.payloads import create, lifecycle
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
    RevocationReasonCode,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, Version
from kmipkit.ttlv.tree import Item
from suite_cases.steps import Case, Step, Steps, uid

__all__ = ["ANY_REASON", "BOTH", "SUCCESS", "WHOLE_MESSAGE"]

BOTH = (V1_4, V2_1)
"""The versions of cases that test one rule: the last one of each major version that is final."""

Edit = Callable[[Item], Item]


@dataclass(frozen=True)
class Refused:
    """The failure of an operation: the Result Reasons that 1.x and that 2.x permit, the usual one first.

    KMIP 1.4 §11 fixes the reason of each error. The tables of 2.1 are "not exhaustive" (§6.1), so that
    several are sensible there. Empty for any reason.
    """

    old: tuple[ResultReason, ...] = ()
    new: tuple[ResultReason, ...] = ()
    whole: bool = False
    """Whether the server may refuse the message as a whole, because it cannot read it."""
    or_success: bool = False
    """Whether the operation may succeed as well: the steps after it look at what it did."""

    def reasons(self, version: Version) -> tuple[ResultReason, ...]:
        """The reasons in a version."""
        return self.old if version < V2_0 else self.new or self.old


@dataclass(frozen=True)
class Batch:
    """One message: its operations, what its header says, and how its bytes are changed."""

    steps: tuple[Step, ...]
    claim: str = ""
    header: Mapping[str, Any] = field(default_factory=dict)
    accept: str = ""
    optional: str = ""
    with_ids: bool = True
    answered: int | None = None
    """How many of the operations are answered; None for all of them."""
    edit: Edit | None = None
    """A change of the whole request."""


def rule(name: str, about: str, steps: Steps, versions: Iterable[Version] = BOTH) -> Case:
    """A case of one rule, in some versions only."""
    return Case(name, about, steps, versions=tuple(versions))


def fixed(*steps: Step | Batch) -> Callable[[Version], Iterator[Step | Batch]]:
    """The same steps in all versions."""
    return lambda version: iter(steps)


R = ResultReason

UNKNOWN_OBJECT = Refused((R.ITEM_NOT_FOUND,), (R.OBJECT_NOT_FOUND, R.ITEM_NOT_FOUND))
DENIED = Refused((R.PERMISSION_DENIED,))
WRONG_STATE = Refused(
    (R.PERMISSION_DENIED,), (R.WRONG_KEY_LIFECYCLE_STATE, R.PERMISSION_DENIED, R.OBJECT_DESTROYED)
)
"""1.4 §11.20, §11.22, §11.30 to §11.35; Wrong Key Lifecycle State in the tables of 2.1."""
WRONG_USE = Refused(
    (R.PERMISSION_DENIED,),
    (R.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, R.PERMISSION_DENIED),
)
READ_ONLY = Refused(
    (R.PERMISSION_DENIED,),
    (
        *(R.ATTRIBUTE_READ_ONLY, R.READ_ONLY_ATTRIBUTE, R.PERMISSION_DENIED),
        *(R.INVALID_ATTRIBUTE, R.UNSUPPORTED_ATTRIBUTE),
    ),
)
"""1.4 §11.15 to §11.17: Permission Denied for attributes that are read-only."""
UNREADABLE = Refused(
    (R.INVALID_MESSAGE, R.INVALID_FIELD, R.MISSING_DATA),
    (
        *(R.INVALID_MESSAGE, R.INVALID_FIELD, R.MISSING_DATA, R.CODEC_ERROR),
        *(R.INVALID_DATA_TYPE, R.UNKNOWN_TAG, R.UNKNOWN_ENUMERATION),
    ),
    whole=True,
)
"""A payload that lacks a field, or that has one which the server cannot understand (1.4 §11.1)."""
ARCHIVED = Refused((R.OBJECT_ARCHIVED,))
UNSUPPORTED = Refused((R.OPERATION_NOT_SUPPORTED,))
ANY = Refused()


def create_key(
    number: int = 0,
    *pairs: tuple[AttributeKey, Any],
    mask: CryptographicUsageMask = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT,
    algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES,
    bits: int = 128,
) -> Step:
    """Create a symmetric key with some attributes."""
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm),
        (Tag.CRYPTOGRAPHIC_LENGTH, bits),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
        *pairs,
    )
    return Step(
        Operation.CREATE,
        create.CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes),
        create.CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier=uid(number)),
        optional=attributes_needed(pairs),
    )


def title_of(name: str) -> str:
    """What a name of a case is about, as the standard spells it: ``RE-KEY`` is Re-key."""
    code = name.replace("-", "_")
    return operation_title(Operation[code]) if code in Operation.__members__ else name.title()


def state_title(state: State) -> str:
    """The name of a state, as the standard spells it."""
    return value_title(Tag.STATE, state)


USUAL = frozenset({Tag.NAME, Tag.OBJECT_GROUP})
"""Attributes that objects are given here as if every server took them."""


def attributes_needed(pairs: Iterable[tuple[AttributeKey, Any]]) -> str:
    """The attributes that a server must take so that the case can go on; empty if they are usual.

    Whether it takes them is tested by cases of their own.
    """
    names = sorted({attribute_name(key) for key, _ in pairs if key not in USUAL})
    return f"the attribute {', '.join(names)} in this request" if names else ""


def add(key: AttributeKey, value: Any, number: int | None = 0) -> Step:
    """Add an attribute."""
    attribute = Attribute(key, value)
    return Step(
        Operation.ADD_ATTRIBUTE,
        payloads.AddAttributeRequest(unique_identifier=_of(number), attribute=attribute),
        payloads.AddAttributeResponse(unique_identifier=uid(number or 0), attribute=attribute),
    )


def modify(key: AttributeKey, value: Any, number: int | None = 0, index: int | None = None) -> Step:
    """Modify an attribute."""
    attribute = Attribute(key, value, index)
    return Step(
        Operation.MODIFY_ATTRIBUTE,
        payloads.ModifyAttributeRequest(unique_identifier=_of(number), attribute=attribute),
        payloads.ModifyAttributeResponse(unique_identifier=uid(number or 0), attribute=attribute),
    )


def delete(key: AttributeKey, value: Any, version: Version, number: int | None = 0) -> Step:
    """Delete an attribute that has this value."""
    form = (
        {"attribute_name": key} if version < V2_0 else {"current_attribute": Attribute(key, value)}
    )
    return Step(
        Operation.DELETE_ATTRIBUTE,
        payloads.DeleteAttributeRequest(unique_identifier=_of(number), **form),
        payloads.DeleteAttributeResponse(
            unique_identifier=uid(number or 0), attribute=Attribute(key, value)
        ),
    )


def read(
    *keys: AttributeKey, found: Iterable[tuple[AttributeKey, Any]] = (), number: int = 0
) -> Step:
    """Get some attributes, and find exactly these."""
    return Step(
        Operation.GET_ATTRIBUTES,
        payloads.GetAttributesRequest(unique_identifier=uid(number), attribute_references=keys),
        payloads.GetAttributesResponse(
            unique_identifier=uid(number), attributes=Attributes.of(*found)
        ),
    )


def revoke(
    number: int = 0, code: RevocationReasonCode = RevocationReasonCode.CESSATION_OF_OPERATION
) -> Step:
    """Revoke an object."""
    return Step(
        Operation.REVOKE,
        lifecycle.RevokeRequest(
            unique_identifier=uid(number),
            revocation_reason=RevocationReason(revocation_reason_code=code),
        ),
        lifecycle.RevokeResponse(unique_identifier=uid(number)),
    )


def simple(operation: Operation, number: int | None = 0, answered: int = 0) -> Step:
    """An operation that names its object only; None for the object of the ID Placeholder."""
    request, response = _SIMPLE[operation]
    return Step(
        operation,
        request(unique_identifier=_of(number)),
        response(unique_identifier=uid(answered if number is None else number)),
    )


_SIMPLE: Mapping[Operation, tuple[Callable[..., Structure], Callable[..., Structure]]] = {
    Operation.ACTIVATE: (lifecycle.ActivateRequest, lifecycle.ActivateResponse),
    Operation.DESTROY: (lifecycle.DestroyRequest, lifecycle.DestroyResponse),
    Operation.ARCHIVE: (lifecycle.ArchiveRequest, lifecycle.ArchiveResponse),
    Operation.RECOVER: (lifecycle.RecoverRequest, lifecycle.RecoverResponse),
}


def _of(number: int | None) -> str | None:
    return None if number is None else uid(number)


def without(*path: Tag) -> Edit:
    """Remove a field: the last tag of a path below the first Request Payload."""
    return lambda message: _in_payload(message, lambda payload: _removed(payload, path))


def with_items(*items: Item) -> Edit:
    """Append fields to the first Request Payload."""
    return lambda message: _in_payload(
        message, lambda payload: Item(payload.tag, payload.type, (*_inner(payload), *items))
    )


def doubled(tag: Tag) -> Edit:
    """Repeat a field of the first Request Payload."""

    def edit(payload: Item) -> Item:
        inner = [each for child in _inner(payload) for each in [child] * (1 + (child.tag == tag))]
        return Item(payload.tag, payload.type, tuple(inner))

    return lambda message: _in_payload(message, edit)


def replaced(tag: int, value: Any, of: Item | None = None) -> Edit:
    """Give all fields with a tag another value; ``of`` replaces the whole field."""

    def edit(item: Item) -> Item:
        if item.tag == tag:
            return of or Item(item.tag, item.type, value)
        if isinstance(item.value, tuple):
            return Item(item.tag, item.type, tuple(map(edit, item.value)))
        return item

    return edit


def _in_payload(message: Item, change: Edit) -> Item:
    done = False

    def edit(item: Item) -> Item:
        nonlocal done
        if item.tag == Tag.REQUEST_PAYLOAD and not done:
            done = True
            return change(item)
        if isinstance(item.value, tuple):
            return Item(item.tag, item.type, tuple(map(edit, item.value)))
        return item

    return edit(message)


def _removed(item: Item, path: tuple[Tag, ...]) -> Item:
    first, *rest = path
    children = (
        (_removed(child, tuple(rest)) if rest else None) if child.tag == first else child
        for child in _inner(item)
    )
    return Item(item.tag, item.type, tuple(child for child in children if child is not None))


def _inner(item: Item) -> tuple[Item, ...]:
    assert isinstance(item.value, tuple)
    return item.value
