"""What a run counts: latencies and failures by operation, and all of it over time.

The latencies are those of successful requests. A request that was given up counts with the time until
then, so that a server which does not respond cannot look fast; a response that reports a failure does
not count as a latency, since failing is often quicker than the work.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

from kmipkit_load.histogram import Histogram, merged
from kmipkit_load.pace import Overdue

MAX_REASONS = 50
"""Different reasons that are counted by themselves: a server may invent more."""
OTHER_REASON = "other reasons"
MAX_INTERVALS = 240
"""Parts of the time that are told apart; beyond, they become longer."""


@dataclass(slots=True)
class Tally:
    """The requests of one operation."""

    service: Histogram = field(default_factory=Histogram)
    """From sending to the response, without the wait for a free connection (open loop)."""
    succeeded: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """What the server said the first time that it failed for a reason."""

    @property
    def failed(self) -> int:
        """Requests that have failed."""
        return self.failures.total()

    def add(self, other: "Tally") -> None:
        """Count those of another tally as well."""
        self.service.add(other.service)
        self.succeeded += other.succeeded
        for reason, count in other.failures.items():
            self.fail(reason, other.examples.get(reason, ""), count)

    def fail(self, reason: str, example: str, count: int = 1) -> None:
        """Count failures."""
        if reason not in self.failures and len(self.failures) >= MAX_REASONS:
            reason = OTHER_REASON
        self.failures[reason] += count
        if example:
            self.examples.setdefault(reason, example)


@dataclass(slots=True)
class Interval:
    """What ended in a part of the time."""

    latencies: dict[str, Histogram] = field(default_factory=dict)
    """By operation, from the intended start to the response."""
    succeeded: int = 0
    failed: int = 0

    @property
    def latency(self) -> Histogram:
        """The latencies of all operations together."""
        return merged(self.latencies.values())

    def histogram(self, label: str) -> Histogram:
        """The latencies of an operation."""
        histogram = self.latencies.get(label)
        if histogram is None:
            histogram = self.latencies[label] = Histogram()
        return histogram

    def record(self, label: str, nanoseconds: int) -> None:
        """Count a latency."""
        (self.latencies.get(label) or self.histogram(label)).record(nanoseconds)

    def add(self, other: "Interval") -> None:
        """Count what another interval has as well."""
        for label, histogram in other.latencies.items():
            self.histogram(label).add(histogram)
        self.succeeded += other.succeeded
        self.failed += other.failed


@dataclass(slots=True)
class Effort:
    """What the load generator itself used."""

    processor: float = 0.0
    """The share of one core that a process used."""
    waiting: float = 0.0
    """The share of the time in which it could have run, but waited for a core; 0 if unknown."""


@dataclass(slots=True)
class Measures:
    """All that one process, or the whole run, has measured; times in nanoseconds."""

    begin: int
    """What begins earlier is the warm-up, and not counted."""
    end: int | None
    """Until when requests become due; None without a bound in time."""
    width: int
    """The length of an interval."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    intervals: dict[int, Interval] = field(default_factory=dict)
    handshakes: Histogram = field(default_factory=Histogram)
    """From the start of a connection to the end of its TLS handshake."""
    resumed: int = 0
    """Connections that resumed a TLS session."""
    lag: Histogram = field(default_factory=Histogram)
    """How late the generator itself was where a connection was free (open loop)."""
    in_time: int = 0
    """Successful responses from ``begin`` to ``end``, whenever their requests began."""
    last: int = 0
    """When the last response came."""
    ended: int = 0
    """Until when all requests were sent, or counted as not sent: the end, or earlier because of their
    number or an interruption."""
    efforts: list[Effort] = field(default_factory=list)
    """Of each process."""

    def tally(self, label: str) -> Tally:
        """The tally of an operation."""
        tally = self.tallies.get(label)
        if tally is None:
            tally = self.tallies[label] = Tally()
        return tally

    def _interval(self, now: int) -> Interval:
        while (number := (now - self.begin) // self.width) >= MAX_INTERVALS:
            self._widen()
        interval = self.intervals.get(number)
        if interval is None:
            interval = self.intervals[number] = Interval()
        return interval

    def _widen(self) -> None:
        """Make the intervals twice as long: a run that is bounded by its number may take days."""
        narrow, self.intervals = self.intervals, {}
        self.width *= 2
        for number, interval in narrow.items():
            self.intervals.setdefault(number // 2, Interval()).add(interval)

    def succeed(self, label: str, intended: int, now: int) -> None:
        """Count a successful response. For the rate, its end counts; for all else, its beginning."""
        if now >= self.begin and (self.end is None or now <= self.end):
            self.in_time += 1
        if intended < self.begin:
            return
        tally = self.tallies.get(label) or self.tally(label)
        tally.succeeded += 1
        interval = self.intervals.get((now - self.begin) // self.width) or self._interval(now)
        interval.succeeded += 1
        interval.record(label, now - intended)
        self.last = now

    def fail(self, label: str, intended: int, now: int, reason: str, example: str = "") -> None:
        """Count a response that reports a failure, or a connection that failed."""
        if intended >= self.begin:
            self.tally(label).fail(reason, example)
            self._interval(now).failed += 1
            self.last = now

    def give_up(self, label: str, intended: int, now: int, reason: str) -> None:
        """Count a request without a response, with the time for which somebody waited."""
        if intended >= self.begin:
            self.fail(label, intended, now, reason)
            self._interval(now).record(label, now - intended)

    def give_up_all(self, label: str, overdue: Overdue, now: int, reason: str) -> None:
        """Count requests that were never sent, without those of the warm-up."""
        first, distance, number = overdue
        if first < self.begin:
            before = ceil((self.begin - first) / distance) if distance else number
            first, number = first + round(before * distance), number - before
        if number <= 0:
            return
        self.tally(label).fail(reason, "", number)
        interval = self._interval(now)
        interval.failed += number
        last = first + int((number - 1) * distance)
        interval.histogram(label).record_even(now - last, distance, number)
        self.last = now

    def handshake(self, now: int, nanoseconds: int, is_resumed: bool) -> None:
        """Count a new connection that began after the warm-up."""
        if now - nanoseconds >= self.begin:
            self.handshakes.record(nanoseconds)
            self.resumed += is_resumed

    @property
    def succeeded(self) -> int:
        """Successful requests."""
        return sum(tally.succeeded for tally in self.tallies.values())

    @property
    def failed(self) -> int:
        """Failed requests."""
        return sum(tally.failed for tally in self.tallies.values())

    @property
    def latency(self) -> Histogram:
        """The latencies of all operations together."""
        return merged(interval.latency for interval in self.intervals.values())

    def latency_of(self, label: str) -> Histogram:
        """The latencies of an operation."""
        return merged(
            interval.latencies[label]
            for interval in self.intervals.values()
            if label in interval.latencies
        )

    @property
    def seconds(self) -> float:
        """The time in which the rate is counted: until the end; or until the last response, if the run
        has no end in time, or was over before."""
        last = max(self.last, self.ended)
        return max((last if self.end is None else min(self.end, last)) - self.begin, 0) / 1e9

    @property
    def rate(self) -> float:
        """Successful requests in a second.

        Over a given time, what has begun before and ends in it makes up for what has begun in it and
        ends later. A run that ends with its last response has nothing to make up for.
        """
        has_time = self.end is not None and max(self.last, self.ended) >= self.end
        counted = self.in_time if has_time else self.succeeded
        return counted / self.seconds if self.seconds else 0.0

    def add(self, other: "Measures") -> None:
        """Count what another process of the same run has measured as well."""
        for label, tally in other.tallies.items():
            self.tally(label).add(tally)
        while self.width < other.width:
            self._widen()
        for number, interval in other.intervals.items():
            place = number * other.width // self.width
            self.intervals.setdefault(place, Interval()).add(interval)
        self.handshakes.add(other.handshakes)
        self.lag.add(other.lag)
        self.resumed += other.resumed
        self.in_time += other.in_time
        self.last = max(self.last, other.last)
        self.ended = max(self.ended, other.ended)
        self.efforts += other.efforts


def interval_width(seconds: float | None) -> int:
    """A length of intervals of which a run has at most 60, or a second if its length is unknown."""
    widths = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 600)
    needed = 1.0 if seconds is None else seconds / 60
    return round(1e9 * next((width for width in widths if width >= needed), 3600))
