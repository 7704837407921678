"""The audit of a server, put together from its configuration."""

import fcntl
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from kmipkit_certs import contexts, credentials
from kmipkit_certs.errors import CertificateError

from kmipkit.terminal import write_escaped
from kmipkit_server.audit.anchor import known_logs
from kmipkit_server.audit.files import folder_of, name_of
from kmipkit_server.audit.recovery import Restored
from kmipkit_server.audit.service import Audit
from kmipkit_server.audit.settings import AuditSettings
from kmipkit_server.audit.sinks.sink import Sink
from kmipkit_server.audit.sinks.stdout import OutputTransport
from kmipkit_server.audit.sinks.syslog import SyslogTransport
from kmipkit_server.audit.target import parse_target
from kmipkit_server.config import AuditConfig, Config, ConfigError, require_writable
from kmipkit_server.engine.settings import Clock
from kmipkit_server.net.connection_log import Occurrence, Throttle
from kmipkit_server.service.stores import node_of
from kmipkit_server.store.base import Store

MAX_RECORDED_KEYS = 256
"""Addresses and kinds of refused connections that have records of their own in a minute: these are all
that somebody without a certificate can write to the audit log, less than 300 kB."""


OUTPUT_LOCK = "stdout.lock"
"""The file that a worker locks while it writes to standard output."""

Write = Callable[[str], object]


async def open_audit(
    config: Config,
    store: Store,
    clock: Clock,
    worker: int = 1,
    workers: int = 1,
    restored: Restored | None = None,
) -> Audit | None:
    """The audit of a worker, which the store writes along with its changes; None if it is off.

    ConfigError if it cannot be opened, StoreError if the store has been tampered with.
    """
    if not config.audit.enabled:
        return None
    write: Write = write_escaped
    if workers > 1:
        write = partial(_write_in_turn, config.audit_directory / OUTPUT_LOCK)
    sinks = tuple(_sinks(config.audit, write))
    try:
        settings = _settings(config, name_of(worker))
        audit = await Audit.start(settings, store, clock, sinks, restored)
    except OSError as error:
        raise ConfigError(
            f"the audit log in {config.audit_directory} cannot be written: {error.strerror}"
        ) from None
    store.journal = audit.outbox
    return audit


def check_audit(config: Config) -> None:
    """ConfigError if a start could not open the audit."""
    if config.audit.enabled:
        require_writable(config.audit_directory)
        tuple(_sinks(config.audit))


async def settle_others(
    config: Config, store: Store, clock: Clock, workers: int, restored: Restored | None
) -> None:
    """Complete the logs of workers that there are no longer; the store must be serving.

    After a restore, also those of the workers that begin next, which do not know of it: the first one
    has recorded it.
    """
    if not config.audit.enabled:
        return
    if restored is not None:
        workers, restored = 1, restored._replace(is_recorded=True)
    active = {name_of(each) for each in range(1, workers + 1)}
    for name in await store.run(partial(known_logs, node=node_of_logs(config))):
        if name not in active:
            await Audit.settle(_settings(config, name), store, clock, restored)


def _settings(config: Config, name: str) -> AuditSettings:
    audit = config.audit
    return AuditSettings(
        directory=folder_of(config.audit_directory, name),
        name=name,
        node=node_of_logs(config),
        durable=audit.sync == "answer",
        refuses=audit.on_failure == "refuse",
        checkpoint=timedelta(seconds=audit.checkpoint_seconds),
        file_size=audit.file_bytes,
        file_age=timedelta(hours=audit.file_hours),
        keep=None if audit.keep_days is None else timedelta(days=audit.keep_days),
    )


def node_of_logs(config: Config) -> str:
    """Whose logs they are, in a store that the server shares with others."""
    return "" if config.store.url is None else node_of(config)


def _write_in_turn(lock: Path, text: str) -> None:
    """Write lines to an output that other processes use, too: a pipe would mix long ones."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_escaped(text)


def _sinks(config: AuditConfig, write: Write = write_escaped) -> Iterator[Sink]:
    if config.stdout:
        yield Sink("stdout", OutputTransport(write))
    target = None if config.syslog is None else parse_target(config.syslog)
    if target is not None:
        context = tls_context(config) if target.scheme == "tls" else None
        yield Sink(str(config.syslog), SyslogTransport(target, context))


def tls_context(config: AuditConfig) -> Callable[[], ssl.SSLContext]:
    """The TLS settings for the collector. ConfigError if a file is not usable now."""

    def load() -> ssl.SSLContext:
        """Read the files again for each connection, as they may have been renewed."""
        cert, key, ca = config.syslog_cert, config.syslog_key, config.syslog_ca
        own = None if cert is None else credentials.load_credentials(cert, key)
        trusted = None if ca is None else tuple(credentials.load_certificates(ca))
        return contexts.client_context(own, trusted)

    def load_later() -> ssl.SSLContext:
        try:
            return load()
        except CertificateError as error:
            raise OSError(str(error)) from None

    try:
        load()
    except CertificateError as error:
        raise ConfigError(f"audit.syslog: {error}") from None
    return load_later


def recorded_refusals(audit: Audit) -> Throttle:
    """Records connections that are refused, one record a minute for many alike."""

    def record(each: Occurrence) -> None:
        audit.connections.refused(each.address, each.port, each.kind, each.text, each.further)

    return Throttle(record, MAX_RECORDED_KEYS)
