"""``kmipkit admin clock``: the time of a server in test mode."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo
from kmipkit_server.admin.online import server_options
from kmipkit_server.admin.options import json_option
from kmipkit_server.admin.times import parse_duration

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection


@click.group()
def clock() -> None:
    """Show and move the time of a server in test mode.

    "kmipkit serve --test-mode" or "--ephemeral" starts such a server.

    \b
    Examples:
      kmipkit admin clock show
      kmipkit admin clock advance 30d
    """


@clock.command()
@server_options
@json_option
def show(connection: "AdminConnection", as_json: bool) -> None:
    """Show the time of the server.

    \b
    Example:
      kmipkit admin clock show --json
    """
    with _in_test_mode():
        answer = connection.get("/clock")
    _print(answer, as_json)


@clock.command()
@click.argument("duration")
@server_options
@json_option
def advance(connection: "AdminConnection", duration: str, as_json: bool) -> None:
    """Put the clock of the server forward by a DURATION, such as 90s, 15m, 2h or 30d.

    States, leases, rotations and time-outs follow. The command returns when all that is due is done.

    \b
    Examples:
      kmipkit admin clock advance 30d
      kmipkit admin clock advance 90s --json
    """
    seconds = parse_duration(duration, "DURATION").total_seconds()
    with _in_test_mode():
        answer = connection.send("POST", "/clock", seconds=seconds)
    _print(answer, as_json)


@contextmanager
def _in_test_mode() -> Iterator[None]:
    """Explain that other servers do not have what is asked for."""
    from kmipkit_server.admin.connection import RefusedRequest

    try:
        yield
    except RefusedRequest as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise click.ClickException(
            "the server is not in test mode, so that nobody can move its time; one for tests is started"
            " with 'kmipkit serve --ephemeral' or '--test-mode'"
        ) from None


def _print(answer: dict[str, Any], as_json: bool) -> None:
    from datetime import timedelta

    from kmipkit_server.admin.tables import moment, print_json

    if as_json:
        print_json([answer])
        return
    ahead = timedelta(seconds=int(answer["ahead"]))
    echo(f"the time of the server is {moment(answer['now'])} UTC, put forward by {ahead}")
