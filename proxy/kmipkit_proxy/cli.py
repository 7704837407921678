"""``kmipkit proxy``: stands between clients and a key server, and records."""

from pathlib import Path

import click

from kmipkit.numbers_option import seconds
from kmipkit.terminal import echo
from kmipkit_proxy.options import FILE, target_options
from kmipkit_proxy.target_option import address_of, target_of
from kmipkit_proxy.wording import counted

_MEBIBYTE = 1 << 20


@click.command(short_help="Record what clients and a server say to each other.")
@click.option(
    "--listen",
    default="127.0.0.1:5697",
    show_default=True,
    metavar="HOST:PORT",
    help="Address for the clients; port 0 is any free one.",
)
@target_options("KMIPKIT_SERVER")
@click.option("--tls-cert", type=FILE, help="Certificate that clients see, PEM or PKCS #12.")
@click.option(
    "--tls-key", type=FILE, help="Its private key, if the file of the certificate does not have it."
)
@click.option("--tls-ca", type=FILE, help="Certificate authorities of the clients.")
@click.option(
    "--data-dir",
    default=Path("kmipkit-data"),
    show_default=True,
    type=FILE,
    help="Directory of development certificates, used without --tls-cert.",
)
@click.option("--capture", type=FILE, help="Record to this new file, which only you can read.")
@click.option("--keep-secrets", is_flag=True, help="Record keys and passwords as they are.")
@click.option("--verbose", is_flag=True, help="Show the whole messages.")
@click.option("--show-secrets", is_flag=True, help="With --verbose, show keys and passwords.")
@click.option(
    "--max-capture",
    default=1024,
    show_default=True,
    type=click.IntRange(1),
    help="MiB after which nothing more is recorded.",
)
@click.option(
    "--max-message",
    default=8,
    show_default=True,
    type=click.IntRange(1, 256),
    help="MiB of a message that is recorded; larger ones are only passed on.",
)
@click.option(
    "--connections",
    default=500,
    show_default=True,
    type=click.IntRange(1),
    help="Connections of clients at the same time.",
)
@click.option(
    "--idle-timeout",
    default=600.0,
    show_default=True,
    type=seconds(),
    help="Seconds after which a silent connection is closed.",
)
def proxy(
    listen: str,
    target: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    data_dir: Path,
    capture: Path | None,
    keep_secrets: bool,
    verbose: bool,
    show_secrets: bool,
    max_capture: int,
    max_message: int,
    connections: int,
    idle_timeout: float,
) -> None:
    """Stand between clients and a key server, show what they say, and record it.

    Clients connect to the proxy with certificates of --tls-ca; the proxy connects to the target with
    one certificate of its own, for all of them: whoever may connect to the proxy has the rights of
    that certificate. Messages are passed on unchanged. Ctrl-C ends the proxy.

    The environment variables KMIPKIT_SERVER (the target), KMIPKIT_CA, KMIPKIT_CERT and KMIPKIT_KEY set
    the defaults of the options; KMIPKIT_KEY_PASSWORD is the password of an encrypted key.

    A capture has no keys and passwords, unless you say --keep-secrets. The commands decode, replay and
    diff read it. The exit status is 1 if something could not be recorded.

    \b
    Examples:
      kmipkit proxy --server kms:5696 --ca ca.crt --cert me.crt --key me.key --capture day.jsonl
      kmipkit proxy --listen 0.0.0.0:5696 --server kms:5696 --ca ca.crt --cert me.crt --key me.key \\
          --tls-cert proxy.crt --tls-key proxy.key --tls-ca clients.crt --capture day.jsonl
      kmipkit proxy --server kms:5696 --ca ca.crt --cert me.crt --key me.key --verbose
    """
    import trio
    from kmipkit_certs.passwords import from_command_line

    from kmipkit.ttlv.limits import Limits
    from kmipkit_proxy.endpoint import ServerFiles
    from kmipkit_proxy.live import Live
    from kmipkit_proxy.proxying import Settings, serve
    from kmipkit_proxy.relay import RelayLimits

    if keep_secrets and capture is None:
        raise click.UsageError("--keep-secrets needs --capture FILE")
    if show_secrets and not verbose:
        raise click.UsageError("--show-secrets needs --verbose")
    address = address_of(listen, "--listen")
    files = ServerFiles(tls_cert, tls_key, tls_ca, data_dir)
    towards = target_of(target, ca, cert, key, key_password_file, timeout)
    settings = Settings(
        listen=address,
        target=towards,
        contexts=files.contexts(address.host, from_command_line(key_password_file)),
        live=Live(verbose, show_secrets),
        capture=capture,
        keep_secrets=keep_secrets,
        max_capture=max_capture * _MEBIBYTE,
        limits=RelayLimits(
            connections=connections,
            idle=idle_timeout,
            answer=timeout,
            messages=Limits(max_message * _MEBIBYTE, max_items=1 << 20),
        ),
    )
    outcome = trio.run(serve, settings, lambda host, port: _ready(host, port, target))
    seen = counted(outcome.connections, "connection"), counted(outcome.messages, "message")
    echo(", ".join(seen))
    if outcome.problem:
        raise click.ClickException(f"not everything is recorded: {outcome.problem}")


def _ready(host: str, port: int, target: str) -> None:
    echo(f"listening on {host}:{port}, target {target}; Ctrl-C ends")
