"""Which values a setting may have, alone and together with others."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import NamedTuple
from urllib.parse import urlsplit

from kmipkit_certs.identity import FINGERPRINT, SOURCES

from kmipkit_server.audit.target import parse_target
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.config.sections import Config

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("auto", "text", "json")
MONITORING_TLS = ("off", "server", "mutual")

_ADDRESS = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


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
    yield from _network(config)
    yield from _identity(config)
    yield from _limits(config)
    yield from _audit(config)
    yield from _observation(config)
    kmip = config.kmip
    yield Rule(kmip.asynchronous_delay >= 0, "kmip.asynchronous_delay", "must be 0 or more")
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
    for account, text in (config.notify.accounts or {}).items():
        yield Rule(not text or _is_address(text), f"notify.accounts.{account}", "must be HOST:PORT")


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
    yield Rule(
        identity.unknown_credentials in (None, "refuse", "ignore"),
        "identity.unknown_credentials",
        "must be refuse or ignore",
    )


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
