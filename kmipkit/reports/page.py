"""The page of a report: one file with style and script inside, which works without the script."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from kmipkit.reports import Outcome, Report, Result
from kmipkit.terminal import printable, printable_lines

FOLDER = Path(__file__).parent

_ORDER = (Outcome.FAILED, Outcome.WARNED, Outcome.KNOWN, Outcome.SKIPPED, Outcome.PASSED)


def page(report: Report) -> str:
    """The page, in which all text of others is escaped."""
    results = list(report.results)
    if report.failures_first:
        results.sort(key=lambda result: _ORDER.index(result.outcome))
    style, script = (FOLDER.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            results=results,
            counts=report.counts(),
            filters=_filters(results),
            style=Markup(style),  # noqa: S704 - a file of ours
            script=Markup(script),  # noqa: S704 - a file of ours
            policy=_policy(style, script),
        )
    )


def _filters(results: Sequence[Result]) -> dict[str, list[str]]:
    """The values of each tag, in the order of the results."""
    values: dict[str, dict[str, None]] = {}
    for result in results:
        for name, value in result.tags.items():
            values.setdefault(name, {})[value] = None
    return {name: sorted(found) for name, found in values.items()}


def _policy(style: str, script: str) -> str:
    """The content security policy: nothing runs and nothing is loaded but these two."""
    return f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        finalize=_one_line,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["lines"] = _lines
    return environment


def _one_line(value: Any) -> Any:
    """Text of others without control characters, as on a terminal."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Text of several lines, which are all ours."""
    return escape(printable_lines(text))
