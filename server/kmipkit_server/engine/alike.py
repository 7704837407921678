"""Requests that differ in the Name only: they are decoded once.

Clients create objects with the same template again and again, each with another Name. TTLV has the
length of a text before it (KMIP 1.4 §9.1.1), so that two messages with the same bytes around their Names
have the same structure, and every other field of theirs is the same. Only the payloads of
:data:`_PAYLOADS` are kept, which have nothing secret, and requests without credentials.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.structure import copier
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.prepared import MAX_SHAPES, is_plain
from kmipkit_server.engine.request import Request

MAX_SIZE = 1024
"""Bytes of a request that is kept."""
MAX_KEPT = 512
"""Requests that are kept."""

_PAYLOADS = frozenset({CreateRequest})

_HEAD = struct.Struct(">II")
_TEXT = Tag.NAME_VALUE << 8 | ItemType.TEXT_STRING

Gap = tuple[int, int]
"""Where the Name begins and ends in a message."""
_Key = tuple[bytes, bytes]
"""All other bytes of a message."""


class AlikeRequests:
    """The requests of a server that may come again with another Name."""

    def __init__(self) -> None:
        self._kept: dict[_Key, _Template] = {}
        self._gaps: dict[int, dict[Gap, None]] = {}
        """Where the Name is, by the length of the message."""
        self._seen: set[int] = set()
        """Hashes of requests that came once: most do not come again."""

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, data: bytes) -> Request | None:
        """The request of a message, if it is like one that is kept."""
        for start, end in self._gaps.get(len(data), ()):
            template = self._kept.get((data[:start], data[end:]))
            if template is not None:
                try:
                    name = str(data[start:end], "utf-8")
                except UnicodeDecodeError:
                    return None  # the ordinary way says what is wrong
                return template.with_name(name)
        return None

    def keep(self, data: bytes, request: Request) -> None:
        """Keep a request that was decoded, if it has come with another Name before."""
        place = _place_of_name(request) if len(data) <= MAX_SIZE else None
        gap = None if place is None else _gap(data, _name_at(request, place))
        if place is None or gap is None:
            return
        key = data[: gap[0]], data[gap[1] :]
        digest = hash(key)
        if digest not in self._seen:
            if len(self._seen) >= 2 * MAX_KEPT:
                self._seen.clear()
            self._seen.add(digest)
            return
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
            self._gaps.clear()
        self._kept[key] = _template(request, place)
        gaps = self._gaps.setdefault(len(data), {})
        gaps[gap] = None
        if len(gaps) > MAX_SHAPES:
            del gaps[next(iter(gaps))]


class _Template(NamedTuple):
    """A request without its Name."""

    request: Request
    before: tuple[Attribute, ...]
    after: tuple[Attribute, ...]
    number: int | None
    """The Attribute Index of the Name, if it has one."""
    copy_name: Callable[[tuple[str]], Any]
    copy_payload: Callable[[tuple[Attributes]], Any]
    copy_item: Callable[[tuple[Any]], Any]

    def with_name(self, text: str) -> Request:
        """The request with a Name."""
        name = Attribute(_NAME, self.copy_name((text,)), self.number)
        attributes = Attributes((*self.before, name, *self.after))
        item = self.copy_item((self.copy_payload((attributes,)),))
        return Request(self.request.version, self.request.header, (item,))


_NAME = Tag.NAME


def _place_of_name(request: Request) -> int | None:
    """The place of the only Name among the attributes of a request, if it may be kept."""
    payload: Any = getattr(request.items[0], "request_payload", None)
    if type(payload) not in _PAYLOADS or not is_plain(request):
        return None
    attributes = payload.attributes
    if attributes is None or attributes.templates:
        return None
    places = [place for place, each in enumerate(attributes.items) if each.key is _NAME]
    if len(places) != 1 or type(attributes.items[places[0]].value) is not Name:
        return None
    return places[0]


def _name_at(request: Request, place: int) -> str:
    payload: Any = request.items[0].request_payload  # type: ignore[union-attr]  # see _place_of_name
    text: str = payload.attributes.items[place].value.name_value
    return text


def _gap(data: bytes, text: str) -> Gap | None:
    """Where a Name is in a message; None if that is not certain."""
    value = text.encode()
    item = _HEAD.pack(_TEXT, len(value)) + value
    at = data.find(item)
    if not value or at < 0 or at != data.rfind(item):
        return None
    return at + _HEAD.size, at + len(item)


def _template(request: Request, place: int) -> _Template:
    [item] = request.items
    payload: Any = item.request_payload  # type: ignore[union-attr]  # see _place_of_name
    attributes = payload.attributes.items
    name = attributes[place]
    return _Template(
        Request(request.version, request.header, ()),
        attributes[:place],
        attributes[place + 1 :],
        name.index,
        copier(name.value, "name_value"),
        copier(payload, "attributes"),
        copier(item, "request_payload"),  # type: ignore[arg-type]  # see _place_of_name
    )
