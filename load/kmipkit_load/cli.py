"""``kmipkit bench``: a load generator for any KMIP server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.cli import EXIT_FAILURE, EXIT_INTERRUPTED
from kmipkit.numbers_option import NumberRange
from kmipkit.report_option import report_option_of
from kmipkit.terminal import StatusLine, echo, echo_json, echo_lines
from kmipkit_load.options import (
    FILE,
    RunOptions,
    TargetOptions,
    is_exceeded,
    json_option,
    run_options,
    target_options,
)

if TYPE_CHECKING:
    from kmipkit_load.comparison import Comparison
    from kmipkit_load.runner import Finished
    from kmipkit_load.settings import Settings

EXIT_USAGE = 2

Reports = tuple[tuple[str, Path], ...]


@click.group()
def bench() -> None:
    """Measure how fast a KMIP server is, and compare measurements.

    \b
    Examples:
      kmipkit bench run --server kms:5696 --ca ca.crt --cert me.crt --key me.key --duration 30
      kmipkit bench mixes
      kmipkit bench compare before.json after.json
      kmipkit bench clean --server kms:5696 --ca ca.crt --cert me.crt --key me.key
    """


@bench.command()
@run_options
def run(**values: Any) -> None:
    """Send requests to a server, and report rate, latencies and errors.

    The run needs a bound: --duration or --requests. It says what it creates on the server, and
    destroys it at the end, also after Ctrl-C. Use it on servers in production only with care: it
    takes from other clients what it measures.

    The exit status is 0; 1 if requests failed (see --max-errors), the run could not begin, or objects
    could not be destroyed; 130 after Ctrl-C or SIGTERM.

    \b
    Examples:
      kmipkit bench run --server kms:5696 --ca ca.crt --cert me.crt --key me.key --duration 30
      kmipkit bench run ... --duration 60 --rate 500 --mix start --report html:start.html
      kmipkit bench run ... --requests 10000 --mix create --key-size AES-128
      kmipkit bench run ... --duration 30 --cold --json > cold.json
      kmipkit bench run ... --duration 30 --encoding json --https 5697/kmip
    """
    from kmipkit_load.errors import MixError
    from kmipkit_load.planning import announcement, check_usage, settings_of

    options = RunOptions(**values)
    check_usage(options)
    try:
        settings = settings_of(options)
    except MixError as error:
        for fault in error.faults:
            echo(f"Error: {fault}", err=True)
        raise click.exceptions.Exit(EXIT_USAGE) from None
    for line in announcement(settings):
        echo(line, err=options.as_json)
    if options.dry_run:
        return
    finished = _carry_out(settings)
    raise click.exceptions.Exit(_report(finished, options))


def _carry_out(settings: "Settings") -> "Finished":
    from kmipkit_load.interrupts import Interrupts
    from kmipkit_load.runner import carry_out

    status = StatusLine()
    try:
        with Interrupts() as interrupts:
            return carry_out(settings, status.show, datetime.now(UTC), interrupts)
    finally:
        status.clear()


def _report(finished: "Finished", options: RunOptions) -> int:
    """Print and write the results; the exit status."""
    from kmipkit_load.texts import removal_lines, summary

    document = finished.document
    if document is None:
        for line in removal_lines(finished.removal.removed, finished.removal.left, finished.run):
            echo(line, err=True)
        if finished.was_interrupted:
            return EXIT_INTERRUPTED
        echo(f"Error: {finished.problem}", err=True)
        return EXIT_FAILURE
    # Nothing of the results is lost if one of the places where they go cannot be written.
    unwritten = _write_run(document, options.reports)
    if options.as_json:
        echo_json(document)
    else:
        for line in summary(document):
            echo(line)
    for problem in unwritten:
        echo(f"Error: {problem}", err=True)
    if finished.was_interrupted:
        return EXIT_INTERRUPTED
    failed = is_exceeded(options.max_errors, document["failed"], document["requests"])
    is_incomplete = finished.removal.left or document["problems"] or not document["requests"]
    return EXIT_FAILURE if failed or is_incomplete or unwritten else 0


def _write_run(document: dict[str, Any], reports: Reports) -> list[str]:
    """Write all reports that can be written; why others cannot."""
    from kmipkit.reports import ReportNotWritten, write_text
    from kmipkit_load.page import run_page
    from kmipkit_load.results import as_text

    forms = {"json": as_text, "html": run_page}
    unwritten = []
    for form, path in reports:
        try:
            write_text(path, forms[form](document))
        except ReportNotWritten as error:
            unwritten.append(str(error))
    return unwritten


@bench.command()
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option(
    "--max-slowdown",
    type=NumberRange(0, 1_000_000),
    metavar="PERCENT",
    help="Exit with status 1 if a figure became worse by more than this.",
)
@json_option
@report_option_of("json", "html")
def compare(
    before: Path, after: Path, max_slowdown: float | None, as_json: bool, reports: Reports
) -> None:
    """Compare two runs, from the files that --json or --report json:FILE has written.

    A ratio of 2 is twice the rate, or twice the latency. Settings in which the runs differ are listed.

    \b
    Examples:
      kmipkit bench compare before.json after.json
      kmipkit bench compare before.json after.json --max-slowdown 10 --report html:comparison.html
    """
    from kmipkit_load import comparison, results

    documents = results.load(before), results.load(after)
    compared = comparison.compare(*documents)
    if as_json:
        echo_json(comparison.as_json(compared))
    else:
        for line in comparison.lines(compared):
            echo(line)
    _write_comparison(compared, documents, reports)
    worse = [] if max_slowdown is None else compared.worse_than(max_slowdown / 100)
    for row in worse:
        echo(f"Error: {row.name} became worse by {row.worse_by:.0%}", err=True)
    if worse:
        raise click.exceptions.Exit(EXIT_FAILURE)


def _write_comparison(compared: "Comparison", documents: tuple[Any, Any], reports: Reports) -> None:
    from kmipkit.reports import write_text
    from kmipkit_load.comparison import as_json
    from kmipkit_load.page import comparison_page
    from kmipkit_load.results import as_text

    for form, path in reports:
        if form == "json":
            write_text(path, as_text(as_json(compared)))
        else:
            write_text(path, comparison_page(compared, documents))


@bench.command()
@click.argument("run", required=False)
@click.option("--all", "of_all", is_flag=True, help="Destroy what all runs have left.")
@target_options
def clean(run: str | None, of_all: bool, **values: Any) -> None:
    """Destroy what the run RUN has left on a server, or list the runs that have left something.

    A run destroys its objects itself. It cannot if it was killed, or if the server was gone. RUN is in
    the names of its objects, which it printed when it began: kmipkit-load-RUN-... Objects of other
    accounts are not seen. With --all, do not disturb runs that are still going on.

    \b
    Examples:
      kmipkit bench clean --server kms:5696 --ca ca.crt --cert me.crt --key me.key
      kmipkit bench clean --server kms:5696 --ca ca.crt --cert me.crt --key me.key 5e6400a1
    """
    from kmipkit_load import leftovers
    from kmipkit_load.interrupts import Interrupts
    from kmipkit_load.planning import settings_to_clean
    from kmipkit_load.texts import leftover_lines, removal_lines

    if run is not None and of_all:
        raise click.UsageError("RUN and --all exclude each other")
    settings = settings_to_clean(TargetOptions(**values))
    status = StatusLine()
    try:
        found = leftovers.find(
            settings, lambda done, total: status.show(f"looking at {done:,} of {total:,} objects")
        )
        status.clear()
        if run is None and not of_all:
            for line in leftover_lines(found):
                echo(line)
            return
        chosen = found if of_all else {run: found.get(run or "", [])}
        identifiers = [each for of_run in chosen.values() for each in of_run]
        with Interrupts() as interrupts:
            removal = leftovers.remove(
                settings,
                identifiers,
                lambda done, total: status.show(f"destroying: {done:,} of {total:,}"),
                interrupts,
            )
    finally:
        status.clear()
    if not identifiers:
        echo("There is nothing to destroy.")
    for line in removal_lines(removal.removed, removal.left):
        echo(line)
    if removal.left:
        raise click.exceptions.Exit(EXIT_FAILURE)


@bench.command("mixes")
@click.argument("name", required=False)
def list_mixes(name: str | None) -> None:
    """List the mixes that come with kmipkit, the operations and the keys; or show the mix NAME.

    The output with NAME is a file that you can change and use with --mix.

    \b
    Examples:
      kmipkit bench mixes
      kmipkit bench mixes start > my-mix.toml
    """
    from kmipkit_load import mixes
    from kmipkit_load.keys import KEYS
    from kmipkit_load.operations import OPERATIONS

    files = mixes.built_in()
    if name is not None:
        if name not in files:
            raise click.BadParameter(
                f"{name!r} is not one of {', '.join(files)}", param_hint="NAME"
            )
        echo_lines(files[name].read_text(encoding="utf-8").rstrip())
        return
    echo("Mixes:")
    for each, path in files.items():
        echo(f"  {each:<20} {mixes.load(path).description}")
    echo("Operations, each of which is a mix by itself:")
    for row in OPERATIONS.values():
        echo(f"  {row.name:<20} {row.summary}")
    echo(f"Keys: {', '.join(KEYS)}")
