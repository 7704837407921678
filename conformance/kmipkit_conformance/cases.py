"""Test cases from files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import ObjectType, Operation, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import media, xml
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import placeholders
from kmipkit_conformance.clauses import clause
from kmipkit_conformance.errata import CORRECTIONS
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.markers import NO_MARKS, Marks, about, marks
from kmipkit_conformance.security import QUANTUM_SAFE, SUITE_B_128, SUITE_B_192
from kmipkit_conformance.wording import operation_title

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
    def fails(self) -> bool:
        """Whether the case expects an operation of the message to fail."""
        return any(
            child.value == ResultStatus.OPERATION_FAILED
            for item in children(self.response, Tag.BATCH_ITEM)
            for child in children(item, Tag.RESULT_STATUS)
        )

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
    about: str = ""
    """What the file says that the case is about."""

    @property
    def family(self) -> str:
        """The profile or group to which it belongs, such as ``CS-BC``."""
        return family_of(self.name)

    def claim(self, number: int) -> str:
        """What a step tests, with the clause: as the file says, or else the clause of the operation."""
        if not 0 <= number < len(self.steps):
            return ""
        claim = self.steps[number].marks.claim
        return claim if "§" in claim else self.requested(number, claim)

    def requested(self, number: int, text: str = "") -> str:
        """The operations of a step, or a text about them, with the clause."""
        if not 0 <= number < len(self.steps):
            return ""
        operations = self.steps[number].operations
        text = text or ", ".join(map(operation_title, operations))
        clauses = (clause(operation, self.version) for operation in operations)
        listed = ", ".join(filter(None, dict.fromkeys(clauses)))
        return f"{text} ({listed})" if listed else text

    def operations(self) -> set[Operation]:
        """The operations that the client requests, apart from those that its version does not have."""
        return {
            operation
            for step in self.steps
            if not step.is_from_server
            for operation in step.operations
            if operation.is_named and operation.known_in(self.version)
        }

    def object_types(self) -> set[ObjectType]:
        """The types of the objects that the client successfully creates or registers."""
        return {
            ObjectType(child.value)  # type: ignore[arg-type]  # an enumeration's value
            for step in self.steps
            if not step.is_from_server and not step.fails
            for item in children(step.request, Tag.BATCH_ITEM)
            for payload in children(item, Tag.REQUEST_PAYLOAD)
            for child in children(payload, Tag.OBJECT_TYPE)
        }


def family_of(name: str) -> str:
    """The profile or group of a case with this name."""
    return re.split(r"-[MO]-|-[0-9]", name, maxsplit=1)[0]


def children(item: Item, tag: Tag) -> list[Item]:
    """The children of an item that have this tag."""
    inner = item.value if isinstance(item.value, tuple) else ()
    return [child for child in inner if child.tag == tag]


def operation_of(batch_item: Item) -> Operation | None:
    """The operation of a batch item of a peer; None without one, and if it is no enumeration."""
    for child in children(batch_item, Tag.OPERATION):
        if child.type is ItemType.ENUMERATION:
            return Operation(child.value)  # type: ignore[arg-type]  # an enumeration's value
    return None


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
            named = _version_in(path.stem)
            is_other = bool(versions) and named is not None and named not in versions
            if not is_other and (not profiles or _matches(path.stem, profiles)):
                case = load(path)
                if not versions or case.version in versions:
                    yield case


def _matches(name: str, profiles: tuple[str, ...]) -> bool:
    return any(family_of(name) == profile or name.startswith(profile) for profile in profiles)


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
        about=about(text),
    )
    transport, encoding = TRANSPORTS.get(case.family, (case.transport, case.encoding))
    return replace(case, transport=transport, encoding=encoding)


def _version_in(name: str) -> Version | None:
    """The version in the name of a case, if there is one."""
    match = _ID.match(name)
    version = Version(int(match["major"]), int(match["minor"])) if match else None
    return version if version in VERSIONS else None


def _version(name: str, messages: list[Item]) -> Version:
    """The version in the name, or else that of the first header."""
    version = _version_in(name)
    if version is not None:
        return version
    # A message begins with a header, and that with Protocol Version, a structure of two integers.
    header = messages[0].value[0]  # type: ignore[index]  # a structure, as above
    numbers = [child.value for child in header.value[0].value]  # type: ignore[union-attr,index]  # as above
    return Version(*numbers)  # type: ignore[arg-type]  # integers, as above


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
