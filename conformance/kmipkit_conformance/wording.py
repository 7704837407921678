"""Differences between messages as sentences: in the names of the standard, and without keys.

A sentence says what was expected and what came instead: ``Encrypt: expected Success, got General
Failure: 'Encryption algorithm is required'``. Text of the peer is quoted and cut; bytes are never shown,
because they may be a key, only how many they are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from kmipkit.spec import names
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.redaction import REDACTED, in_secret, is_secret
from kmipkit.ttlv.text import date_text
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.markers import ANY_REASON, SUCCESS, WHOLE_MESSAGE
from kmipkit_conformance.placeholders import Now, Symbol

MAX_TEXT = 200
"""Maximum number of characters of a text that are quoted."""
MAX_LEAVES = 4
"""Maximum number of values with which a structure is described."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PROTOCOL = re.compile(r"\b(KMIP|TLS)V([0-9])_([0-9])")
"""A version in the name of a profile, such as that in Baseline Server Basic KMIP v1.4."""

_SPELLING: Mapping[str, str] = MappingProxyType(
    {
        "AESXTSClient": "AES XTS Client",
        "AESXTSServer": "AES XTS Server",
        "ANSIX9_23": "ANSI X9.23",
        "ChaCha20": "ChaCha20",
        "ChaCha20Poly1305": "ChaCha20-Poly1305",
        "IVCounterNonce": "IV/Counter/Nonce",
        "MACSignature": "MAC/Signature",
        "MACSignatureKeyInformation": "MAC/Signature Key Information",
        "McEliece": "McEliece",
        "PKCS1V1_5": "PKCS#1 v1.5",
        "PKCS5": "PKCS#5",
        "PKCS_11": "PKCS#11",
        "PreActive": "Pre-Active",
        "ReCertify": "Re-certify",
        "ReKey": "Re-key",
        "ReKeyKeyPair": "Re-key Key Pair",
        "ReProvision": "Re-Provision",
        "X9_31": "X9.31",
    }
)


def spaced(name: str) -> str:
    """A name as XML spells it, in the words of the standard: ``ResultStatus`` is Result Status."""
    if name in _SPELLING:
        return _SPELLING[name]
    words = _WORDS.sub(" ", name).replace("PKCS_", "PKCS#").replace("X_509", "X.509")
    words = _PROTOCOL.sub(r"\1 v\2.\3", words)
    return words.replace("_", "-")


@cache
def tag_title(tag: int) -> str:
    """The name of a field or attribute; a number for a tag without a name."""
    row = BY_TAG.get(Tag(tag))
    return row.name if row is not None else spaced(names.tag_name(tag))


def value_title(tag: int, number: int) -> str:
    """The name of an enumeration's value; a number for one without a name."""
    name = names.value_name(tag, number)
    return spaced(name) if name else f"0x{number:08X}"


def operation_title(operation: Operation) -> str:
    """The name of an operation: ``Create Key Pair``."""
    return value_title(Tag.OPERATION, operation)


def listed(operations: Iterable[Operation]) -> str:
    """The names of operations, in alphabetical order."""
    return ", ".join(sorted(map(operation_title, operations)))


