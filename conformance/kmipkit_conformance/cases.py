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
"""Beside the cases, if there is one: what each needs, as ``setup``, ``depends_on`` and so on."""

OWN = Path(__file__).parent / "suite"
"""The cases that come with the tester."""

_ID = re.compile(r"(?P<test>.+)-(?P<major>[0-9])(?P<minor>[0-9])$")


@dataclass(frozen=True, slots=True)
class Step:
    """A request and the response that is expected."""

    request: Item
    response: Item
    marks: Marks = NO_MARKS
    """Those of the request."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case."""

    name: str
    version: Version
    steps: tuple[Step, ...]
    needs: str = ""
    """What it needs beyond a client and a server, in words; empty for most."""
    transport: str = "tls"
    """``tls``, ``https``, or a name of :data:`kmipkit_conformance.security.SUITES`."""
    encoding: str = "ttlv"
    """A key of :data:`ENCODINGS`."""
    waits: bool = False
    """Whether it looks at an object until time has changed it, though its file may not say where."""
    depends_on: tuple[str, ...] = ()
    """Names of cases whose objects it finds."""

    @property
    def family(self) -> str:
        """The profile or group that it belongs to, such as ``CS-BC``."""
        return re.split(r"-[MO]-|-[0-9]", self.name, maxsplit=1)[0]

    def operations(self) -> set[Operation]:
        """The operations that its requests ask for."""
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
    """The cases below some folders, of these versions and families (all where none is given).

    Raises:
        ConformanceError: a folder or file cannot be read.
    """
    for folder in folders:
        if not folder.exists():
            raise ConformanceError(f"{folder}: no such file or directory")
        known = index_of(folder)
        paths = [folder] if folder.is_file() else sorted(folder.rglob("*.xml"))
        for path in paths:
            case = load(path, known.get(path.stem, {}))
            wanted = not versions or case.version in versions
            if wanted and (not profiles or _matches(case, profiles)):
                yield case


def _matches(case: Case, profiles: tuple[str, ...]) -> bool:
    return any(case.family == one or case.name.startswith(one) for one in profiles)


def find(folders: Iterable[Path], name: str) -> Case | None:
    """The case of this name, wherever it lies below the folders or the index beside them."""
    for folder in folders:
        known = index_of(folder)
        roots = [folder, *_with_index(folder)]
        for root in roots:
            path = next(iter(root.rglob(f"{name}.xml")), None) if root.is_dir() else None
            if path is not None:
                return load(path, known.get(name, {}))
    return None


def _with_index(folder: Path) -> list[Path]:
    """The folder that holds the index of this one, if there is one."""
    places = (folder, *folder.resolve().parents)
    return [place for place in places if (place / INDEX).is_file()][:1]


def index_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What the index in the folder or above it says of each case."""
    for place in _with_index(folder):
        cases = json.loads((place / INDEX).read_text(encoding="utf-8"))["cases"]
        return {case["id"]: case for case in cases}
    return {}


ENCODINGS: Mapping[str, str] = MappingProxyType(
    {"ttlv": media.TTLV, "xml": media.XML, "json": media.JSON}
)
"""The media type of each encoding."""

_AFTER = {"run after the TC-OTP cases": "TC-OTP-SETUP-1-13"}
"""Set-ups that are other cases, which their case does not name."""

_PLAYED = (
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
"""Beginnings of what an index calls a set-up, and the player does anyway."""


def _need(told: dict[str, Any]) -> str:
    found = [one for one in told.get("setup", ()) if not one.startswith(_PLAYED)]
    if told.get("server_to_client"):
        found.append("messages from the server to a client")
    if _transport(told) is None:
        found.append(f"the transport {' or '.join(told['transports'])}")
    return "; ".join(dict.fromkeys(found))


def _transport(told: dict[str, Any]) -> str | None:
    """The transport that the player uses; None where it has none of those that are asked for."""
    known = ("tls", "https", *SUITES)
    return next((one for one in told.get("transports", ["tls"]) if one in known), None)


def _encoding(told: dict[str, Any]) -> str:
    return next((one for one in told.get("encodings", ()) if one in ENCODINGS), "ttlv")


def load(path: Path, told: dict[str, Any] | None = None) -> Case:
    """One case; ``told`` is what an index says of it. ConformanceError if the file is not one."""
    told = told or {}
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
        _need(told),
        _transport(told) or "tls",
        _encoding(told),
        any(one.startswith("waits in real time") for one in told.get("setup", ())),
        (
            *told.get("depends_on", ()),
            *(_AFTER[one] for one in told.get("setup", ()) if one in _AFTER),
        ),
    )


def _version(name: str, messages: list[Item]) -> Version:
    """From the name, or else from the first header."""
    found = _ID.match(name)
    if found:
        version = Version(int(found["major"]), int(found["minor"]))
        if version in VERSIONS:
            return version
    header = messages[0].value[0]  # type: ignore[index]
    numbers = [child.value for child in header.value[0].value]  # type: ignore[union-attr,index]
    return Version(*numbers)  # type: ignore[arg-type]


def _steps(messages: list[Item], marked: list[Marks]) -> Iterator[Step]:
    """Requests with their responses; some files print two requests before the responses."""
    waiting: list[tuple[Item, Marks]] = []
    marked += [NO_MARKS] * (len(messages) - len(marked))
    for message, mark in zip(map(_spaced, messages), marked, strict=False):
        if message.tag == Tag.REQUEST_MESSAGE:
            waiting.append((message, mark))
        elif waiting:
            request, before = _answered_by(waiting, message)
            yield Step(request, message, before)


def _answered_by(waiting: list[tuple[Item, Marks]], response: Item) -> tuple[Item, Marks]:
    """The oldest request for the response's operation, or the oldest at all."""
    wanted = _first_operation(response)
    found = next((one for one in waiting if _first_operation(one[0]) == wanted), waiting[0])
    waiting.remove(found)
    return found


def _first_operation(message: Item) -> Any:
    items = children(message, Tag.BATCH_ITEM)
    found = children(items[0], Tag.OPERATION) if items else []
    return found[0].value if found else None


def _spaced(item: Item) -> Item:
    """Attribute names with single blanks: files made from listings have them as they were laid out."""
    if isinstance(item.value, tuple):
        return Item(item.tag, item.type, tuple(_spaced(child) for child in item.value))
    if item.tag == Tag.ATTRIBUTE_NAME and isinstance(item.value, str):
        return Item(item.tag, item.type, " ".join(item.value.split()))
    return item
