"""``kmipkit admin objects``: what is in a key server."""

from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.online import Source

COLUMNS = {
    "id": "ID",
    "type": "TYPE",
    "state": "STATE",
    "owner": "OWNER",
    "name": "NAME",
    "algorithm": "ALGORITHM",
    "length": "LENGTH",
    "created": "CREATED (UTC)",
    "activation": "ACTIVATION (UTC)",
    "deactivation": "DEACTIVATION (UTC)",
    "archived": "ARCHIVED",
}
DEFAULT_COLUMNS = "id,type,state,owner,name,algorithm,length,created"
PAGE = 1000
"""Objects that one request asks for."""
MAX_ROWS = 1000
"""Rows of a table, unless --limit says otherwise."""


@click.group()
def objects() -> None:
    """Show the objects of all accounts.

    They are shown with their attributes, and never with their material.

    \b
    Examples:
      kmipkit admin objects list --state active --type symmetric-key
      kmipkit admin objects show IDENTIFIER
      kmipkit admin objects totals
    """


@objects.command("list")
@reading_options
@click.option("--state", help="State, such as active or pre-active.")
@click.option("--type", "type_", help="Object Type, such as symmetric-key.")
@click.option("--owner", help='Account of the owner; "" for objects of the server, such as users.')
@click.option("--name", help="Pattern for the Name: * is any characters, ? is one.")
@click.option("--created-before", metavar="TIME", help="Date, or age such as 90d.")
@click.option("--created-after", metavar="TIME", help="Date, or age such as 12h.")
@click.option(
    "--attribute",
    multiple=True,
    metavar="NAME=VALUE",
    help="Attribute, by its standard name, or x-NAME for a custom attribute; may be repeated.",
)
@click.option(
    "--columns",
    default=DEFAULT_COLUMNS,
    show_default=True,
    help=f"Columns of the table, of: {', '.join(COLUMNS)}.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Sort by a column; -COLUMN for the reverse order.  [default: -created]",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1 << 31),
    help="Show this many objects at most.  [default: 1000 in a table, all with --json]",
)
@json_option
def list_objects(
    source: "Source",
    columns: str,
    sort: str | None,
    limit: int | None,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List objects, newest first. All conditions must be met.

    \b
    Examples:
      kmipkit admin objects list --owner db01 --state active
      kmipkit admin objects list --name "backup-*" --created-before 365d
      kmipkit admin objects list --attribute "Cryptographic Length=128" --columns id,owner
      kmipkit admin objects list --data-dir kms --json
    """
    from itertools import islice

    from kmipkit_server.admin.tables import print_json, print_table

    chosen = _columns(columns)
    query = _query(conditions)
    is_by_age = sort in (None, "created", "-created")
    query["order"] = "oldest" if sort == "created" else "newest"
    # Only the order of creation is that of the server: for another one, all objects are needed.
    query["limit"] = PAGE if limit is None or not is_by_age else min(limit, PAGE)
    found = source.pages("/objects", "objects", **query)
    if not is_by_age:
        found = iter(_sorted(found, str(sort)))
    if as_json:
        print_json(islice(found, limit))
        return
    shown = list(islice(found, limit or MAX_ROWS))
    rows = [[_cell(each, column) for column in chosen] for each in shown]
    if rows:
        print_table([COLUMNS[column] for column in chosen], rows)
    else:
        echo("no object meets these conditions", err=True)
    if limit is None and next(found, None) is not None:
        echo(f"these are the first {MAX_ROWS}; --limit shows more", err=True)


def _columns(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        _require_column(name, "--columns")
    return chosen


def _require_column(name: str, option: str) -> None:
    if name not in COLUMNS:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(COLUMNS)}", param_hint=option)


def _query(conditions: dict[str, Any]) -> dict[str, Any]:
    from kmipkit_server.admin.times import parse_time

    query = dict(conditions)
    query["type"] = query.pop("type_")
    for name in ("created_before", "created_after"):
        time = parse_time(query[name], f"--{name.replace('_', '-')}")
        query[name] = None if time is None else time.isoformat()
    return query


def _sorted(found: Any, sort: str) -> list[Any]:
    column = sort.removeprefix("-")
    _require_column(column, "--sort")
    is_reverse = sort.startswith("-")
    if column == "length":
        return sorted(found, key=lambda each: each["length"], reverse=is_reverse)
    return sorted(found, key=lambda each: _cell(each, column), reverse=is_reverse)


def _cell(each: dict[str, Any], column: str) -> str:
    from kmipkit_server.admin.tables import moment

    if each["damaged"] and column == "state":
        return "(damaged)"
    if column == "name":
        return ", ".join(each["names"])
    if column in ("created", "activation", "deactivation"):
        return moment(each[column])
    if column == "archived":
        return "yes" if each["archived"] else ""
    if column == "owner" and not each["owner"]:
        return "(server)"
    value = each[column]
    return str(value) if value else ""


@objects.command()
@click.argument("identifier")
@reading_options
@json_option
def show(source: "Source", identifier: str, as_json: bool) -> None:
    """Show an object: all attributes, links, why it is in its state, and who may use it.

    \b
    Examples:
      kmipkit admin objects show IDENTIFIER
      kmipkit admin objects show IDENTIFIER --json
    """
    from kmipkit_server.admin.attribute_texts import attribute_text
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_fields, print_json

    answer = source.get(path("objects", identifier))
    if as_json:
        print_json([answer])
        return
    summary = answer["object"]
    state = summary["state"]
    if answer["state_reason"]:
        state += f" ({answer['state_reason']})"
    print_fields(
        {
            "Unique Identifier": summary["id"],
            "Object Type": summary["type"],
            "State": state,
            "Owner": summary["owner"] or "(server)",
            "May be used by": ", ".join(answer["may_use"]) or "nobody",
        }
    )
    for link in answer["links"]:
        echo(f"Link: {link['type']} {link['id']}")
    echo("")
    shown_above = ("Unique Identifier", "Object Type", "State", "Link")
    print_fields(
        {
            name: ", ".join(attribute_text(name, value) for value in values)
            for name, values in answer["attributes"].items()
            if name not in shown_above
        }
    )


@objects.command()
@reading_options
@click.option("--owner", help="Count only the objects of this account.")
@json_option
def totals(source: "Source", owner: str | None, as_json: bool) -> None:
    """Count objects by state, type, owner and age.

    \b
    Examples:
      kmipkit admin objects totals
      kmipkit admin objects totals --owner db01 --json
    """
    from kmipkit_server.admin.tables import print_json, print_table

    answer = source.get("/totals", owner=owner)
    if as_json:
        print_json([answer])
        return
    rows = [["total", "", str(answer["objects"])]]
    for title, key in (("state", "by_state"), ("type", "by_type"), ("owner", "by_owner")):
        counts = sorted(answer[key].items(), key=lambda pair: -pair[1])
        rows += [[title, name or "(server)", str(count)] for name, count in counts]
    rows += [
        ["age", f"more than {each['days']} days", str(each["objects"])] for each in answer["by_age"]
    ]
    print_table(["BY", "VALUE", "OBJECTS"], rows)
