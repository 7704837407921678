"""The tables of a run, from its figures as a file has them."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

RATIO, START, MEMORY, PAGE_RATIO, CREATE_RATIO = 2.0, 2.0, 200.0, 2.0, 0.9
"""The goals."""


def _ratio(search: Mapping[str, Any]) -> float:
    return float(search["large"] / search["small"])


def _is_equal(search: Mapping[str, Any]) -> bool:
    return bool(search["found"][0] == search["found"][1])


def _groups(store: Document) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for search in store["searches"]:
        groups.setdefault(search["group"], []).append(search)
    return groups


def searches(store: Document) -> str:
    """Each search in both stores."""
    few, many = store["small"]["objects"], store["large"]["objects"]
    lines = [
        f"| {store['store']}: search | {few:,} objects | {many:,} objects | ratio | found |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for search in store["searches"]:
        first, second = search["found"]
        found = f"{first}" if _is_equal(search) else f"{first}, {second}".replace("-1", "refused")
        lines.append(
            f"| {search['group']}: {search['name']} | {search['small']:.2f} ms"
            f" | {search['large']:.2f} ms | {_ratio(search):.2f} | {found} |"
        )
    return "\n".join(lines)


def groups(document: Document) -> str:
    """The searches by group: how many there are, and how their times compare."""
    lines = [
        "| store | searches | number | small store | large store | ratio: median | ratio: highest |"
        " within 2 × |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for store in document["stores"].values():
        for name, all_searches in _groups(store).items():
            equal = [each for each in all_searches if _is_equal(each)] or all_searches
            ratios = [_ratio(each) for each in equal]
            within = sum(ratio <= RATIO for ratio in ratios)
            lines.append(
                f"| {store['store']} | {name} | {len(equal)}"
                f" | {statistics.median(each['small'] for each in equal):.2f} ms"
                f" | {statistics.median(each['large'] for each in equal):.2f} ms"
                f" | {statistics.median(ratios):.2f} | {max(ratios):.2f} | {within} of {len(equal)} |"
            )
    return "\n".join(lines)


def slowest(document: Document) -> str:
    """The searches that miss the goal."""
    lines = [
        "| store | search | small store | large store | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for store in document["stores"].values():
        lines += [
            f"| {store['store']} | {search['group']}: {search['name']}"
            f" | {search['small']:.2f} ms | {search['large']:.2f} ms | {_ratio(search):.1f} |"
            for search in store["searches"]
            if _is_equal(search) and _ratio(search) > RATIO
        ]
    return "\n".join(lines) if len(lines) > 2 else "All searches are within 2 × of the small store."


def _goals(store: Document) -> Iterator[tuple[str, str, str, bool]]:
    small, large, pages = store["small"], store["large"], store["pages"]
    equal = [each for each in store["searches"] if _is_equal(each)]
    within = [each for each in equal if _ratio(each) <= RATIO]
    yield (
        "searches within 2 × of the small store",
        "all",
        f"{len(within)} of {len(equal)}",
        len(within) == len(equal),
    )
    ratio = pages["last"] / pages["first"]
    yield (
        f"a page of 1,000 at the end ({pages['objects']:,} objects), to one at the beginning",
        f"≤ {PAGE_RATIO:g}",
        f"{ratio:.2f} ({pages['first']:.0f} ms, {pages['last']:.0f} ms)",
        ratio <= PAGE_RATIO,
    )
    start, memory = large["start"], large["memory"]
    yield "start", f"< {START:g} s", f"{start:.2f} s", start < START
    yield "memory of the server", f"< {MEMORY:g} MB", f"{memory:,.0f} MB", memory < MEMORY
    yield "bytes of the database for each object", "", f"{large['object_bytes']:,.0f}", True
    ratio = large["creates"] / small["creates"] if small["creates"] else 0.0
    yield (
        "durable Creates in a second, to the small store",
        f"≥ {CREATE_RATIO:g}",
        f"{ratio:.2f} ({small['creates']:,.0f}, {large['creates']:,.0f})",
        ratio >= CREATE_RATIO,
    )


def goals(document: Document) -> str:
    """The goals for a store with many objects, with their figures."""
    lines = ["| store | measurement | goal | measured | |", "| --- | --- | --- | ---: | --- |"]
    for store in document["stores"].values():
        objects = f"{store['large']['objects']:,} to {store['small']['objects']:,} objects"
        lines.append(f"| {store['store']} | {objects} | | | |")
        for name, goal, measured, is_reached in _goals(store):
            mark = ("reached" if is_reached else "**missed**") if goal else ""
            lines.append(f"| {store['store']} | {name} | {goal} | {measured} | {mark} |")
    return "\n".join(lines)
