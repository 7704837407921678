"""Key locators: the text beside a machine's files that says which key opens its data key.

A locator is a small tree (vsphere.md §2.2). Simple nodes (``fqid``, ``role``, ...) are a name and a
fixed number of elements; ``pair`` and ``list`` hold other nodes. :data:`SIMPLE` is the whole
grammar of the simple nodes. Each element keeps the spelling it was read in, so that what was parsed
is emitted byte for byte, whoever wrote it; only what is made here is spelled our way.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.model.keys import CryptoKeyId

PREFIX = "vmware:key/"
NULL = "<VMWARE-NULL>"
EMPTY = "<VMWARE-EMPTYSTRING>"
MAX_LENGTH = 64 * 1024
MAX_DEPTH = 16

SIMPLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "null": ("data",),
        "rawkey": ("data",),
        "phrase": ("id", "keygen"),
        "role": ("id", "role"),
        "fqid": ("id", "key_server_id", "key_id"),
        "ldap": ("id", "server", "domain", "port", "use_ssl", "path"),
        "script": ("id", "path", "signature"),
    }
)
"""Kind of node to the names of its elements, in their order."""

ROLES = frozenset({"obfuscation", "adminIdent", "adminRecovery", "server"})

_SPELLING = re.compile(r"(?:[!#$&'*+\-.0-~]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^A-Za-z0-9]")
_KIND = re.compile(r"[a-z]+/")


class LocatorError(DamagedData):
    """Text that is not a key locator; the message says at which character."""


def escape(value: str) -> str:
    """Spell a value: ``[A-Za-z0-9]`` as is, every other byte of its UTF-8 as ``%xx``."""
    data = value.encode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda found: b"%%%02x" % found[0][0], data).decode("ascii")


def unescape(spelling: str) -> str:
    """The value of a spelling; bytes that are not UTF-8 survive as surrogates."""
    data = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), spelling.encode("ascii"))
    return data.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Element:
    """One element in the spelling it has in the text."""

    spelling: str

    @classmethod
    def of(cls, value: str | None) -> Self:
        """Spell a value; None is the null marker. The markers themselves cannot be values."""
        if value in (NULL, EMPTY):
            raise LocatorError(f"{value} marks an absent value and cannot be a value itself")
        if value is None:
            return cls(NULL)
        return cls(escape(value) or EMPTY)

    @property
    def value(self) -> str | None:
        """The value, None for the null marker: a reader unescapes first, then compares."""
        text = unescape(self.spelling)
        return {NULL: None, EMPTY: ""}.get(text, text)


@dataclass(frozen=True, slots=True)
class Simple:
    """A node of a fixed number of elements, see :data:`SIMPLE`."""

    kind: str
    elements: tuple[Element, ...]

    def value(self, name: str) -> str | None:
        """The value of the element with this name; ValueError if the kind has none such."""
        return self.elements[SIMPLE[self.kind].index(name)].value

    def __str__(self) -> str:
        return "/".join((self.kind, *(element.spelling for element in self.elements)))

    def __repr__(self) -> str:  # a rawkey holds a key in the clear
        return "<Simple rawkey>" if self.kind == "rawkey" else f"<Simple {self}>"


@dataclass(frozen=True, slots=True)
class Pair:
    """Locked data, the node that says what opens it, and the name of its MAC algorithm."""

    locker: "Node"
    mac: Element
    data: Element

    @property
    def locked(self) -> bytes:
        """The locked data, decoded from base64; :class:`LocatorError` if it is not base64."""
        try:
            return base64.b64decode(self.data.value or "", validate=True)
        except (binascii.Error, ValueError):
            raise LocatorError("the locked data of a pair is not base64") from None

    def __str__(self) -> str:
        return f"pair/({self.locker},{self.mac.spelling},{self.data.spelling})"


@dataclass(frozen=True, slots=True)
class List:
    """Alternatives: any of the members opens the data."""

    members: tuple["Node", ...]

    def __str__(self) -> str:
        return f"list/({','.join(map(str, self.members))})"


Node = Simple | Pair | List


@dataclass(frozen=True, slots=True)
class Locked:
    """One locked datum of a locator: which key opens it, and the bytes."""

    key_id: CryptoKeyId
    mac: str
    data: bytes


@dataclass(frozen=True, slots=True)
class KeyLocator:
    """A whole locator. ``str()`` of a parsed one is the text it was parsed from."""

    node: Node
    prefix: str = PREFIX

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a locator; the prefix is matched in any case. Raises :class:`LocatorError`."""
        if len(text) > MAX_LENGTH:
            raise LocatorError(f"the locator is longer than {MAX_LENGTH} characters")
        if text[: len(PREFIX)].lower() != PREFIX:
            raise LocatorError(f"a key locator begins with {PREFIX!r}")
        reader = _Reader(text, len(PREFIX))
        node = reader.node(MAX_DEPTH)
        reader.end()
        return cls(node, text[: len(PREFIX)])

    @classmethod
    def locked_by(cls, key_id: CryptoKeyId, data: bytes) -> Self:
        """The locator of a machine that a key provider encrypts (vsphere.md §2.2)."""
        names = (None, key_id.provider_id, key_id.key_id)
        locker = Simple("fqid", tuple(map(Element.of, names)))
        blob = base64.b64encode(data).decode("ascii")
        return cls(List((Pair(locker, Element.of("HMAC-SHA-256"), Element.of(blob)),)))

    def locked(self) -> Iterator[Locked]:
        """All data that a key provider's key opens, in their order."""
        return _locked(self.node)

    def __str__(self) -> str:
        return f"{self.prefix}{self.node}"


