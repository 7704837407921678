"""Configuration: one frozen object, one loader.

A TOML file has a table for each section below, with the names of the fields as keys. Missing keys
have their defaults; an unknown key is an error that names the file and the key. Command-line options
take precedence. Paths in the file are relative to the file.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kmipkit_certs.identity import FINGERPRINT, SOURCES

from kmipkit.errors import KMIPError
from kmipkit_server.audit.target import parse_target

DEFAULT_PORT = 5696
"""The port that IANA gives to KMIP."""

_Section = TypeVar("_Section")


class ConfigError(KMIPError):
    """The configuration is not usable; the text names the file and the key, and says what to do."""


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """The address of the server, and how it stops."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 is any free port."""
    drain_seconds: float = 10.0
    """How long requests that have begun may take after the server is asked to stop."""


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """The server's certificate, and the authorities that issue client certificates.

    The files may be PEM, DER, PKCS #7 or PKCS #12.
    """

    cert: Path | None = None
    key: Path | None = None
    """None if the key is in the same file as the certificate."""
    key_password_file: Path | None = None
    """A file whose first line is the password of the key."""
    ca: Path | None = None
    crl: tuple[Path, ...] = ()
    """Revocation lists of these authorities (PEM or DER)."""
    expired_crl: str = "refuse"
    """What the server does when such a list has expired: ``refuse`` all certificates of its authority,
    or ``warn`` in the log."""
    revoked: Path | None = None
    """A list of revoked certificates, as ``kmipkit certs revoke --list`` writes it."""


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """How a client certificate names the account."""

    source: str = "cn"
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Names in certificates whose accounts have other names."""
    administrators: tuple[str, ...] | None = None
    """The accounts that manage users and groups. The default is ``admin`` and ``administrator`` with
    development certificates, otherwise nobody."""
    unknown_credentials: str | None = None
    """What the server does with credentials in a request that no user has: ``refuse`` the request, or
    ``ignore`` the credentials and use the certificate. The default is ``refuse``; with development
    certificates, credentials are ignored until the server has its first user, and later those of
    an administrator who shows the name of an administrator."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where objects are stored."""

    directory: Path = Path("kmipkit-data")
    root_key: Path | None = None
    """The file with the root key; the default is ``root.key`` in the directory."""


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Limits for connections and messages; times are in seconds, sizes in bytes."""

    connections: int = 2000
    connections_per_address: int | None = None
    """Connections from one address; the default is three quarters of all."""
    connections_per_account: int | None = None
    """Connections of one account; the default is three quarters of all."""
    handshake_timeout: float = 10.0
    message_timeout: float = 30.0
    send_timeout: float = 30.0
    idle_timeout: float = 600.0
    max_message: int = 1024 * 1024
    max_response: int = 4 * 1024 * 1024
    """Bytes of a response. An operation whose result does not fit fails, and has no effect."""
    batch_items: int = 1000
    """Batch items of a request."""
    attributes: int = 500
    """Attribute instances of an object to which clients may add further ones."""
    locate_objects: int = 100_000
    """Objects that one Locate may look at, about, and find."""
    objects_per_account: int | None = None
    """Objects of one account that are not destroyed; the default is no limit."""
    bytes_per_account: int | None = None
    """Bytes of the objects of one account: their material, and their attributes, which an object keeps
    when it is destroyed; the default is no limit."""
    cpu_seconds: float = 5.0
    """How long the server computes for the batch items of a request, without its workers."""
    workers: int = 4
    """Computations that take long, such as new RSA keys, at the same time; one account has half of
    them at most."""
    computation_timeout: float = 60.0
    """For the computations of one message, waiting for a worker included."""


@dataclass(frozen=True, slots=True)
class KMIPConfig:
    """Choices that the standard leaves to servers."""

    server_name: str = "kmipkit"
    strict: bool = False
    """Whether to refuse a request with a field, attribute or value that only a later version has. By
    default, the server does what such a request means, and logs this once for each client."""
    unique_names: bool = True
    """Whether only one object of an account may have a given Name (KMIP 1.4 §3.2)."""
    lease_seconds: int = 3600
    """Lease Time of new objects: how long a client may use one before it asks again (1.4 §3.20)."""
    asynchronous_delay: float = 1.0
    """Seconds until an asynchronous request is carried out. Until then it can be cancelled."""
    operations: tuple[str, ...] = ()
    """Rows of operations that other packages add, each as ``module:NAME`` (docs/server.md)."""
    interop: bool | None = None
    """Whether the server supports Interop, which "SHALL NOT be available in a production server"
    (KMIP 2.1 §6.1.26). By default it does so with development certificates only."""


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The accounts that the server notifies of new and changed objects (Notify and Put)."""

    accounts: Mapping[str, str] | None = None
    """HOST:PORT at which a client of the account listens with TLS; empty if the client exchanges
    roles with the server on its own connection (Set Endpoint Role). The default is nobody; with
    development certificates, the administrators, who exchange roles."""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The audit log: who has done what, and what was refused (docs/audit.md)."""

    enabled: bool = True
    directory: Path | None = None
    """Where its files are; the default is ``audit`` in the directory of the store."""
    sync: str = "interval"
    """When records of reads and refusals reach the disk: after an ``interval`` of 100 ms at most, or
    before the ``answer`` leaves. Those of changes always do so before the answer."""
    on_failure: str = "refuse"
    """What the server does while it cannot write records: ``refuse`` all requests, or ``serve``."""
    checkpoint_seconds: float = 60.0
    """Between two signatures over the log, if it has new records."""
    file_bytes: int = 64 * 1024 * 1024
    """The size from which on a new file begins."""
    file_hours: float = 24.0
    """The age from which on a new file begins."""
    keep_days: float | None = None
    """The age from which on the server deletes files; the default is never."""
    stdout: bool = False
    """Whether records are also written to standard output."""
    syslog: str | None = None
    """Where records are also sent: ``tls://HOST:PORT``, ``tcp://HOST:PORT``, ``udp://HOST:PORT`` or
    ``unix:///dev/log``."""
    syslog_ca: Path | None = None
    """The authorities of the collector's certificate; the default is those of the system."""
    syslog_cert: Path | None = None
    """A client certificate for the collector."""
    syslog_key: Path | None = None
    """Its private key, if the file of the certificate does not have it."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log on standard error."""

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
    audit: AuditConfig = field(default_factory=AuditConfig)
    log: LogConfig = field(default_factory=LogConfig)

    @property
    def root_key(self) -> Path:
        """The file of the root key."""
        return self.store.root_key or self.store.directory / "root.key"

    @property
    def database(self) -> Path:
        """The file of the embedded store."""
        return self.store.directory / "objects.sqlite3"

    @property
    def audit_directory(self) -> Path:
        """Where the audit log is."""
        return self.audit.directory or self.store.directory / "audit"


