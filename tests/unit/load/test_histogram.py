"""Percentiles are those of the sorted values, within the promised error."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from kmipkit_load.histogram import Histogram, merged

VALUES = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)
PERCENTS = st.one_of(st.sampled_from([50.0, 90.0, 99.0, 99.9, 100.0]), st.floats(0.01, 100))


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(values=VALUES, percent=PERCENTS)
def test_a_percentile_is_the_one_of_the_sorted_list(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(ceil(percent / 100 * len(values)), 1) - 1]
    found = of(values).percentile(percent)
    assert exact <= found <= exact + exact // 512


@given(values=VALUES)
def test_extremes_number_and_mean_are_exact(values: list[int]) -> None:
    histogram = of(values)
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert (histogram.number, histogram.mean) == (len(values), sum(values) / len(values))
    assert sum(count for _, count in histogram) == len(values)


@given(parts=st.lists(st.lists(st.integers(0, 10**12), max_size=50), max_size=5))
def test_what_several_processes_counted_adds_up(parts: list[list[int]]) -> None:
    total, whole = (
        merged(of(part) for part in parts),
        of([value for part in parts for value in part]),
    )
    assert (total.counts, total.number, total.total) == (whole.counts, whole.number, whole.total)
    assert (total.minimum, total.maximum) == (whole.minimum, whole.maximum)


def test_without_values_there_is_no_latency() -> None:
    assert (Histogram().percentile(99), Histogram().mean) == (0, 0.0)


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    assert of([-5, 10]).minimum == 0
