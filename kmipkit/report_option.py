"""The option ``--report`` of all testers; apart from the reports, which ``--help`` does not need."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FORMS = ("junit", "json", "html")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def report_option_of(*forms: str) -> Callable[[_Command], _Command]:
    """Gives a command ``reports``, a pair of form and path for each; only these forms are accepted."""

    def parse(
        _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
    ) -> tuple[tuple[str, Path], ...]:
        return tuple(_pair(text, forms) for text in texts)

    listed = ", ".join(forms[:-1]) + f" or {forms[-1]}"
    return click.option(
        "--report",
        "reports",
        multiple=True,
        metavar="FORM:FILE",
        callback=parse,
        help=f"Write a report: {listed}; may be repeated.",
    )


def _pair(text: str, forms: tuple[str, ...]) -> tuple[str, Path]:
    """``FORM:FILE`` as a pair; a usage error for anything else."""
    form, separator, path = text.partition(":")
    if form not in forms or not separator or not path:
        raise click.BadParameter(f"{text!r} is not FORM:FILE, where FORM is {', '.join(forms)}")
    _require_writable(Path(path))
    return form, Path(path)


def _require_writable(path: Path) -> None:
    """A usage error now, rather than after a run whose report cannot be written."""
    if path.is_dir():
        raise click.BadParameter(f"{path} is a directory")
    if not path.exists() and not path.parent.is_dir():
        raise click.BadParameter(f"{path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.BadParameter(f"{path} cannot be written")


report_option = report_option_of(*FORMS)
"""The option of testers."""
