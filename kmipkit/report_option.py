"""The option ``--report`` of all testers; apart from the reports, which ``--help`` does not need."""

from pathlib import Path

import click

FORMS = ("junit", "json", "html")


def _parse(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, Path], ...]:
    """Each ``FORM:FILE`` as a pair; a usage error for anything else."""
    return tuple(map(_pair, texts))


def _pair(text: str) -> tuple[str, Path]:
    form, separator, path = text.partition(":")
    if form not in FORMS or not separator or not path:
        raise click.BadParameter(f"{text!r} is not FORM:FILE, where FORM is {', '.join(FORMS)}")
    return form, Path(path)


report_option = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORM:FILE",
    callback=_parse,
    help="Write a report: junit, json or html; may be repeated.",
)
"""Gives a command ``reports``, a pair of form and path for each."""
