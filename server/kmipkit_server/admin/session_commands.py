"""``kmipkit admin sessions``: who is connected."""

from typing import TYPE_CHECKING

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import server_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection


@click.group()
def sessions() -> None:
    """Show and close the connections of clients.

    \b
    Examples:
      kmipkit admin sessions list
      kmipkit admin sessions close 17
      kmipkit admin sessions close --account db01
    """


@sessions.command("list")
@server_options
@click.option("--account", help="Only those of this account.")
@json_option
def list_sessions(connection: "AdminConnection", account: str | None, as_json: bool) -> None:
    """List open connections, and the tickets of Login that are valid.

    \b
    Examples:
      kmipkit admin sessions list
      kmipkit admin sessions list --account db01 --json
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    answer = connection.get("/sessions")
    shown = [each for each in answer["sessions"] if account in (None, each["account"])]
    tickets = [each for each in answer["tickets"] if account in (None, each["account"])]
    if as_json:
        print_json(
            [
                *({"kind": "connection", **each} for each in shown),
                *({"kind": "ticket", **each} for each in tickets),
            ]
        )
        return
    header = ("NUMBER", "ACCOUNT", "ADDRESS", "CERTIFICATE", "EXPIRES (UTC)", "TLS", "SINCE (UTC)")
    print_table(
        (*header, "LAST REQUEST (UTC)", "REQUESTS"),
        [
            (
                str(each["number"]),
                each["account"],
                f"{each['address']}:{each['port']}",
                each["certificate"],
                moment(each["certificate_expires"]),
                each["tls"],
                moment(each["since"]),
                moment(each["last_request"]) or "now",
                str(each["requests"]),
            )
            for each in shown
        ],
    )
    if tickets:
        echo("")
        print_table(
            ("TICKET OF", "EXPIRES (UTC)", "DELEGATED", "REQUESTS LEFT"),
            [
                (
                    each["account"],
                    moment(each["expires"]),
                    "yes" if each["delegated"] else "no",
                    "any" if each["requests_left"] is None else str(each["requests_left"]),
                )
                for each in tickets
            ],
        )


@sessions.command()
@click.argument("numbers", nargs=-1, type=int)
@server_options
@click.option("--account", help="Close all connections of this account.")
@json_option
def close(
    connection: "AdminConnection", numbers: tuple[int, ...], account: str | None, as_json: bool
) -> None:
    """Close connections by their numbers, or those of an account.

    Their clients may connect again; "accounts block" prevents that.

    \b
    Examples:
      kmipkit admin sessions close 17 18
      kmipkit admin sessions close --account db01
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    if bool(numbers) == (account is not None):
        raise click.UsageError("give either numbers of connections, or --account")
    if account is not None:
        found = connection.get("/sessions")["sessions"]
        numbers = tuple(each["number"] for each in found if each["account"] == account)
    closed = [connection.send("DELETE", path("sessions", str(each))) for each in numbers]
    if as_json:
        print_json(closed)
        return
    for each in closed:
        echo(f"closed: connection {each['number']} of {each['account']} from {each['address']}")
    if not closed:
        echo(f"{account} has no open connection", err=True)
