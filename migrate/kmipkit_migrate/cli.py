"""``kmipkit admin migrate`` and ``kmipkit admin compare``: moving from one key server to another."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit.numbers_option import seconds
from kmipkit.report_option import report_option_of
from kmipkit.terminal import StatusLine, echo

if TYPE_CHECKING:
    from kmipkit_migrate.server import Server

FILE = click.Path(path_type=Path)
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1"]
_Function = TypeVar("_Function", bound=Callable[..., Any])

_SOURCE = (
    click.option(
        "--from", "source", required=True, metavar="HOST:PORT", help="The server to copy from."
    ),
    click.option("--from-ca", type=FILE, help="Its certificate authorities.  [default: --ca]"),
    click.option(
        "--from-cert", type=FILE, help="Certificate of the account there.  [default: --cert]"
    ),
    click.option(
        "--from-key",
        type=FILE,
        help="Its private key, if the file of the certificate does not have it.  [default: --key]",
    ),
    click.option(
        "--from-key-password-file", type=FILE, help="File whose first line is its password."
    ),
    click.option(
        "--from-kmip",
        type=click.Choice(VERSIONS),
        help="Protocol version there.  [default: newest version that both sides support]",
    ),
)
_TARGET = (
    click.option(
        "--server",
        "--to",
        "target",
        default="127.0.0.1:5696",
        show_default=True,
        envvar="KMIPKIT_SERVER",
        metavar="HOST:PORT",
        help="The server to copy to.",
    ),
    click.option("--ca", type=FILE, envvar="KMIPKIT_CA", help="Its certificate authorities."),
    click.option(
        "--cert",
        type=FILE,
        envvar="KMIPKIT_CERT",
        help="Certificate of the account that owns the copies, PEM or PKCS #12.",
    ),
    click.option(
        "--key",
        type=FILE,
        envvar="KMIPKIT_KEY",
        help="Its private key, if the file of the certificate does not have it.",
    ),
    password_option,
    click.option(
        "--workers",
        type=click.IntRange(1, 32),
        default=4,
        show_default=True,
        help="Objects at the same time.",
    ),
    click.option(
        "--timeout",
        type=seconds(),
        default=30.0,
        show_default=True,
        help="Seconds to wait for a response.",
    ),
    report_option_of("json", "html"),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


def two_servers(function: _Function) -> _Function:
    """Options of both servers: the function gets them, open."""

    @wraps(function)
    def run(**values: Any) -> Any:
        from kmipkit_migrate.server import Server

        timeout = values.pop("timeout")
        ca, cert, key = values.pop("ca"), values.pop("cert"), values.pop("key")
        password = values.pop("key_password_file")
        from_ca = values.pop("from_ca") or ca
        from_cert, from_key = values.pop("from_cert"), values.pop("from_key")
        from_password = values.pop("from_key_password_file")
        if from_cert is None:
            from_cert, from_key, from_password = cert, from_key or key, from_password or password
        source = _address(values.pop("source"), "--from")
        target = _address(values.pop("target"), "--server")
        if source == target:
            raise click.UsageError(f"--from and --server are the same server, {source}")
        with (
            _client(source, from_ca, from_cert, from_key, from_password, timeout,
                    values.pop("from_kmip")) as one,
            _client(target, ca, cert, key, password, timeout, None) as two,
        ):  # fmt: skip
            return function(Server(one, source).open(), Server(two, target).open(), **values)

    for option in reversed((*_SOURCE, *_TARGET)):
        run = option(run)
    return run  # type: ignore[return-value]  # click calls it with the options as keywords


def _address(text: str, option: str) -> str:
    """The address of a server, with its port."""
    from kmipkit_client import ClientError
    from kmipkit_client.endpoints import endpoint

    try:
        return str(endpoint(text))
    except ClientError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _client(
    address: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    password_file: Path | None,
    timeout: float,
    version: str | None,
) -> Any:
    from kmipkit_certs.passwords import from_command_line
    from kmipkit_client import Client
    from kmipkit_client.tls import tls_context

    from kmipkit.spec.versions import Version

    return Client(
        address,
        context=tls_context(ca, cert, key, from_command_line(password_file)),
        version=Version(*map(int, version.split("."))) if version else None,
        timeout=timeout,
        connections=32,
    )


class _Progress(StatusLine):
    """A line with how far the command is."""

    def report(self, what: str, done: int, total: int) -> None:
        """Show it."""
        self.show(f"{what}: {done} of {total}")


@click.command()
@two_servers
@click.option(
    "--journal",
    type=FILE,
    default="migration.journal",
    show_default=True,
    help="File with what is done; the same command goes on with it.",
)
@click.option(
    "--no-wrap", is_flag=True, help="Store no wrapping key on the servers; TLS protects keys."
)
@click.option("--again", is_flag=True, help="Also try what could not be copied before.")
def migrate(
    source: "Server",
    target: "Server",
    journal: Path,
    no_wrap: bool,
    again: bool,
    workers: int,
    reports: tuple[tuple[str, Path], ...],
    as_json: bool,
) -> None:
    """Copy all objects of an account from any KMIP server to this one.

    Objects come with their attributes, states, dates and links. A server that has Import, such as this
    one, keeps their identifiers. Keys are wrapped on their way with a key that both servers get for the
    time of the migration, if they can do that. What could not come along is reported.

    A migration that was interrupted goes on with the same command: its journal says what is done, and
    nothing is copied twice. The source is not changed, apart from the wrapping key.

    The exit status is 1 if an object could not be copied.

    \b
    Examples:
      kmipkit admin migrate --from old-kms:5696 --from-ca old-ca.crt \\
          --from-cert old.crt --from-key old.key
      kmipkit admin migrate --from old-kms:5696 --no-wrap --report html:migration.html
      kmipkit admin compare --from old-kms:5696 --journal migration.journal
    """
    from kmipkit_migrate import report
    from kmipkit_migrate.journal import NOT_COPIED, Journal
    from kmipkit_migrate.migration import Options
    from kmipkit_migrate.migration import migrate as migrate_all

    opened = Journal(journal, source.name, target.name)
    progress = _Progress()
    try:
        options = Options(wraps=not no_wrap, workers=workers, again=again)
        done = migrate_all(source, target, opened, options, progress.report)
    finally:
        progress.clear()
        opened.close()
    result = report.of_migration(done, report.facts(source, target, _now()))
    _write(result, reports, as_json)
    outcomes = [entry.outcome for entry in done.entries]
    if not as_json:
        for line in report.lines_of_migration(done):
            echo(line)
        echo(report.summary(outcomes))
    if NOT_COPIED in outcomes:
        raise click.ClickException("some objects could not be copied")


@click.command()
@two_servers
@click.option(
    "--journal", type=FILE, help="Journal of the migration, if the copies have other identifiers."
)
@click.option("--no-material", is_flag=True, help="Compare attributes only, and get no keys.")
def compare(
    source: "Server",
    target: "Server",
    journal: Path | None,
    no_material: bool,
    workers: int,
    reports: tuple[tuple[str, Path], ...],
    as_json: bool,
) -> None:
    """Show what two servers have differently: objects, attributes, states, links and keys.

    Nothing is changed. Keys are compared by their digests or in memory; neither is ever shown. The exit
    status is 1 if an object is missing or different.

    \b
    Examples:
      kmipkit admin compare --from old-kms:5696 --from-ca old-ca.crt \\
          --from-cert old.crt --from-key old.key
      kmipkit admin compare --from old-kms:5696 --journal migration.journal --report html:page.html
    """
    from kmipkit_migrate import report
    from kmipkit_migrate.comparison import DIFFERENT, MISSING, Comparison
    from kmipkit_migrate.journal import Journal

    identifiers: dict[str, str] = {}
    if journal is not None:
        if not journal.exists():
            raise click.BadParameter(f"no such file: {journal}", param_hint="--journal")
        opened = Journal(journal, source.name, target.name)
        identifiers = opened.identifiers
        opened.close()
    progress = _Progress()
    try:
        comparison = Comparison(source, target, identifiers, not no_material)
        found = comparison.run(workers, progress.report)
    finally:
        progress.clear()
    result = report.of_comparison(found, report.facts(source, target, _now()))
    _write(result, reports, as_json)
    outcomes = [each.outcome for each in found]
    if not as_json:
        for line in report.lines_of_comparison(found):
            echo(line)
        echo(report.summary(outcomes))
    if {DIFFERENT, MISSING} & set(outcomes):
        raise click.ClickException("the servers are different")


def _write(result: Any, reports: tuple[tuple[str, Path], ...], as_json: bool) -> None:
    from kmipkit import reports as forms
    from kmipkit.terminal import write_escaped

    for form, path in reports:
        forms.write(form, path, result)
    if as_json:
        write_escaped(forms.as_json(result))


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
