"""Which values a setting may have, alone and together with others."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import NamedTuple
from urllib.parse import urlsplit

from kmipkit_certs.authority import alternative_names
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.identity import FINGERPRINT, SOURCES, TENANT_PREFIX

from kmipkit.spec.versions import VERSIONS
from kmipkit_server.audit.target import parse_target
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.config.sections import Config
from kmipkit_server.store.owners import is_of_tenant

MAX_WORKERS = 256
"""Worker processes; a slip of the hand must not take all of the memory."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("auto", "text", "json")
MONITORING_TLS = ("off", "server", "mutual")

_ADDRESS = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535
_NODE = re.compile(r"[A-Za-z0-9._-]{1,200}")


class Rule(NamedTuple):
    """A rule, and whether a configuration follows it."""

    is_met: object
    setting: str
    text: str


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def faults(config: Config, place: Callable[[str], str]) -> list[tuple[str, str]]:
    """Each setting with a wrong value, and the fault; ``place`` says where its value is from."""
    return [
        (rule.setting, f"{place(rule.setting)}: {rule.setting} {rule.text}")
        for rule in _rules(config)
        if not rule.is_met
    ]


def check(config: Config, source: str) -> Config:
    """The same configuration; ConfigError if a value is not valid. ``source`` is where it is from."""
    found = faults(config, lambda _: source)
    if found:
        raise ConfigError(*(fault for _, fault in found))
    return config


def _rules(config: Config) -> Iterator[Rule]:
    workers = config.server.workers
    yield Rule(workers is None or workers > 0, "server.workers", "must be 1 or more")
    yield Rule(
        workers is None or workers <= MAX_WORKERS,
        "server.workers",
        f"must be {MAX_WORKERS} at most: more processes than processors bring nothing",
    )
    yield Rule(config.server.answer_timeout >= 1, "server.answer_timeout", "must be 1 or more")
    yield from _network(config)
    yield from _identity(config)
    yield from _store(config)
    yield from _limits(config)
    yield from _audit(config)
    yield from _backup(config)
    yield from _observation(config)
    kmip = config.kmip
    yield Rule(kmip.asynchronous_delay >= 0, "kmip.asynchronous_delay", "must be 0 or more")
    for version in kmip.versions:
        yield Rule(
            version in map(str, VERSIONS),
            "kmip.versions",
            f"has {version!r}, but must be of {', '.join(map(str, VERSIONS))}",
        )
    yield Rule(kmip.lease_seconds >= 0, "kmip.lease_seconds", "must be 0 or more")


def _network(config: Config) -> Iterator[Rule]:
    tls = config.tls
    yield Rule(0 <= config.listen.port <= _MAX_PORT, "listen.port", f"must be 0 to {_MAX_PORT}")
    yield Rule(config.listen.drain_seconds >= 0, "listen.drain_seconds", "must be 0 or more")
    yield Rule(tls.expired_crl in ("refuse", "warn"), "tls.expired_crl", "must be refuse or warn")
    yield Rule(
        (tls.cert is None) is (tls.ca is None) and (tls.key is None or tls.cert is not None),
        "tls",
        "needs all of cert, key and ca, or none of them; key may be left out if the file of cert"
        " has it",
    )
    yield Rule(
        not tls.san or tls.cert is None,
        "tls.san",
        "is for the development PKI only: the names in the certificate tls.cert are those that its"
        " authority has signed",
    )
    for name in tls.san:
        yield Rule(
            _is_alternative_name(name), "tls.san", f"has {name!r}: give a host name or an address"
        )
    for account, text in (config.notify.accounts or {}).items():
        yield Rule(not text or _is_address(text), f"notify.accounts.{account}", "must be HOST:PORT")


def _is_alternative_name(name: str) -> bool:
    try:
        return bool(name and alternative_names((name,)))
    except CertificateError:
        return False


