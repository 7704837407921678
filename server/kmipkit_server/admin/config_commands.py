"""``kmipkit admin config``: what the settings of a server are, and where they come from."""

from pathlib import Path

import click

from kmipkit.terminal import echo, echo_json
from kmipkit_server.admin.options import FILE


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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(config_file: Path | None, as_json: bool) -> None:
    """Show each setting, its value, and where that comes from.

    A value comes from the default, from a line of the file, or from an environment variable, as a
    server that is started here without options would take it. Secrets are masked.

    \b
    Examples:
      kmipkit admin config show --config /etc/kmipkit.toml
      KMIPKIT_LISTEN_PORT=5697 kmipkit admin config show
    """
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
        echo_json(json_of(settings))
    else:
        for line in as_lines(settings):
            echo(line)
