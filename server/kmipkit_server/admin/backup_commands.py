"""``kmipkit admin backup``: making, listing, verifying and restoring backups."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit.numbers_option import NumberRange
from kmipkit.terminal import StatusLine, echo, echo_json_line
from kmipkit_server.admin.online import server_options
from kmipkit_server.admin.options import FILE, data_directory_options, json_option

if TYPE_CHECKING:
    from datetime import datetime

    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.backup.directory import Chain, Part
    from kmipkit_server.backup.encryption import Identities
    from kmipkit_server.backup.restoring import Opener
    from kmipkit_server.config import Config
    from kmipkit_server.store.root_keys import KeyWrapper

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def backup() -> None:
    """Back up a server while it runs, verify backups, and restore one.

    A backup has everything: objects, root key, certificates, configuration, policy and audit log. It is
    encrypted to recipients, and only their identities open it, which stay away from the server.

    \b
    Examples:
      kmipkit admin backup identity backup.identity
      kmipkit admin backup create /backup/kms --recipient age1... --data-dir kms
      kmipkit admin backup list /backup/kms
      kmipkit admin backup verify /backup/kms --identity backup.identity
      kmipkit admin backup restore /backup/kms kms --identity backup.identity
    """


@backup.command()
@click.argument("file", type=FILE)
@click.option("--public", is_flag=True, help="Print the public key of an identity that exists.")
def identity(file: Path, public: bool) -> None:
    """Make an identity, which opens backups, and print its public key, to which they are encrypted.

    FILE is a new file that only you can read, in the format of age. Keep it where the backups are
    needed, and a copy of it elsewhere, but not on the machine of the server: nobody can open a backup
    without it.

    \b
    Examples:
      kmipkit admin backup identity backup.identity
      kmipkit admin backup identity backup.identity --public
    """
    from kmipkit_server.backup import encryption

    if not public:
        echo(encryption.new_identity(file))
        return
    for key in encryption.load_identities([file]).keys:
        echo(str(key.to_public()))


@backup.command()
@click.argument("directory", type=FILE, required=False)
@data_directory_options
@click.option(
    "--recipient",
    "-r",
    "recipients",
    multiple=True,
    metavar="KEY",
    help="Public key of age, or a file with such keys or an RSA certificate; may be repeated."
    "  [default: backup.recipients]",
)
@click.option("--full", is_flag=True, help="Begin a new chain with all of the database.")
@click.option("--no-audit", is_flag=True, help="Leave the audit log out.")
@click.option(
    "--keep",
    type=NumberRange(0, 36_500, min_open=True),
    metavar="DAYS",
    help="Remove chains whose last part is older.  [default: backup.keep_days]",
)
@json_option
def create(
    config: "Config",
    directory: Path | None,
    recipients: tuple[str, ...],
    full: bool,
    no_audit: bool,
    keep: float | None,
    as_json: bool,
) -> None:
    """Back up a data directory into DIRECTORY, while its server runs or not.

    The first backup in a directory is a full one. Those that follow are increments, which have only what
    has changed, and need those before them. DIRECTORY should be on another disk or machine.

    \b
    Examples:
      kmipkit admin backup create /backup/kms --recipient age1... --data-dir kms
      kmipkit admin backup create /backup/kms --recipient officer.crt --full --config kms.toml
      kmipkit admin backup create --config kms.toml       # with the section [backup] of the file
    """
    from kmipkit_server.backup.creation import create as create_part
    from kmipkit_server.backup.service import Plan, manual_keys

    plan = Plan.of(
        config,
        _config_file(),
        directory=directory,
        recipients=recipients,
        is_full=full,
        has_audit=False if no_audit else None,
        keep_days=keep,
    )
    keys = manual_keys(config)
    with _Progress() as progress:
        made = create_part(plan.order(progress), keys, _now())
    if as_json:
        echo_json_line({**_row(made.part), "removed": [each.path.name for each in made.removed]})
        return
    manifest = made.part.manifest
    echo(
        f"{manifest.kind.value} backup {manifest.number}: {made.part.data}, {manifest.size} bytes,"
        f" {_counted(manifest.objects, 'object')}"
    )
    if made.removed:
        echo(f"removed: {_counted(len(made.removed), 'part')} of chains that were too old")


def _config_file() -> Path | None:
    """The file of the option --config."""
    file = click.get_current_context().params.get("config_file")
    return file if isinstance(file, Path) else None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)


class _Progress(StatusLine):
    """A line with how far a long command is."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._report

    def __exit__(self, *_: object) -> None:
        self.clear()

    def _report(self, what: str, done: int, total: int) -> None:
        text = f"{what}: {100 * done // max(total, 1)}%"
        if text != getattr(self, "_text", None):
            self._text = text
            self.show(text)


