"""Which objects a filter selects, and what it reads of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import InvalidArgument, NoPermission, VSphereError
from kmipkit_vsphere.web_services.faults import Fault, fault_of
from kmipkit_vsphere.web_services.managed import ManagedObject
from kmipkit_vsphere.web_services.property_path import value_at
from kmipkit_vsphere.web_services.vim25 import faults
from kmipkit_vsphere.web_services.vim25.basics import DynamicProperty
from kmipkit_vsphere.web_services.vim25.declaration import Ref, Value
from kmipkit_vsphere.web_services.vim25.properties import (
    MissingProperty,
    ObjectContent,
    PropertyFilterSpec,
    PropertySpec,
    SelectionSpec,
    TraversalSpec,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

MAX_OBJECTS: Final = 50_000
MAX_PATHS: Final = 10_000
_CONCURRENT: Final = 16


@dataclass
class _Selection:
    """The objects so far, each once, in the order in which they were reached."""

    named: dict[str, TraversalSpec]
    selected: dict[Ref, ManagedObject] = field(default_factory=dict)
    steps: set[tuple[Ref, int]] = field(default_factory=set)
    """Objects from which a spec was followed already: specs may refer to each other in circles."""


async def select(call: "Call", spec: PropertyFilterSpec) -> list[ManagedObject]:
    """The objects that a filter selects.

    Raises ``ManagedObjectNotFound`` for one that the filter names and that does not exist, unless
    it says that missing objects are to be reported.
    """
    named = {
        traversal.name: traversal
        for start in spec.object_set
        for traversal in _traversals(start.select_set)
        if traversal.name
    }
    selection = _Selection(named)
    for start in spec.object_set:
        try:
            instance = call.endpoint.resolve(call, start.obj)
        except Fault as fault:
            is_missing = isinstance(fault.detail, faults.ManagedObjectNotFound)
            if is_missing and spec.report_missing_objects_in_results:
                continue
            raise
        if not start.skip:
            selection.selected[instance.ref] = instance
        await _follow(call, selection, instance, start.select_set)
    return list(selection.selected.values())


def _traversals(specs: Sequence[SelectionSpec]) -> Iterator[TraversalSpec]:
    """All TraversalSpecs, also those inside others."""
    for spec in specs:
        if isinstance(spec, TraversalSpec):
            yield spec
            yield from _traversals(spec.select_set)


async def _follow(
    call: "Call",
    selection: _Selection,
    start: ManagedObject,
    specs: Sequence[SelectionSpec],
) -> None:
    """Follow specs from an object, and from what they lead to, without recursion."""
    waiting = [(start, spec) for spec in reversed(specs)]
    while waiting:
        instance, spec = waiting.pop()
        traversal = _traversal(selection, spec)
        step = instance.ref, id(traversal)
        if step in selection.steps or traversal.type not in instance.type_names():
            continue
        selection.steps.add(step)
        for ref in await _references(call, instance, traversal.path):
            try:
                found = call.endpoint.resolve(call, ref)
                found.check_visible(call)
            except (Fault, NoPermission):  # deleted meanwhile, or hidden from this caller
                continue
            if not traversal.skip:
                selection.selected[found.ref] = found
                if len(selection.selected) > MAX_OBJECTS:
                    raise InvalidArgument(f"a filter selects at most {MAX_OBJECTS} objects")
            waiting += [(found, inner) for inner in reversed(traversal.select_set)]


def _traversal(selection: _Selection, spec: SelectionSpec) -> TraversalSpec:
    if isinstance(spec, TraversalSpec):
        return spec
    known = selection.named.get(spec.name or "")
    if known is None:
        raise InvalidArgument(
            f"there is no TraversalSpec named {spec.name}", invalid_property="selectSet"
        )
    return known


async def _references(call: "Call", instance: ManagedObject, path: str) -> Sequence[Ref]:
    """The objects that a property refers to."""
    value = await value_at(call, instance, path)
    if value is None:
        return ()
    items = value.value if value.shape.is_array else (value.value,)
    if not all(isinstance(item, Ref) for item in items):
        raise InvalidArgument(f"{path} refers to no objects", invalid_property="path")
    return tuple(items)


# Reading ------------------------------------------------------------------------------------------


async def read(
    call: "Call", instances: Sequence[ManagedObject], prop_set: Sequence[PropertySpec]
) -> list[ObjectContent]:
    """The properties of objects; of those to which no spec applies, nothing."""
    if sum(len(spec.path_set) for spec in prop_set) > MAX_PATHS:
        raise InvalidArgument(f"a filter has at most {MAX_PATHS} paths")
    contents: list[ObjectContent | None] = [None] * len(instances)
    limiter = trio.CapacityLimiter(_CONCURRENT)

    async def fill(position: int) -> None:
        async with limiter:
            contents[position] = await _content(call, instances[position], prop_set)

    await run_all(*(partial(fill, position) for position in range(len(instances))))
    return [content for content in contents if content is not None]


async def _content(
    call: "Call", instance: ManagedObject, prop_set: Sequence[PropertySpec]
) -> ObjectContent | None:
    names = instance.type_names()
    specs = [spec for spec in prop_set if spec.type in names]
    if not specs:
        return None
    values: dict[str, Value] = {}
    missing: dict[str, MissingProperty] = {}
    for path in _paths(call, instance, specs):
        try:
            value = await value_at(call, instance, path)
        except VSphereError as error:
            fault = fault_of(error, call.endpoint.ref_of).localized()
            missing[path] = MissingProperty(path=path, fault=fault)
        else:
            if value is not None:
                values[path] = value
    return ObjectContent(
        obj=instance.ref,
        prop_set=tuple(DynamicProperty(name=path, val=value) for path, value in values.items()),
        missing_set=tuple(missing.values()),
    )


def _paths(call: "Call", instance: ManagedObject, specs: Sequence[PropertySpec]) -> dict[str, None]:
    """The paths that specs name, each once."""
    paths: dict[str, None] = {}
    for spec in specs:
        if spec.all:
            every = instance.PROPERTIES.values()
            paths.update(dict.fromkeys(p.name for p in every if p.since <= call.version))
        paths.update(dict.fromkeys(spec.path_set))
    return paths
