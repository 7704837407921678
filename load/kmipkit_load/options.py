"""The options of ``kmipkit bench run``: their values as settings, and what is wrong with them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit.numbers_option import NumberRange, seconds
from kmipkit.report_option import report_option_of

FILE = click.Path(path_type=Path)
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]

HTTPS_PATH = "/kmip"
"""The path that the profile recommends (KMIP Profiles 2.1 §5.3)."""

Errors = tuple[float, bool]
"""A number of failed requests, and whether it is a share of all in percent."""


def _typed(convert: Callable[[str], Any], form: str) -> Any:
    """A type of options; the function raises ValueError for a text that has not the form."""

    def checked(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not {form}") from None

    result = click.types.FuncParamType(checked)
    result.name = form
    return result


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 0 < port < 65536:
        raise ValueError
    return port


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError
    return host.strip("[]"), _port(port)


def _https(text: str) -> tuple[int, str]:
    port, slash, path = text.partition("/")
    if not re.fullmatch(r"[\x21-\x7e]*", path):
        raise ValueError  # the path of a URL has no other characters (RFC 3986 §2)
    return _port(port), f"/{path}" if slash else HTTPS_PATH


def _errors(text: str) -> Errors:
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text)
    if match is None:
        raise ValueError
    return (float(match[1]), False) if match[1] else (float(match[2]), True)


ADDRESS = _typed(_address, "HOST:PORT")
HTTPS = _typed(_https, "PORT[/PATH]")
MAX_ERRORS = _typed(_errors, "a number or a percentage such as 0.1%")


def is_exceeded(errors: Errors, failed: int, requests: int) -> bool:
    """Whether more requests have failed than are tolerated."""
    number, is_share = errors
    return failed > (number / 100 * requests if is_share else number)


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The values of the options that say which server, and how to speak to it."""

    target: tuple[str, int]
    ca: Path | None
    cert: Path | None
    key: Path | None
    key_password_file: Path | None
    kmip: str | None
    encoding: str
    https: tuple[int, str] | None
    tls: str | None
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class RunOptions(TargetOptions):
    """The values of all options of ``kmipkit bench run``; times in seconds."""

    mix: str
    key_sizes: tuple[str, ...]
    objects: int | None
    duration: float | None
    requests: int | None
    warm_up: float
    connections: int
    cold: bool
    resumed: bool
    rate: float | None
    arrivals: str
    processes: int
    seed: int
    max_errors: Errors
    dry_run: bool
    as_json: bool
    reports: tuple[tuple[str, Path], ...]


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_TARGET_OPTIONS = (
    click.option(
        "--server",
        "--target",
        "target",
        required=True,
        envvar="KMIPKIT_SERVER",
        type=ADDRESS,
        metavar="HOST:PORT",
        help="The server.",
    ),
    click.option(
        "--ca", type=FILE, envvar="KMIPKIT_CA", help="Certificate authorities of the server."
    ),
    click.option(
        "--cert", type=FILE, envvar="KMIPKIT_CERT", help="Client certificate, PEM or PKCS #12."
    ),
    click.option(
        "--key",
        type=FILE,
        envvar="KMIPKIT_KEY",
        help="Private key, if the file of the certificate has none.",
    ),
    password_option,
    click.option(
        "--kmip",
        type=click.Choice(VERSIONS),
        help="Protocol version.  [default: newest of both sides]",
    ),
    click.option(
        "--encoding",
        type=click.Choice(["ttlv", "xml", "json"]),
        default="ttlv",
        show_default=True,
        help="Encoding of the messages; XML and JSON use HTTPS.",
    ),
    click.option(
        "--https",
        type=HTTPS,
        metavar="PORT[/PATH]",
        help="KMIP over HTTPS at this port.  [default with XML and JSON: that of --server, /kmip]",
    ),
    click.option("--tls", type=click.Choice(["1.2", "1.3"]), help="Only this version of TLS."),
    click.option(
        "--timeout",
        type=seconds(),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for a response.",
    ),
)
_LOAD_OPTIONS = (
    click.option(
        "--mix",
        default="get",
        show_default=True,
        metavar="NAME|FILE",
        help="Mix, operation, or TOML file of a mix; see kmipkit bench mixes.",
    ),
    click.option(
        "--key-size",
        "key_sizes",
        multiple=True,
        metavar="NAME",
        help="Keys instead of those of the mix, such as AES-128 or RSA-4096; may be repeated.",
    ),
    click.option(
        "--objects",
        type=click.IntRange(1, 100_000),
        metavar="N",
        help="Objects that are prepared, instead of the number in the mix.",
    ),
    click.option(
        "--duration",
        type=seconds(),
        metavar="SECONDS",
        help="How long to measure.",
    ),
    click.option(
        "--requests", type=click.IntRange(1), metavar="N", help="How many requests to measure."
    ),
    click.option(
        "--warm-up",
        type=seconds(least=0),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to send requests before.",
    ),
    click.option(
        "--connections",
        type=click.IntRange(1, 100_000),
        metavar="N",
        default=8,
        show_default=True,
        help="Connections of all processes together.",
    ),
    click.option(
        "--cold", is_flag=True, help="A new connection with a full TLS handshake for each request."
    ),
    click.option(
        "--resumed",
        is_flag=True,
        help="A new connection that resumes a TLS session for each request.",
    ),
    click.option(
        "--rate",
        type=NumberRange(0.001, 10_000_000),
        metavar="N",
        help="Requests per second, independent of the responses (open loop).  [default: closed loop]",
    ),
    click.option(
        "--arrivals",
        type=click.Choice(["even", "poisson"]),
        default="even",
        show_default=True,
        help="Distances between the requests of the open loop: equal or random.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(1, 256),
        metavar="N",
        default=1,
        show_default=True,
        help="Processes that send requests.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        metavar="N",
        help="Of the order of requests, and of random arrivals.",
    ),
)
_OUTPUT_OPTIONS = (
    click.option(
        "--max-errors",
        type=MAX_ERRORS,
        metavar="N|PERCENT%",
        default="0",
        show_default=True,
        help="Failed requests, or their share, with which the exit status is still 0.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Say what the run would create and send, and end."
    ),
    json_option,
    report_option_of("json", "html"),
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def run_options(function: _Command) -> _Command:
    """Gives a command the options of :class:`RunOptions`."""
    return _with((*_TARGET_OPTIONS, *_LOAD_OPTIONS, *_OUTPUT_OPTIONS), function)


def target_options(function: _Command) -> _Command:
    """Gives a command the options of :class:`TargetOptions`."""
    return _with(_TARGET_OPTIONS, function)


def _with(options: Sequence[Callable[[_Command], _Command]], function: _Command) -> _Command:
    for option in reversed(options):
        function = option(function)
    return function