@backup.command()
@server_options
@json_option
def status(connection: "AdminConnection", as_json: bool) -> None:
    """Show the newest backup of a running server, and whether the last attempt has failed.

    The exit status is 1 if the newest backup is too old.

    \b
    Examples:
      kmipkit admin backup status
      kmipkit admin backup status --server kms.example.com:5696 --json
    """
    from kmipkit_server.admin.tables import moment, print_fields, print_json

    answer = connection.get("/backup")
    if as_json:
        print_json([answer])
    elif not answer["configured"]:
        echo("the server makes no backups by itself: its configuration has no backup.directory")
    else:
        last = answer["last"]
        age = answer["age_seconds"]
        print_fields(
            {
                "Directory": answer["directory"],
                "Recipients": ", ".join(answer["recipients"]),
                "Newest": "none" if last is None else f"{last['kind']} backup {last['number']}",
                "Created (UTC)": "" if last is None else moment(last["created"]),
                "Age": ""
                if age is None
                else f"{age:.0f} s, one every {answer['every_seconds']:.0f} s",
                "Size": "" if last is None else f"{last['bytes']} bytes",
                "Objects": "" if last is None else str(last["objects"]),
                "Running": "yes" if answer["running"] else "no",
                "Failing since (UTC)": moment(answer["failing_since"]),
                "Error": answer["error"] or "",
            }
        )
    if answer["late"]:
        raise click.ClickException("the newest backup is too old")


@backup.command()
@server_options
@click.option("--full", is_flag=True, help="Begin a new chain with all of the database.")
@json_option
def now(connection: "AdminConnection", full: bool, as_json: bool) -> None:
    """Have a running server make a backup now, as its configuration says.

    The directory and the recipients are those of the configuration: no administrator can choose others
    over the network.

    \b
    Examples:
      kmipkit admin backup now
      kmipkit admin backup now --full --json
    """
    from kmipkit_server.admin.tables import print_json

    made = connection.send("POST", "/backup", full=full)
    if as_json:
        print_json([made])
    else:
        echo(
            f"{made['kind']} backup {made['number']}: {made['file']}, {made['bytes']} bytes,"
            f" {_counted(made['objects'], 'object')}"
        )


@backup.command("list")
@click.argument("directory", type=FILE)
@json_option
def list_backups(directory: Path, as_json: bool) -> None:
    """List the backups in DIRECTORY, oldest first. No identity is needed.

    A full backup begins a chain; each increment needs all parts of its chain before it.

    \b
    Examples:
      kmipkit admin backup list /backup/kms
      kmipkit admin backup list /backup/kms --json
    """
    from kmipkit_server.admin.tables import print_json, print_table
    from kmipkit_server.backup.directory import parts

    found = parts(directory)
    if as_json:
        print_json([_row(part) for part in found])
        return
    if not found:
        echo("there is no backup", err=True)
        return
    print_table(
        ("NUMBER", "KIND", "CREATED (UTC)", "BYTES", "OBJECTS", "RECIPIENTS"),
        [
            (
                str(part.manifest.number),
                part.manifest.kind.value,
                f"{part.manifest.created:%Y-%m-%d %H:%M:%S}",
                str(part.manifest.size),
                str(part.manifest.objects),
                ", ".join(part.manifest.recipients),
            )
            for part in found
        ],
    )


def _row(part: "Part") -> dict[str, Any]:
    manifest = part.manifest
    return {
        "number": manifest.number,
        "kind": manifest.kind.value,
        "created": manifest.created.isoformat(),
        "file": str(part.data),
        "bytes": manifest.size,
        "objects": manifest.objects,
        "database_bytes": manifest.database,
        "transactions": manifest.counter,
        "recipients": list(manifest.recipients),
        "root_key": manifest.root_key,
        "software": manifest.software,
        "server_key": manifest.key,
    }


def opening_options(function: _Function) -> _Function:
    """Options of commands that open a backup: the function gets identities and chain."""

    @click.option(
        "--identity",
        "-i",
        "identities",
        type=FILE,
        multiple=True,
        required=True,
        help="File with the secret key of a recipient, or with its certificate and RSA key;"
        " may be repeated.",
    )
    @click.option(
        "--at",
        metavar="TIME",
        help="The last backup before this time: 2026-11-29T08:30 or 2h.  [default: the newest]",
    )
    @click.option(
        "--config",
        "config_file",
        type=FILE,
        envvar="KMIPKIT_CONFIG",
        help="Configuration that names the root key, if the backup does not have it.",
    )
    @password_option
    @wraps(function)
    def run(
        identities: tuple[Path, ...],
        at: str | None,
        config_file: Path | None,
        key_password_file: Path | None,
        directory: Path,
        **arguments: Any,
    ) -> Any:
        from kmipkit_certs.passwords import from_command_line

        from kmipkit_server.admin.times import parse_time
        from kmipkit_server.backup.directory import chain_at
        from kmipkit_server.backup.encryption import load_identities

        chain = chain_at(directory, parse_time(at, "--at"))
        opened = load_identities(identities, from_command_line(key_password_file))
        root_key = _opener(config_file)
        return function(chain, opened, root_key, is_newest=at is None, **arguments)

    return run  # type: ignore[return-value]  # click calls it with the options as keywords


