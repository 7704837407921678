"""``kmipkit admin config``: what the settings of a server are, and where they come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo, echo_json_line
from kmipkit_server.admin.online import explicit_server_options
from kmipkit_server.admin.options import FILE

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection


@click.group()
def config() -> None:
    """Show the configuration of the server.

    \b
    Examples:
      kmipkit admin config show
      kmipkit admin config show --config /etc/kmipkit.toml --json
    """


@config.command()
@click.option(
    "--config",
    "config_file",
    type=FILE,
    envvar="KMIPKIT_CONFIG",
    help="Configuration file of the server.",
)
@explicit_server_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(connection: "AdminConnection | None", config_file: Path | None, as_json: bool) -> None:
    """Show each setting, its value, and where that comes from.

    A value comes from the default, from a line of the file, or from an environment variable, as a
    server that is started here without options would take it. Secrets are masked. With --server, the
    values are those of a running server.

    \b
    Examples:
      kmipkit admin config show --config /etc/kmipkit.toml
      KMIPKIT_LISTEN_PORT=5697 kmipkit admin config show
      kmipkit admin config show --server kms.example.com:5696
    """
    if connection is not None:
        _show_running(connection, as_json)
        return
    import os

    from kmipkit_server.config import ConfigError, read_settings
    from kmipkit_server.config.show import as_json as json_of
    from kmipkit_server.config.show import as_lines

    try:
        settings = read_settings(config_file, os.environ, {})
    except ConfigError as error:
        for fault in error.faults:
            echo(f"Error: {fault}", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        echo_json_line(json_of(settings))
    else:
        for line in as_lines(settings):
            echo(line)


def _show_running(connection: "AdminConnection", as_json: bool) -> None:
    from kmipkit_server.config.show import value_text

    settings = connection.get("/config")["settings"]
    if as_json:
        values: dict[str, dict[str, Any]] = {}
        for each in settings:
            values.setdefault(each["section"], {})[each["key"]] = {"value": each["value"]}
        echo_json_line(values)
        return
    width = max(len(f"{each['section']}.{each['key']}") for each in settings)
    for each in settings:
        name = f"{each['section']}.{each['key']}"
        echo(f"{name.ljust(width)}  {value_text(each['value'])}")
