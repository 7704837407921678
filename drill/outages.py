"""How long clients were without service: the longest time between two answers. Pure functions."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drill.history import ANSWERED, Operation


@dataclass(frozen=True, slots=True)
class Window:
    """The time of a fault, from its beginning until everything works as before."""

    fault: str
    victim: str
    begun: float
    ended: float


def answers(history: Iterable[Operation]) -> Mapping[str, list[float]]:
    """When each client was answered. A refusal because of the object is an answer, too."""
    times: dict[str, list[float]] = {}
    for operation in history:
        if operation.outcome in ANSWERED:
            times.setdefault(operation.client, []).append(operation.ended)
    return {client: sorted(each) for client, each in times.items()}


def longest_gap(times: Sequence[float], window: Window, end: float) -> float:
    """The longest time without an answer that overlaps a window.

    ``end`` is when the client has stopped: a client without any further answer waits until then.
    """
    moments = [0.0, *times, end]
    gaps = [
        after - before
        for before, after in itertools.pairwise(moments)
        if after > window.begun and before < window.ended
    ]
    return max(gaps, default=0.0)
