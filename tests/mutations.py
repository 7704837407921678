"""Requests with well-formed mutations: other types, numbers and tags, and values of other versions.

The messages stay TTLV, so that the mutations reach the code behind the decoder. A run can be repeated
by its seed.
"""

import logging
import random
from collections.abc import Iterator, Sequence

import trio
from kmipkit_conformance.cases import SUITE, load_all
from kmipkit_conformance.fuzz import replace_item
from kmipkit_conformance.placeholders import Bindings, Symbol
from kmipkit_server.identity.identity import Identity
from laboratory import Laboratory

from kmipkit.errors import Cause, ProtocolError
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

Path = tuple[int, ...]

SLOW = frozenset({Operation.CREATE_KEY_PAIR, Operation.RE_KEY_KEY_PAIR})
"""Operations that would mostly generate keys, for seconds."""

NUMBERS = (-1, 0, *range(1, 80), 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 32) - 1)
LARGE_NUMBERS = (*NUMBERS, (1 << 63) - 1, -(1 << 63))
UNSIGNED = tuple(number for number in NUMBERS if number >= 0)

VALUES: dict[ItemType, tuple[object, ...]] = {
    ItemType.STRUCTURE: ((),),
    ItemType.INTEGER: tuple(number for number in NUMBERS if -(1 << 31) <= number < 1 << 31),
    ItemType.LONG_INTEGER: LARGE_NUMBERS,
    ItemType.BIG_INTEGER: (*LARGE_NUMBERS, 1 << 4000, -(1 << 200)),
    ItemType.ENUMERATION: (*UNSIGNED, 0x101, 0x102, 0x10F, 0x80000001),
    ItemType.BOOLEAN: (True, False),
    ItemType.TEXT_STRING: ("", "x", "\0", "State", "Link", "x-a", "y-a", "\u202e\x1b[2J", "x" * 70),
    ItemType.BYTE_STRING: (b"", b"\0", bytes(16), bytes(32), b"\xff" * 300),
    ItemType.DATE_TIME: LARGE_NUMBERS,
    ItemType.INTERVAL: UNSIGNED,
    ItemType.DATE_TIME_EXTENDED: LARGE_NUMBERS,
    ItemType.IDENTIFIER: ("", "x"),
    ItemType.REFERENCE: ("", "x"),
    ItemType.NAME_REFERENCE: ("", "x"),
}
"""Values of each item type, mostly at the limits of what is permitted somewhere."""


def paths(item: Item, path: Path = ()) -> Iterator[Path]:
    """The places of all items in a tree, the root first."""
    yield path
    for number, child in enumerate(item.value if isinstance(item.value, tuple) else ()):
        yield from paths(child, (*path, number))


def item_at(item: Item, path: Path) -> Item:
    """The item at a place."""
    for number in path:
        assert isinstance(item.value, tuple)
        item = item.value[number]
    return item


def suite_requests() -> list[Item]:
    """The requests of the conformance suite, in all versions."""
    cases = load_all((SUITE,), frozenset(VERSIONS), ())
    return [step.request for case in cases if not case.operations() & SLOW for step in case.steps]


class Mutations:
    """Mutated requests; the same seed and number give the same one."""

    def __init__(self, requests: Sequence[Item], identifiers: Sequence[str]) -> None:
        self._requests = requests
        self._identifiers = identifiers
        self._by_tag: dict[int, list[Item]] = {}
        for request in requests:
            for path in paths(request):
                item = item_at(request, path)
                self._by_tag.setdefault(item.tag, []).append(item)

    def message(self, seed: str) -> bytes:
        """A mutated request."""
        generator = random.Random(seed)
        request = generator.choice(self._requests)
        for _ in range(generator.choice((1, 1, 1, 2, 3))):
            request = self._mutate(request, generator)
        return binary.encode(self._fill(request, generator))

    def _mutate(self, request: Item, generator: random.Random) -> Item:
        if generator.random() < 0.05:
            return _in_version(request, generator)
        everywhere = [path for path in paths(request) if len(path) > 1 and path[:2] != (0, 0)]
        if not everywhere:  # an earlier mutation has removed all
            return request
        path = generator.choice(everywhere)
        item = item_at(request, path)
        match generator.randrange(8):
            case 0 | 1:
                replacements = (_revalued(item, generator),)
            case 2:
                item_type = generator.choice(list(VALUES))
                replacements = (_revalued(Item(item.tag, item_type, ()), generator),)
            case 3 | 4 | 5:
                replacements = (generator.choice(self._by_tag[item.tag]),)
            case 6:
                tag = generator.choice([*Tag])
                replacements = (generator.choice(self._by_tag.get(tag, [item])),)
            case _:
                replacements = generator.choice(((), (item, item)))
        return replace_item(request, path, replacements)

    def _fill(self, item: Item, generator: random.Random) -> Item:
        """The request with the identifiers of objects in place of their placeholders."""
        value = item.value
        if isinstance(value, tuple):
            filled = tuple(self._fill(child, generator) for child in value)
            return Item(item.tag, item.type, filled)
        if isinstance(value, Symbol) and isinstance(value, str):
            return Item(item.tag, item.type, generator.choice(self._identifiers))
        return Bindings(now=0).fill(item)


def _revalued(item: Item, generator: random.Random) -> Item:
    value = generator.choice(VALUES[item.type])
    return Item(item.tag, item.type, value)  # type: ignore[arg-type]  # of the item's own type


def _in_version(request: Item, generator: random.Random) -> Item:
    """The same request in another version, which may lack some of its fields and values."""
    version = generator.choice(VERSIONS)
    numbers = tuple(
        Item(tag, ItemType.INTEGER, number)
        for tag, number in zip(
            (Tag.PROTOCOL_VERSION_MAJOR, Tag.PROTOCOL_VERSION_MINOR), version, strict=True
        )
    )
    replacement = Item(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE, numbers)
    return replace_item(request, (0, 0), (replacement,))


class Errors(logging.Handler):
    """Collects what the server logs as an error: internal errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def take(self) -> str:
        """What was logged since the last time, the exception only."""
        texts = [
            f"{record.getMessage()} {record.exc_info and repr(record.exc_info[1])}"
            for record in self.records
        ]
        self.records.clear()
        return "; ".join(texts)


def problems(laboratory: Laboratory, messages: Sequence[bytes]) -> list[tuple[bytes, str]]:
    """The messages that the server does not answer as it should, and what it does instead.

    It has to send a response, which a client can decode, and log no internal error.
    """
    errors = Errors()
    logger = logging.getLogger("kmipkit.server")
    logger.addHandler(errors)
    found = []

    async def work() -> None:
        async with laboratory.serving():
            account = await laboratory.dispatcher.admit(Identity("me"))
            for message in messages:
                problem = ""
                try:
                    response = await laboratory.dispatcher.respond(message, account)
                    decode_response(response.data)
                except ProtocolError as error:
                    # A response repeats the attribute that was added, unless its version does not
                    # have it: the field is then missing, although 1.x requires it.
                    is_later = error.cause is Cause.MISSING_FIELD and "Attribute is" in str(error)
                    problem = "" if is_later else f"the response is malformed: {error}"
                except Exception as error:  # whatever escapes would end a connection
                    problem = f"{type(error).__name__}: {error}"
                problem = problem or errors.take()
                if problem:
                    found.append((message, problem))

    try:
        trio.run(work)
    finally:
        logger.removeHandler(errors)
    return found