def _locked(node: Node) -> Iterator[Locked]:
    if isinstance(node, List):
        for member in node.members:
            yield from _locked(member)
    elif isinstance(node, Pair) and isinstance(node.locker, Simple) and node.locker.kind == "fqid":
        provider, key = node.locker.value("key_server_id"), node.locker.value("key_id")
        if provider is not None and key is not None:
            yield Locked(CryptoKeyId(provider, key), node.mac.value or "", node.locked)


class _Reader:
    """A cursor over the text of a locator."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def fail(self, wanted: str) -> LocatorError:
        return LocatorError(f"{wanted} is missing at character {self.position} of the key locator")

    def expect(self, wanted: str) -> None:
        if not self.text.startswith(wanted, self.position):
            raise self.fail(repr(wanted))
        self.position += len(wanted)

    def end(self) -> None:
        if self.position != len(self.text):
            raise self.fail("the end")

    def node(self, depth: int) -> Node:
        found = _KIND.match(self.text, self.position)
        kind = found[0][:-1] if found else ""
        if kind not in SIMPLE and kind not in ("list", "pair"):
            raise self.fail("the kind of a key")
        if depth == 0:
            raise LocatorError(f"the key locator nests deeper than {MAX_DEPTH} levels")
        self.position += len(kind) + 1
        if kind == "list":
            return self.list(depth - 1)
        return self.pair(depth - 1) if kind == "pair" else self.simple(kind)

    def element(self) -> Element:
        found = _SPELLING.match(self.text, self.position)
        assert found, "the pattern matches the empty text"
        self.position = found.end()
        return Element(found[0])

    def simple(self, kind: str) -> Simple:
        elements = [self.element()]
        for _ in SIMPLE[kind][1:]:
            self.expect("/")
            elements.append(self.element())
        node = Simple(kind, tuple(elements))
        if kind == "role" and node.value("role") not in ROLES:
            raise self.fail("the name of a role")
        return node

    def pair(self, depth: int) -> Pair:
        self.expect("(")
        locker = self.node(depth)
        self.expect(",")
        mac = self.element()
        self.expect(",")
        data = self.element()
        self.expect(")")
        return Pair(locker, mac, data)

    def list(self, depth: int) -> List:
        self.expect("(")
        members = [self.node(depth)]
        while self.text.startswith(",", self.position):
            self.position += 1
            members.append(self.node(depth))
        self.expect(")")
        return List(tuple(members))
