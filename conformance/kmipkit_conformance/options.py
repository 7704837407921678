"""What the commands of the tester share: options, their values, and how verdicts are printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from kmipkit.numbers_option import seconds
from kmipkit.terminal import echo

if TYPE_CHECKING:
    from kmipkit.reports import Report
    from kmipkit_conformance.cases import Case
    from kmipkit_conformance.player import Verdict

FILE = click.Path(path_type=Path)
SECONDS = seconds()
MAX_PORT = 65535
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
ABOUT_WIDTH = 100
"""Maximum number of characters with which a line says what a case is about."""
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]


def case_options(function: Any) -> Any:
    """The options that select cases."""
    for option in (
        click.option(
            "--profile",
            "profiles",
            multiple=True,
            help="Family of cases, or the first part of a case name; may be repeated.",
        ),
        click.option(
            "--kmip",
            "versions",
            multiple=True,
            type=click.Choice(VERSIONS),
            help="Protocol version; may be repeated.  [default: all]",
        ),
        click.option(
            "--cases",
            "folders",
            multiple=True,
            type=FILE,
            help="Case file or directory of cases; may be repeated.  [default: the built-in suite]",
        ),
    ):
        function = option(function)
    return function


def load_cases(
    folders: tuple[Path, ...], versions: tuple[str, ...], profiles: tuple[str, ...]
) -> "list[Case]":
    """The cases that the options select; a usage error if there are none."""
    from kmipkit.spec.versions import Version
    from kmipkit_conformance.cases import SUITE
    from kmipkit_conformance.errors import ConformanceError
    from kmipkit_conformance.selection import NothingSelected, select

    selected = frozenset(Version(*map(int, version.split("."))) for version in versions)
    try:
        return select(folders or (SUITE,), selected, profiles)
    except NothingSelected as error:
        raise click.BadParameter(str(error), param_hint=error.option) from None
    except ConformanceError as error:
        raise click.BadParameter(str(error), param_hint="--cases") from None


def address(text: str, option: str) -> tuple[str, int]:
    """The value of an option, which is HOST:PORT; a usage error for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > MAX_PORT:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


@contextmanager
def wrong_usage() -> Iterator[None]:
    """What the user has named cannot be used, such as a file: a usage error before the first case."""
    from kmipkit.errors import KMIPError

    try:
        yield
    except KMIPError as error:
        raise click.UsageError(str(error)) from None


def write_reports(report: "Report", reports: tuple[tuple[str, Path], ...]) -> None:
    """Write the reports of ``--report``."""
    from kmipkit.reports import write

    for form, file in reports:
        write(form, file, report)


def print_verdict(verdict: "Verdict") -> None:
    """Print the verdict on a case."""
    from kmipkit_conformance.report import lines

    about = verdict.case.about if verdict.outcome.value == "failed" else ""
    echo(f"{verdict.outcome.value:<8} {verdict.case.name}  {shorten(about, ABOUT_WIDTH)}".rstrip())
    for line in lines(verdict):
        echo(f"         {line}")
