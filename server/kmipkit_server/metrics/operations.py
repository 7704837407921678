"""Counts of operations and the time that requests take.

The key of a series is what the request path has at hand, so that counting a request is one look-up and
two additions. Labels are made when somebody asks for the metrics. A client can send any operation
code; those that have no name share one series.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.counters.histogram import LATENCIES, Histogram
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.request import Request
from kmipkit_server.engine.seam import Hook

BATCH = "Batch"
"""The operation of a message with several items, in the histogram of durations."""
UNKNOWN = "Unknown"
"""An operation without a name, or that of a message that was refused as a whole."""

_OUTCOMES = {
    ResultStatus.SUCCESS: "success",
    ResultStatus.OPERATION_FAILED: "failure",
    ResultStatus.OPERATION_PENDING: "pending",
    ResultStatus.OPERATION_UNDONE: "undone",
}

_Key = tuple[Operation | None, Version, ResultStatus, ResultReason | None, str]
"""The last element is the tenant."""


class OperationCount(NamedTuple):
    """A row of the metric of operations."""

    operation: str
    version: str
    tenant: str
    outcome: str
    reason: str
    number: int


class _Series:
    """The single-item messages of one key, by duration, and the items of larger ones."""

    __slots__ = ("counts", "items", "key", "sum")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.counts = [0] * (len(LATENCIES) + 1)
        self.sum = 0.0
        self.items = 0


class OperationCounters(Hook):
    """Counts what the server has answered."""

    def __init__(self) -> None:
        self._series: dict[_Key, _Series] = {}
        self._batches: dict[str, Histogram] = {}
        """By tenant."""
        self._refused: Counter[ResultReason] = Counter()

    def answered(self, exchange: Exchange) -> None:
        """Count the items of a message, and its time."""
        request, results = exchange.request, exchange.results
        if request is None:
            if exchange.error is not None:
                self._refused[exchange.error.reason] += 1
            return
        if len(request.items) != 1:
            self._answered_batch(request, exchange)
            return
        [result] = results
        key = (
            result.operation, request.version, result.result_status, result.result_reason,
            exchange.identity.tenant,
        )  # fmt: skip
        series = self._series.get(key)
        if series is None:
            series = self._new(key)
        seconds = perf_counter() - exchange.started
        series.counts[bisect_left(LATENCIES, seconds)] += 1
        series.sum += seconds

    def _answered_batch(self, request: Request, exchange: Exchange) -> None:
        results, tenant = exchange.results, exchange.identity.tenant
        if not results:
            return  # all items were cancelled before they were due
        version = request.version
        for result in results:
            key = (result.operation, version, result.result_status, result.result_reason, tenant)
            series = self._series.get(key) or self._new(key)
            series.items += 1
        batches = self._batches.setdefault(tenant, Histogram())
        batches.observe(perf_counter() - exchange.started)

    def _new(self, key: _Key) -> _Series:
        operation, *rest = key
        if operation is not None and not operation.is_named:
            key = (None, *rest)  # type: ignore[assignment]  # the rest has its four elements
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(key)
        return series

    # --- for the metrics -------------------------------------------------------------------------

    def counts(self) -> Iterator[OperationCount]:
        """How many operations there were, by name, version, outcome and reason."""
        for series in self._series.values():
            operation, version, status, reason, tenant = series.key
            yield OperationCount(
                _name(operation),
                str(version),
                tenant,
                _OUTCOMES[status],
                "" if reason is None else reason.name,
                sum(series.counts) + series.items,
            )

    def durations(self) -> dict[tuple[str, str], Histogram]:
        """How long messages took, by the operation of their only item and the tenant."""
        histograms: dict[tuple[str, str], Histogram] = {}
        for series in self._series.values():
            if any(series.counts):
                key = (_name(series.key[0]), series.key[-1])
                histogram = histograms.setdefault(key, Histogram())
                histogram.counts = [
                    a + b for a, b in zip(histogram.counts, series.counts, strict=True)
                ]
                histogram.sum += series.sum
        return histograms | {(BATCH, tenant): each for tenant, each in self._batches.items()}

    def refusals(self) -> dict[str, int]:
        """How many messages could not be read, by reason."""
        return {reason.name: count for reason, count in self._refused.items()}


def _name(operation: Operation | None) -> str:
    return UNKNOWN if operation is None else title(operation)
