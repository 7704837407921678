"""The page and the comparison: complete by themselves, and readable whatever the server has said."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_load import mixes
from kmipkit_load.cleanup import Removal
from kmipkit_load.cli import bench
from kmipkit_load.comparison import compare
from kmipkit_load.encoding import Encoding
from kmipkit_load.errors import LoadError
from kmipkit_load.fleet import Run
from kmipkit_load.histogram import Histogram
from kmipkit_load.measures import Effort, Measures
from kmipkit_load.page import comparison_page, run_page
from kmipkit_load.plots import Curve, linear, logarithmic, plot
from kmipkit_load.results import Moment, as_text, document, limits, load
from kmipkit_load.settings import Settings
from kmipkit_load.target import Target
from kmipkit_load.texts import duration, latency_rows, rate, summary

from kmipkit.spec.versions import V1_4

MILLISECOND = 1_000_000
HOSTILE = 'x<script>alert(1)</script>\x1b[2J"&\u202e'


def settings(**changes: Any) -> Settings:
    values = {"duration": 10.0} | changes
    target = Target("kms", 5696)
    return Settings("0123abcd", target, mixes.find("start"), V1_4, Encoding(), **values)


def measured(latency: float = 2.0, said: str = HOSTILE) -> Measures:
    """Ten seconds of three operations, with errors in the middle."""
    measures = Measures(0, 10_000 * MILLISECOND, 1000 * MILLISECOND)
    for number in range(1000):
        now = (number + 1) * 10 * MILLISECOND
        label = ("get", "locate", "get-attributes")[number % 3]
        took = round((latency + number % 7) * MILLISECOND)
        measures.succeed(label, now - took, now)
        if 300 <= number < 310:
            measures.fail(label, now - took, now, "Item Not Found", said)
    measures.handshake(MILLISECOND, 3 * MILLISECOND, is_resumed=True)
    measures.efforts = [Effort(0.4, 0.01)]
    return measures


def results(
    measures: Measures | None = None, left: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    moment = Moment(datetime(2026, 11, 29, tzinfo=UTC), HOSTILE)
    run = Run(measures or measured(), [], was_interrupted=False)
    return document(settings(**changes), moment, run, Removal(3, left or {}))


def require_whole(page: str) -> None:
    """Well-formed, without anything that runs or is fetched, and without control characters."""
    ET.fromstring(page)
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href|url|@import)\s*[=(]|https?:|//\w""", page)
    assert all(char.isprintable() for char in page.replace("\n", ""))


def test_a_page_is_whole_and_shows_the_figures() -> None:
    page = run_page(results(left={HOSTILE: HOSTILE}))
    require_whole(page)
    for text in ("Item Not Found", "10 of 1,010", "p99.9", "1 could not be destroyed"):
        assert text in page
    assert page.count("<svg") == 5
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


@pytest.mark.parametrize("measures", [Measures(0, None, 10**9), Measures(0, 10**9, 10**9)])
def test_a_run_without_a_single_response_has_a_page(measures: Measures) -> None:
    value = results(measures)
    require_whole(run_page(value))
    assert list(summary(value))


def test_a_comparison_has_a_page() -> None:
    before, after = results(), results(measured(4.0), connections=16)
    page = comparison_page(compare(before, after), (before, after))
    require_whole(page)
    assert "The runs differ in connections: 8 and 16." in page


