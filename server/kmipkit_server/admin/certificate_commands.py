"""``kmipkit admin certificates``: which certificates end, and when."""

from typing import TYPE_CHECKING

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import server_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection

MAX_ROWS = 1000


@click.command()
@server_options
@click.option(
    "--days",
    type=click.IntRange(0, 36500),
    help="Only what ends within so many days, or has ended.  [default: everything]",
)
@json_option
def certificates(connection: "AdminConnection", days: int | None, as_json: bool) -> None:
    """List when certificates end: of the server, of authorities, and of clients.

    Those of clients are the ones with which they have connected since the server was started. A
    certificate is marked as replaced when its account has come with one that ends later.

    \b
    Examples:
      kmipkit admin certificates
      kmipkit admin certificates --days 30 --json
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    answer = connection.get("/certificates", days=days, limit=MAX_ROWS)
    found = answer["certificates"]
    if as_json:
        print_json(found)
    elif not found:
        echo("no certificate ends in this time", err=True)
    else:
        print_table(
            ("EXPIRES (UTC)", "DAYS LEFT", "ROLE", "NAME", "SERIAL", "LAST SEEN (UTC)", "REPLACED"),
            [
                (
                    moment(each["expires"]),
                    str(each["days_left"]),
                    each["role"],
                    each["name"],
                    each["serial"] or "",
                    moment(each["last_seen"]),
                    "yes" if each["replaced"] else "",
                )
                for each in found
            ],
        )
    if answer["more"]:
        echo(f"these are the {MAX_ROWS} that end first", err=True)
