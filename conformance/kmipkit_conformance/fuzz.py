"""Sends damaged messages to a target, and reports how it handles them.

Each message is a request of the built-in suite with damage that takes its structure into account:
lengths, types, tags, numbers, order, depth. A run can be repeated by its seed. The frame of a
message always stays valid, so a server must respond to it. A finding is a connection that is
closed without a response, a response that is not KMIP, or silence; the message is then reduced as
far as possible while the problem persists.
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
"""The place of an item: the positions of its ancestors and its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A message that the target did not handle, and how it failed."""

    number: int
    """The number of the message in the run."""
    damage: str
    problem: str
    message: bytes


Damage = Callable[[Item, random.Random], bytes]


def _paths(item: Item, path: Path = ()) -> Iterator[Path]:
    yield path
    for number, child in enumerate(item.value if isinstance(item.value, tuple) else ()):
        yield from _paths(child, (*path, number))


def _item_at(item: Item, path: Path) -> Item:
    for number in path:
        assert isinstance(item.value, tuple)
        item = item.value[number]
    return item


def replace_item(item: Item, path: Path, replacements: Sequence[Item]) -> Item:
    """The tree with other items in place of the one at ``path``; without any, the item is removed."""
    assert isinstance(item.value, tuple)
    head, tail = path[0], path[1:]
    inner = [replace_item(item.value[head], tail, replacements)] if tail else list(replacements)
    children = (*item.value[:head], *inner, *item.value[head + 1 :])
    return Item(item.tag, item.type, children)


def _choose_path(item: Item, generator: random.Random, *, leaf: bool | None = None) -> Path:
    """A random place in the message, but not in its Protocol Version, which would only differ."""
    paths = [
        path
        for path in _paths(item)
        if len(path) > 1
        and path[:2] != (0, 0)
        and (leaf is None or isinstance(_item_at(item, path).value, tuple) is not leaf)
    ]
    return generator.choice(paths or [(0,)])


def _remove(item: Item, generator: random.Random) -> bytes:
    return binary.encode(replace_item(item, _choose_path(item, generator), ()))


def _duplicate(item: Item, generator: random.Random) -> bytes:
    path = _choose_path(item, generator)
    return binary.encode(replace_item(item, path, (_item_at(item, path),) * 2))


def _change_tag(item: Item, generator: random.Random) -> bytes:
    path = _choose_path(item, generator)
    original = _item_at(item, path)
    tag = generator.choice([*Tag, 0x540001, 0x42FFFF])
    return binary.encode(replace_item(item, path, (Item(int(tag), original.type, original.value),)))


_BOUNDARY_VALUES: dict[ItemType, tuple[object, ...]] = {
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


def _boundary_value(item: Item, generator: random.Random) -> bytes:
    path = _choose_path(item, generator, leaf=True)
    original = _item_at(item, path)
    values = _BOUNDARY_VALUES.get(original.type)
    if values is None:
        return binary.encode(item)
    value = generator.choice(values)
    return binary.encode(replace_item(item, path, (Item(original.tag, original.type, value),)))  # type: ignore[arg-type]  # of the item's own type


def _change_type(item: Item, generator: random.Random) -> bytes:
    """Another type in the head of an item, with the same bytes."""
    data, path = binary.encode(item), _choose_path(item, generator, leaf=True)
    at = data.find(binary.encode(_item_at(item, path)))
    return data[: at + 3] + bytes((generator.choice((*ItemType, 0, 0x7F)),)) + data[at + 4 :]


def _flip_bytes(item: Item, generator: random.Random) -> bytes:
    """Random bytes after the version are changed."""
    data = bytearray(binary.encode(item))
    for _ in range(generator.randint(1, 8)):
        data[generator.randrange(56, len(data))] ^= generator.randint(1, 255)
    return bytes(data)


def _change_length(item: Item, generator: random.Random) -> bytes:
    """The length of an inner item is too large or too small."""
    data, path = bytearray(binary.encode(item)), _choose_path(item, generator)
    at = bytes(data).find(binary.encode(_item_at(item, path)))
    length = generator.choice((0, 1, 4, 9, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
    data[at + 4 : at + 8] = length.to_bytes(4, "big")
    return bytes(data)


def _nest(item: Item, generator: random.Random) -> bytes:
    """Structures nested in structures, many times."""
    path = _choose_path(item, generator)
    inner = _item_at(item, path)
    for _ in range(generator.randint(30, 200)):
        inner = Item(inner.tag, ItemType.STRUCTURE, (inner,))
    return binary.encode(replace_item(item, path, (inner,)))


DAMAGE: dict[str, Damage] = {
    "item removed": _remove,
    "item duplicated": _duplicate,
    "tag changed": _change_tag,
    "type changed": _change_type,
    "boundary value": _boundary_value,
    "bytes changed": _flip_bytes,
    "wrong length": _change_length,
    "deep nesting": _nest,
}
"""Ways to damage a message, by name."""


@dataclass(slots=True)
class Fuzzer:
    """Sends damaged messages; the same seed sends the same ones."""

    target: Target
    cases: Sequence[Case]
    seed: int
    progress: Callable[[int], None] = lambda number: None

    def run(self, count: int) -> Iterator[Finding]:
        """The findings of ``count`` messages. ConformanceError if the target cannot be reached."""
        requests = [step.request for case in self.cases for step in case.steps]
        for number in range(count):
            generator = random.Random(f"{self.seed}:{number}")  # noqa: S311 - to be repeated
            bindings = Bindings(now=0, random=generator.randbytes)
            request = bindings.fill(generator.choice(requests))
            name = generator.choice(sorted(DAMAGE))
            message = DAMAGE[name](request, generator)
            problem = self.judge(message)
            if problem is not None:
                yield Finding(number, name, problem, self._minimize(message, problem))
            self.progress(number + 1)

    def judge(self, message: bytes) -> str | None:
        """How the target failed to handle a message; None if it responded as it should."""
        try:
            with self.target.connect() as connection:
                response = binary.decode(connection.exchange(message))
        except NoAnswer as error:
            self._require_alive(message)
            return str(error)
        except ProtocolError as error:
            return f"the response is malformed: {error}"
        return (
            None
            if response.tag == Tag.RESPONSE_MESSAGE
            else "the response is not a ResponseMessage"
        )

    def _require_alive(self, message: bytes) -> None:
        """ConformanceError, with the message that caused it, if the target accepts no connection."""
        try:
            with self.target.connect():
                return
        except ConformanceError as error:
            raise ConformanceError(
                f"the target no longer responds ({error}); the last message was {message.hex()}"
            ) from None

    def _minimize(self, message: bytes, problem: str) -> bytes:
        """The message without the items that the problem does not need."""
        try:
            tree = binary.decode(message)
        except ProtocolError:
            return message
        # Larger parts first. A removal changes the paths, so the search starts again after it.
        is_smaller = True
        while is_smaller:
            is_smaller = False
            for path in sorted(_paths(tree), key=len):
                if len(path) < 2:
                    continue
                smaller = replace_item(tree, path, ())
                if self.judge(binary.encode(smaller)) == problem:
                    tree, is_smaller = smaller, True
                    break
        return binary.encode(tree)