def _opener(config_file: Path | None) -> "Opener | None":
    """What opens the root key that a configuration names, if the backup has none."""
    if config_file is None:
        return None

    def opened() -> "KeyWrapper":
        import os

        from kmipkit_server.backup.root_key import open_named
        from kmipkit_server.config import read_settings

        return open_named(read_settings(config_file, os.environ, {}).config)

    return opened


@backup.command()
@click.argument("directory", type=FILE)
@opening_options
@click.option(
    "--scratch",
    type=FILE,
    help="Where to open it: as much room as the database.  [default: the system's temporary directory]",
)
@json_option
def verify(
    chain: "Chain",
    identities: "Identities",
    root_key: "Opener | None",
    *,
    is_newest: bool,
    scratch: Path | None,
    as_json: bool,
) -> None:
    """Open a backup fully, and check everything in it.

    It decrypts all parts, checks that none is missing, exchanged or changed, checks the database and the
    MAC of each object, opens the key material of each object with the root key, and verifies the audit
    log. Nothing secret is written to the disk. The exit status is 1 if something is wrong.

    \b
    Examples:
      kmipkit admin backup verify /backup/kms --identity backup.identity
      kmipkit admin backup verify /backup/kms --identity backup.identity --at 2026-11-29T08:30 --json
    """
    import tempfile
    from dataclasses import asdict

    from kmipkit_server.backup import restoring

    with _Progress() as progress:
        findings = restoring.verify(
            chain,
            identities,
            scratch or Path(tempfile.gettempdir()),
            progress,
            root_key,
            is_newest=is_newest,
        )
    last = chain[-1]
    if as_json:
        echo_json_line({**_row(last), "parts": len(chain), **asdict(findings)})
    else:
        for problem in findings.problems:
            echo(problem, err=True)
    if findings.problems:
        count = _counted(len(findings.problems), "problem")
        raise click.ClickException(f"the backup is not intact: {count}")
    if not as_json:
        echo(
            f"intact: backup {last.manifest.number} of {last.manifest.created:%Y-%m-%d %H:%M:%S} UTC,"
            f" {_counted(len(chain), 'part')}, {_counted(findings.objects, 'object')},"
            f" {findings.materials} with key material,"
            f" {_counted(findings.audit_records, 'audit record')}"
        )


@backup.command()
@click.argument("directory", type=FILE)
@click.argument("target", type=FILE)
@opening_options
@json_option
def restore(
    chain: "Chain",
    identities: "Identities",
    root_key: "Opener | None",
    *,
    is_newest: bool,  # noqa: ARG001 - restoring an older backup is permitted
    target: Path,
    as_json: bool,
) -> None:
    """Restore a backup into the new data directory TARGET.

    It checks everything as "verify" does, and never overwrites: TARGET must not exist, and it exists
    only when it is complete. The next start of the server records in its audit log what was restored.

    \b
    Examples:
      kmipkit admin backup restore /backup/kms kms --identity backup.identity
      kmipkit admin restore /backup/kms kms --identity backup.identity --at 2h
    """
    from kmipkit_server.backup import restoring

    with _Progress() as progress:
        done = restoring.restore(chain, identities, target, _now(), progress, root_key)
    manifest = chain[-1].manifest
    outside = {file.original: str(target / file.name) for file in done.outside}
    if as_json:
        echo_json_line(
            {
                **_row(chain[-1]),
                "directory": str(target),
                "restored_objects": done.findings.objects,
                "old_data_directory": done.data_directory,
                "files": outside,
            }
        )
        return
    echo(
        f"restored: {target}, {_counted(done.findings.objects, 'object')}, backup"
        f" {manifest.number} of {manifest.created:%Y-%m-%d %H:%M:%S} UTC"
    )
    echo("what has changed since then is not in it: for example revocations and new keys")
    if outside:
        echo("files that the configuration names elsewhere; put them where the new one names them:")
        for original, restored_to in outside.items():
            echo(f"  {restored_to}  was {original}")
    if not done.has_root_key:
        echo(f"the root key is not in it: {manifest.root_key} must be there when the server starts")
    echo(
        f"next: kmipkit serve --data-dir {target}, or with your configuration: --check-config first"
    )
