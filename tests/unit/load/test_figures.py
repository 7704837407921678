"""Sizes are reckoned from measured figures, and say where they go beyond what was measured."""

import json
import re
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(PROJECT / "tools"))
import gen_figures  # noqa: E402
from gen_figures import BLOCKS, DOCS, FIGURES, Measured, Site, need, page  # noqa: E402

sys.path.remove(str(PROJECT / "tools"))

MEASURED = Measured(
    get=1000.0,
    create=100.0,
    cold=100.0,
    most_objects=100_000,
    memory_base=50.0,
    memory_object=100.0,
    disk_object=2000.0,
    audit_record=500.0,
    idle=30.0,
)
SITE = Site(hosts=20, keys=500, new_keys=5, reads=2, open_connections=25)


def test_what_a_hundred_sites_need() -> None:
    needed = need(100, MEASURED, SITE)
    assert needed.objects == 100 * (500 + 5 * 365 * 5) == 962_500
    assert needed.connections == 2500
    first = gen_figures.FIRST_READ
    assert needed.restart == pytest.approx(100 * (20 / 100 + 500 * first / 1000))
    assert needed.cores == 5  # 134 s of work in 60 s, on cores used by half
    assert needed.memory == pytest.approx((50e6 + 962_500 * 100 + 2500 * 30e3) / 1e9)
    assert needed.database == pytest.approx(1.925)
    assert needed.audit == pytest.approx(100 * (1000 + 5) * 365 * 500 / 1e9)
    assert needed.share == pytest.approx((100 * 1000 * first / 1000 + 100 * 5 / 100) / 86_400)


def test_the_work_of_a_first_get_is_that_of_the_page() -> None:
    """The page of performance has the instructions of both, as they were counted."""
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    [repeated] = re.findall(r"\| Get \| [\d,]+ \| ([\d,]+) \|", text)
    [first] = re.findall(r"Without them, a Get executes ([\d,]+) instructions", text)
    ratio = int(first.replace(",", "")) / int(repeated.replace(",", ""))
    assert ratio == pytest.approx(gen_figures.FIRST_READ)
    assert f"keys in use × {ratio:.1f} ÷" in (DOCS / "sizing.md").read_text(encoding="utf-8")


def test_one_site_needs_one_core() -> None:
    assert need(1, MEASURED, SITE).cores == 1


def test_sizes_beyond_the_measured_ones_are_marked() -> None:
    rows = gen_figures.sizing_reckoned(json.loads(FIGURES.read_text())).splitlines()[2:]
    marked = {row.split("|")[1].strip(): " *" in row for row in rows}
    assert marked == {"1": False, "10": False, "100": True, "1,000": True, "10,000": True}


@pytest.mark.parametrize("name", gen_figures.PAGES)
def test_the_pages_have_the_tables_of_the_figures(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert page(text, json.loads(FIGURES.read_text(encoding="utf-8"))) == text
    found = re.findall(r"<!-- figures: ([a-z-]+) -->", text)
    assert found
    assert set(found) <= set(BLOCKS)
    assert text.count("<!-- end of figures -->") == len(found)
