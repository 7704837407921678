"""Chains of cases: one that locates objects needs those that another one has left.

The files do not say so. A case that binds an identifier in the response of a Locate looks at objects
that exist already: those of the profiles "Storage Array with Self-Encrypting Drives" and "Tape
Library" (SASED-M-3, TL-M-3) are left by the case before them. Which case that is follows from what
both do: it creates objects with the names, groups or other texts that the Locate asks for, or, if the
Locate asks for nothing but types, it is the nearest one before in the order of names.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_conformance import rules
from kmipkit_conformance.cases import Case, Step, children, load
from kmipkit_conformance.placeholders import ANY_OBJECT, Symbol, symbols

_DESTROYING = frozenset({Operation.DESTROY, Operation.OBLITERATE})
_NOT_CRITERIA = frozenset({Tag.ATTRIBUTE_NAME, Tag.VENDOR_IDENTIFICATION})


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a Locate asks for."""

    texts: frozenset[str]
    types: frozenset[int]
    """Object types."""


def requirements(case: Case) -> list[Criteria]:
    """The criteria of each Locate that finds objects which the case itself has not created."""
    bound: set[str] = set()
    found = []
    for step in case.steps:
        bound |= {symbol.name for symbol in symbols(step.request)}
        for request, response in _locates(step):
            names = (symbol.name for symbol in symbols(response))
            new = {name for name in names if not ANY_OBJECT.match(name)} - bound
            if new and not rules.GROUP_MEMBERS & {item.tag for item in _all_items(request)}:
                found.append(_criteria(request))
        bound |= {symbol.name for symbol in symbols(step.response)}
    return found


def _locates(step: Step) -> Iterator[tuple[Item, Item]]:
    """The Locate requests of a step that succeed, with their responses."""
    items = (children(message, Tag.BATCH_ITEM) for message in (step.request, step.response))
    for request, response in zip(*items, strict=False):
        operations = [child.value for child in children(request, Tag.OPERATION)]
        statuses = [child.value for child in children(response, Tag.RESULT_STATUS)]
        if operations == [Operation.LOCATE] and statuses == [ResultStatus.SUCCESS]:
            yield request, response


def _criteria(request: Item) -> Criteria:
    payloads = children(request, Tag.REQUEST_PAYLOAD)
    items = [item for payload in payloads for item in _all_items(payload)]
    texts = {
        item.value
        for item in items
        if isinstance(item.value, str)
        and not isinstance(item.value, Symbol)
        and item.tag not in _NOT_CRITERIA
    }
    return Criteria(frozenset(texts), frozenset(_object_types(items)))


def _object_types(items: Iterable[Item]) -> Iterator[int]:
    """Object types: a field of their own, or the value of the 1.x attribute."""
    for item in items:
        if item.tag == Tag.OBJECT_TYPE and isinstance(item.value, int):
            yield item.value
        names = children(item, Tag.ATTRIBUTE_NAME) if item.tag == Tag.ATTRIBUTE else []
        row = BY_NAME.get(str(names[0].value)) if names else None
        if row is not None and row.tag == Tag.OBJECT_TYPE:
            for value in children(item, Tag.ATTRIBUTE_VALUE):
                assert isinstance(value.value, int)
                yield value.value


def _all_items(item: Item) -> Iterator[Item]:
    yield item
    for child in item.value if isinstance(item.value, tuple) else ():
        yield from _all_items(child)


def leaves(case: Case, criteria: Criteria) -> bool:
    """Whether a case creates objects that meet the criteria, and does not destroy its objects."""
    if case.operations() & _DESTROYING:
        return False
    items = [
        item
        for step in case.steps
        for request in children(step.request, Tag.BATCH_ITEM)
        if {child.value for child in children(request, Tag.OPERATION)} & rules.CREATING
        for item in _all_items(request)
    ]
    texts = {item.value for item in items if isinstance(item.value, str)}
    return bool(items) and criteria.texts <= texts and criteria.types <= set(_object_types(items))


@dataclass(slots=True)
class Library:
    """The files of all cases that are at hand, to find those on which others build."""

    folders: tuple[Path, ...]
    _paths: list[Path] = field(default_factory=list)

    def paths(self) -> list[Path]:
        """All files. Next to a file that was named alone are the other cases of its kind."""
        if not self._paths:
            for folder in self.folders:
                root = folder.parent if folder.is_file() else folder
                self._paths += sorted(root.rglob("*.xml"))
        return self._paths

    def named(self, name: str) -> Case | None:
        """The case with this name."""
        return next((load(path) for path in self.paths() if path.stem == name), None)

    def providers(self, case: Case) -> tuple[list[Case], bool]:
        """The cases to play before this one, and whether they leave all objects that it needs."""
        found: dict[str, Case] = {}
        needed = requirements(case)
        for criteria in needed:
            if not any(leaves(provider, criteria) for provider in found.values()):
                provider = self._provider(case, criteria)
                if provider is None:
                    return [], False
                found[provider.name] = provider
        return list(found.values()), True

    def _provider(self, case: Case, criteria: Criteria) -> Case | None:
        needles = [quoteattr(text).encode() for text in criteria.texts]
        for path in sorted(
            self._candidates(case, criteria), key=lambda path: _distance(path, case)
        ):
            text = path.read_bytes()
            if all(needle in text for needle in needles):
                candidate = load(path)
                if leaves(candidate, criteria):
                    return candidate
        return None

    def _candidates(self, case: Case, criteria: Criteria) -> Iterator[Path]:
        """Any other case that has the texts; without texts only one before it, of its family."""
        for path in self.paths():
            if path.stem == case.name:
                continue
            key, own = _order(path.stem), _order(case.name)
            is_before = key[:-1] < own[:-1] and key[-1] == own[-1]
            if criteria.texts or (is_before and path.stem.startswith(f"{case.family}-")):
                yield path


def _order(name: str) -> tuple[object, ...]:
    """The parts of a name, with numbers as numbers, and the version last."""
    base, _, version = name.rpartition("-")
    parts = re.split(r"([0-9]+)", base)
    return (
        *((part.isdecimal(), int(part) if part.isdecimal() else part) for part in parts),
        version,
    )


def _distance(path: Path, case: Case) -> tuple[object, ...]:
    """How near a case is: of the same version and family, before the other, and near by."""
    name, version = path.stem, case.name.rpartition("-")[2]
    is_before = _order(name) < _order(case.name)
    common = len(_common_start(name, case.name))
    return (
        not name.endswith(f"-{version}"),
        -common,
        not is_before,
        [-part if is_before else part for part in _numbers(name)],
        name,
    )


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", name)]


def _common_start(a: str, b: str) -> str:
    """The parts, separated by hyphens, with which both names begin."""
    parts = []
    for one, other in zip(a.split("-"), b.split("-"), strict=False):
        if one != other:
            break
        parts.append(one)
    return "-".join(parts)
