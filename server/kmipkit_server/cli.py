"""``kmipkit serve``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from kmipkit_certs.options import password_option

from kmipkit.terminal import echo

if TYPE_CHECKING:
    from kmipkit_certs.passwords import KeyPassword

    from kmipkit_server.config import Config, Settings


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="KMIPKIT_CONFIG",
    help="Configuration file (TOML); see docs/configuration.md.",
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
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    help="Format of the log; auto is JSON if the log is piped to a program.  [default: auto]",
)
@click.option("--check-config", is_flag=True, help="Check all that a start needs, and exit.")
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
    log_format: str | None,
    check_config: bool,
    detach: bool,
    stop: bool,
) -> None:
    """Run a KMIP key server.

    Without options, it stores objects in ./kmipkit-data, where its first start makes development
    certificates. When it accepts connections, it prints one line with all that a client needs.

    Settings come from options, then from environment variables such as KMIPKIT_LISTEN_PORT, then
    from the file.

    SIGTERM and Ctrl-C finish the requests that have begun, and stop. SIGHUP reloads certificates,
    revocations, limits and the level of the log: all or nothing.

    --detach returns when the server accepts connections, or says why it does not; the log is
    server.log in the data directory. --stop returns when the server has ended.

    \b
    Examples:
      kmipkit serve
      kmipkit serve --data-dir kms --detach
      kmipkit serve --data-dir kms --stop
      kmipkit serve --data-dir /var/lib/kmipkit --host 0.0.0.0 \\
          --tls-cert server.crt --tls-key server.key --tls-ca clients-ca.crt
      kmipkit serve --config /etc/kmipkit.toml --check-config
    """
    from kmipkit.errors import KMIPError
    from kmipkit_server.process import background

    options: dict[str, dict[str, Any]] = {
        "store": {"directory": data_dir},
        "listen": {"host": host, "port": port},
        "tls": {
            "cert": tls_cert,
            "key": tls_key,
            "key_password_file": key_password_file,
            "ca": tls_ca,
        },
        "kmip": {"strict": strict},
        "log": {"level": log_level and log_level.upper(), "format": log_format},
    }
    action = _check if check_config else _stop if stop else _detach if detach else _run
    try:
        action(_Sources(config, options))
    except (KMIPError, OSError) as error:
        _fail(background.explain(error).split("\n"))
    sys.stdout.flush()


class _Sources(NamedTuple):
    """Where the settings come from; they are read again for a reload."""

    file: Path | None
    options: dict[str, dict[str, Any]]

    def read(self) -> "Settings":
        from kmipkit_server import config

        return config.read_settings(self.file, os.environ, self.options)


def _fail(faults: list[str]) -> None:
    """Print what is wrong, one line for each fault, and exit."""
    if len(faults) == 1:
        raise click.ClickException(faults[0])
    for fault in faults:
        echo(f"Error: {fault}", err=True)
    raise click.exceptions.Exit(1)


def _check(sources: _Sources) -> None:
    from datetime import UTC, datetime

    from kmipkit_server.config.sources import examine_settings
    from kmipkit_server.service import checks

    settings, faults, faulty = examine_settings(sources.file, os.environ, sources.options)
    password = _password(settings.config)
    findings = checks.check(settings, password, datetime.now(UTC), faults, faulty)
    for warning in findings.warnings:
        echo(f"warning: {warning}", err=True)
    if findings.faults:
        _fail(findings.faults)
    echo("the configuration is valid")


def _run(sources: _Sources) -> None:
    from kmipkit_server import app

    config = sources.read().config
    app.run(config, echo, _password(config), sources.read)


def _password(config: "Config") -> "KeyPassword":
    from kmipkit_certs.passwords import from_command_line

    return from_command_line(config.tls.key_password_file)


def _detach(sources: _Sources) -> None:
    from kmipkit_server import app
    from kmipkit_server.process import background

    config = sources.read().config
    password = _password(config)
    app.unlock(config, password)  # while there is a terminal
    directory = config.store.directory
    process, ready = background.start(
        lambda announce: app.run(config, announce, password, sources.read), directory
    )
    echo(ready)
    echo(f"process {process}, log {directory / background.LOG}")


def _stop(sources: _Sources) -> None:
    from kmipkit_server import app
    from kmipkit_server.process import background

    echo(f"stopped: process {background.stop(app.lock(sources.read().config))}")
