"""``kmipkit admin policy warnings``: objects that an algorithm rule concerns."""

from typing import TYPE_CHECKING

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.online import Source

MAX_ROWS = 1000


@click.command()
@reading_options
@click.option(
    "--days",
    type=click.IntRange(min=0),
    help="Only what is refused now, or within so many days.  [default: everything]",
)
@click.option("--owner", help="Only objects of this account.")
@json_option
def warnings(source: "Source", days: int | None, owner: str | None, as_json: bool) -> None:
    """List keys that may not protect data, or will not: which, whose, why, and from when on.

    These are the keys that an algorithm rule of the policy concerns, by algorithm, length or age. They
    still decrypt and verify, unless the rule says otherwise. Curves are not in the list, because the
    server does not open keys for it.

    \b
    Examples:
      kmipkit admin policy warnings
      kmipkit admin policy warnings --days 30 --owner db01
      kmipkit admin policy warnings --data-dir kms --json
    """
    from itertools import islice

    from kmipkit_server.admin.tables import moment, print_json, print_table

    found = source.pages("/policy/warnings", "objects", days=days, owner=owner, limit=MAX_ROWS)
    if as_json:
        print_json(found)
        return
    shown = list(islice(found, MAX_ROWS))
    if not shown:
        echo("no algorithm rule concerns any object", err=True)
        return
    print_table(
        ("REFUSED FROM (UTC)", "ID", "OWNER", "TYPE", "NAMES", "RULE", "WHY"),
        [
            (
                "now" if each["refused"] else moment(each["begins"]),
                each["id"],
                each["owner"],
                each["type"],
                ", ".join(each["names"]),
                each["rule"],
                each["text"],
            )
            for each in shown
        ],
    )
    if next(found, None) is not None:
        echo(f"these are the first {MAX_ROWS}; --json prints all", err=True)
