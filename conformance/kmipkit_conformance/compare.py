"""Comparing a response with the expected one, by the rules of KMIP Profiles 2.1 §4.1.

Most values must be equal. The rules name those that a server may choose itself, the items that it may
add or leave out, and the lists whose order is free; all of that is data in :mod:`.rules`. What may
vary also depends on the case so far: if the server generated a key, nothing that depends on the
key can be compared, and identifiers are compared by the placeholders to which they were bound.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import rules
from kmipkit_conformance.cases import Step, children, operation_of
from kmipkit_conformance.markers import ANY_REASON, SUCCESS, WHOLE_MESSAGE
from kmipkit_conformance.placeholders import Bindings, Now, Symbol
from kmipkit_conformance.wording import (
    Place,
    batch_item_place,
    other_count,
    other_outcome,
    tag_title,
    value_title,
)

_IDENTIFIERS = frozenset(
    {Tag.UNIQUE_IDENTIFIER, Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER}
)
_TEXT = (ItemType.TEXT_STRING, ItemType.IDENTIFIER, ItemType.REFERENCE, ItemType.NAME_REFERENCE)


@dataclass(slots=True)
class Comparison:
    """Compares the responses of one case, and remembers which objects the case created."""

    bindings: Bindings
    generated: set[str] = field(default_factory=set)
    """Identifiers of objects whose value the server chose: it differs from the expected one."""
    created: set[str] = field(default_factory=set)
    """Identifiers of all objects that the case has created so far."""
    _choices: set[tuple[Tag, int]] = field(default_factory=set)
    """Paddings and algorithms in the requests so far. A later request may rely on those of the key
    that an earlier one registered."""

    # These hold for the batch item that is compared.
    _varies: bool = False
    """Whether the server chose the value of the object, or the output of the operation."""
    _any_value: frozenset[Tag] = rules.ANY_VALUE
    _optional: frozenset[Tag] = rules.OPTIONAL
    _pages: bool = False
    """Whether the request asks for a page of a result, so that its order counts."""
    _may_create: bool = False
    """Whether the request asks for a member of a group, which the server may create."""
    _accepted: tuple[str, ...] = ()
    """The Result Reasons that a failure may have, apart from the expected one."""
    _asks_versions: bool = False
    """Whether Discover Versions lists versions, so that no others may be returned (1.4 §4.26)."""

    def differences(self, step: Step, actual: Item) -> list[str]:
        """How a response differs from the expected one; empty if the differences are permitted."""
        self._choices |= set(_choices(step.request))
        self._pages = _contains(step.request, rules.PAGING)
        self._may_create = _contains(step.request, rules.GROUP_MEMBERS)
        self._accepted = step.marks.accept
        self._asks_versions = any(
            children(payload, Tag.PROTOCOL_VERSION)
            for item in children(step.request, Tag.BATCH_ITEM)
            for payload in children(item, Tag.REQUEST_PAYLOAD)
        )
        differences = list(self._message(step.response, actual))
        differences += _other_ids(step.request, actual)
        self.bindings.note(actual)
        return differences

    def request_differences(self, expected: Item, actual: Item) -> Iterator[str]:
        """How a request of a client differs from the expected one, beyond what is permitted."""
        if actual.tag != Tag.REQUEST_MESSAGE or not isinstance(actual.value, tuple):
            yield "the message is not a Request Message"
            return
        self._optional = rules.OPTIONAL_OF_CLIENT
        headers = [children(message, Tag.REQUEST_HEADER) for message in (expected, actual)]
        if len(headers[1]) != len(headers[0]):
            yield f"expected one Request Header, got {len(headers[1])}"
            return
        for expected_header, actual_header in zip(*headers, strict=True):
            yield from self._structure(Place("Request Header"), expected_header, actual_header)
        items = [children(message, Tag.BATCH_ITEM) for message in (expected, actual)]
        if len(items[0]) != len(items[1]):
            yield other_count(*items)
            return
        for number, pair in enumerate(zip(*items, strict=True)):
            yield from self._structure(_place(number, items[0]), *pair)

    def sent_differences(self, expected: Item, actual: Item) -> Iterator[str]:
        """How a Notify or Put of the server differs from the expected one.

        The rules are those of responses: the server chooses key material, dates and identifiers.
        """
        versions = [
            [version for header in children(message, Tag.REQUEST_HEADER)
             for version in children(header, Tag.PROTOCOL_VERSION)]
            for message in (expected, actual)
        ]  # fmt: skip
        yield from self._same_items(Place("Request Header"), *versions)
        items = [children(message, Tag.BATCH_ITEM) for message in (expected, actual)]
        if len(items[0]) != len(items[1]):
            yield other_count(*items)
            return
        for number, pair in enumerate(zip(*items, strict=True)):
            payloads = children(pair[1], Tag.REQUEST_PAYLOAD)
            identifiers = {
                child.value
                for payload in payloads
                for child in children(payload, Tag.UNIQUE_IDENTIFIER)
            }
            self._varies = bool(identifiers & self.generated)
            self._optional, self._any_value = rules.OPTIONAL, rules.ANY_VALUE
            yield from self._structure(_place(number, items[0]), *pair)

    def _message(self, expected: Item, actual: Item) -> Iterator[str]:
        if actual.tag != Tag.RESPONSE_MESSAGE or not isinstance(actual.value, tuple):
            yield "the message is not a Response Message"
            return
        items = [children(message, Tag.BATCH_ITEM) for message in (expected, actual)]
        if WHOLE_MESSAGE in self._accepted and all(map(self._is_accepted, items[1])):
            return
        yield from self._header(expected, actual)
        if len(items[0]) != len(items[1]):
            yield other_count(*items)
            return
        for number, pair in enumerate(zip(*items, strict=True)):
            yield from self._batch_item(_place(number, items[0]), *pair)

    def _header(self, expected: Item, actual: Item) -> Iterator[str]:
        headers = [children(message, Tag.RESPONSE_HEADER) for message in (expected, actual)]
        if not headers[1] or not children(headers[1][0], Tag.TIME_STAMP):
            yield "Response Header: Time Stamp is missing"
            return
        for tag in (Tag.PROTOCOL_VERSION, Tag.BATCH_COUNT):
            items = (children(header[0], tag) for header in headers)
            yield from self._same_items(Place("Response Header"), *items)

    def _batch_item(self, place: Place, expected: Item, actual: Item) -> Iterator[str]:
        operation = operation_of(actual)
        self._set_permissions(operation, expected, actual)
        for extension in children(actual, Tag.MESSAGE_EXTENSION):
            if any(child.value for child in children(extension, Tag.CRITICALITY_INDICATOR)):
                yield place.sentence("unexpected critical Message Extension")
        if self._accepted and _has_failed(expected) and self._is_accepted(actual):
            return
        if list(self._same_items(place, *(_outcome(item) for item in (expected, actual)))):
            yield other_outcome(place, expected, actual, self._accepted)  # all else follows from it
        elif _has_ended(expected, ResultStatus.OPERATION_UNDONE):
            return  # its payload no longer means anything
        elif children(expected, Tag.ASYNCHRONOUS_CORRELATION_VALUE):
            yield from self._structure(place, expected, actual)
        elif operation is Operation.QUERY:
            yield from self._query(place, expected, actual)
        elif operation is Operation.LOCATE and not self._pages:
            yield from self._located(place, expected, actual)
        else:
            yield from self._structure(place, expected, actual)

    def _is_accepted(self, item: Item) -> bool:
        """Whether a batch item ended in one of the ways that the case accepts."""
        if SUCCESS in self._accepted and _has_ended(item, ResultStatus.SUCCESS):
            return True
        reasons = [
            value_title(Tag.RESULT_REASON, child.value)
            for child in children(item, Tag.RESULT_REASON)
            if isinstance(child.value, int)
        ]
        return _has_failed(item) and any(
            ANY_REASON in self._accepted or reason in self._accepted for reason in reasons
        )

    def _set_permissions(self, operation: Operation | None, expected: Item, actual: Item) -> None:
        """Determine what may vary in this batch item."""
        identifiers = _identifiers(actual)
        if operation in rules.GENERATING or (operation is Operation.LOCATE and self._may_create):
            self.generated |= identifiers
        if operation in rules.CREATING:
            self.created |= identifiers
        # The server generates an IV that is in the response: the ciphertext varies with it.
        self._varies = (
            bool(identifiers & self.generated) or _has_iv(expected) or self._is_random(operation)
        )
        failed = any(child.value for child in children(expected, Tag.RESULT_STATUS))
        optional = rules.OPTIONAL_IN.get(operation) if failed and operation is not None else None
        chosen = rules.CHOSEN_BY_SERVER.get(operation, frozenset()) if operation else frozenset()
        self._optional = rules.OPTIONAL | (optional or frozenset()) | chosen
        self._any_value = rules.ANY_VALUE | rules.ANY_VALUE_IN.get(operation, frozenset())  # type: ignore[arg-type]  # None has no entry

    def _is_random(self, operation: Operation | None) -> bool:
        """Whether the output of an operation differs each time."""
        if operation is Operation.RNG_RETRIEVE:
            return True
        paddings = rules.RANDOM_OUTPUT.get(operation, frozenset()) if operation else frozenset()
        values = {value for tag, value in self._choices if tag == Tag.PADDING_METHOD}
        algorithms = {value for tag, value in self._choices if tag == Tag.CRYPTOGRAPHIC_ALGORITHM}
        signs = operation is Operation.SIGN and bool(algorithms & rules.RANDOM_SIGNATURES)
        return signs or bool(values & paddings)

    def _query(self, place: Place, expected: Item, actual: Item) -> Iterator[str]:
        """Structures that describe the server must be present; their content is the server's."""
        payloads = children(expected, Tag.RESPONSE_PAYLOAD), children(actual, Tag.RESPONSE_PAYLOAD)
        if not all(payloads):
            return
        for number in dict.fromkeys(child.tag for child in _inner(payloads[0][0])):
            tag = Tag(number)
            expected_items, actual_items = (children(payload[0], tag) for payload in payloads)
            if tag in rules.SUPERSETS:
                yield from self._subset(place, expected_items, actual_items)
            elif not actual_items and tag not in rules.OPTIONAL_IN_QUERY:
                yield place.sentence(f"{tag_title(tag)} is missing")

    def _located(self, place: Place, expected: Item, actual: Item) -> Iterator[str]:
        """Compare identifiers as a set: the standard orders only pages (1.4 §4.9)."""
        operations = (children(item, Tag.OPERATION) for item in (expected, actual))
        yield from self._same_items(place, *operations)
        expected_items, actual_items = (
            [child for child in _payload(item) if child.tag == Tag.UNIQUE_IDENTIFIER]
            for item in (expected, actual)
        )
        if len(expected_items) != len(actual_items):
            counts = f"expected {len(expected_items)} objects, got {len(actual_items)}"
            yield place.sentence(counts)
        else:
            yield from self._subset(place, expected_items, actual_items)

    def _structure(self, place: Place, expected: Item, actual: Item) -> Iterator[str]:
        if expected.tag == Tag.ATTRIBUTE and self._may_have_any_value(_attribute_tag(expected)):
            yield from _same_attribute(place, expected, actual)
            return
        place = place.into(expected)
        items = _required(expected, actual, self._optional)
        attributes, other_items = zip(
            *(_split_attributes(expected.tag, side) for side in items), strict=True
        )
        # If attributes are expected, the server may add others, in any order. If none is expected,
        # an attribute is as unexpected as any other item.
        if attributes[0] or expected.tag == Tag.ATTRIBUTES:
            yield from self._subset(place, *attributes)
            items = other_items
        yield from self._other_items(place, expected.tag, *items)

    def _other_items(
        self, place: Place, parent: int, expected: Sequence[Item], actual: Sequence[Item]
    ) -> Iterator[str]:
        """The items of a structure that are not attributes: the same, in the same order."""
        is_longer_list = parent == Tag.RESPONSE_PAYLOAD and len(expected) != len(actual)
        if (
            is_longer_list
            and not self._asks_versions
            and any(child.tag in rules.SUPERSETS for child in expected)
        ):
            yield from self._subset(place, expected, actual)
        else:
            yield from self._same_items(place, expected, actual)

    def _may_have_any_value(self, attribute: Tag | None) -> bool:
        """Whether the server chooses the value of an attribute, here or always."""
        return attribute in rules.ANY_VALUE or (self._varies and attribute in rules.OF_CERTIFICATE)

    def _same_items(
        self, place: Place, expected: Sequence[Item], actual: Sequence[Item]
    ) -> Iterator[str]:
        if [child.tag for child in expected] != [child.tag for child in actual]:
            yield from place.other_items(expected, actual)
            return
        for pair in zip(expected, actual, strict=True):
            yield from self._item(place, *pair)

    def _subset(
        self, place: Place, expected: Sequence[Item], actual: Sequence[Item]
    ) -> Iterator[str]:
        """Each expected item is among those received, in any order.

        The server decides which of several instances of an attribute has which index (1.4 §4.14).
        """
        candidates = list(_without_indexes(actual))
        for item in _without_indexes(expected):
            matching = [candidate for candidate in candidates if _comparable(item, candidate)]
            reasons: list[str] = []
            for candidate in matching:
                # Comparing binds placeholders; undo that for a candidate that does not match.
                saved = dict(self.bindings.values)
                reasons = list(self._item(place, item, candidate))
                if not reasons:
                    candidates.remove(candidate)
                    break
                self.bindings.values = saved
            else:
                # The reasons are useful only if it is clear which item they are about.
                if len(matching) == 1:
                    yield from reasons
                else:
                    yield place.missing(item, len(matching))

    def _item(self, place: Place, expected: Item, actual: Item) -> Iterator[str]:
        if expected.type is not actual.type and not (
            expected.type in _TEXT and actual.type in _TEXT
        ):
            yield place.other_type(expected, actual)
        elif expected.tag in self._any_value or (
            self._varies and expected.tag in rules.OF_GENERATED
        ):
            self._bind(expected, actual)
        elif isinstance(expected.value, tuple):
            yield from self._structure(place, expected, actual)
        elif not self._same_value(expected, actual):
            yield place.differs(expected, actual, self._bound(expected))

    def _bind(self, expected: Item, actual: Item) -> None:
        # Any value matches, but later messages of the case refer to this one.
        if isinstance(expected.value, Symbol):
            self.bindings.bind(expected.value, actual.value)

    def _bound(self, expected: Item) -> object:
        """The value of the placeholder that is expected."""
        symbol = expected.value
        return self.bindings.values.get(symbol.name) if isinstance(symbol, Symbol) else None

    def _same_value(self, expected: Item, actual: Item) -> bool:
        value = expected.value
        if isinstance(value, Symbol):
            return self.bindings.bind(value, actual.value)
        if expected.tag in rules.ALWAYS_VARYING:
            return True
        if expected.type is ItemType.DATE_TIME:
            return self._same_date(expected, actual)
        return value == actual.value

    def _same_date(self, expected: Item, actual: Item) -> bool:
        """The server chooses dates unless a request fixed them (first list, 9)."""
        assert isinstance(expected.value, int)
        assert isinstance(actual.value, int)
        if isinstance(expected.value, Now):
            return self.bindings.is_now(int(expected.value), actual.value, rules.DATES_TOLERANCE)
        return expected.value not in self.bindings.sent_dates or expected.value == actual.value


