"""``kmipkit serve``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from kmipkit_certs.options import password_option

from kmipkit.terminal import echo

if TYPE_CHECKING:
    from kmipkit_certs.passwords import KeyPassword

    from kmipkit_server.config import Config, Settings
    from kmipkit_server.test_mode.control import Control
    from kmipkit_server.test_mode.faults.fault import Faults


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
    "--workers",
    type=click.IntRange(1, 256),  # rules.MAX_WORKERS, without the import
    metavar="NUMBER",
    help="Processes that serve clients, 256 at most; see docs/scaling.md.  [default: one for each"
    " processor; 1 in test mode]",
)
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
    "--san",
    multiple=True,
    metavar="NAME",
    help="Further name or address for the development certificate; may be repeated.",
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
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="File to write when connections are accepted (JSON); it is removed at the end.",
)
@click.option(
    "--ephemeral",
    is_flag=True,
    help="Keep everything in memory, on any free port, until the server ends; implies --test-mode.",
)
@click.option("--test-mode", is_flag=True, help="Allow tests to move the time, and faults.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path),
    help="File with faults (TOML), for the test mode only; see docs/testing.md.",
)
@click.option(
    "--personality",
    metavar="NAME",
    help="Behave like another server, in the test mode only: commercial, kmip-1.1 or vault.",
)
@click.option("--check-config", is_flag=True, help="Check all that a start needs, and exit.")
@click.option("--detach", is_flag=True, help="Run in the background; return once ready.")
@click.option("--stop", is_flag=True, help="Stop the server that uses the data directory.")
def serve(
    config: Path | None,
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    key_password_file: Path | None,
    tls_ca: Path | None,
    san: tuple[str, ...],
    strict: bool | None,
    log_level: str | None,
    log_format: str | None,
    ready_file: Path | None,
    ephemeral: bool,
    test_mode: bool,
    faults: Path | None,
    personality: str | None,
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
    revocations, the policy, limits and the level of the log: all or nothing.

    --detach returns when the server accepts connections, or says why it does not; the log is
    server.log in the data directory. --stop returns when the server has ended.

    --ephemeral is for tests: it makes a temporary directory with certificates, which goes away with the
    server. --ready-file has the address and the paths of the certificates.

    \b
    Examples:
      kmipkit serve
      kmipkit serve --data-dir kms --detach
      kmipkit serve --data-dir kms --stop
      kmipkit serve --host 0.0.0.0 --san kms.example.org --san 192.0.2.7
      kmipkit serve --data-dir /var/lib/kmipkit --host 0.0.0.0 \\
          --tls-cert server.crt --tls-key server.key --tls-ca clients-ca.crt
      kmipkit serve --config /etc/kmipkit.toml --check-config
      kmipkit serve --ephemeral --ready-file kms.json
      kmipkit serve --ephemeral --faults faults.toml
      kmipkit serve --ephemeral --personality vault
    """
    from kmipkit.errors import KMIPError
    from kmipkit_server.process import background

    options: dict[str, dict[str, Any]] = {
        "store": {"directory": data_dir},
        "server": {"workers": workers},
        "listen": {"host": host, "port": port},
        "tls": {
            "cert": tls_cert,
            "key": tls_key,
            "key_password_file": key_password_file,
            "ca": tls_ca,
            "san": san or None,
        },
        "kmip": {"strict": strict},
        "log": {"level": log_level and log_level.upper(), "format": log_format},
    }
    action = _check if check_config else _stop if stop else _detach if detach else _run
    if ephemeral and (data_dir or action is not _run):
        raise click.UsageError(
            "--ephemeral cannot be used with --data-dir, --check-config, --detach or --stop"
        )
    trial = _Trial(ephemeral, test_mode or ephemeral, faults, personality)
    if not trial.test_mode and (faults or personality):
        raise click.UsageError("--faults and --personality need --test-mode or --ephemeral")
    try:
        action(_Sources(config, options, ready_file, trial))
    except (KMIPError, OSError) as error:
        _fail(background.explain(error).split("\n"))
    sys.stdout.flush()


class _Trial(NamedTuple):
    """Whether the server is one for a test."""

    ephemeral: bool
    test_mode: bool
    faults: Path | None
    personality: str | None

    @property
    def source(self) -> str:
        """The file of faults, for messages about its settings."""
        return str(self.faults or f"personality {self.personality}")

    def control(self) -> "Control | None":
        from kmipkit_server.test_mode.control import Control

        return Control(faults=self.read()) if self.test_mode else None

    def read(self) -> "Faults":
        """The faults of both files, and what these set in the configuration."""
        from kmipkit_server.test_mode.faults import file

        other = () if self.personality is None else (file.personality(self.personality),)
        own = () if self.faults is None else (self.faults,)
        return file.read(*other, *own)


class _Sources(NamedTuple):
    """Where the settings come from; they are read again for a reload."""

    file: Path | None
    options: dict[str, dict[str, Any]]
    ready_file: Path | None
    trial: _Trial

    def read(self) -> "Settings":
        from kmipkit_server import config

        return self.limited(config.read_settings(self.file, os.environ, self.options))

    def limited(self, settings: "Settings") -> "Settings":
        """The settings with what the files of faults say that the server does not have."""
        from kmipkit_server.config.sources import with_options

        kmip = self.trial.read().settings if self.trial.test_mode else {}
        if not kmip:
            return settings
        config = with_options(settings.config, {"kmip": kmip}, self.trial.source)
        return replace(settings, config=config)


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
    settings = sources.limited(settings)
    password = _password(settings.config)
    findings = checks.check(settings, password, datetime.now(UTC), faults, faulty)
    for warning in findings.warnings:
        echo(f"warning: {warning}", err=True)
    if findings.faults:
        _fail(findings.faults)
    echo("the configuration is valid")


def _run(sources: _Sources) -> None:
    with _place(sources):
        config = sources.read().config
        _serve(sources, config, _password(config), echo)


def _serve(
    sources: _Sources, config: "Config", password: "KeyPassword", say: Callable[[str], None]
) -> None:
    from kmipkit_server import app
    from kmipkit_server.service import manager, ready

    waiting = manager.take_address()
    with ready.ready_file(sources.ready_file) as write:

        def announce(state: ready.Ready) -> None:
            write(state)
            say(str(state))
            manager.notify(waiting, "READY=1", f"STATUS={state}")

        app.run(config, announce, password, sources.read, sources.trial.control())


@contextmanager
def _place(sources: _Sources) -> Iterator[None]:
    """The data directory of an ephemeral server, while it runs."""
    from kmipkit_server.test_mode.folders import temporary_folder

    if not sources.trial.ephemeral:
        yield
        return
    with temporary_folder() as folder:
        sources.options["store"]["directory"] = folder
        if sources.options["listen"]["port"] is None:
            sources.options["listen"]["port"] = 0
        yield


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
    process, ready = background.start(lambda say: _serve(sources, config, password, say), directory)
    echo(ready)
    echo(f"process {process}, log {directory / background.LOG}")


def _stop(sources: _Sources) -> None:
    from kmipkit_server import app
    from kmipkit_server.process import background

    echo(f"stopped: process {background.stop(app.lock(sources.read().config))}")
