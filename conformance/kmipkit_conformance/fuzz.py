"""Throws damaged messages at a target, and notes what a server must not do.

Each message begins as a good one, of our own cases, and is damaged in ways that know the structure:
lengths, types, tags, numbers, order, depth. A run is repeatable by its seed. A finding is a
connection that is closed without an answer where the message was whole, an answer that is no KMIP
response, or silence; it is made as small as it can be while it still happens.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kmipkit.errors import ProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case
from kmipkit_conformance.errors import ConformanceError, NoAnswer
from kmipkit_conformance.placeholders import Bindings
from kmipkit_conformance.target import Target

Path = tuple[int, ...]
"""Where an item stands: the positions of its ancestors and its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the target did and must not do."""

    number: int
    """Which message of the run it was."""
    damage: str
    what: str
    message: bytes


Damage = Callable[[Item, random.Random], bytes]


def _paths(item: Item, path: Path = ()) -> Iterator[Path]:
    yield path
    for number, child in enumerate(item.value if isinstance(item.value, tuple) else ()):
        yield from _paths(child, (*path, number))


def _at(item: Item, path: Path) -> Item:
    for number in path:
        assert isinstance(item.value, tuple)
        item = item.value[number]
    return item


def replaced(item: Item, path: Path, new: Sequence[Item]) -> Item:
    """The tree with some items in the place of one; none takes it away."""
    assert isinstance(item.value, tuple)
    head, rest = path[0], path[1:]
    inner = [replaced(item.value[head], rest, new)] if rest else list(new)
    children = (*item.value[:head], *inner, *item.value[head + 1 :])
    return Item(item.tag, item.type, children)


def _some(item: Item, chance: random.Random, *, leaf: bool | None = None) -> Path:
    """A place below the message and its header's version, which would only be another version."""
    found = [
        path
        for path in _paths(item)
        if len(path) > 1
        and path[:2] != (0, 0)
        and (leaf is None or isinstance(_at(item, path).value, tuple) is not leaf)
    ]
    return chance.choice(found or [(0,)])


def _without(item: Item, chance: random.Random) -> bytes:
    return binary.encode(replaced(item, _some(item, chance), ()))


def _twice(item: Item, chance: random.Random) -> bytes:
    path = _some(item, chance)
    one = _at(item, path)
    return binary.encode(replaced(item, path, (one, one)))


def _other_tag(item: Item, chance: random.Random) -> bytes:
    path = _some(item, chance)
    one = _at(item, path)
    tag = chance.choice([*Tag, 0x540001, 0x42FFFF])
    return binary.encode(replaced(item, path, (Item(int(tag), one.type, one.value),)))


_ODD: dict[ItemType, tuple[object, ...]] = {
    ItemType.INTEGER: (-(1 << 31), (1 << 31) - 1, -1, 0),
    ItemType.LONG_INTEGER: (-(1 << 63), (1 << 63) - 1),
    ItemType.ENUMERATION: (0, 0xFFFFFFFF, 0x80000001),
    ItemType.TEXT_STRING: ("", "\0", "\u202e" * 40, "x" * 70_000),
    ItemType.BYTE_STRING: (b"", bytes(70_000)),
    ItemType.DATE_TIME: (-(1 << 63), (1 << 63) - 1),
    ItemType.INTERVAL: (0, (1 << 32) - 1),
    ItemType.BOOLEAN: (True, False),
    ItemType.BIG_INTEGER: (0, -1, 1 << 4000),
}


def _odd_value(item: Item, chance: random.Random) -> bytes:
    path = _some(item, chance, leaf=True)
    one = _at(item, path)
    values = _ODD.get(one.type)
    if values is None:
        return binary.encode(item)
    value = chance.choice(values)
    return binary.encode(replaced(item, path, (Item(one.tag, one.type, value),)))  # type: ignore[arg-type]  # of the item's own type


