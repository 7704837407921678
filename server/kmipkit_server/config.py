"""Configuration: one frozen object, one loader.

A TOML file has a table per section below, with the fields' names as keys; what it leaves out keeps
the default, what it misspells is an error that names file and key. Options of the command line
replace what the file says. Paths in the file are relative to the file.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kmipkit.errors import KMIPError
from kmipkit_server.identity.certificate import SOURCES

DEFAULT_PORT = 5696
"""The port that IANA gives to KMIP."""

_Section = TypeVar("_Section")


class ConfigError(KMIPError):
    """The configuration cannot be used; the text names the file, the key and what to do."""


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """Where clients connect."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes any free port."""
    drain_seconds: float = 10.0
    """How long requests that have begun may go on when the server is asked to stop."""


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """The server's certificate and the authorities whose clients are served (PEM files)."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """How a client's certificate names its account."""

    source: str = "cn"
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Names in certificates that lead to an account of another name."""
    administrators: tuple[str, ...] | None = None
    """Accounts that manage users and groups; if not said, ``admin`` and ``administrator`` with
    certificates of our own making, and nobody with others."""
    unknown_credentials: str | None = None
    """What to do with a user name or device in a request that no user has: ``refuse`` the request,
    or ``ignore`` them and go by the certificate. If not said, they are ignored with certificates of
    our own making and refused with others."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where objects are kept."""

    directory: Path = Path("kmipkit-data")
    root_key: Path | None = None
    """The file with the root key; ``root.key`` in the directory if not given."""


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What a peer may take; times in seconds, sizes in bytes."""

    connections: int = 2000
    handshake_timeout: float = 10.0
    message_timeout: float = 30.0
    send_timeout: float = 30.0
    idle_timeout: float = 600.0
    max_message: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KMIPConfig:
    """Choices that the standard leaves to a server."""

    server_name: str = "kmipkit"
    unique_names: bool = True
    """Whether a Name may be given to one object of an account only (KMIP 1.4 §3.2)."""
    lease_seconds: int = 3600
    """Lease Time of new objects: how long a client may use one unseen (KMIP 1.4 §3.20)."""
    asynchronous_delay: float = 1.0
    """Seconds until an asynchronous request is worked on, in which it may still be cancelled."""
    operations: tuple[str, ...] = ()
    """Rows of operations that other packages add, each as ``module:NAME`` (docs/server.md)."""
    interop: bool | None = None
    """Whether Interop is offered, which "SHALL NOT be available in a production server" (KMIP 2.1
    §6.1.26); if not said, with certificates of our own making only."""


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """Whom the server tells of new and changed objects (Notify and Put)."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    """HOST:PORT at which the account listens, with TLS; empty where it gives the server the client's
    role on its own connection (Set Endpoint Role)."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is written to standard error."""

    level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    listen: ListenConfig = field(default_factory=ListenConfig)
    tls: TLSConfig = field(default_factory=TLSConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    kmip: KMIPConfig = field(default_factory=KMIPConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    log: LogConfig = field(default_factory=LogConfig)

    @property
    def root_key(self) -> Path:
        """The file of the root key."""
        return self.store.root_key or self.store.directory / "root.key"


def load(path: Path) -> Config:
    """The configuration of a file; ConfigError if it cannot be read or does not make sense."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    sections = get_type_hints(Config)
    unknown = sorted(set(document) - set(sections))
    if unknown:
        known = ", ".join(sections)
        raise ConfigError(f"{path}: there is no section [{unknown[0]}]; sections are {known}")
    read = {
        name: _section(sections[name], table, f"{path}: [{name}]", path.parent)
        for name, table in document.items()
    }
    return check(Config(**read), str(path))


def _section(cls: type[_Section], table: object, where: str, base: Path) -> _Section:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table")
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ConfigError(f"{where} has no key {unknown[0]!r}; keys are {', '.join(hints)}")
    return cls(
        **{key: _value(hints[key], value, f"{where} {key}", base) for key, value in table.items()}
    )


def _value(hint: Any, value: object, where: str, base: Path) -> object:
    """A value of the type that the field has."""
    # "X" or "X | None" names its check; what is left is Mapping[str, str].
    if _LIST in (hint, *get_args(hint)):
        hint = _LIST
    kinds = () if get_origin(hint) is Mapping else (hint, *get_args(hint))
    wanted = next((kind for kind in kinds if kind in _CHECKS), Mapping)
    described, accepted = _CHECKS[wanted]
    if isinstance(value, bool) is not (wanted is bool) or not isinstance(value, accepted):
        raise ConfigError(f"{where} must be {described}, not {value!r}")
    if wanted is Path:
        return base / str(value)
    if wanted is _LIST:
        texts: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]  # a list, see above
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{where} must be {described}")
        return texts
    if wanted is Mapping and not all(isinstance(name, str) for name in dict(value).values()):  # type: ignore[call-overload]  # checked to be a dict above
        raise ConfigError(f"{where} must be {described}")
    return value


_LIST = tuple[str, ...]

_CHECKS: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a text", (str,)),
    Path: ("a path", (str,)),
    _LIST: ("a list of texts", (list,)),
    Mapping: ("a table of texts", (dict,)),
}

_ADDRESS = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def check(config: Config, source: str) -> Config:
    """The same configuration; ConfigError where values do not make sense."""
    tls = config.tls
    given = [name for name in ("cert", "key", "ca") if getattr(tls, name) is not None]
    rules = (
        (0 <= config.listen.port <= 65535, "listen.port must be 0 to 65535"),
        (
            config.identity.source in SOURCES,
            f"identity.source must be one of {', '.join(SOURCES)}",
        ),
        (
            config.identity.unknown_credentials in (None, "refuse", "ignore"),
            "identity.unknown_credentials must be refuse or ignore",
        ),
        *(
            (not where or _ADDRESS.fullmatch(where), f"notify.accounts.{account} must be HOST:PORT")
            for account, where in config.notify.accounts.items()
        ),
        (config.log.level in LEVELS, f"log.level must be one of {', '.join(LEVELS)}"),
        (len(given) in {0, 3}, "tls needs all of cert, key and ca, or none of them"),
        (config.limits.max_message >= 1024, "limits.max_message must be at least 1024 bytes"),
        (config.limits.connections >= 1, "limits.connections must be at least 1"),
        (config.kmip.asynchronous_delay >= 0, "kmip.asynchronous_delay must be 0 or more"),
        (config.kmip.lease_seconds >= 0, "kmip.lease_seconds must be 0 or more"),
        *(
            (getattr(config.limits, one.name) > 0, f"limits.{one.name} must be more than 0")
            for one in fields(config.limits)
        ),
    )
    for holds, message in rules:
        if not holds:
            raise ConfigError(f"{source}: {message}")
    return config


def with_options(config: Config, options: Mapping[str, Mapping[str, Any]]) -> Config:
    """The configuration with values from the command line, section by section; None is "not given"."""
    changed = {}
    for section, values in options.items():
        given = {key: value for key, value in values.items() if value is not None}
        if given:
            changed[section] = replace(getattr(config, section), **given)
    return check(replace(config, **changed), "command line")
