"""The parts of a document of results that comparisons and pages read, and what a file lacks of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kmipkit_load.histogram import PERCENTILES


@dataclass(frozen=True, slots=True)
class Each:
    """All values of an object, or all elements of an array, have this shape."""

    shape: "Shape"
    of: type = list


Shape = type | tuple[type, ...] | Each | Mapping[str, Any]
"""A type, the types of which a value has one, or the members that an object has at least."""

NUMBER = (int, float)
OPTIONAL = (*NUMBER, type(None))
_LATENCY = dict.fromkeys(("mean", "max", *(f"p{each:g}" for each in PERCENTILES)), OPTIONAL)
DOCUMENT: Shape = {
    "started": str,
    "server": {"target": str, "vendor": str},
    "settings": {"mix": str, "mix_requests": Each({"request": str, "weight": NUMBER})},
    "requests": int,
    "failed": int,
    "seconds": NUMBER,
    "rate": NUMBER,
    "latency": _LATENCY,
    "operations": Each({"succeeded": int, "latency": _LATENCY}, dict),
    "series": Each(dict.fromkeys(("from", "width", "succeeded", "failed"), NUMBER)),
    "distribution": Each(Each(NUMBER)),
    "generator": {"limits": Each(str)},
    "interrupted": bool,
}
"""Written by :func:`kmipkit_load.results.document`."""


_ABSENT = object()


def faults(value: object, shape: Shape, place: str = "") -> Iterator[str]:
    """Where a value has not this shape."""
    if isinstance(shape, Each):
        if not isinstance(value, list | dict) or not isinstance(value, shape.of):
            yield place
            return
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, member in members:
            yield from faults(member, shape.shape, f"{place}.{name}")
    elif isinstance(shape, Mapping):
        if not isinstance(value, dict):
            yield place
            return
        for name, inner in shape.items():
            yield from faults(value.get(name, _ABSENT), inner, f"{place}.{name}" if place else name)
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        yield place
