"""Latencies, counted in buckets: percentiles with a known error, in memory that does not grow.

A bucket is at most 1/512 of its value wide, so that a percentile is at most 0.2 % above the exact one.
Histograms of several processes and operations can be added.
"""

from collections.abc import Iterable, Iterator
from math import ceil

_BITS = 10
"""Significant bits of a value; the buckets of one power of two are half of these numbers."""
_HALF = 1 << (_BITS - 1)

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


class Histogram:
    """Counts of nanoseconds by bucket."""

    __slots__ = ("counts", "maximum", "minimum", "number", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.number = 0
        self.total = 0
        self.minimum = 0
        self.maximum = 0

    def record(self, nanoseconds: int) -> None:
        """Count a value; a negative one as 0."""
        # Conditions instead of max(), since this is done for each request.
        value = nanoseconds if nanoseconds > 0 else 0  # noqa: FURB136
        shift = value.bit_length() - _BITS
        bucket = shift * _HALF + (value >> shift) if shift > 0 else value
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1
        if not self.number or value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.number += 1
        self.total += value

    def record_even(self, lowest: int, distance: float, number: int) -> None:
        """Count so many values at equal distances, bucket by bucket: there may be a billion of them."""
        done = 0
        while done < number:
            value = max(lowest + int(done * distance), 0)
            shift = value.bit_length() - _BITS
            bucket = shift * _HALF + (value >> shift) if shift > 0 else value
            inside = int((_largest(bucket) - lowest) / distance) + 1 if distance else number
            following = min(max(inside, done + 1), number)
            self.counts[bucket] = self.counts.get(bucket, 0) + following - done
            done = following
        highest = max(lowest + int((number - 1) * distance), 0)
        self.minimum = min(self.minimum, max(lowest, 0)) if self.number else max(lowest, 0)
        self.maximum = max(self.maximum, highest)
        self.number += number
        self.total += round(number * (max(lowest, 0) + highest) / 2)

    def add(self, other: "Histogram") -> None:
        """Count all values of another histogram as well."""
        if not other.number:
            return
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.minimum = min(self.minimum, other.minimum) if self.number else other.minimum
        self.maximum = max(self.maximum, other.maximum)
        self.number += other.number
        self.total += other.total

    def percentile(self, percent: float) -> int:
        """The smallest value that at least ``percent`` of all values do not exceed (nearest rank), in
        nanoseconds; rounded up to the end of its bucket. 0 if there are no values."""
        rank = max(ceil(percent / 100 * self.number), 1)
        for value, count in self:
            rank -= count
            if rank <= 0:
                return max(min(value, self.maximum), self.minimum)
        return self.maximum

    @property
    def mean(self) -> float:
        """Nanoseconds; 0 if there are no values."""
        return self.total / self.number if self.number else 0.0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The largest value of each bucket with its count, in ascending order."""
        for bucket in sorted(self.counts):
            yield _largest(bucket), self.counts[bucket]


def _largest(bucket: int) -> int:
    """The largest value that is counted in a bucket."""
    if bucket < 2 * _HALF:
        return bucket
    shift = bucket // _HALF - 1
    return ((bucket - shift * _HALF + 1) << shift) - 1


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of histograms."""
    total = Histogram()
    for histogram in histograms:
        total.add(histogram)
    return total
