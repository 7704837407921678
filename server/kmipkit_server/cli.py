"""``kmipkit serve``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kmipkit_certs.options import password_option

from kmipkit.terminal import printable

if TYPE_CHECKING:
    from kmipkit_certs.passwords import KeyPassword

    from kmipkit_server.config import Config


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML); see docs/server.md.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Directory for objects and keys.  [default: ./kmipkit-data]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0: any free port.  [default: 5696]")
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), help="Server certificate, PEM or PKCS #12."
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="Private key, if the file of the certificate has none.",
)
@password_option
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path),
    help="Certificate authorities that issue client certificates.",
)
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="Refuse what only later versions than that of a request have.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Level of the log on standard error.  [default: info]",
)
@click.option("--check-config", is_flag=True, help="Check the configuration and exit.")
@click.option("--detach", is_flag=True, help="Run in the background; return once ready.")
@click.option("--stop", is_flag=True, help="Stop the server that uses the data directory.")
def serve(
    config: Path | None,
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    key_password_file: Path | None,
    tls_ca: Path | None,
    strict: bool | None,
    log_level: str | None,
    check_config: bool,
    detach: bool,
    stop: bool,
) -> None:
    """Run a KMIP key server.

    Without options, the server stores objects in ./kmipkit-data. On the first start it creates
    development certificates in ./kmipkit-data/certs. When it accepts connections, it prints one
    line with its address and the files that a client needs.

    On SIGTERM or Ctrl-C, the server finishes the requests that have begun, and stops. On SIGHUP, it
    reloads the certificates and the lists of revoked ones.

    With --detach, the server runs in the background and logs to server.log in the data directory.
    The command returns when the server accepts connections, or fails with the reason why it does
    not. With --stop, the command returns when the server has ended.

    \b
    Examples:
      kmipkit serve
      kmipkit serve --data-dir kms --detach
      kmipkit serve --data-dir kms --stop
      kmipkit serve --data-dir /var/lib/kmipkit --host 0.0.0.0 \\
          --tls-cert server.crt --tls-key server.key --tls-ca clients-ca.crt
      kmipkit serve --config /etc/kmipkit.toml --check-config
    """
    from kmipkit_certs.passwords import from_command_line

    from kmipkit.errors import KMIPError
    from kmipkit_server import config as configuration
    from kmipkit_server.process import background

    options: dict[str, dict[str, Any]] = {
        "store": {"directory": data_dir},
        "listen": {"host": host, "port": port},
        "tls": {"cert": tls_cert, "key": tls_key, "ca": tls_ca},
        "kmip": {"strict": strict},
        "log": {"level": log_level and log_level.upper()},
    }
    action = _check if check_config else _stop if stop else _detach if detach else _run
    try:
        from_file = configuration.load(config) if config else configuration.Config()
        loaded = configuration.with_options(from_file, options)
        password_file = key_password_file or loaded.tls.key_password_file
        action(loaded, from_command_line(password_file))
    except (KMIPError, OSError) as error:
        raise click.ClickException(background.explain(error)) from None
    sys.stdout.flush()


def _check(config: "Config", password: "KeyPassword") -> None:
    from kmipkit_server import app

    for warning in app.check(config, password):
        click.echo(printable(f"warning: {warning}"), err=True)
    click.echo("the configuration is valid")


def _run(config: "Config", password: "KeyPassword") -> None:
    from kmipkit_server import app

    app.run(config, click.echo, password)


def _detach(config: "Config", password: "KeyPassword") -> None:
    from kmipkit_server import app
    from kmipkit_server.process import background

    app.unlock(config, password)  # while there is a terminal
    directory = config.store.directory
    process, ready = background.start(
        lambda announce: app.run(config, announce, password), directory
    )
    click.echo(f"{ready}\nprocess {process}, log {directory / background.LOG}")


def _stop(config: "Config", _: "KeyPassword") -> None:
    from kmipkit_server import app
    from kmipkit_server.process import background

    click.echo(f"stopped: process {background.stop(app.lock(config))}")
