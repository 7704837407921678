"""``kmipkit admin groups``: groups of users."""

from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options, server_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source


@click.group()
def groups() -> None:
    """Manage groups, which users are members of (KMIP 3.0).

    \b
    Examples:
      kmipkit admin groups add operators
      kmipkit admin groups members operators --add bob --remove eve
    """


@groups.command("list")
@reading_options
@json_option
def list_groups(source: "Source", as_json: bool) -> None:
    """List groups with their members.

    \b
    Examples:
      kmipkit admin groups list
    """
    from kmipkit_server.admin.tables import print_json, print_table

    found = source.get("/groups")["groups"]
    if as_json:
        print_json(found)
        return
    rows = [(each["name"], ", ".join(each["members"]), each["id"]) for each in found]
    print_table(("NAME", "MEMBERS", "ID"), rows)


def _show(group: dict[str, Any], as_json: bool) -> None:
    from kmipkit_server.admin.tables import print_fields, print_json

    if as_json:
        print_json([group])
        return
    members = ", ".join(group["members"]) or "none"
    print_fields({"Name": group["name"], "Unique Identifier": group["id"], "Members": members})


@groups.command()
@click.argument("name")
@reading_options
@json_option
def show(source: "Source", name: str, as_json: bool) -> None:
    """Show a group.

    \b
    Examples:
      kmipkit admin groups show operators
    """
    from kmipkit_server.admin.connection import path

    _show(source.get(path("groups", name)), as_json)


@groups.command()
@click.argument("name")
@server_options
@json_option
def add(connection: "AdminConnection", name: str, as_json: bool) -> None:
    """Add a group.

    \b
    Examples:
      kmipkit admin groups add operators
    """
    group = connection.send("POST", "/groups", name=name)
    if as_json:
        _show(group, as_json)
    else:
        echo(f"group {name} added")


@groups.command()
@click.argument("name")
@server_options
@json_option
def remove(connection: "AdminConnection", name: str, as_json: bool) -> None:
    """Destroy a group, and remove its members from it.

    \b
    Examples:
      kmipkit admin groups remove operators
    """
    from kmipkit_server.admin.connection import path

    group = connection.send("DELETE", path("groups", name))
    if as_json:
        _show(group, as_json)
    else:
        echo(f"group {name} removed")


@groups.command()
@click.argument("name")
@server_options
@click.option("--add", "added", multiple=True, metavar="USER", help="User to add; may be repeated.")
@click.option(
    "--remove", "removed", multiple=True, metavar="USER", help="User to remove; may be repeated."
)
@json_option
def members(
    connection: "AdminConnection",
    name: str,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add users to a group and remove others, all or none; without options, show the members.

    \b
    Examples:
      kmipkit admin groups members operators --add bob --add carol
      kmipkit admin groups members operators
    """
    from kmipkit_server.admin.connection import path

    if added or removed:
        group = connection.send("PATCH", path("groups", name, "members"), add=added, remove=removed)
    else:
        group = connection.get(path("groups", name))
    _show(group, as_json)