def load(path: Path) -> Config:
    """The configuration in a file; ConfigError if it is unreadable or not valid."""
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
        raise ConfigError(f"{path}: unknown section [{unknown[0]}]; the sections are {known}")
    parsed = {
        name: _section(sections[name], table, f"{path}: [{name}]", path.parent)
        for name, table in document.items()
    }
    return check(Config(**parsed), str(path))


def _section(cls: type[_Section], table: object, location: str, base: Path) -> _Section:
    if not isinstance(table, dict):
        raise ConfigError(f"{location} must be a table")
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ConfigError(
            f"{location}: unknown key {unknown[0]!r}; the keys are {', '.join(hints)}"
        )
    return cls(
        **{
            key: _value(hints[key], value, f"{location} {key}", base)
            for key, value in table.items()
        }
    )


def _value(hint: Any, value: object, location: str, base: Path) -> object:
    """A value, checked against the type of its field."""
    # The hint is X or X | None, where X is a key of _CHECKS or Mapping[str, str].
    hint = next((each for each in (_LIST, _PATHS) if each in (hint, *get_args(hint))), hint)
    candidates = () if get_origin(hint) is Mapping else (hint, *get_args(hint))
    expected = next((each for each in candidates if each in _CHECKS), Mapping)
    description, types = _CHECKS[expected]
    # A bool is an int for isinstance(), but not for a user.
    if isinstance(value, bool) is not (expected is bool) or not isinstance(value, types):
        raise ConfigError(f"{location} must be {description}, not {value!r}")
    if expected is Path:
        return base / str(value)
    if expected in (_LIST, _PATHS):
        strings: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]  # a list, see above
        if not all(isinstance(each, str) for each in strings):
            raise ConfigError(f"{location} must be {description}")
        return strings if expected is _LIST else tuple(base / str(each) for each in strings)
    if expected is Mapping and not all(isinstance(each, str) for each in dict(value).values()):  # type: ignore[call-overload]  # checked to be a dict above
        raise ConfigError(f"{location} must be {description}")
    return value


