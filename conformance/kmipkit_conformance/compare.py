"""Comparing a response with the expected one, by the rules of KMIP Profiles 2.1 §4.1."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name, value_name
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.redaction import hidden
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import rules
from kmipkit_conformance.cases import Step, children
from kmipkit_conformance.placeholders import Bindings, Now, Symbol

_IDENTIFIERS = frozenset(
    {Tag.UNIQUE_IDENTIFIER, Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER}
)
_TEXT = (ItemType.TEXT_STRING, ItemType.IDENTIFIER, ItemType.REFERENCE, ItemType.NAME_REFERENCE)


@dataclass(slots=True)
class Comparison:
    """Compares the responses of one case; remembers which objects the server made."""

    bindings: Bindings
    generated: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    """Identifiers of all objects that the case has made so far."""
    _varies: bool = False
    _free: frozenset[Tag] = rules.FREE
    _optional: frozenset[Tag] = rules.OPTIONAL
    _seen: set[tuple[Tag, int]] = field(default_factory=set)
    """Paddings and algorithms that requests have named; they may stand with a registered key."""
    _paged: bool = False
    _fresh: bool = False
    """Whether the request asks for a member of a group, which the server may make."""

    def differences(self, step: Step, actual: Item) -> list[str]:
        """What is wrong with a response; nothing if it is as good as the expected one."""
        self._seen |= set(_choices(step.request))
        self._paged = _holds(step.request, rules.PAGING)
        self._fresh = _holds(step.request, rules.GROUPED)
        found = list(self._message(step.response, actual))
        self.bindings.note(actual)
        return found

    def request_differences(self, expected: Item, actual: Item) -> Iterator[str]:
        """What is wrong with a request of a client; nothing if it is as good as the expected one."""
        if actual.tag != Tag.REQUEST_MESSAGE or not isinstance(actual.value, tuple):
            yield "the message is no RequestMessage"
            return
        self._optional = rules.OPTIONAL_OF_CLIENT
        headers = [children(message, Tag.REQUEST_HEADER) for message in (expected, actual)]
        if not headers[1]:
            yield "RequestHeader is missing"
            return
        for one, other in zip(*headers, strict=True):
            yield from self._structure("", one, other)
        wanted, got = children(expected, Tag.BATCH_ITEM), children(actual, Tag.BATCH_ITEM)
        if len(wanted) != len(got):
            yield f"{len(wanted)} batch items expected, {len(got)} received"
            return
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from self._structure(f"BatchItem[{number}]", one, other)

    def _message(self, expected: Item, actual: Item) -> Iterator[str]:
        if actual.tag != Tag.RESPONSE_MESSAGE or not isinstance(actual.value, tuple):
            yield "the answer is no ResponseMessage"
            return
        yield from self._header(expected, actual)
        wanted, got = children(expected, Tag.BATCH_ITEM), children(actual, Tag.BATCH_ITEM)
        if len(wanted) != len(got):
            yield f"{len(wanted)} batch items expected, {len(got)} received: {_outcomes(got)}"
            return
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from self._batch_item(f"BatchItem[{number}]", one, other)

    def _header(self, expected: Item, actual: Item) -> Iterator[str]:
        one, other = (children(message, Tag.RESPONSE_HEADER) for message in (expected, actual))
        if not other or not children(other[0], Tag.TIME_STAMP):
            yield "ResponseHeader: TimeStamp is missing"
            return
        for tag in (Tag.PROTOCOL_VERSION, Tag.BATCH_COUNT):
            yield from self._same_items(
                "ResponseHeader", children(one[0], tag), children(other[0], tag)
            )

    def _batch_item(self, path: str, expected: Item, actual: Item) -> Iterator[str]:
        operation = next((Operation(c.value) for c in children(actual, Tag.OPERATION)), None)  # type: ignore[arg-type]
        identifiers = _identifiers(actual)
        if operation in rules.GENERATING or (operation is Operation.LOCATE and self._fresh):
            self.generated |= identifiers
        self._varies = bool(identifiers & self.generated) or _has_iv(expected)
        if operation in rules.MAKING:
            self.made |= identifiers
        self._varies |= self._random(operation)
        failed = any(child.value for child in children(expected, Tag.RESULT_STATUS))
        optional = rules.OPTIONAL_IN.get(operation) if failed and operation is not None else None
        self._optional = rules.OPTIONAL | (optional or frozenset())
        self._free = rules.FREE | rules.FREE_IN.get(operation, frozenset())  # type: ignore[arg-type]  # None has no entry
        for extension in children(actual, Tag.MESSAGE_EXTENSION):
            if any(child.value for child in children(extension, Tag.CRITICALITY_INDICATOR)):
                yield f"{path}: a critical MessageExtension that nobody asked for"
        if children(expected, Tag.ASYNCHRONOUS_CORRELATION_VALUE):
            yield from self._structure(path, expected, actual)
        elif operation is Operation.QUERY:
            yield from self._query(path, expected, actual)
        elif operation is Operation.LOCATE and not self._paged:
            yield from self._located(path, expected, actual)
        else:
            yield from self._structure(path, expected, actual)

    def _random(self, operation: Operation | None) -> bool:
        """Whether the output of an operation is another each time."""
        if operation is Operation.RNG_RETRIEVE:
            return True
        paddings = rules.RANDOM_OUTPUT.get(operation, frozenset()) if operation else frozenset()
        values = {value for tag, value in self._seen if tag == Tag.PADDING_METHOD}
        algorithms = {value for tag, value in self._seen if tag == Tag.CRYPTOGRAPHIC_ALGORITHM}
        signs = operation is Operation.SIGN and bool(algorithms & rules.RANDOM_SIGNATURES)
        return signs or bool(values & paddings)

    def _query(self, path: str, expected: Item, actual: Item) -> Iterator[str]:
        """Blocks that describe the server are compared by presence only."""
        for tag in (Tag.RESULT_STATUS, Tag.RESULT_REASON):
            yield from self._same_items(path, children(expected, tag), children(actual, tag))
        payloads = children(expected, Tag.RESPONSE_PAYLOAD), children(actual, Tag.RESPONSE_PAYLOAD)
        if not all(payloads):
            return
        for number in dict.fromkeys(child.tag for child in _inner(payloads[0][0])):
            tag = Tag(number)
            one, other = (children(payload[0], tag) for payload in payloads)
            if tag in rules.SUPERSETS:
                yield from self._subset(path, one, other)
            elif not other and tag not in rules.OPTIONAL:
                yield f"{path}/ResponsePayload: {tag_name(tag)} is missing"

    def _located(self, path: str, expected: Item, actual: Item) -> Iterator[str]:
        """Identifiers are a set: without a page, nobody has promised an order."""
        yield from self._same_items(path, *(_outcome(item) for item in (expected, actual)))
        wanted, got = (
            [child for child in _payload(item) if child.tag == Tag.UNIQUE_IDENTIFIER]
            for item in (expected, actual)
        )
        if len(wanted) != len(got):
            yield f"{path}: {len(wanted)} objects expected, {len(got)} located"
        else:
            yield from self._subset(path, wanted, got)

    def _structure(self, path: str, expected: Item, actual: Item) -> Iterator[str]:
        if expected.tag == Tag.ATTRIBUTE and self._is_free(_attribute_tag(expected)):
            if _attribute_tag(expected) != _attribute_tag(actual):
                yield f"{path}: {_described(expected)} expected, {_described(actual)} received"
            return
        path = f"{path}/{tag_name(expected.tag)}" if expected.tag != Tag.BATCH_ITEM else path
        wanted, got = _essential(expected, actual, self._optional)
        attributes = expected.tag == Tag.ATTRIBUTES
        if attributes or any(child.tag in rules.ATTRIBUTE_ITEMS for child in wanted):
            listed = [c for c in wanted if attributes or c.tag in rules.ATTRIBUTE_ITEMS]
            given = [c for c in got if attributes or c.tag in rules.ATTRIBUTE_ITEMS]
            yield from self._subset(path, listed, given)
            wanted = [child for child in wanted if child not in listed]
            got = [child for child in got if child not in given]
        if expected.tag == Tag.RESPONSE_PAYLOAD and len(wanted) != len(got):
            supersets = rules.SUPERSETS & {child.tag for child in wanted}
            if supersets:
                yield from self._subset(path, wanted, got)
                return
        yield from self._same_items(path, wanted, got)

    def _is_free(self, attribute: Tag | None) -> bool:
        """Whether the value of an attribute is the server's affair, here or always."""
        return attribute in rules.FREE or (self._varies and attribute in rules.OF_CERTIFICATE)

    def _same_items(self, path: str, wanted: Sequence[Item], got: Sequence[Item]) -> Iterator[str]:
        if [child.tag for child in wanted] != [child.tag for child in got]:
            names = [", ".join(tag_name(child.tag) for child in side) for side in (wanted, got)]
            yield f"{path}: {names[0] or 'nothing'} expected, {names[1] or 'nothing'} received"
            return
        for one, other in zip(wanted, got, strict=True):
            yield from self._item(path, one, other)

    def _subset(self, path: str, wanted: Sequence[Item], got: Sequence[Item]) -> Iterator[str]:
        """Each expected item is among those received, in any order.

        Which of several instances of an attribute has which index, the server decides (1.4 §4.14).
        """
        wanted, left = _without_indexes(wanted), list(_without_indexes(got))
        for one in wanted:
            candidates = [other for other in left if _comparable(one, other)]
            reasons: list[str] = []
            for other in candidates:
                trial = dict(self.bindings.values)
                reasons = list(self._item(path, one, other))
                if not reasons:
                    left.remove(other)
                    break
                self.bindings.values = trial
            else:
                if len(candidates) == 1:
                    yield from reasons
                else:
                    yield f"{path}: {_described(one)} is missing"

    def _item(self, path: str, expected: Item, actual: Item) -> Iterator[str]:
        if expected.type is not actual.type and not (
            expected.type in _TEXT and actual.type in _TEXT
        ):
            yield (
                f"{path}/{tag_name(expected.tag)}: {expected.type.name} expected,"
                f" {actual.type.name} received"
            )
        elif expected.tag in self._free or (self._varies and expected.tag in rules.OF_GENERATED):
            self._bind(expected, actual)
        elif isinstance(expected.value, tuple):
            yield from self._structure(path, expected, actual)
        elif not self._same_value(expected, actual):
            yield (
                f"{path}/{tag_name(expected.tag)}: {_shown(expected)} expected,"
                f" {_shown(actual)} received"
            )

    def _bind(self, expected: Item, actual: Item) -> None:
        if isinstance(expected.value, Symbol):
            self.bindings.agrees(expected.value, actual.value)

    def _same_value(self, expected: Item, actual: Item) -> bool:
        value = expected.value
        if isinstance(value, Symbol):
            return self.bindings.agrees(value, actual.value)
        if expected.tag in rules.ALWAYS_VARYING:
            return True
        if expected.type is ItemType.DATE_TIME:
            return self._same_date(expected, actual)
        return value == actual.value

    def _same_date(self, expected: Item, actual: Item) -> bool:
        """Dates are the server's affair unless a request fixed them (first list, 9)."""
        assert isinstance(expected.value, int)
        assert isinstance(actual.value, int)
        if isinstance(expected.value, Now):
            return self.bindings.is_now(int(expected.value), actual.value, rules.DATES_TOLERANCE)
        return expected.value not in self.bindings.sent_dates or expected.value == actual.value


