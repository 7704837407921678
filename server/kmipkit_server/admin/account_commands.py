"""``kmipkit admin accounts``: who has objects, who may not send requests, and who gets whose objects."""

from typing import TYPE_CHECKING

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options, server_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source


@click.group()
def accounts() -> None:
    """Show accounts, block them, and transfer their objects.

    An account is the name in a client certificate, or a user. It owns the objects that it creates.

    \b
    Examples:
      kmipkit admin accounts list
      kmipkit admin accounts show db01
      kmipkit admin accounts transfer db01 db01.example.com
      kmipkit admin accounts block db01 --reason "stolen laptop"
    """


@accounts.command("list")
@reading_options
@json_option
def list_accounts(source: "Source", as_json: bool) -> None:
    """List accounts, in the order of their names.

    Bytes are those of objects and their attributes. The time is that of the last connection since the
    server was started.

    \b
    Examples:
      kmipkit admin accounts list
      kmipkit admin accounts list --json
      kmipkit admin accounts list --data-dir kms
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    found = source.pages("/accounts", "accounts", limit=1000)
    if as_json:
        print_json(found)
        return
    header = (
        "NAME",
        "OBJECTS",
        "QUOTA",
        "BYTES",
        "QUOTA",
        "CONNECTIONS",
        "LAST SEEN (UTC)",
        "NOTES",
    )
    rows = [
        (
            each["name"],
            str(each["objects"]),
            _quota(each["objects_quota"]),
            str(each["bytes"]),
            _quota(each["bytes_quota"]),
            str(each["connections"]),
            moment(each["last_seen"]) or "-",
            _notes(each),
        )
        for each in found
    ]
    print_table(header, rows)


def _quota(quota: int | None) -> str:
    return "-" if quota is None else str(quota)


def _notes(account: dict[str, object]) -> str:
    notes = ("administrator", "blocked")
    return ", ".join(note for note in notes if account[note])


@accounts.command()
@click.argument("name")
@reading_options
@json_option
def show(source: "Source", name: str, as_json: bool) -> None:
    """Show an account, with the certificates of its clients since the server was started.

    \b
    Examples:
      kmipkit admin accounts show db01
      kmipkit admin accounts show user:bob --json
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import moment, print_fields, print_json, print_table

    answer = source.get(path("accounts", name))
    if as_json:
        print_json([answer])
        return
    account, block = answer["account"], answer["block"]
    print_fields(
        {
            "Account": account["name"],
            "Administrator": "yes" if account["administrator"] else "no",
            "Blocked": "no" if block is None else _block(block),
            "Objects": f"{account['objects']} of {_quota(account['objects_quota'])}",
            "Bytes": f"{account['bytes']} of {_quota(account['bytes_quota'])}",
            "Connections": str(account["connections"]),
            "Last seen (UTC)": moment(account["last_seen"]) or "not since the server was started",
        }
    )
    if answer["certificates"]:
        echo("")
        print_table(
            ("CERTIFICATE", "EXPIRES (UTC)", "LAST SEEN (UTC)"),
            [
                (each["serial"], moment(each["expires"]), moment(each["last_seen"]))
                for each in answer["certificates"]
            ],
        )


def _block(block: dict[str, str]) -> str:
    from kmipkit_server.admin.tables import moment

    text = f"since {moment(block['since'])} UTC by {block['by']}"
    return f"{text}: {block['reason']}" if block["reason"] else text


@accounts.command()
@click.argument("name")
@server_options
@click.option("--reason", default="", help="Why, for other administrators.")
@json_option
def block(connection: "AdminConnection", name: str, reason: str, as_json: bool) -> None:
    """Refuse all requests of an account from now on, and end its connections.

    The account stays blocked until it is unblocked, also if the server is started again.

    \b
    Examples:
      kmipkit admin accounts block db01 --reason "stolen laptop"
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    answer = connection.send("PUT", path("accounts", name, "block"), reason=reason)
    if as_json:
        print_json([answer])
    elif answer["changed"]:
        echo(f"{name} is blocked; connections ended: {answer['connections']}")
    else:
        echo(f"{name} was blocked already; connections ended: {answer['connections']}")


@accounts.command()
@click.argument("name")
@server_options
@json_option
def unblock(connection: "AdminConnection", name: str, as_json: bool) -> None:
    """Permit the requests of an account again.

    \b
    Examples:
      kmipkit admin accounts unblock db01
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    answer = connection.send("DELETE", path("accounts", name, "block"))
    if as_json:
        print_json([answer])
    else:
        echo(f"{name} {'may send requests again' if answer['changed'] else 'was not blocked'}")


@accounts.command()
@click.argument("old")
@click.argument("new")
@server_options
@json_option
def transfer(connection: "AdminConnection", old: str, new: str, as_json: bool) -> None:
    """Give all objects of the account OLD to the account NEW, for example after a client was renamed.

    The objects keep their identifiers, material and attributes. They are transferred in steps, each of
    which is complete; a transfer that was interrupted is continued by the same command. Quotas do not
    hold for it.

    \b
    Examples:
      kmipkit admin accounts transfer db01 db01.example.com
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    total, remaining = 0, True
    while remaining:
        answer = connection.send("POST", path("accounts", old, "transfer"), to=new)
        total += answer["objects"]
        remaining = answer["remaining"]
    if as_json:
        print_json([{"from": old, "to": new, "objects": total}])
    else:
        echo(f"{total} {'object' if total == 1 else 'objects'} transferred from {old} to {new}")