def _same_attribute(place: Place, expected: Item, actual: Item) -> Iterator[str]:
    if _attribute_tag(expected) != _attribute_tag(actual):
        got = place.described(actual)
        yield place.sentence(f"expected {place.described(expected)}, got {got}")


def _split_attributes(parent: int, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """The attributes among the items of a structure, and the other items."""
    if parent == Tag.ATTRIBUTES:
        return items, []
    return (
        [item for item in items if item.tag in rules.ATTRIBUTE_ITEMS],
        [item for item in items if item.tag not in rules.ATTRIBUTE_ITEMS],
    )


def _required(
    expected: Item, actual: Item, optional: frozenset[Tag]
) -> tuple[Sequence[Item], Sequence[Item]]:
    """The items that must correspond; optional items only if both sides have them."""
    common = {child.tag for child in _inner(expected)} & {child.tag for child in _inner(actual)}
    if _is_digest(expected):
        # Servers need not give the format of a certificate or opaque object (KMIP 1.4 §3.17).
        optional |= _OPTIONAL_IN_DIGEST

    def is_required(child: Item) -> bool:
        # An index of 0 may be left out (KMIP 1.4 §2.1.1).
        if child.tag == Tag.ATTRIBUTE_INDEX and child.value == 0:
            return Tag.ATTRIBUTE_INDEX in common
        return child.tag not in optional or child.tag in common

    return list(filter(is_required, _inner(expected))), list(filter(is_required, _inner(actual)))


_OPTIONAL_IN_DIGEST = frozenset({Tag.KEY_FORMAT_TYPE})


def _is_digest(expected: Item) -> bool:
    """Whether an item is a digest of which no format is expected."""
    tags = [child.tag for child in _inner(expected)]
    return tags == [Tag.HASHING_ALGORITHM, Tag.DIGEST_VALUE]


def _inner(item: Item) -> tuple[Item, ...]:
    return item.value if isinstance(item.value, tuple) else ()


def _identifiers(item: Item) -> set[str]:
    """The identifiers at the top level of a batch item's payload."""
    return {
        child.value
        for payload in children(item, Tag.RESPONSE_PAYLOAD)
        for child in _inner(payload)
        if child.tag in _IDENTIFIERS and isinstance(child.value, str)
    }


def _comparable(expected: Item, actual: Item) -> bool:
    """Whether two items of a list may correspond; attributes correspond by their names."""
    return expected.tag == actual.tag and list(_names(expected)) == list(_names(actual))


def _without_indexes(items: Sequence[Item]) -> Sequence[Item]:
    """The items, without the indexes of attributes that have several instances."""
    names = Counter(tuple(_names(item)) for item in items)
    return [
        Item(item.tag, item.type, tuple(c for c in _inner(item) if c.tag != Tag.ATTRIBUTE_INDEX))
        if item.tag == Tag.ATTRIBUTE and names[tuple(_names(item))] > 1
        else item
        for item in items
    ]


def _names(item: Item) -> Iterator[object]:
    return (name.value for name in children(item, Tag.ATTRIBUTE_NAME))


def _payload(item: Item) -> tuple[Item, ...]:
    return next((_inner(payload) for payload in children(item, Tag.RESPONSE_PAYLOAD)), ())


def _outcome(item: Item) -> list[Item]:
    """How the operation of a batch item ended."""
    return [child for child in _inner(item) if child.tag in _OUTCOME]


_OUTCOME = frozenset({Tag.RESULT_STATUS, Tag.RESULT_REASON})


def _has_ended(item: Item, status: ResultStatus) -> bool:
    """Whether the operation of a batch item ended in this way."""
    return any(child.value == status for child in children(item, Tag.RESULT_STATUS))


def _has_failed(item: Item) -> bool:
    """Whether the operation of a batch item failed."""
    return _has_ended(item, ResultStatus.OPERATION_FAILED)


def _other_ids(request: Item, response: Item) -> Iterator[str]:
    """A response has the Unique Batch Item IDs of its request (KMIP 1.4 §6.4, KMIP 2.1 §9.21)."""
    ids = [
        [child.value for item in items for child in children(item, Tag.UNIQUE_BATCH_ITEM_ID)]
        for items in (children(message, Tag.BATCH_ITEM) for message in (request, response))
    ]
    is_complete = len(children(response, Tag.BATCH_ITEM)) == len(children(request, Tag.BATCH_ITEM))
    if is_complete and Counter(ids[0]) != Counter(ids[1]):
        yield "the response has other Unique Batch Item IDs than the request"


def _contains(item: Item, tags: frozenset[Tag]) -> bool:
    """Whether the item, or any item in it, has one of these tags."""
    return item.tag in tags or any(_contains(child, tags) for child in _inner(item))


def _has_iv(item: Item) -> bool:
    """Whether a batch item contains an IV."""
    payloads = children(item, Tag.RESPONSE_PAYLOAD)
    return any(children(payload, Tag.IV_COUNTER_NONCE) for payload in payloads)


def _choices(request: Item) -> Iterator[tuple[Tag, int]]:
    """The paddings and algorithms in a request, at any depth."""
    if request.tag in _CHOICES and isinstance(request.value, int):
        yield Tag(request.tag), request.value
    for child in _inner(request):
        yield from _choices(child)


_CHOICES = frozenset({Tag.PADDING_METHOD, Tag.CRYPTOGRAPHIC_ALGORITHM})


def _attribute_tag(item: Item) -> Tag | None:
    """The attribute that a 1.x Attribute structure holds; None for a custom one."""
    names = children(item, Tag.ATTRIBUTE_NAME)
    row = BY_NAME.get(str(names[0].value)) if names else None
    return row.tag if row is not None else None


def _place(number: int, items: Sequence[Item]) -> Place:
    return batch_item_place(items[number], number, len(items))