@given(
    low=st.floats(1e-3, 1e5), factor=st.floats(1, 1e6), values=st.lists(st.floats(0, 1e9), max_size=5)
)  # fmt: skip
def test_axes_hold_their_values_and_have_few_ticks(
    low: float, factor: float, values: list[float]
) -> None:
    for axis in (linear(low * factor), logarithmic(low, low * factor)):
        assert axis.low <= low * factor <= axis.high * 1.000001
        assert 2 <= len(axis.ticks) <= 20
        assert all(0 <= axis.place(value) <= 1 for value in (*values, low))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.043, "0.04 ms"),
        (9.996, "10.0 ms"),
        (99.96, "100 ms"),
        (999.6, "1.00 s"),
        (12_345, "12.3 s"),
    ],
)
def test_times_have_three_digits(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text


def test_the_summary_names_errors_and_what_is_left() -> None:
    lines = list(summary(results(left={"key-7": "Permission Denied"})))
    assert "  4 × get: Item Not Found" in "\n".join(lines)
    assert "1 object could not be destroyed:" in lines
    assert "  key-7: Permission Denied" in lines


def lagging(nanoseconds: int, number: int = 100) -> Histogram:
    histogram = Histogram()
    histogram.record_even(nanoseconds, 0, number)
    return histogram


def test_a_few_late_requests_say_nothing_about_the_generator() -> None:
    assert limits(settings(), [Effort(0.1)], lagging(5 * MILLISECOND, 3), measured().latency) == []


def test_an_operation_without_a_success_has_no_latency() -> None:
    """0 ms would be the best of all."""
    measures = measured()
    measures.fail("create", 0, MILLISECOND, "General Failure")
    document = results(measures)
    assert document["operations"]["create"]["latency"]["p50"] is None
    [row] = [each for each in latency_rows(document) if each[0] == "create"]
    assert row[-1] == "–"
    assert "<td>–</td>" in run_page(document)
    compared = compare(document, document)
    assert not [each for each in compared.rows if each.name.startswith("create")]


@pytest.mark.parametrize(
    ("length", "widths"), [(2500, [1, 1, 0.5]), (2010, [1, 1.01]), (1, [0.01])]
)
def test_the_last_interval_ends_with_the_run(length: int, widths: list[float]) -> None:
    """One of 2.5 s is no slower in its last half second; one of 2.01 s no faster in its last 10 ms."""
    measures = Measures(0, None, 1000 * MILLISECOND)
    for now in range(0, length, 10):
        measures.succeed("get", now * MILLISECOND, (now + 10) * MILLISECOND)
    series = results(measures)["series"]
    assert [row["width"] for row in series] == pytest.approx(widths)
    rates = [row["succeeded"] / row["width"] for row in series]
    assert rates == pytest.approx([100] * len(widths), 0.03)


def test_failures_stand_upon_successes_in_the_plot() -> None:
    """Drawn in the same place, half of them would look like all."""
    measures = Measures(0, 1000 * MILLISECOND, 1000 * MILLISECOND)
    for number in range(20):
        measures.succeed("get", number, number + 1)
        measures.fail("get", number, number + 1, "General Failure")
    page = run_page(results(measures))
    plot_of_rate = page[page.index("Requests per second") :].partition("</svg>")[0]
    bars = {
        color: (float(top), float(height))
        for color, top, height in re.findall(
            r'rect class="series-(\d)" x="[^"]+" y="([^"]+)" width="[^"]+" height="([^"]+)"',
            plot_of_rate,
        )
    }
    (success_top, success_height), (failure_top, failure_height) = bars["1"], bars["6"]
    assert success_height == pytest.approx(failure_height) != 0
    assert failure_top + failure_height == pytest.approx(success_top)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.001, "0.001"), (0.5, "0.5"), (13.27, "13.3"), (99.7, "100"), (12345, "12,345")],
)
def test_rates_are_not_rounded_to_nothing(value: float, text: str) -> None:
    assert rate(value) == text


def test_one_point_is_seen() -> None:
    """A run of one second, or with one request, has one."""
    axis = linear(10)
    figure = plot("title", "description", axis, axis, [Curve("p50", [(1, 2), (1, 2)], 1)])
    assert '<circle class="series-1"' in figure
    assert "<polyline" not in figure


@pytest.mark.parametrize(
    ("efforts", "lag", "said"),
    [
        ([Effort(0.5)], 0, []),
        ([Effort(0.5), Effort(0.97)], 0, ["Use more processes: --processes 3"]),
        ([Effort(0.5, 0.45)], 0, ["its machine was full"]),
        ([Effort(0.5)], 400_000, []),
        ([Effort(0.5)], 5 * MILLISECOND, ["could not keep the rate"]),
    ],
)
def test_the_generator_says_when_it_was_itself_the_limit(
    efforts: list[Effort], lag: int, said: list[str]
) -> None:
    found = limits(settings(processes=2), efforts, lagging(lag), measured().latency)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def saved(path: Path, value: dict[str, Any]) -> str:
    path.write_text(as_text(value), encoding="utf-8")
    assert load(path) == json.loads(as_text(value))
    return str(path)


def test_compare_prints_ratios_and_fails_on_a_slowdown(tmp_path: Path) -> None:
    files = [
        saved(tmp_path / "a.json", results(measured(2.0))),
        saved(tmp_path / "b.json", results(measured(4.0))),
    ]
    same = CliRunner().invoke(bench, ["compare", files[0], files[0], "--max-slowdown", "0"])
    assert same.exit_code == 0, same.output
    assert "1.00" in same.output
    report = tmp_path / "c.html"
    slower = CliRunner().invoke(
        bench, ["compare", *files, "--max-slowdown", "20", "--report", f"html:{report}"]
    )
    assert slower.exit_code == 1
    assert "all: p50 became worse by" in slower.output
    assert "requests became worse" not in slower.output
    require_whole(report.read_text(encoding="utf-8"))
    printed = CliRunner().invoke(bench, ["compare", *files, "--json"])
    figures = {row["name"]: row["ratio"] for row in json.loads(printed.output)["figures"]}
    assert figures["all: p50"] == pytest.approx(7 / 5, rel=0.01)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a result of kmipkit bench run"),
        ('{"kmipkit_load": 99}', "of this version (format 99, not 1)"),
        ('{"kmipkit_load": 1}', "not a complete result of kmipkit bench run: started"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"kmipkit_load": NaN}', "NaN is not a number"),
        ("9" * 10_000, "not valid JSON"),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(Exception, match=re.escape(fault)):
        load(path)


@pytest.mark.parametrize(
    ("member", "value"),
    [("rate", "fast"), ("latency", {}), ("series", [1]), ("settings", None), ("operations", [])],
)
def test_a_damaged_result_is_named_and_not_compared(
    tmp_path: Path, member: str, value: object
) -> None:
    """A file that another program has changed is no reason for a traceback."""
    path = tmp_path / "x.json"
    path.write_text(as_text({**results(measured(2.0)), member: value}))
    with pytest.raises(LoadError, match=f"not a complete result of kmipkit bench run: {member}"):
        load(path)
