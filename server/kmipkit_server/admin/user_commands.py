"""``kmipkit admin users``: users, who log in with credentials of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import reading_options, server_options
from kmipkit_server.admin.options import FILE, json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source

password_file_option = click.option(
    "--password-file",
    type=FILE,
    help="File whose first line is the password.  [default: it is asked for]",
)


@click.group()
def users() -> None:
    """Manage users, who have passwords or certificates.

    They are the users of KMIP 3.0.

    \b
    Examples:
      kmipkit admin users add bob
      kmipkit admin users password bob --password-file bob.txt
      kmipkit admin users disable bob
    """


@users.command("list")
@reading_options
@json_option
def list_users(source: "Source", as_json: bool) -> None:
    """List users.

    \b
    Examples:
      kmipkit admin users list
      kmipkit admin users list --data-dir kms --json
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    found = source.pages("/users", "users", limit=1000)
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "ACCOUNT", "LOGIN", "CREDENTIALS", "GROUPS", "CREATED (UTC)"),
        [
            (
                each["name"],
                each["account"] or "-",
                _login(each),
                ", ".join(credential["type"] for credential in each["credentials"]),
                ", ".join(each["groups"]),
                moment(each["created"]),
            )
            for each in found
        ],
    )


def _login(user: dict[str, Any]) -> str:
    if user["blocked"]:
        return "disabled"
    return "yes" if user["enabled"] else "no"


def _show(user: dict[str, Any], as_json: bool) -> None:
    from kmipkit_server.admin.tables import moment, print_fields, print_json

    if as_json:
        print_json([user])
        return
    print_fields(
        {
            "Name": user["name"],
            "Unique Identifier": user["id"],
            "Account": user["account"],
            "Login": _login(user),
            "Created (UTC)": moment(user["created"]),
            "Groups": ", ".join(user["groups"]),
        }
    )
    for each in user["credentials"]:
        usable = "" if each["usable"] else ", not usable"
        echo(f"{each['type']} {each['id']} ({each['state']}{usable})")


@users.command()
@click.argument("name")
@reading_options
@json_option
def show(source: "Source", name: str, as_json: bool) -> None:
    """Show a user with the credentials.

    \b
    Examples:
      kmipkit admin users show bob
    """
    from kmipkit_server.admin.connection import path

    _show(source.get(path("users", name)), as_json)


@users.command()
@click.argument("name")
@server_options
@click.option("--certificate", type=FILE, help="Client certificate of the user, PEM.")
@password_file_option
@json_option
def add(
    connection: "AdminConnection",
    name: str,
    certificate: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Add a user with a password, with a certificate, or with both.

    The password is asked for, unless there is a file with it, or a certificate.

    \b
    Examples:
      kmipkit admin users add bob
      kmipkit admin users add bob --password-file bob.txt
      kmipkit admin users add backup --certificate backup.crt
    """
    password = None
    if password_file is not None or certificate is None:
        password = _password(name, password_file)
    pem = None if certificate is None else _text(certificate)
    user = connection.send("POST", "/users", name=name, password=password, certificate=pem)
    if as_json:
        _show(user, as_json)
    else:
        echo(f"user {name} added; the account is {user['account']}")


def _password(name: str, file: Path | None) -> str:
    from kmipkit_certs.errors import CertificateError
    from kmipkit_certs.passwords import new_password

    try:
        password = new_password(file, f"the user {name}", "--password-file").decode()
    except CertificateError as error:
        raise click.ClickException(str(error)) from None
    except UnicodeDecodeError:
        raise click.ClickException("the password is not UTF-8") from None
    if not password:
        raise click.ClickException("the password is empty")
    return password


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not a certificate in PEM") from None


@users.command("password")
@click.argument("name")
@server_options
@password_file_option
@json_option
def set_password(
    connection: "AdminConnection", name: str, password_file: Path | None, as_json: bool
) -> None:
    """Give a user a new password, which replaces the old one.

    \b
    Examples:
      kmipkit admin users password bob
    """
    from kmipkit_server.admin.connection import path

    password = _password(name, password_file)
    user = connection.send("PUT", path("users", name, "password"), password=password)
    if as_json:
        _show(user, as_json)
    else:
        echo(f"{name} has a new password")


@users.command()
@click.argument("name")
@server_options
@json_option
def disable(connection: "AdminConnection", name: str, as_json: bool) -> None:
    """Do not let a user log in: the account is blocked until the user is enabled.

    \b
    Examples:
      kmipkit admin users disable bob
    """
    from kmipkit_server.admin.connection import path

    user = connection.send("PUT", path("users", name, "disabled"))
    if as_json:
        _show(user, as_json)
    else:
        echo(f"{name} cannot log in")


@users.command()
@click.argument("name")
@server_options
@json_option
def enable(connection: "AdminConnection", name: str, as_json: bool) -> None:
    """Let a user log in again.

    \b
    Examples:
      kmipkit admin users enable bob
    """
    from kmipkit_server.admin.connection import path

    user = connection.send("DELETE", path("users", name, "disabled"))
    if as_json:
        _show(user, as_json)
    else:
        echo(f"{name} can log in")


@users.command()
@click.argument("name")
@server_options
@click.option("--force", is_flag=True, help="Remove the user also if the account has objects.")
@json_option
def remove(connection: "AdminConnection", name: str, force: bool, as_json: bool) -> None:
    """Destroy a user, with the credentials that no other user has.

    A user whose account has objects is not removed, since nobody could use them then; "accounts
    transfer" gives them to another account.

    \b
    Examples:
      kmipkit admin users remove bob
    """
    from kmipkit_server.admin.connection import path

    user = connection.send("DELETE", path("users", name), force=force)
    if as_json:
        _show(user, as_json)
    else:
        echo(f"user {name} removed")