def _identity(config: Config) -> Iterator[Rule]:
    identity = config.identity
    yield Rule(
        identity.source in SOURCES, "identity.source", f"must be one of {', '.join(SOURCES)}"
    )
    yield Rule(
        identity.source != "fingerprint"
        or all(name.startswith(FINGERPRINT) for name in identity.accounts),
        "identity.accounts",
        f"must have names that begin with {FINGERPRINT}, as kmipkit certs show prints them: the hash"
        " of a whole certificate can be changed by its holder",
    )
    accounts = {
        "identity.administrators": identity.administrators or (),
        "identity.accounts": identity.accounts.values(),
    }
    for setting, names in accounts.items():
        yield Rule(
            not any(map(is_of_tenant, names)),
            setting,
            f"must not have names that begin with {TENANT_PREFIX}: who belongs to a tenant, and who"
            " administers it, is said with kmipkit admin tenants",
        )
    yield Rule(
        identity.unknown_credentials in (None, "refuse", "ignore"),
        "identity.unknown_credentials",
        "must be refuse or ignore",
    )


def _store(config: Config) -> Iterator[Rule]:
    store = config.store
    yield Rule(
        store.url is None or store.url.startswith(("postgresql://", "postgres://")),
        "store.url",
        "must begin with postgresql://",
    )
    yield Rule(
        store.url is None or not _has_password(store.url),
        "store.url",
        "has a password in it, which other programs could read; use store.password_file, or a file"
        " that PGPASSFILE names",
    )
    yield Rule(
        store.node is None or bool(_NODE.fullmatch(store.node)),
        "store.node",
        "must have letters, digits, dots, hyphens and underscores only",
    )
    yield Rule(store.connections > 0, "store.connections", "must be more than 0")
    yield Rule(store.statement_timeout > 0, "store.statement_timeout", "must be more than 0")


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.password is not None or "password=" in parts.query


def _limits(config: Config) -> Iterator[Rule]:
    limits = config.limits
    yield Rule(limits.max_message >= 1024, "limits.max_message", "must be at least 1024 bytes")
    for each in fields(limits):
        value = getattr(limits, each.name)
        yield Rule(value is None or value > 0, f"limits.{each.name}", "must be more than 0")


def _audit(config: Config) -> Iterator[Rule]:
    audit = config.audit
    yield Rule(audit.sync in ("interval", "answer"), "audit.sync", "must be interval or answer")
    yield Rule(
        audit.on_failure in ("refuse", "serve"), "audit.on_failure", "must be refuse or serve"
    )
    yield Rule(
        audit.syslog is None or parse_target(audit.syslog) is not None,
        "audit.syslog",
        "must be tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH",
    )
    yield Rule(audit.file_bytes >= 64 * 1024, "audit.file_bytes", "must be at least 65536")
    for name in ("checkpoint_seconds", "file_hours", "keep_days"):
        value = getattr(audit, name)
        yield Rule(value is None or value > 0, f"audit.{name}", "must be more than 0")


def _backup(config: Config) -> Iterator[Rule]:
    backup = config.backup
    yield Rule(
        backup.directory is None or backup.recipients,
        "backup.recipients",
        "must have a recipient; kmipkit admin backup identity makes one",
    )
    for name in ("every_seconds", "full_hours", "keep_days"):
        value = getattr(backup, name)
        yield Rule(value is None or value > 0, f"backup.{name}", "must be more than 0")


def _observation(config: Config) -> Iterator[Rule]:
    metrics, tracing, log = config.metrics, config.tracing, config.log
    yield Rule(
        not metrics.listen or _is_address(metrics.listen), "metrics.listen", "must be HOST:PORT"
    )
    yield Rule(
        metrics.tls in MONITORING_TLS,
        "metrics.tls",
        f"must be one of {', '.join(MONITORING_TLS)}",
    )
    yield Rule(
        not tracing.endpoint or _is_url(tracing.endpoint),
        "tracing.endpoint",
        "must be a URL that begins with http:// or https://",
    )
    yield Rule(0 <= tracing.sample_ratio <= 1, "tracing.sample_ratio", "must be 0 to 1")
    yield Rule(log.level in LEVELS, "log.level", f"must be one of {', '.join(LEVELS)}")
    yield Rule(log.format in FORMATS, "log.format", f"must be one of {', '.join(FORMATS)}")


def _is_address(text: str) -> bool:
    match = _ADDRESS.fullmatch(text)
    return match is not None and int(match["port"]) <= _MAX_PORT


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