def _essential(
    expected: Item, actual: Item, optional: frozenset[Tag]
) -> tuple[list[Item], list[Item]]:
    """The children that must correspond: optional ones only where both sides have them."""
    wanted, got = list(_inner(expected)), list(_inner(actual))
    tags = {child.tag for child in wanted}, {child.tag for child in got}
    both = tags[0] & tags[1]

    def kept(child: Item) -> bool:
        if child.tag == Tag.ATTRIBUTE_INDEX and child.value == 0:
            return Tag.ATTRIBUTE_INDEX in both
        return child.tag not in optional or child.tag in both

    return [child for child in wanted if kept(child)], [child for child in got if kept(child)]


def _inner(item: Item) -> tuple[Item, ...]:
    return item.value if isinstance(item.value, tuple) else ()


def _identifiers(item: Item) -> set[str]:
    """All identifiers in a batch item's payload itself."""
    return {
        child.value
        for payload in children(item, Tag.RESPONSE_PAYLOAD)
        for child in _inner(payload)
        if child.tag in _IDENTIFIERS and isinstance(child.value, str)
    }


def _comparable(one: Item, other: Item) -> bool:
    """Whether two items of a list may stand for the same thing: attributes by their names."""
    names = [[name.value for name in children(item, Tag.ATTRIBUTE_NAME)] for item in (one, other)]
    return one.tag == other.tag and names[0] == names[1]


