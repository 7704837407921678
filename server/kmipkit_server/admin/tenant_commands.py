"""``kmipkit admin tenants``: which tenants there are, who belongs to them, and what they may have."""

from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options, server_options
from kmipkit_server.admin.options import FILE, json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def tenants() -> None:
    """Manage tenants: accounts that do not see each other.

    A client certificate belongs to a tenant by an authority in its chain, by an organizational
    unit in its subject, or by the name of its account. Each tenant has objects, users, groups,
    administrators and limits of its own.

    \b
    Examples:
      kmipkit admin tenants add acme --authority acme-ca.pem --administrator root
      kmipkit admin tenants change acme --limit objects=10000
      kmipkit admin tenants move db01 --to acme
      kmipkit admin tenants list
    """


def claim_options(function: _Function) -> _Function:
    """The options that say who belongs to a tenant, and what it may have."""
    options = (
        click.option(
            "--authority",
            "authorities",
            type=FILE,
            multiple=True,
            help="Certificate of an authority: all clients that have it in their chain belong to"
            " the tenant.",
        ),
        click.option(
            "--unit", "units", multiple=True, help="Organizational unit (OU) of its certificates."
        ),
        click.option(
            "--account",
            "accounts",
            multiple=True,
            metavar="PATTERN",
            help="Name of an account, in which * stands for any characters.",
        ),
        click.option(
            "--administrator",
            "administrators",
            multiple=True,
            help="Account that administers the tenant, by its name inside the tenant; user:NAME for a"
            " user.",
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="NAME=NUMBER",
            help="objects, bytes, connections or workers of the tenant; objects_per_account,"
            " bytes_per_account or connections_per_account.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _limits(values: Sequence[str], *, may_remove: bool) -> dict[str, int | None]:
    from kmipkit_server.tenants.tenant import LIMITS

    limits: dict[str, int | None] = {}
    for text in values:
        name, separator, number = text.partition("=")
        if name not in LIMITS:
            raise click.BadParameter(
                f"{name!r} is none of {', '.join(LIMITS)}", param_hint="--limit"
            )
        if number == "none" and may_remove:
            limits[name] = None
        elif separator and number.isdecimal() and int(number) > 0:
            limits[name] = int(number)
        else:
            also = ", or none" if may_remove else ""
            raise click.BadParameter(
                f"{text!r} must be {name}=NUMBER, with a number from 1 on{also}",
                param_hint="--limit",
            )
    return limits


def _certificates(files: Sequence[Path]) -> list[str]:
    """The certificates in files, in PEM, and nothing else that the files have."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from kmipkit_certs.credentials import load_certificates
    from kmipkit_certs.errors import CertificateError

    try:
        loaded = [each for file in files for each in load_certificates(file)]
    except (OSError, CertificateError) as error:
        raise click.BadParameter(str(error), param_hint="--authority") from None
    return [each.public_bytes(Encoding.PEM).decode() for each in loaded]


@tenants.command("list")
@reading_options
@json_option
def list_tenants(source: "Source", as_json: bool) -> None:
    """List tenants, with what they have.

    \b
    Examples:
      kmipkit admin tenants list
      kmipkit admin tenants list --json
      kmipkit admin tenants list --data-dir kms
    """
    from kmipkit_server.admin.tables import print_json, print_table, size

    found = source.get("/tenants")["tenants"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each["name"],
            _of(each["objects"], each["limits"]["objects"]),
            size(each["bytes"]),
            _of(each["connections"], each["limits"]["connections"]),
            ", ".join(each["administrators"]) or "-",
        )
        for each in found
    ]
    print_table(("NAME", "OBJECTS", "SIZE", "CONNECTIONS", "ADMINISTRATORS"), rows)


def _of(number: int, limit: int | None) -> str:
    return str(number) if limit is None else f"{number} of {limit}"


@tenants.command()
@click.argument("name")
@reading_options
@json_option
def show(source: "Source", name: str, as_json: bool) -> None:
    """Show a tenant: who belongs to it, and what it may have.

    \b
    Examples:
      kmipkit admin tenants show acme
    """
    from kmipkit_server.admin.connection import path

    _print(source.get(path("tenants", name)), as_json=as_json)


def _print(tenant: dict[str, Any], *, as_json: bool) -> None:
    from kmipkit_server.admin.tables import print_fields, print_json, size

    if as_json:
        print_json([tenant])
        return
    limits = {name: limit for name, limit in tenant["limits"].items() if limit is not None}
    print_fields(
        {
            "Tenant": tenant["name"],
            "Authorities": "; ".join(each["subject"] for each in tenant["authorities"]),
            "Units": ", ".join(tenant["units"]),
            "Accounts": ", ".join(tenant["accounts"]),
            "Administrators": ", ".join(tenant["administrators"]) or "none",
            "Objects": str(tenant["objects"]),
            "Size": size(tenant["bytes"]),
            "Connections": str(tenant["connections"]),
            "Limits": ", ".join(f"{name}={limit}" for name, limit in limits.items()) or "none",
        }
    )
    for account in tenant["to_move"]:
        echo(
            f"Note: {account} has objects from a time when it belonged to no tenant. To move them:"
            f" kmipkit admin tenants move {quote(account)} --to {tenant['name']}"
        )


@tenants.command()
@click.argument("name")
@claim_options
@server_options
@json_option
def add(
    connection: "AdminConnection",
    name: str,
    authorities: Sequence[Path],
    limits: Sequence[str],
    as_json: bool,
    **names: Sequence[str],
) -> None:
    """Make a tenant.

    Clients that belong to it see nothing of what they had before, until it is moved.

    \b
    Examples:
      kmipkit admin tenants add acme --authority acme-ca.pem --administrator root
      kmipkit admin tenants add storage --unit Storage --limit objects=10000
      kmipkit admin tenants add lab --account "lab-*" --limit connections=50
    """
    answer = connection.send(
        "POST",
        "/tenants",
        name=name,
        authorities=_certificates(authorities),
        limits=_limits(limits, may_remove=False),
        **names,
    )
    _print(answer, as_json=as_json)


@tenants.command()
@click.argument("name")
@claim_options
@click.option(
    "--force", is_flag=True, help="Release an authority although the server accepts its clients."
)
@server_options
@json_option
def change(
    connection: "AdminConnection",
    name: str,
    authorities: Sequence[Path],
    limits: Sequence[str],
    force: bool,
    as_json: bool,
    **names: Sequence[str],
) -> None:
    """Change a tenant.

    What is given replaces what the tenant had: all authorities, all units, all accounts, or all
    administrators; an empty value leaves none. Of limits, those that are given change; the number none
    removes one.

    \b
    Examples:
      kmipkit admin tenants change acme --limit objects=20000 --limit workers=none
      kmipkit admin tenants change acme --administrator root --administrator user:alice
      kmipkit admin tenants change acme --unit ""
    """
    from kmipkit_server.admin.connection import path

    given = {
        each: [value for value in values if value] if values else None
        for each, values in names.items()
    }
    answer = connection.send(
        "PATCH",
        path("tenants", name),
        authorities=_certificates(authorities) or None,
        limits=_limits(limits, may_remove=True) or None,
        force=force or None,
        **given,
    )
    _print(answer, as_json=as_json)


@tenants.command()
@click.argument("name")
@click.option(
    "--force", is_flag=True, help="Remove it although the server accepts clients of its authority."
)
@server_options
@json_option
def remove(connection: "AdminConnection", name: str, force: bool, as_json: bool) -> None:
    """Remove a tenant whose accounts have no objects.

    Its users, groups and credentials are deleted with it. Its clients belong to no tenant afterwards: if
    it has an authority of its own, take that out of tls.ca first.

    \b
    Examples:
      kmipkit admin tenants remove acme
    """
    from kmipkit_server.admin.connection import path
    from kmipkit_server.admin.tables import print_json

    answer = connection.send("DELETE", path("tenants", name), force=force or None)
    if as_json:
        print_json([answer])
    else:
        echo(f"{name} is removed, with {answer['objects']} objects of its own")


@tenants.command()
@reading_options
@json_option
def history(source: "Source", as_json: bool) -> None:
    """List the last changes of tenants, and who has made them.

    \b
    Examples:
      kmipkit admin tenants history
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    found = source.get("/tenants-versions")["versions"]
    if as_json:
        print_json(found)
        return
    rows = [
        (str(each["number"]), moment(each["time"]), each["by"], each["change"]) for each in found
    ]
    print_table(("VERSION", "TIME (UTC)", "BY", "CHANGE"), rows)


@tenants.command()
@click.argument("account")
@click.option(
    "--from", "source", default="", help="Tenant that the objects leave; none by default."
)
@click.option(
    "--to", "target", default="", help="Tenant to which they belong then; none by default."
)
@server_options
@json_option
def move(
    connection: "AdminConnection", account: str, source: str, target: str, as_json: bool
) -> None:
    """Move the objects of ACCOUNT into a tenant, out of it, or to another one.

    The account keeps its name, and the objects keep their identifiers, material and attributes. All of
    them are moved, or none. The account's tickets and unfinished operations end.

    \b
    Examples:
      kmipkit admin tenants move db01 --to acme
      kmipkit admin tenants move db01 --from acme --to globex
    """
    from kmipkit_server.admin.tables import print_json

    if source == target:
        raise click.UsageError("--from and --to must name different tenants; one may be left out")
    answer = connection.send(
        "POST", "/tenants-moves", account=account, source=source, target=target
    )
    if as_json:
        print_json([answer])
    else:
        number = answer["objects"]
        echo(f"{number} {'object' if number == 1 else 'objects'} moved to {answer['account']}")