def quoted(text: str) -> str:
    """Text of the peer on one line, in quotes, cut if it is long."""
    return repr(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...")


_UNNAMED = frozenset(
    {
        Tag.ATTRIBUTE,
        Tag.ATTRIBUTES,
        Tag.BATCH_ITEM,
        Tag.PROTOCOL_VERSION,
        Tag.REQUEST_HEADER,
        Tag.REQUEST_PAYLOAD,
        Tag.RESPONSE_HEADER,
        Tag.RESPONSE_PAYLOAD,
        Tag.TEMPLATE_ATTRIBUTE,
    }
)
"""Structures that a sentence need not name: everything of an operation is in them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A structure of a message: where the items are that a sentence is about."""

    subject: str = ""
    """The operation, or the header: how the sentence begins."""
    path: tuple[int, ...] = ()
    """The tags from the batch item down to the structure."""
    attribute: str = ""
    """The Attribute Name, at or below an Attribute."""

    def into(self, item: Item) -> "Place":
        """The place of the children of an item."""
        named = _attribute_name(item) if item.tag == Tag.ATTRIBUTE else None
        return replace(
            self, path=(*self.path, item.tag), attribute=self.attribute if named is None else named
        )

    def sentence(self, text: str) -> str:
        """A sentence about this place."""
        return f"{self.subject}: {text}" if self.subject else text

    def differs(self, expected: Item, actual: Item, bound: object = None) -> str:
        """The value of an item is not the expected one; ``bound`` is the value of its placeholder."""
        name = self._name(expected.tag)
        symbol = ""
        if isinstance(expected.value, Symbol):
            symbol = f" (${expected.value.name})"
            expected = Item(expected.tag, expected.type, bound)  # type: ignore[arg-type]  # of a response
        wanted, got = self.value(expected), self.value(actual)
        if isinstance(expected.value, bytes) and isinstance(actual.value, bytes):
            other = " with another value" if wanted == got else ""
            return self.sentence(f"expected {name} of {wanted}{symbol}{self._in}, got {got}{other}")
        if self._is_secret(actual):
            return self.sentence(f"expected another {name}{self._in}; secrets are not shown")
        return self.sentence(f"expected {name} {wanted}{symbol}{self._in}, got {got}")

    def other_type(self, expected: Item, actual: Item) -> str:
        """The value of an item has another type."""
        wanted, got = (
            spaced(item.type.name.title().replace("_", "")) for item in (expected, actual)
        )
        name = self._name(expected.tag)
        return self.sentence(f"expected {name} of type {wanted}{self._in}, got {got}")

    def missing(self, item: Item, candidates: int = 0) -> str:
        """An item of a list is missing; so many others could have been it."""
        others = f"; the response has {candidates} others" if candidates else ""
        return self.sentence(f"{self.described(item)} is missing{self._from}{others}")

    def other_items(self, expected: Sequence[Item], actual: Sequence[Item]) -> Iterator[str]:
        """The items of a structure are not the expected ones."""
        wanted, got = (Counter(item.tag for item in side) for side in (expected, actual))
        for item in {item.tag: item for item in (*expected, *actual)}.values():
            name, counts = self._name(item.tag), (wanted[item.tag], got[item.tag])
            if counts[0] == counts[1]:
                continue
            if not counts[1]:
                yield self.sentence(f"{name} is missing{self._from}")
            elif not counts[0]:
                yield self.sentence(f"unexpected {self.described(item)}{self._in}")
            else:
                yield self.sentence(f"expected {counts[0]} × {name}{self._in}, got {counts[1]}")
        if wanted == got:
            orders = (
                ", ".join(self._name(item.tag) for item in side) for side in (expected, actual)
            )
            text = "expected the order {}{}, got {}"
            yield self.sentence(text.format(next(orders), self._in, next(orders)))

    def described(self, item: Item) -> str:
        """An item with its value, or a structure with some of its values."""
        if item.tag == Tag.ATTRIBUTE:
            place = self.into(item)
            values = [child for child in _inner(item) if child.tag == Tag.ATTRIBUTE_VALUE]
            return place.described(values[0]) if values else f"attribute {place.attribute}"
        if item.tag == Tag.ATTRIBUTE_NAME and isinstance(item.value, str):
            return f"the attribute {quoted(item.value)}"
        name = self._name(item.tag)
        if isinstance(item.value, Symbol):
            return name
        if not isinstance(item.value, tuple):
            of = "of " if isinstance(item.value, bytes) else ""
            return f"{name} {of}{self.value(item)}"
        leaves = list(self.into(item)._leaves(item))
        cut = ", ..." if len(leaves) > MAX_LEAVES else ""
        return f"{name} ({', '.join(leaves[:MAX_LEAVES])}{cut})" if leaves else name

    def value(self, item: Item) -> str:
        """A value with its name, without keys."""
        value, tag = item.value, self._meaning(item.tag)
        if isinstance(value, Symbol):
            return f"${value.name}"
        if isinstance(value, bytes):
            return f"{len(value)} {'byte' if len(value) == 1 else 'bytes'}"
        if self._is_secret(item):
            return REDACTED
        if isinstance(value, str):
            return quoted(value)
        if isinstance(value, tuple):
            return "a structure"
        return _number(item, tag)

    def _leaves(self, structure: Item) -> Iterator[str]:
        for child in _inner(structure):
            if isinstance(child.value, tuple):
                yield from self.into(child)._leaves(child)
            else:
                yield self.described(child)

    def _name(self, tag: int) -> str:
        if tag == Tag.ATTRIBUTE_VALUE and self.attribute:
            return self.attribute
        return tag_title(tag)

    def _meaning(self, tag: int) -> int:
        """The tag that gives a value its names: that of the attribute, for an Attribute Value."""
        named = names.tag_number(self.attribute) if self.attribute else None
        return named if tag == Tag.ATTRIBUTE_VALUE and named is not None else tag

    def _is_secret(self, item: Item) -> bool:
        inside = any(in_secret(tag, inside=False) for tag in self.path)
        return is_secret(self._meaning(item.tag), item.type, inside)

    @property
    def _in(self) -> str:
        return f" in {self._structure}" if self._structure else ""

    @property
    def _from(self) -> str:
        return f" from {self._structure}" if self._structure else ""

    @property
    def _structure(self) -> str:
        if not self.path or self.path[-1] in _UNNAMED:
            return ""
        if self.path[-1] == Tag.ATTRIBUTE_VALUE and self.attribute:
            return self.attribute
        return f"the {tag_title(self.path[-1])}"


def _number(item: Item, tag: int) -> str:
    value = item.value
    assert isinstance(value, int)
    if isinstance(value, Now):
        return f"$NOW{int(value):+}" if value else "$NOW"
    if item.type is ItemType.ENUMERATION:
        return value_title(tag, value)
    if item.type is ItemType.BOOLEAN:
        return "true" if value else "false"
    if item.type is ItemType.DATE_TIME:
        return date_text(value)
    if item.type is ItemType.INTERVAL:
        return f"{value} s"
    bits = names.mask_names(tag, value) if item.type is ItemType.INTEGER else []
    return " | ".join(map(spaced, bits)) or str(int(value))


def outcome(item: Item, *, with_message: bool = True) -> str:
    """What a batch item says of its operation: Success, or the Result Reason with the message."""
    fields = {child.tag: child.value for child in _inner(item)}
    status, reason = fields.get(Tag.RESULT_STATUS), fields.get(Tag.RESULT_REASON)
    if isinstance(reason, int) and status == ResultStatus.OPERATION_FAILED:
        text = value_title(Tag.RESULT_REASON, reason)
    elif isinstance(status, int):
        text = value_title(Tag.RESULT_STATUS, status)
        if isinstance(reason, int):
            text += f" with the Result Reason {value_title(Tag.RESULT_REASON, reason)}"
        elif status == ResultStatus.OPERATION_FAILED:
            text += " without a Result Reason"
    else:
        text = "no Result Status"
    message = fields.get(Tag.RESULT_MESSAGE)
    said = with_message and isinstance(message, str) and message
    return f"{text}: {quoted(str(message))}" if said else text


def other_outcome(place: Place, expected: Item, actual: Item, accepted: Sequence[str] = ()) -> str:
    """The operation ended in another way than expected; ``accepted`` are reasons of a failure."""
    wanted = outcome(expected, with_message=False)
    is_failure = any(c.tag == Tag.RESULT_REASON for c in _inner(expected))
    if is_failure and ANY_REASON in accepted:
        wanted = "Operation Failed"
    elif is_failure and accepted:
        wanted = " or ".join(
            reason for reason in accepted if reason not in (WHOLE_MESSAGE, SUCCESS)
        )
    return place.sentence(f"expected {wanted}, got {outcome(actual)}")


def other_count(expected: Sequence[Item], actual: Sequence[Item]) -> str:
    """The message has another number of batch items; those of a response say how they ended."""
    noun = "batch item" if len(expected) == 1 else "batch items"
    text = f"expected {len(expected)} {noun}, got {len(actual)}"
    has_outcomes = any(child.tag == Tag.RESULT_STATUS for item in actual for child in _inner(item))
    return f"{text}: {'; '.join(map(outcome, actual))}" if has_outcomes else text


def batch_item_place(expected: Item, number: int, count: int) -> Place:
    """Where the fields of a batch item are: the operation, with its number if there are several."""
    operations = [c.value for c in _inner(expected) if c.tag == Tag.OPERATION]
    name = operation_title(operations[0]) if operations else "Response"  # type: ignore[arg-type]  # an enumeration
    return Place(f"{name}, batch item {number + 1}" if count > 1 else name)


def _attribute_name(item: Item) -> str:
    found = [child.value for child in _inner(item) if child.tag == Tag.ATTRIBUTE_NAME]
    name = found[0] if found and isinstance(found[0], str) else ""
    number = names.tag_number(name)
    return quoted(name) if number is None else tag_title(number)


def _inner(item: Item) -> tuple[Item, ...]:
    return item.value if isinstance(item.value, tuple) else ()