def _without_indexes(items: Sequence[Item]) -> Sequence[Item]:
    """Attributes of which there are several instances, without their indexes."""
    names = Counter(tuple(_names(item)) for item in items)
    return [
        Item(item.tag, item.type, tuple(one for one in _inner(item) if one.tag != _INDEX))
        if item.tag == Tag.ATTRIBUTE and names[tuple(_names(item))] > 1
        else item
        for item in items
    ]


_INDEX = Tag.ATTRIBUTE_INDEX


def _names(item: Item) -> Iterator[object]:
    return (name.value for name in children(item, Tag.ATTRIBUTE_NAME))


def _payload(item: Item) -> tuple[Item, ...]:
    return next((_inner(one) for one in children(item, Tag.RESPONSE_PAYLOAD)), ())


def _outcome(item: Item) -> list[Item]:
    """What a batch item says of itself, apart from its payload and what may be missing."""
    return [child for child in _inner(item) if child.tag in _STRICT]


_STRICT = frozenset({Tag.OPERATION, Tag.RESULT_STATUS, Tag.RESULT_REASON})


def _holds(item: Item, tags: frozenset[Tag]) -> bool:
    """Whether an item of one of these tags stands anywhere in it."""
    return item.tag in tags or any(_holds(child, tags) for child in _inner(item))


