"""Counts of values by size, for metrics.

The request path counts in plain lists of integers, which takes a fraction of a microsecond. The
objects of a metrics library, with their locks, are made only when somebody asks for the metrics.
"""

from bisect import bisect_left
from collections.abc import Iterator

LATENCIES = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
)  # fmt: skip
"""Bounds in seconds: a Get takes some 100 microseconds, the computation of a large key some seconds."""

SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Bounds for the number of jobs in a group."""


class Histogram:
    """How many values are within each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = LATENCIES) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bound, not accumulated; the last one is for larger values."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def total(self) -> int:
        """The number of values."""
        return sum(self.counts)

    def add(self, other: "Histogram") -> None:
        """Count the values of another histogram with the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def buckets(self) -> Iterator[tuple[float, int]]:
        """The bounds, infinity last, each with the number of values up to it."""
        accumulated = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            accumulated += count
            yield bound, accumulated
