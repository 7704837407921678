"""``kmipkit admin audit``: reading and verifying the audit log of a data directory.

The commands only read, so that they also work while the server runs, and when it does not.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kmipkit.terminal import echo, echo_json_line, write_escaped
from kmipkit_server.admin.online import files_or_server_options
from kmipkit_server.admin.options import FILE, data_directory_options, json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.audit.logs import Log
    from kmipkit_server.audit.query import Filter, Match
    from kmipkit_server.audit.verification import Report
    from kmipkit_server.config import Config

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def audit() -> None:
    """Show, search, export and verify the audit log.

    The log has a record of every operation and every refusal. These commands read the files in the
    data directory, whether the server runs or not.

    \b
    Examples:
      kmipkit admin audit tail --follow
      kmipkit admin audit query --object IDENTIFIER
      kmipkit admin audit verify
    """


def filter_options(function: _Function) -> _Function:
    """The options that say which records are meant; the function gets a Filter as ``conditions``."""
    options = (
        click.option("--object", "object_", metavar="ID", help="Unique Identifier of an object."),
        click.option("--account", help="Account that sent the request."),
        click.option(
            "--tenant", help='Tenant of that account; "" for accounts that belong to no tenant.'
        ),
        click.option("--user", metavar="ID", help="Unique Identifier of the user."),
        click.option("--operation", metavar="NAME", help='Operation, such as "Get" or get.'),
        click.option(
            "--outcome",
            type=click.Choice(["success", "failed", "undone", "pending", "not-committed"]),
            help="Result.",
        ),
        click.option(
            "--reason", metavar="NAME", help='Result Reason, such as "Permission Denied".'
        ),
        click.option("--address", metavar="ADDRESS", help="Address or network of the client."),
        click.option(
            "--certificate", metavar="SERIAL", help="Serial number or fingerprint, hexadecimal."
        ),
        click.option("--correlation", metavar="VALUE", help="Client or Server Correlation Value."),
        click.option(
            "--since", metavar="TIME", help="From this time on: 2026-11-29, 2026-11-29T08:30 or 2h."
        ),
        click.option("--until", metavar="TIME", help="Before this time, in the same forms."),
    )

    @wraps(function)
    def run(*arguments: Any, **values: Any) -> Any:
        names = (
            "object_", "account", "tenant", "user", "operation", "outcome", "reason", "address",
            "certificate", "correlation", "since", "until",
        )  # fmt: skip
        conditions = _filter(**{name: values.pop(name) for name in names})
        return function(*arguments, conditions=conditions, **values)

    for option in reversed(options):
        run = option(run)
    return run  # type: ignore[return-value]  # click calls it with the options as keywords


def _filter(
    *,
    address: str | None,
    since: str | None,
    until: str | None,
    object_: str | None,
    correlation: str | None,
    account: str | None,
    tenant: str | None,
    user: str | None,
    operation: str | None,
    outcome: str | None,
    reason: str | None,
    certificate: str | None,
) -> "Filter":
    from ipaddress import ip_network

    from kmipkit_server.admin.times import parse_time
    from kmipkit_server.audit.query import Filter

    try:
        network = None if address is None else ip_network(address, strict=False)
    except ValueError:
        raise click.BadParameter(
            f"{address!r} is neither an address nor a network", param_hint="--address"
        ) from None
    return Filter(
        object=object_,
        account=account,
        tenant=tenant,
        user=user,
        operation=operation,
        outcome=outcome,
        reason=reason,
        network=network,
        certificate=certificate,
        correlation_value=correlation,
        since=parse_time(since, "--since"),
        until=parse_time(until, "--until"),
    )


def _logs(config: "Config") -> "list[Log]":
    """The logs of the server. ClickException if there is none."""
    from kmipkit_server.audit.logs import logs_in

    directory = config.audit_directory
    try:
        logs = logs_in(directory)
    except OSError as error:
        raise click.ClickException(
            f"{directory}: {error.strerror}; --data-dir or --config says where the server has its data,"
            " and --server HOST:PORT asks a server instead"
        ) from None
    if not logs:
        raise click.ClickException(f"{directory} has no audit log")
    return logs


@audit.command()
@files_or_server_options
@click.option("--lines", "-n", default=10, show_default=True, help="Number of records.")
@click.option("--follow", "-f", is_flag=True, help="Show further records as they are written.")
@json_option
def tail(source: "Config | AdminConnection", lines: int, follow: bool, as_json: bool) -> None:
    """Show the last records.

    \b
    Examples:
      kmipkit admin audit tail --data-dir kms
      kmipkit admin audit tail --follow
      kmipkit admin audit tail --follow --server kms.example.com:5696
    """
    from kmipkit_server.admin import audit_online
    from kmipkit_server.audit import following, forms, logs
    from kmipkit_server.config import Config

    if not as_json:
        echo(forms.line(forms.HEADER))
    if not isinstance(source, Config):
        for match in audit_online.tail(source, lines, follow=follow):
            _show(match, as_json)
        return
    for match in logs.last(_logs(source), lines):
        _show(match, as_json)
    if follow:
        for match in following.new(source.audit_directory):
            _show(match, as_json)


def _show(match: "Match", as_json: bool) -> None:
    from kmipkit.terminal import printable_json
    from kmipkit_server.audit import forms

    if as_json:
        write_escaped(printable_json(forms.to_json(match)) + "\n")
    else:
        echo(forms.line(forms.row(match)))


@audit.command()
@files_or_server_options
@filter_options
@click.option(
    "--limit", type=click.IntRange(1, 1 << 31), help="Show only the newest records, this many."
)
@json_option
def query(
    source: "Config | AdminConnection", conditions: "Filter", limit: int | None, as_json: bool
) -> None:
    """Search the log.

    All conditions must be met. Names of operations and reasons may be written in any way: "Get
    Attributes", get-attributes or GET_ATTRIBUTES. A server that is asked returns the newest 1000
    records at most.

    \b
    Examples:
      kmipkit admin audit query --object IDENTIFIER          who has used a key
      kmipkit admin audit query --operation get --since 1d   all keys that were fetched
      kmipkit admin audit query --outcome failed --address 10.0.0.0/8
    """
    from kmipkit_server.admin import audit_online
    from kmipkit_server.audit import forms
    from kmipkit_server.audit.logs import search
    from kmipkit_server.config import Config

    if isinstance(source, Config):
        matches = search(_logs(source), conditions, limit)
    else:
        matches = audit_online.query(source, conditions, limit)
        if limit is None and len(matches) == audit_online.MAX_RECORDS:
            echo(f"these are the newest {len(matches)}; --until shows older ones", err=True)
    misspelled = "" if matches else _unknown_name(conditions)
    if not matches and (misspelled or not as_json):
        echo(f"no record meets these conditions{misspelled}", err=True)
    if as_json:
        for match in matches:
            _show(match, as_json)
    elif matches:
        for line in forms.table([forms.HEADER, *map(forms.row, matches)]):
            echo(line)


def _unknown_name(conditions: "Filter") -> str:
    """What may be misspelled in conditions that no record meets."""
    from kmipkit.spec.enums import Operation, ResultReason
    from kmipkit.spec.names import folded
    from kmipkit.spec.titles import title
    from kmipkit_server.administration.table import ROUTES
    from kmipkit_server.toml.suggestion import suggestion

    operations = [*map(title, Operation), *(row.name for row in ROUTES.rows)]
    known = (
        ("operation", conditions.operation, operations),
        ("Result Reason", conditions.reason, [title(each) for each in ResultReason]),
    )
    for what, name, names in known:
        if name and folded(name) not in map(folded, names):
            return f"; there is no {what} {name!r}{suggestion(name, names)}"
    return ""


@audit.command()
@data_directory_options
@filter_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "cef"]),
    default="json",
    show_default=True,
    help="JSON lines as in the log, or the Common Event Format.",
)
@click.option("--out", type=FILE, help="File to write.  [default: standard output]")
def export(config: "Config", conditions: "Filter", form: str, out: Path | None) -> None:
    """Write records for other programs, checkpoints included.

    \b
    Examples:
      kmipkit admin audit export --since 2026-11-01 --until 2026-12-01 --out november.jsonl
      kmipkit admin audit export --format cef --since 1h
    """
    from dataclasses import replace

    from kmipkit_server.audit import forms
    from kmipkit_server.audit.logs import search

    matches = search(_logs(config), replace(conditions, with_checkpoints=True))
    if form == "cef":
        text = "".join(f"{_escaped(forms.to_cef(match.entry))}\n" for match in matches)
    else:
        text = "".join(f"{_escaped_json(forms.to_json(match))}\n" for match in matches)
    if out is None:
        write_escaped(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from None
    echo(f"{len(matches)} records written to {out}")


def _escaped(text: str) -> str:
    from kmipkit.terminal import printable

    return printable(text)


def _escaped_json(text: str) -> str:
    from kmipkit.terminal import printable_json

    return printable_json(text)


@audit.command()
@click.argument("path", type=FILE, required=False)
@data_directory_options
@click.option(
    "--public-key",
    "public_keys",
    type=FILE,
    multiple=True,
    help="File with a public key of the server; may be repeated.  [default: from the data directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    config: "Config", path: Path | None, public_keys: tuple[Path, ...], as_json: bool
) -> None:
    """Verify that no record was removed, changed, moved or cut off.

    PATH is a directory with the files of a log, or one of these files; without it, the log in the
    data directory is verified, and compared with what the database knows of it. With --public-key,
    only the files and this key are needed, so that it can be done on another machine.

    The exit status is 1 if something is wrong.

    \b
    Examples:
      kmipkit admin audit verify --data-dir kms
      kmipkit admin audit public-key --data-dir kms > audit.pem
      kmipkit admin audit verify /archive/2026 --public-key audit.pem
    """
    from kmipkit_server.admin import audit_key
    from kmipkit_server.audit.signatures import Verifier, load_public_key
    from kmipkit_server.audit.verification import Expected, verify_all

    if path is not None and not path.exists():
        raise click.ClickException(f"{path}: no such file or directory")
    expected: dict[str, Expected] = {}
    if public_keys:
        verifier = Verifier(map(load_public_key, public_keys))
    else:
        key, expected = audit_key.of_data_directory(config)
        verifier = Verifier([key])
    if path is not None:
        expected = {}  # they may be older files
    try:
        logs = audit_key.logs_at(path or config.audit_directory)
        reports = verify_all(logs, verifier, expected)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    _print_reports(reports, as_json)


def _print_reports(reports: "list[Report]", as_json: bool) -> None:
    problems = [each for report in reports for each in report.problems]
    if as_json:
        first, *others = map(_report_json, reports)
        echo_json_line({**first, "others": others} if others else first)
    else:
        for problem in problems:
            echo(f"{problem}", err=True)
        for report in reports:
            for note in report.notes:
                echo(f"note: {report.log}: {note}" if report.log else f"note: {note}")
    if problems:
        raise click.ClickException(
            f"the audit log is not intact: {_counted(len(problems), 'problem')}"
        )
    if not as_json:
        for report in reports:
            where = f" of {report.log}" if report.log else ""
            echo(
                f"intact: {_counted(report.records, 'record')}{where} in"
                f" {_counted(report.files, 'file')}, {report.first} to {report.last}, with"
                f" {_counted(report.checkpoints, 'valid signature')}"
            )


def _report_json(report: "Report") -> dict[str, Any]:
    from dataclasses import asdict

    value = asdict(report)
    value["last_time"] = report.last_time and report.last_time.isoformat()
    for problem in value["problems"]:
        problem["time"] = problem["time"] and problem["time"].isoformat()
    return value


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@audit.command("public-key")
@data_directory_options
def public_key(config: "Config") -> None:
    """Print the public key that verifies the log.

    Keep it where nobody can change it together with the log.

    \b
    Examples:
      kmipkit admin audit public-key --data-dir kms > audit.pem
    """
    from kmipkit_server.admin import audit_key
    from kmipkit_server.audit.signatures import to_pem

    key, _ = audit_key.of_data_directory(config)
    write_escaped(to_pem(key))
