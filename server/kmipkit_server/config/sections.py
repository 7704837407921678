"""The settings of the server, one class for each table of the configuration file.

The text under a setting is its documentation: docs/configuration.md is made from it. ``SECRET`` marks
those whose values no command and no log line shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmipkit_server.vault.counter import counter_of
from kmipkit_server.vault.uri import RootKeyURI

DEFAULT_PORT = 5696
"""The port that IANA gives to KMIP."""

SECRET: Mapping[str, Any] = {"secret": True}
"""Metadata of a setting whose value is a secret."""


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """The address of the server, and how it stops."""

    host: str = "127.0.0.1"
    """The address on which the server listens; a name may have several addresses."""
    port: int = DEFAULT_PORT
    """The port; 0 is any free port."""
    drain_seconds: float = 10.0
    """How long requests that have begun may take after the server is asked to stop."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The processes of the server."""

    workers: int | None = None
    """How many processes serve clients (docs/scaling.md). The default is one for each processor that the
    server may use; in test mode, one. 256 at most."""
    answer_timeout: float = 30.0
    """Seconds after which a worker process that does not answer is killed, and another one takes its
    place."""


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """The server's certificate, and the authorities that issue client certificates.

    The files may be PEM, DER, PKCS #7 or PKCS #12.
    """

    cert: Path | None = None
    """The server's certificate, with those of intermediate authorities. The default is a development
    PKI, which the server makes on its first start."""
    key: Path | None = None
    """The private key of the certificate, unless it is in the same file."""
    key_password_file: Path | None = None
    """A file whose first line is the password of the key."""
    ca: Path | None = None
    """The certificate authorities whose clients may connect."""
    san: tuple[str, ...] = ()
    """Further names and addresses in the certificate of the development PKI. It always has those of
    the machine and of its interfaces, ``listen.host`` and ``localhost``."""
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
    """The part of a client's certificate that names its account: ``cn``, ``san``, ``cn-or-san``,
    ``subject`` or ``fingerprint``."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Names in certificates whose accounts have other names."""
    administrators: tuple[str, ...] | None = None
    """The accounts that manage users and groups, and the server; tenants have their own
    (docs/tenants.md). The default is ``admin`` and ``administrator`` with development certificates,
    otherwise nobody."""
    unknown_credentials: str | None = None
    """What the server does with credentials in a request that no user has: ``refuse`` the request, or
    ``ignore`` the credentials and use the certificate. The default is ``refuse``; with development
    certificates, credentials are ignored until the server has its first user, and later those of
    an administrator who shows the name of an administrator."""


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Rules about who may do what with which objects (docs/policy.md)."""

    file: Path | None = None
    """A file with the policy of the server. At a start and at a reload, it is applied as a new version
    if its content has changed since it was applied last. The default is no file: administrators apply
    policies with ``kmipkit admin policy``."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where objects are stored."""

    directory: Path = Path("kmipkit-data")
    """The data directory."""
    root_key: RootKeyURI | None = None
    """Where the root key is: the path of a file, or a URI such as ``env:NAME``, ``credential:NAME``,
    ``passphrase:file=PATH`` or ``pkcs11:token=NAME;object=NAME`` (docs/root-keys.md). The default is
    the file ``root.key`` in the directory."""
    pkcs11_modules: tuple[Path, ...] = ()
    """PKCS #11 modules, besides that of ``root_key``, which a rotation of the root key may load
    that is asked for over the network."""
    counter: Path | None = None
    """The file with the number of transactions so far, which shows when the database is an older
    copy. The default is beside the file of the root key; for other root keys, ``root-key.counter``
    in the directory."""
    url: str | None = None
    """A PostgreSQL database for the objects (docs/postgresql.md), such as
    ``postgresql://kmipkit@db1,db2/kms``: several servers can use it at the same time. It has no password
    in it. The default is a file in the directory."""
    password_file: Path | None = None
    """A file whose first line is the password for the database. Without it, libpq looks in the file
    that ``PGPASSFILE`` names."""
    node: str | None = None
    """The name of this server among those that use the same database; the default is the host name."""
    connections: int = 8
    """Connections to the database with which the server reads at the same time; it has a few more for
    writing and for work that takes long."""
    statement_timeout: float = 30.0
    """Seconds that a statement of the database may take."""


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Limits for connections and messages; times are in seconds, sizes in bytes."""

    connections: int = 2000
    """Open connections."""
    connections_per_address: int | None = None
    """Connections from one address; the default is three quarters of all."""
    connections_per_account: int | None = None
    """Connections of one account; the default is three quarters of all."""
    handshake_timeout: float = 10.0
    """For the TLS handshake."""
    message_timeout: float = 30.0
    """From the first byte of a request to its last."""
    send_timeout: float = 30.0
    """For a client to receive a response."""
    idle_timeout: float = 600.0
    """Between two requests."""
    max_message: int = 1024 * 1024
    """Bytes of a request."""
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
    """The name of the server in its answer to Query."""
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
    only_operations: tuple[str, ...] = ()
    """The operations that clients may ask for, such as ``Get`` and ``Locate``. All others fail with
    Operation Not Supported, and Query does not list them. The default is all that the server has."""
    without_operations: tuple[str, ...] = ()
    """Operations that clients may not ask for, of those that the server has."""
    versions: tuple[str, ...] = ()
    """The versions of KMIP in which clients may ask, such as ``1.4`` and ``2.1``. Requests in others are
    refused, but for Discover Versions, which lists these. The default is all."""
    interop: bool | None = None
    """Whether the server supports Interop, which "SHALL NOT be available in a production server"
    (KMIP 2.1 §6.1.26). By default it does so with development certificates only."""


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """The accounts that the server notifies of new and changed objects (Notify and Put)."""

    accounts: Mapping[str, str] | None = None
    """HOST:PORT at which a client of the account listens with TLS; empty if the client exchanges
    roles with the server on its own connection (Set Endpoint Role). Accounts of tenants have their whole
    names, such as ``tenant:acme:db01``. The default is nobody; with
    development certificates, the administrators, who exchange roles."""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The audit log: who has done what, and what was refused (docs/audit.md)."""

    enabled: bool = True
    """Whether the server writes it."""
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
class BackupConfig:
    """Backups that the server makes by itself (docs/backup.md)."""

    directory: Path | None = None
    """Where they are; on another disk or machine, if possible. The default is no backups."""
    recipients: tuple[str, ...] = ()
    """To whom they are encrypted: public keys of age (``age1...``), and files with such keys or with a
    certificate that has an RSA key."""
    every_seconds: float = 3600.0
    """Between two backups."""
    full_hours: float = 168.0
    """The age of a full backup from which on the next one is full again. Those between them have what
    has changed."""
    keep_days: float | None = None
    """How long a full backup with its increments is kept after the last of them; the default is forever.
    The newest always stay."""
    audit: bool = True
    """Whether the audit log is in the backups."""


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The port for monitoring: /healthz, /readyz and /metrics."""

    listen: str | None = None
    """HOST:PORT; port 0 is any free port. The default is no such port."""
    tls: str = "off"
    """``off``; ``server`` for TLS with the server's certificate; ``mutual`` for clients with a
    certificate of an authority in ``tls.ca``. Without TLS, HOST should be a loopback address."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log on standard error."""

    level: str = "INFO"
    """``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``. Requests that succeed are logged with ``DEBUG``."""
    format: str = "auto"
    """``text``, ``json`` (one object for each line), or ``auto``: text for a terminal, a file and the
    journal of systemd, JSON if the log is piped to another program."""


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """Traces in the form of OpenTelemetry; they need the extra ``otel``."""

    endpoint: str | None = None
    """The URL of a collector for traces (OTLP over HTTP), such as
    ``http://127.0.0.1:4318/v1/traces``. The default is no traces."""
    headers: Mapping[str, str] = field(default_factory=dict, metadata=SECRET)
    """Headers of the requests to the collector, such as ``authorization``."""
    sample_ratio: float = 1.0
    """The share of requests that is traced, from 0 to 1."""
    service_name: str = "kmipkit"
    """The name of the service in the traces."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    server: ServerConfig = field(default_factory=ServerConfig)
    listen: ListenConfig = field(default_factory=ListenConfig)
    tls: TLSConfig = field(default_factory=TLSConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    kmip: KMIPConfig = field(default_factory=KMIPConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)
    log: LogConfig = field(default_factory=LogConfig)

    @property
    def root_key(self) -> RootKeyURI:
        """Where the root key is."""
        return self.store.root_key or RootKeyURI(self.store.directory / "root.key")

    @property
    def counter(self) -> Path:
        """The file of the counter of transactions."""
        if self.store.counter is not None:
            return self.store.counter
        return counter_of(self.root_key, self.store.directory)

    @property
    def database(self) -> Path:
        """The file of the embedded store."""
        return self.store.directory / "objects.sqlite3"

    @property
    def audit_directory(self) -> Path:
        """Where the audit log is."""
        return self.audit.directory or self.store.directory / "audit"
