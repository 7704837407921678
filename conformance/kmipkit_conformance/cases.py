"""Test cases from files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import media, xml
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import placeholders
from kmipkit_conformance.errata import CORRECTIONS
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.markers import NO_MARKS, Marks, marks
from kmipkit_conformance.security import QUANTUM_SAFE, SUITE_B_128, SUITE_B_192

SUITE = Path(__file__).parent / "suite"
"""The cases that come with the tester."""

_ID = re.compile(r"(?P<test>.+)-(?P<major>[0-9])(?P<minor>[0-9])$")


@dataclass(frozen=True, slots=True)
class Step:
    """A request and its expected response."""

    request: Item
    response: Item
    marks: Marks = NO_MARKS
    """The marks of the request."""

    @property
    def operations(self) -> list[Operation]:
        """The operations of the request, in their order."""
        return [
            Operation(child.value)  # type: ignore[arg-type]  # an enumeration's value
            for item in children(self.request, Tag.BATCH_ITEM)
            for child in children(item, Tag.OPERATION)
        ]

    @property
    def is_from_server(self) -> bool:
        """Whether the server sends the request, and the client responds (KMIP 1.4 §5)."""
        return bool(self.operations) and set(self.operations) <= SENT_BY_SERVER


SENT_BY_SERVER = frozenset({Operation.NOTIFY, Operation.PUT})
"""Operations that only servers request."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case."""

    name: str
    version: Version
    steps: tuple[Step, ...]
    transport: str = "tls"
    """``tls``, ``https``, or a name of :data:`kmipkit_conformance.security.SUITES`."""
    encoding: str = "ttlv"
    """A key of :data:`ENCODINGS`."""

    @property
    def family(self) -> str:
        """The profile or group to which it belongs, such as ``CS-BC``."""
        return re.split(r"-[MO]-|-[0-9]", self.name, maxsplit=1)[0]

    def operations(self) -> set[Operation]:
        """The operations that the client requests."""
        return {
            operation
            for step in self.steps
            if not step.is_from_server
            for operation in step.operations
        }


def children(item: Item, tag: Tag) -> list[Item]:
    """The children of an item that have this tag."""
    inner = item.value if isinstance(item.value, tuple) else ()
    return [child for child in inner if child.tag == tag]


def load_all(
    folders: Iterable[Path], versions: frozenset[Version], profiles: tuple[str, ...]
) -> Iterator[Case]:
    """The cases in some folders and below them. No versions or no profiles select all.

    Raises:
        ConformanceError: a folder or file cannot be read.
    """
    for folder in folders:
        if not folder.exists():
            raise ConformanceError(f"{folder}: no such file or directory")
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.xml")):
            case = load(path)
            has_version = not versions or case.version in versions
            if has_version and (not profiles or _matches(case, profiles)):
                yield case


def _matches(case: Case, profiles: tuple[str, ...]) -> bool:
    return any(case.family == profile or case.name.startswith(profile) for profile in profiles)


ENCODINGS: Mapping[str, str] = MappingProxyType(
    {"ttlv": media.TTLV, "xml": media.XML, "json": media.JSON}
)
"""The media type of each encoding."""

TRANSPORTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "MSGENC-HTTPS": ("https", "ttlv"),
        "MSGENC-XML": ("https", "xml"),
        "MSGENC-JSON": ("https", "json"),
        "SUITEB_128": (SUITE_B_128, "ttlv"),
        "SUITEB_192": (SUITE_B_192, "ttlv"),
        "QS": (QUANTUM_SAFE, "ttlv"),
    }
)
"""Transport and encoding of the families that need others than TTLV over any TLS. The files of these
cases do not say so; their names do, as the profiles explain (Profiles 2.1 §5.3 to §5.5, §5.14)."""


def load(path: Path) -> Case:
    """One case. ConformanceError if the file cannot be read."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8", "replace")
        for correction in CORRECTIONS.get(path.stem, ()):
            text = correction.apply(text)
        messages = xml.parse_all(text, placeholder=placeholders.read)
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
    except ProtocolError as error:
        raise ConformanceError(f"{path}: {error}") from None
    case = Case(
        path.stem,
        _version(path.stem, messages),
        tuple(_steps(messages, list(marks(text)))),
    )
    transport, encoding = TRANSPORTS.get(case.family, (case.transport, case.encoding))
    return replace(case, transport=transport, encoding=encoding)


def _version(name: str, messages: list[Item]) -> Version:
    """The version in the name, or else that of the first header."""
    match = _ID.match(name)
    if match:
        version = Version(int(match["major"]), int(match["minor"]))
        if version in VERSIONS:
            return version
    header = messages[0].value[0]  # type: ignore[index]
    numbers = [child.value for child in header.value[0].value]  # type: ignore[union-attr,index]
    return Version(*numbers)  # type: ignore[arg-type]


def _steps(messages: list[Item], marks_of_messages: list[Marks]) -> Iterator[Step]:
    """Requests with their responses; some files have two requests before the responses."""
    open_requests: list[tuple[Item, Marks]] = []
    marks_of_messages += [NO_MARKS] * (len(messages) - len(marks_of_messages))
    for message, mark in zip(map(_normalized, messages), marks_of_messages, strict=False):
        if message.tag == Tag.REQUEST_MESSAGE:
            open_requests.append((message, mark))
        elif open_requests:
            request, request_marks = _take_request(open_requests, message)
            yield Step(request, message, request_marks)


def _take_request(open_requests: list[tuple[Item, Marks]], response: Item) -> tuple[Item, Marks]:
    """The oldest open request for the operation of a response, or else the oldest of all."""
    operation = _first_operation(response)
    matching = (pair for pair in open_requests if _first_operation(pair[0]) == operation)
    pair = next(matching, open_requests[0])
    open_requests.remove(pair)
    return pair


def _first_operation(message: Item) -> Any:
    items = children(message, Tag.BATCH_ITEM)
    operations = children(items[0], Tag.OPERATION) if items else []
    return operations[0].value if operations else None


def _normalized(item: Item) -> Item:
    """The item with single spaces in attribute names: some files have the line breaks of a listing."""
    if isinstance(item.value, tuple):
        return Item(item.tag, item.type, tuple(_normalized(child) for child in item.value))
    if item.tag == Tag.ATTRIBUTE_NAME and isinstance(item.value, str):
        return Item(item.tag, item.type, " ".join(item.value.split()))
    return item
