"""Test cases from files."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from kmipkit_conformance.security import SUITES

INDEX = "index.json"
"""An optional file next to the cases, with what each requires: ``setup``, ``depends_on`` and so on."""

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


@dataclass(frozen=True, slots=True)
class Case:
    """One test case."""

    name: str
    version: Version
    steps: tuple[Step, ...]
    needs: str = ""
    """Requirements beyond a client and a server, as text; usually there are none."""
    transport: str = "tls"
    """``tls``, ``https``, or a name of :data:`kmipkit_conformance.security.SUITES`."""
    encoding: str = "ttlv"
    """A key of :data:`ENCODINGS`."""
    waits: bool = False
    """Whether it reads an object until a date has changed the object. The file may not say in which
    step."""
    depends_on: tuple[str, ...] = ()
    """Names of cases whose objects it uses."""

    @property
    def family(self) -> str:
        """The profile or group to which it belongs, such as ``CS-BC``."""
        return re.split(r"-[MO]-|-[0-9]", self.name, maxsplit=1)[0]

    def operations(self) -> set[Operation]:
        """The operations in its requests."""
        return {
            Operation(child.value)  # type: ignore[arg-type]  # an enumeration's value
            for step in self.steps
            for item in children(step.request, Tag.BATCH_ITEM)
            for child in children(item, Tag.OPERATION)
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
        entries = index_of(folder)
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*.xml"))
        for path in paths:
            case = load(path, entries.get(path.stem, {}))
            has_version = not versions or case.version in versions
            if has_version and (not profiles or _matches(case, profiles)):
                yield case


def _matches(case: Case, profiles: tuple[str, ...]) -> bool:
    return any(case.family == profile or case.name.startswith(profile) for profile in profiles)


def find(folders: Iterable[Path], name: str) -> Case | None:
    """The case with this name, below one of the folders or below the folder of its index."""
    for folder in folders:
        entries = index_of(folder)
        roots = [folder, *_index_folders(folder)]
        for root in roots:
            path = next(iter(root.rglob(f"{name}.xml")), None) if root.is_dir() else None
            if path is not None:
                return load(path, entries.get(name, {}))
    return None


def _index_folders(folder: Path) -> list[Path]:
    """The folder that contains the index of this one, if there is one."""
    places = (folder, *folder.resolve().parents)
    return [place for place in places if (place / INDEX).is_file()][:1]


def index_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The entries of the index in the folder or above it, by the name of the case."""
    for place in _index_folders(folder):
        cases = json.loads((place / INDEX).read_text(encoding="utf-8"))["cases"]
        return {case["id"]: case for case in cases}
    return {}


ENCODINGS: Mapping[str, str] = MappingProxyType(
    {"ttlv": media.TTLV, "xml": media.XML, "json": media.JSON}
)
"""The media type of each encoding."""

_SETUP_CASES = {"run after the TC-OTP cases": "TC-OTP-SETUP-1-13"}
"""Set-ups that another case provides, although the index does not list it as a dependency."""

_SUPPORTED_SETUPS = (
    "Maximum Response Size",
    "TLS 1.2 with the Suite B",
    "TLS 1.3 (Quantum Safe",
    "several clients",
    "asynchronous:",
    "waits in real time",
    "administrator account",
    "Device credentials",
    "client registration",
    "Login / Delegated Login",
    "server must be able to issue certificates",
    "needs the secret data",
    "needs a server that keeps/pre-generates fresh objects",
    "run after the TC-OTP cases",
    "send over HTTPS",
    "send the messages in the XML encoding",
    "send the messages in the JSON encoding",
    "the case file itself only shows the XML form",
)
"""Set-ups that the player provides, by the first words of their texts in an index."""


def _needs(entry: dict[str, Any]) -> str:
    needs = [text for text in entry.get("setup", ()) if not text.startswith(_SUPPORTED_SETUPS)]
    if entry.get("server_to_client"):
        needs.append("messages from the server to a client")
    if _transport(entry) is None:
        needs.append(f"the transport {' or '.join(entry['transports'])}")
    return "; ".join(dict.fromkeys(needs))


def _transport(entry: dict[str, Any]) -> str | None:
    """The first transport of the entry that the player supports; None if it supports none of them."""
    supported = ("tls", "https", *SUITES)
    return next((name for name in entry.get("transports", ["tls"]) if name in supported), None)


def _encoding(entry: dict[str, Any]) -> str:
    return next((name for name in entry.get("encodings", ()) if name in ENCODINGS), "ttlv")


def load(path: Path, entry: dict[str, Any] | None = None) -> Case:
    """One case; ``entry`` is its entry in an index. ConformanceError if the file cannot be read."""
    entry = entry or {}
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
    return Case(
        path.stem,
        _version(path.stem, messages),
        tuple(_steps(messages, list(marks(text)))),
        _needs(entry),
        _transport(entry) or "tls",
        _encoding(entry),
        any(text.startswith("waits in real time") for text in entry.get("setup", ())),
        (
            *entry.get("depends_on", ()),
            *(_SETUP_CASES[text] for text in entry.get("setup", ()) if text in _SETUP_CASES),
        ),
    )


def _version(name: str, messages: list[Item]) -> Version:
    """The version in the name, or else that of the first header."""
    match = _ID.match(name)
    if match:
        version = Version(int(match["major"]), int(match["minor"]))
        if version in VERSIONS:
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