def _has_iv(item: Item) -> bool:
    """Whether a response tells an IV that the server drew: then what it encrypted varies, too."""
    payloads = children(item, Tag.RESPONSE_PAYLOAD)
    return any(children(payload, Tag.IV_COUNTER_NONCE) for payload in payloads)


def _choices(request: Item) -> Iterator[tuple[Tag, int]]:
    """The paddings and algorithms that a request names, wherever they stand."""
    if request.tag in _CHOOSING and isinstance(request.value, int):
        yield Tag(request.tag), request.value
    for child in _inner(request):
        yield from _choices(child)


_CHOOSING = frozenset({Tag.PADDING_METHOD, Tag.CRYPTOGRAPHIC_ALGORITHM})


def _attribute_tag(item: Item) -> Tag | None:
    """The attribute that a 1.x Attribute structure holds; None for a custom one."""
    names = children(item, Tag.ATTRIBUTE_NAME)
    row = BY_NAME.get(str(names[0].value)) if names else None
    return row.tag if row is not None else None


def _outcomes(items: Sequence[Item]) -> str:
    return "; ".join(
        ", ".join(_shown(child) for child in _inner(item) if child.tag in _TELLING)
        for item in items
    )


_TELLING = frozenset({Tag.OPERATION, Tag.RESULT_STATUS, Tag.RESULT_REASON, Tag.RESULT_MESSAGE})


def _described(item: Item) -> str:
    names = [child for child in _inner(item) if child.tag == Tag.ATTRIBUTE_NAME]
    if names:
        return f"the attribute {names[0].value!r}"
    return tag_name(item.tag) if isinstance(item.value, tuple) else _shown(item)


def _shown(item: Item) -> str:
    """A value for people, keys hidden."""
    value = item.value
    if isinstance(value, Symbol):
        return f"${value.name}"
    if hidden(item.tag, item.type, inside=False) or isinstance(value, bytes):
        return f"{len(value)} bytes" if isinstance(value, bytes) else "<redacted>"
    if item.type is ItemType.ENUMERATION and isinstance(value, int):
        return value_name(item.tag, value) or f"0x{value:08x}"
    return repr(value)
