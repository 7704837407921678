"""``kmipkit admin policy approvals``: requests that need the approval of other persons."""

from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options, server_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source


@click.group()
def approvals() -> None:
    """Approve or reject what needs the approval of another person.

    A rule of the policy says which operations these are, and who approves. An approver needs no rights
    of an administrator, but an own certificate: nobody approves a request of the own account.

    \b
    Examples:
      kmipkit admin policy approvals list
      kmipkit admin policy approvals approve 17
      kmipkit admin policy approvals reject 18
    """


@approvals.command("list")
@reading_options
@json_option
def list_approvals(source: "Source", as_json: bool) -> None:
    """List the requests that wait.

    An administrator sees all of them, anybody else the own ones and those to approve. Requests that are
    carried out, or have expired, are not in the list; the audit log has them.

    \b
    Examples:
      kmipkit admin policy approvals list
      kmipkit admin policy approvals list --data-dir kms --json
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    requests = source.get("/policy/approvals")["requests"]
    if as_json:
        print_json(requests)
        return
    if not requests:
        echo("no request waits", err=True)
        return
    print_table(
        ("NUMBER", "ACCOUNT", "OPERATION", "OBJECTS", "RULE", "APPROVALS", "EXPIRES (UTC)"),
        [
            (
                str(each["number"]),
                each["account"],
                each["operation"],
                each["about"] or ", ".join(each["objects"]),
                each["rule"],
                _progress(each),
                moment(each["expires"]),
            )
            for each in requests
        ],
    )


def _progress(request: dict[str, Any]) -> str:
    """How far the approval of a request is."""
    if request["rejected"] is not None:
        return f"rejected by {request['rejected']['account']}"
    if request["needed"] is None:
        return "its rule is gone"
    names = ", ".join(each["account"] for each in request["approvals"])
    return f"{len(request['approvals'])} of {request['needed']}" + (f": {names}" if names else "")


@approvals.command()
@click.argument("number", type=click.IntRange(min=1))
@server_options
@json_option
def approve(connection: "AdminConnection", number: int, as_json: bool) -> None:
    """Approve a request.

    Its client then repeats the same request, and the server carries it out, once.

    \b
    Examples:
      kmipkit admin policy approvals approve 17
      kmipkit admin policy approvals approve 17 --cert officer.crt --key officer.key
    """
    _sign(connection, number, "approve", as_json=as_json)


@approvals.command()
@click.argument("number", type=click.IntRange(min=1))
@server_options
@json_option
def reject(connection: "AdminConnection", number: int, as_json: bool) -> None:
    """Reject a request: it cannot be made again until it expires.

    \b
    Examples:
      kmipkit admin policy approvals reject 17
    """
    _sign(connection, number, "reject", as_json=as_json)


def _sign(connection: "AdminConnection", number: int, verb: str, *, as_json: bool) -> None:
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    signed = connection.send("POST", path("policy", "approvals", str(number), verb))
    if as_json:
        print_json([signed])
        return
    what = f"{signed['operation']} by {signed['account']}"
    about = f" of {signed['about']}" if signed["about"] else ""
    if verb == "reject":
        echo(f"rejected: request {number}, {what}{about}")
        return
    missing = (signed["needed"] or 0) - signed["approvals"]
    then = "it can be repeated now" if missing <= 0 else f"{missing} more must approve"
    echo(f"approved: request {number}, {what}{about}; {then}")
