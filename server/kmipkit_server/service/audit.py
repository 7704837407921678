"""The audit of a server, put together from its configuration."""

import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta

from kmipkit_certs import contexts, credentials
from kmipkit_certs.errors import CertificateError

from kmipkit.terminal import write_escaped
from kmipkit_server.audit.service import Audit
from kmipkit_server.audit.settings import AuditSettings
from kmipkit_server.audit.sinks.sink import Sink
from kmipkit_server.audit.sinks.stdout import OutputTransport
from kmipkit_server.audit.sinks.syslog import SyslogTransport
from kmipkit_server.audit.target import parse_target
from kmipkit_server.config import AuditConfig, Config, ConfigError, require_writable
from kmipkit_server.engine.settings import Clock
from kmipkit_server.net.connection_log import Occurrence, Throttle
from kmipkit_server.store.base import Store

MAX_RECORDED_KEYS = 256
"""Addresses and kinds of refused connections that have records of their own in a minute: these are all
that somebody without a certificate can write to the audit log, less than 300 kB."""


async def open_audit(config: Config, store: Store, clock: Clock) -> Audit | None:
    """The audit, which the store writes along with its changes from now on; None if it is off.

    ConfigError if it cannot be opened, StoreError if the store has been tampered with.
    """
    if not config.audit.enabled:
        return None
    sinks = tuple(_sinks(config.audit))
    try:
        audit = await Audit.start(_settings(config), store, clock, sinks)
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


def _settings(config: Config) -> AuditSettings:
    audit = config.audit
    return AuditSettings(
        directory=config.audit_directory,
        durable=audit.sync == "answer",
        refuses=audit.on_failure == "refuse",
        checkpoint=timedelta(seconds=audit.checkpoint_seconds),
        file_size=audit.file_bytes,
        file_age=timedelta(hours=audit.file_hours),
        keep=None if audit.keep_days is None else timedelta(days=audit.keep_days),
    )


def _sinks(config: AuditConfig) -> Iterator[Sink]:
    if config.stdout:
        yield Sink("stdout", OutputTransport(write_escaped))
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
