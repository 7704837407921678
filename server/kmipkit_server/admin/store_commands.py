"""``kmipkit admin store``: databases of PostgreSQL for servers, and copies of stores."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo, echo_json_line, echo_lines
from kmipkit_server.admin.options import FILE, data_directory_options

if TYPE_CHECKING:
    from kmipkit_server.config import Config

URL = "URL of the database, as its owner: postgresql://OWNER@HOST/DATABASE, without a password."

_password_option = click.option(
    "--password-file", type=FILE, help="File whose first line is the password of the owner."
)


@click.group()
def store() -> None:
    """Prepare databases for servers, and copy stores.

    \b
    Examples:
      kmipkit admin store init postgresql://owner@db.example.org/kms --role kmipkit
      kmipkit admin store copy --data-dir kms --to postgresql://owner@db.example.org/kms
    """


@store.command()
@click.argument("url")
@click.option(
    "--role",
    default="kmipkit",
    show_default=True,
    help="Role of the servers, which gets the privileges that their statements need.",
)
@_password_option
@click.option("--sql", "prints", is_flag=True, help="Print the statements instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(url: str, role: str, password_file: Path | None, prints: bool, as_json: bool) -> None:
    """Create or migrate the tables in a PostgreSQL database.

    The tables belong to the role in the URL, which no server needs. The role of the servers, which
    must exist, can change rows, but no tables. Run it again after an update of kmipkit: it does what
    is missing.

    \b
    Examples:
      kmipkit admin store init postgresql://owner@db.example.org/kms
      kmipkit admin store init postgresql://owner@db.example.org/kms --role kms --sql
    """
    from kmipkit_server.service.stores import target_of_url
    from kmipkit_server.store.postgresql import schema

    sql = target_of_url(url, password_file).connect()
    try:
        if prints:
            echo_lines(schema.planned(sql, role))
            return
        version = schema.migrate(sql, role)
    finally:
        sql.raw.close()
    newest = len(schema.STEPS)
    if as_json:
        echo_json_line({"database": sql.name, "role": role, "before": version, "schema": newest})
        return
    done = {0: "created", newest: "unchanged"}.get(version, f"migrated from schema {version}")
    echo(f"{sql.name}: schema {newest} {done}; the role {role} has the privileges of a server")


@store.command()
@data_directory_options
@click.option("--to", "to_url", help=f"Copy to PostgreSQL. {URL}")
@click.option("--from", "from_url", help=f"Copy from PostgreSQL to the data directory. {URL}")
@_password_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def copy(
    config: "Config",
    to_url: str | None,
    from_url: str | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Copy a store from its data directory to PostgreSQL, or back.

    No server may use either of them. The copy has the same root key. It is compared with the original
    row by row, and each object is verified; if anything differs, there is no copy. The original stays
    as it is. The database needs the tables, which "kmipkit admin store init" makes.

    \b
    Examples:
      kmipkit admin store copy --data-dir kms --to postgresql://owner@db.example.org/kms
      kmipkit admin store copy --data-dir kms --from postgresql://owner@db.example.org/kms
    """
    if (to_url is None) is (from_url is None):
        raise click.UsageError("give one of --to and --from")
    from kmipkit.terminal import StatusLine
    from kmipkit_server.audit import anchor
    from kmipkit_server.service.stores import node_of, target_of_url
    from kmipkit_server.store import copying
    from kmipkit_server.store.integrity import Integrity
    from kmipkit_server.store.postgresql import copies as postgresql
    from kmipkit_server.store.root_keys import Row, open_keys
    from kmipkit_server.store.sqlite import copies as sqlite
    from kmipkit_server.store.sqlite.database import has_content
    from kmipkit_server.vault.kinds import open_vault

    if to_url is not None and not has_content(config.database):
        raise click.ClickException(
            f"{config.database} does not exist; --data-dir or --config says where the server has its"
            " data"
        )
    vault = open_vault(config.root_key, config.counter)
    target = target_of_url(str(to_url or from_url), password_file)
    node = node_of(config)
    place = postgresql.opened(target, node, must_be_empty=to_url is not None)
    sides: tuple[AbstractContextManager[Any], AbstractContextManager[Any]]
    if to_url is not None:
        sides = sqlite.source(config.database), place
    else:
        sides = place, sqlite.destination(config.database)
    line = StatusLine()
    with sides[0] as source, sides[1] as destination:

        def integrity_of(rows: Sequence[Row]) -> Integrity:
            return open_keys(rows, vault, source.name).integrity

        # Each server on a database has audit logs of its own, which the store knows by its name.
        renamed = partial(anchor.of_node if to_url is not None else anchor.without_node, node=node)
        copied = copying.copy(source, destination, integrity_of, renamed, line.show)
        names = {"from": source.name, "to": destination.name}
    line.clear()
    if as_json:
        echo_json_line({**names, "rows": copied.rows, "sha256": copied.digest})
        return
    echo(f"copied {copied.rows['objects']} objects from {names['from']} to {names['to']}")
    echo(f"verified: all rows are the same (SHA-256 {copied.digest})")