def _other_type(item: Item, chance: random.Random) -> bytes:
    """Another type in the head of an item, over the same bytes."""
    data, path = binary.encode(item), _some(item, chance, leaf=True)
    one = binary.encode(_at(item, path))
    at = data.find(one)
    return data[: at + 3] + bytes((chance.choice((*ItemType, 0, 0x7F)),)) + data[at + 4 :]


def _bytes(item: Item, chance: random.Random) -> bytes:
    """Any bytes behind the version turned over; the frame stays whole."""
    data = bytearray(binary.encode(item))
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(56, len(data))] ^= chance.randint(1, 255)
    return bytes(data)


def _inner_length(item: Item, chance: random.Random) -> bytes:
    """The length of an inner item, larger or smaller than it is."""
    data, path = bytearray(binary.encode(item)), _some(item, chance)
    at = bytes(data).find(binary.encode(_at(item, path)))
    wrong = chance.choice((0, 1, 4, 9, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
    data[at + 4 : at + 8] = wrong.to_bytes(4, "big")
    return bytes(data)


def _deep(item: Item, chance: random.Random) -> bytes:
    """A structure in a structure, many times."""
    path = _some(item, chance)
    inner = _at(item, path)
    for _ in range(chance.randint(30, 200)):
        inner = Item(inner.tag, ItemType.STRUCTURE, (inner,))
    return binary.encode(replaced(item, path, (inner,)))


DAMAGE: dict[str, Damage] = {
    "an item is missing": _without,
    "an item stands twice": _twice,
    "an item has another tag": _other_tag,
    "an item has another type": _other_type,
    "a value is at its limit": _odd_value,
    "bytes are turned over": _bytes,
    "an inner length is wrong": _inner_length,
    "structures are nested deeply": _deep,
}
"""Ways to damage a message, by what they do."""


@dataclass(slots=True)
class Fuzzer:
    """Throws messages; the same seed throws the same ones."""

    target: Target
    cases: Sequence[Case]
    seed: int
    progress: Callable[[int], None] = lambda number: None

    def run(self, count: int) -> Iterator[Finding]:
        """What so many messages find. ConformanceError if the target cannot be reached at all."""
        requests = [step.request for case in self.cases for step in case.steps]
        for number in range(count):
            chance = random.Random(f"{self.seed}:{number}")  # noqa: S311 - to be repeated
            request = Bindings(now=0).fill(chance.choice(requests))
            name = chance.choice(sorted(DAMAGE))
            message = DAMAGE[name](request, chance)
            what = self.judge(message)
            if what is not None:
                yield Finding(number, name, what, self._smallest(message, what))
            self.progress(number + 1)

    def judge(self, message: bytes) -> str | None:
        """What the target did wrong with a message; None if it did well."""
        try:
            with self.target.connect() as connection:
                answer = binary.decode(connection.exchange(message))
        except NoAnswer as error:
            self._require_alive(message)
            return str(error)
        except ProtocolError as error:
            return f"the answer cannot be read: {error}"
        return None if answer.tag == Tag.RESPONSE_MESSAGE else "the answer is no ResponseMessage"

    def _require_alive(self, message: bytes) -> None:
        """ConformanceError, with the message that did it, where nobody answers any more."""
        try:
            with self.target.connect():
                return
        except ConformanceError as error:
            raise ConformanceError(
                f"the target is gone ({error}); the last message was {message.hex()}"
            ) from None

    def _smallest(self, message: bytes, what: str) -> bytes:
        """Without every item that the finding does not need."""
        try:
            tree = binary.decode(message)
        except ProtocolError:
            return message
        again = True
        while again:
            again = False
            for path in sorted(_paths(tree), key=len):
                if len(path) < 2:
                    continue
                smaller = replaced(tree, path, ())
                if self.judge(binary.encode(smaller)) == what:
                    tree, again = smaller, True
                    break
        return binary.encode(tree)
