"""How two messages differ in meaning, after all that was compared before."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.bindings import Bindings
from kmipkit_proxy.items import batch_items, children, find, name_of, version_of
from kmipkit_proxy.meaning import CHOSEN, ORDERED, Kind, Place, attribute_name

_RESULT = (Tag.RESULT_STATUS, Tag.RESULT_REASON)
_SIZE_TOLERANCE = 4
"""Bytes by which two keys of the same length differ in DER."""
_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; nothing in it is secret."""

    place: str
    """The path of the item in the message."""
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.place}: {self.before} -> {self.after}"


@dataclass(slots=True)
class Comparison:
    """Compares messages in their order; the first ones tell what stands for what in later ones."""

    bindings: Bindings = field(default_factory=Bindings)
    _is_request: bool = False

    def differences(self, first: Item, second: Item) -> list[Difference]:
        """How the second message differs from the first one."""
        self._is_request = first.tag == Tag.REQUEST_MESSAGE
        return list(self._message(first, second))

    def _message(self, first: Item, second: Item) -> Iterator[Difference]:
        if first.tag != second.tag:
            yield Difference("message", tag_name(first.tag), tag_name(second.tag))
            return
        versions = version_of(first), version_of(second)
        if versions[0] != versions[1]:
            yield Difference("ProtocolVersion", *versions)
        items = batch_items(first), batch_items(second)
        if len(items[0]) != len(items[1]):
            yield Difference("batch items", str(len(items[0])), str(len(items[1])))
        for number, pair in enumerate(zip(*items, strict=False)):
            yield from self._batch_item(f"BatchItem[{number}]", *pair)

    def _batch_item(self, path: str, first: Item, second: Item) -> Iterator[Difference]:
        results = tuple(
            " ".join(filter(None, (name_of(find(item, tag)) for tag in _RESULT)))
            for item in (first, second)
        )
        if results[0] != results[1]:  # then the payloads say nothing more
            yield Difference(f"{path}/result", *results)
            return
        yield from self._structure(path, first, second, Place())

    def _structure(
        self, path: str, first: Item, second: Item, place: Place
    ) -> Iterator[Difference]:
        inner = place.within(first)
        groups = _groups(first), _groups(second)
        for key in dict.fromkeys((*groups[0], *groups[1])):
            lists = groups[0].get(key, []), groups[1].get(key, [])
            yield from self._list(f"{path}/{_step(*key)}", *lists, inner)

    def _list(
        self, path: str, first: Sequence[Item], second: Sequence[Item], place: Place
    ) -> Iterator[Difference]:
        """Items with the same name."""
        if len(first) == len(second) == 1:
            yield from self._item(path, first[0], second[0], place)
            return
        forms = (
            [self._form(item, place, 0) for item in first],
            [self._form(item, place, 1) for item in second],
        )
        rest = _unmatched(*forms), _unmatched(*reversed(forms))
        if not any(rest):
            tag = next(iter(first or second)).tag
            if tag in ORDERED and forms[0] != forms[1]:
                yield Difference(path, "in this order", "in another order")
            yield from self._matched(path, first, second, forms, place)
            return
        yield from self._unequal(
            path, [first[at] for at in rest[0]], [second[at] for at in rest[1]], place
        )

    def _matched(
        self,
        path: str,
        first: Sequence[Item],
        second: Sequence[Item],
        forms: tuple[list[Hashable], list[Hashable]],
        place: Place,
    ) -> Iterator[Difference]:
        """Bind what is chosen in items of equal forms, in the order of each form."""
        at = [sorted(range(len(side)), key=lambda index: repr(side[index])) for side in forms]
        for left, right in zip(*at, strict=True):
            yield from self._item(path, first[left], second[right], place)

    def _unequal(
        self, path: str, first: Sequence[Item], second: Sequence[Item], place: Place
    ) -> Iterator[Difference]:
        if len(first) == len(second) and any(isinstance(item.value, tuple) for item in first):
            for number, pair in enumerate(zip(first, second, strict=True)):
                yield from self._item(f"{path}[{number}]", *pair, place)
        elif any(place.kind(item) is not Kind.IGNORED for item in (*first, *second)):
            yield Difference(path, _listed(first, place), _listed(second, place))

    def _item(self, path: str, first: Item, second: Item, place: Place) -> Iterator[Difference]:
        kind = place.kind(first)
        if kind is Kind.IGNORED:
            return
        if first.type != second.type:
            yield Difference(path, first.type.name, second.type.name)
        elif isinstance(first.value, tuple):
            yield from self._structure(path, first, second, place)
        elif kind is Kind.PLAIN:
            if first.value != second.value:
                yield Difference(path, _shown(first, place), _shown(second, place))
        elif kind is Kind.TIME:
            yield from self._time(path, first, second, place)
        else:
            yield from self._chosen(path, kind, first, second)

    def _time(self, path: str, first: Item, second: Item, place: Place) -> Iterator[Difference]:
        key = place.tag(first), first.value
        if self._is_request:
            self.bindings.asked_times[key] = second.value
            return
        expected = self.bindings.asked_times.get(key)
        if expected is not None and expected != second.value:
            yield Difference(path, "the time that the client has set", _shown(second, place))
        self.bindings.answered_times[first.value] = second.value

    def _chosen(self, path: str, kind: Kind, first: Item, second: Item) -> Iterator[Difference]:
        expected = self.bindings.bound(kind, first.value)
        if expected is None:
            if kind is Kind.IDENTIFIER and self.bindings.is_taken(kind, second.value):
                yield Difference(path, "another object than before", "an object of before")
                return
            self.bindings.bind(kind, first.value, second.value)
            sizes = [len(side.value) for side in (first, second) if isinstance(side.value, bytes)]
            if kind is Kind.MATERIAL and sizes and max(sizes) - min(sizes) > _SIZE_TOLERANCE:
                yield Difference(path, f"{sizes[0]} bytes", f"{sizes[1]} bytes")
        elif expected != second.value:
            what = "object" if kind is Kind.IDENTIFIER else "value"
            yield Difference(path, f"the same {what} as before", f"another {what}")

    def _form(self, item: Item, place: Place, side: int) -> Hashable:
        """A value that is equal for items of both sides if nothing tells them apart."""
        if isinstance(item.value, tuple):
            inner = place.within(item)
            return item.tag, tuple(self._form(child, inner, side) for child in item.value)
        kind = place.kind(item)
        if kind is Kind.IGNORED:
            return (item.tag,)
        if kind in CHOSEN:
            return item.tag, self._known(kind, item, side)
        return item.tag, item.type, item.value

    def _known(self, kind: Kind, item: Item, side: int) -> Hashable:
        if kind is Kind.TIME:
            return None
        if side == 0:
            return self.bindings.bound(kind, item.value)
        return item.value if self.bindings.is_taken(kind, item.value) else None


def _groups(item: Item) -> dict[tuple[int, str], list[Item]]:
    """The children by what they are: the tag, and for attributes also the name."""
    groups: dict[tuple[int, str], list[Item]] = {}
    for child in children(item):
        name = attribute_name(child) if child.tag == Tag.ATTRIBUTE else ""
        groups.setdefault((child.tag, name), []).append(child)
    return groups


def _step(tag: int, name: str) -> str:
    return f"{tag_name(tag)} {name!r}" if name else tag_name(tag)


def _unmatched(forms: Sequence[Hashable], others: Sequence[Hashable]) -> list[int]:
    """The places of the forms for which the others have no partner."""
    left = Counter(others)
    places = []
    for at, form in enumerate(forms):
        if left[form] > 0:
            left[form] -= 1
        else:
            places.append(at)
    return places


def _listed(items: Sequence[Item], place: Place) -> str:
    return ", ".join(_shown(item, place) for item in items) or _NOTHING


def _shown(item: Item, place: Place) -> str:
    """A value for people, without what is secret."""
    if isinstance(item.value, tuple):
        return attribute_name(item) or tag_name(item.tag)
    if place.kind(item) is Kind.MATERIAL:
        return "a secret"
    return format_item(item).rstrip("\n").partition("): ")[2]
