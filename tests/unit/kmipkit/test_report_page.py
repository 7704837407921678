"""The page of a report: what people read, in any browser, of servers that may be hostile."""

import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from kmipkit.reports import Outcome, Pane, Report, Result, Table, as_html, junit

HOSTILE = "</script><script>alert(1)</script>\" ' \x1b[2J \u202e"


def result(name: str, outcome: Outcome, reason: str = "", profile: str = "KIT-A") -> Result:
    return Result(
        name=name,
        group="g",
        outcome=outcome,
        members={},
        cells=(name,),
        reasons=[reason] if reason else [],
        panes=[Pane("messages", [("received", f"Line 1\nLine 2 {reason}")])],
        about=f"about {name}",
        tags={"Profile": profile},
    )


RESULTS = (
    result("good", Outcome.PASSED),
    result("bad", Outcome.FAILED, "expected Success, got General Failure"),
    result("odd", Outcome.SKIPPED, "not offered", "KIT-B"),
)


def report(*results: Result, failures_first: bool = True, problem: str = "") -> Report:
    return Report(
        title="A run",
        results=results,
        outcomes=(Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED),
        name="cases",
        columns=("Case",),
        tables=[Table("Profiles", ("Profile", "Result"), [("Basic", "not claimed")], outcome=1)],
        facts=[("Target", "kms:5696")],
        statements=[("Vendor Identification", HOSTILE)],
        failures_first=failures_first,
        problem=problem,
    )


class Elements(HTMLParser):
    """The elements of a page, by name, and those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.found


def test_nothing_that_a_peer_sent_becomes_part_of_the_page() -> None:
    """A server under test must not run a script in the browser of the tester."""
    page = as_html(report(result(HOSTILE, Outcome.FAILED, HOSTILE, HOSTILE)))
    assert [tag for tag, _ in elements(page)].count("script") == 1
    attributes = {name for _, names in elements(page) for name in names}
    assert not {name for name in attributes if name.startswith("on")}
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", ""), "nothing is loaded from elsewhere"


def test_the_policy_permits_only_the_script_and_the_style_of_the_page() -> None:
    page = as_html(report(*RESULTS))
    policy = re.search(r'Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]


def test_failures_come_first_where_the_order_of_the_run_does_not_matter() -> None:
    """Nobody scrolls through 800 cases to find the three that matter."""
    page = as_html(report(*RESULTS))
    assert page.index("about bad") < page.index("about odd") < page.index("about good")
    page = as_html(report(*RESULTS, failures_first=False))
    assert page.index("about good") < page.index("about bad")


def test_the_page_has_what_was_tested_and_what_the_server_says() -> None:
    page = as_html(report(*RESULTS))
    for words in ("<dd>kms:5696</dd>", "Vendor Identification", 'class="not-claimed"', "Line 1\nL"):
        assert words in page
    assert '<property name="Target" value="kms:5696"' in junit(report(*RESULTS))


def test_junit_has_what_people_and_machines_look_at() -> None:
    """Some CI shows the message of a failure, some its text; a run that broke off must not look good."""
    several = Result("bad", "g", Outcome.FAILED, {}, reasons=["one", "two"], about="about bad")
    results = (RESULTS[0], several, RESULTS[2])
    suite = ET.fromstring(junit(report(*results, problem="kms:5696: Connection refused")))
    [failure] = suite.iterfind(".//failure")
    assert failure.text is not None
    assert failure.text.split("\n") == failure.get("message", "").split("; ")
    abouts = [each.get("value") for each in suite.iterfind("./testcase/properties/property")]
    assert abouts == ["about good", "about bad", "about odd"]
    assert (suite.get("errors"), suite.get("tests")) == ("1", "4")
    [error] = suite.iterfind(".//error")
    assert error.get("message") == "kms:5696: Connection refused"


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], str]:
    """The page as a browser has it after the script, with a fragment."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Chromium is not installed")
    path = tmp_path / "report.html"
    path.write_text(as_html(report(*RESULTS)))

    def document(fragment: str) -> str:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/b"]
        url = f"file://{quote(str(path))}{fragment}"
        command = [browser, *flags, "--virtual-time-budget=2000", "--dump-dom", url]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=300
        ).stdout

    return document


@pytest.mark.parametrize(
    ("fragment", "shown"),
    [
        ("", {"good", "bad", "odd"}),
        ("#Outcome=failed", {"bad"}),
        ("#Profile=KIT-A", {"good", "bad"}),
        ("#text=GENERAL+failure", {"bad"}),
        ("#Profile=KIT-B&Outcome=failed", set()),
    ],
)
def test_a_browser_filters_the_rows(
    browse: Callable[[str], str], fragment: str, shown: set[str]
) -> None:
    """The script runs under the policy, and does what the form says."""
    found = elements(browse(fragment))
    rows = [names for tag, names in found if tag == "tr" and "data-tags" in names]
    order = ["bad", "odd", "good"]
    assert {name for name, row in zip(order, rows, strict=True) if "hidden" not in row} == shown
    [form] = [names for tag, names in found if tag == "form"]
    assert "hidden" not in form
