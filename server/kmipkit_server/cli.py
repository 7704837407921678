"""``kmipkit serve``."""

import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; see docs/server.md.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where objects and keys are kept.  [default: ./kmipkit-data]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 5696]")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="The server's certificate, PEM.")
@click.option(
    "--tls-key", type=click.Path(path_type=Path), help="The key of that certificate, PEM."
)
@click.option("--tls-ca", type=click.Path(path_type=Path), help="Authorities of the clients, PEM.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What to log to standard error.  [default: info]",
)
@click.option("--check-config", is_flag=True, help="Check the configuration and stop.")
def serve(
    config: Path | None,
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    log_level: str | None,
    check_config: bool,
) -> None:
    """Run a KMIP key server.

    Without any option it keeps its objects in ./kmipkit-data and, on the first start, makes a
    development PKI in ./kmipkit-data/certs. Once connections are accepted, one line on standard
    output tells the address and the files that a client needs.

    SIGTERM and Ctrl-C finish the requests that have begun and stop; SIGHUP reads the certificates
    again.

    \b
    Examples:
      kmipkit serve
      kmipkit serve --data-dir /var/lib/kmipkit --host 0.0.0.0 \\
          --tls-cert server.crt --tls-key server.key --tls-ca clients-ca.crt
      kmipkit serve --config /etc/kmipkit.toml --check-config
    """
    from kmipkit.errors import KMIPError
    from kmipkit_server import app
    from kmipkit_server import config as configuration

    options: dict[str, dict[str, Any]] = {
        "store": {"directory": data_dir},
        "listen": {"host": host, "port": port},
        "tls": {"cert": tls_cert, "key": tls_key, "ca": tls_ca},
        "log": {"level": log_level and log_level.upper()},
    }
    try:
        loaded = configuration.load(config) if config else configuration.Config()
        final = configuration.with_options(loaded, options)
        if check_config:
            app.check(final)
            click.echo("the configuration is good")
            return
        app.run(final, announce=click.echo)
    except KMIPError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from None
    sys.stdout.flush()