_LIST = tuple[str, ...]
_PATHS = tuple[Path, ...]

_CHECKS: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a string", (str,)),
    Path: ("a path", (str,)),
    _LIST: ("a list of strings", (list,)),
    _PATHS: ("a list of paths", (list,)),
    Mapping: ("a table of strings", (dict,)),
}

_ADDRESS = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def check(config: Config, source: str) -> Config:
    """The same configuration; ConfigError if a value is not valid. ``source`` is where it is from."""
    tls = config.tls
    rules = (
        (0 <= config.listen.port <= 65535, "listen.port must be 0 to 65535"),
        (
            config.identity.source in SOURCES,
            f"identity.source must be one of {', '.join(SOURCES)}",
        ),
        (
            config.identity.source != "fingerprint"
            or all(name.startswith(FINGERPRINT) for name in config.identity.accounts),
            f"identity.accounts must have names that begin with {FINGERPRINT}, as kmipkit certs show"
            " prints them: the hash of a whole certificate can be changed by its holder",
        ),
        (
            config.identity.unknown_credentials in (None, "refuse", "ignore"),
            "identity.unknown_credentials must be refuse or ignore",
        ),
        (tls.expired_crl in ("refuse", "warn"), "tls.expired_crl must be refuse or warn"),
        *(
            (not text or _ADDRESS.fullmatch(text), f"notify.accounts.{account} must be HOST:PORT")
            for account, text in (config.notify.accounts or {}).items()
        ),
        (config.log.level in LEVELS, f"log.level must be one of {', '.join(LEVELS)}"),
        (
            (tls.cert is None) is (tls.ca is None) and (tls.key is None or tls.cert is not None),
            "tls needs all of cert, key and ca, or none of them; key may be left out if"
            " the file of cert has it",
        ),
        (config.limits.max_message >= 1024, "limits.max_message must be at least 1024 bytes"),
        (config.limits.connections >= 1, "limits.connections must be at least 1"),
        (config.audit.sync in ("interval", "answer"), "audit.sync must be interval or answer"),
        (
            config.audit.on_failure in ("refuse", "serve"),
            "audit.on_failure must be refuse or serve",
        ),
        (
            config.audit.syslog is None or parse_target(config.audit.syslog) is not None,
            "audit.syslog must be tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or"
            " unix:///PATH",
        ),
        (config.audit.file_bytes >= 64 * 1024, "audit.file_bytes must be at least 65536"),
        *(
            (value is None or value > 0, f"audit.{name} must be more than 0")
            for name, value in (
                ("checkpoint_seconds", config.audit.checkpoint_seconds),
                ("file_hours", config.audit.file_hours),
                ("keep_days", config.audit.keep_days),
            )
        ),
        (config.kmip.asynchronous_delay >= 0, "kmip.asynchronous_delay must be 0 or more"),
        (config.kmip.lease_seconds >= 0, "kmip.lease_seconds must be 0 or more"),
        *(
            (
                getattr(config.limits, each.name) is None or getattr(config.limits, each.name) > 0,
                f"limits.{each.name} must be more than 0",
            )
            for each in fields(config.limits)
        ),
    )
    for is_met, message in rules:
        if not is_met:
            raise ConfigError(f"{source}: {message}")
    return config


def with_options(config: Config, options: Mapping[str, Mapping[str, Any]]) -> Config:
    """The configuration with the command-line options, by section; None is an option not used."""
    sections = {}
    for name, options_of_section in options.items():
        values = {key: value for key, value in options_of_section.items() if value is not None}
        if values:
            sections[name] = replace(getattr(config, name), **values)
    return check(replace(config, **sections), "command line")
