"""All that a start needs, checked without starting and without changing anything.

Each check is about some sections of the configuration, and is left out if one of them has a fault
already. What another server does at the moment, such as one that is running on the same directory, is
no fault: the check is made before its restart.
"""

import importlib.util
import ipaddress
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from kmipkit_certs.passwords import KeyPassword

from kmipkit.errors import KMIPError
from kmipkit.spec.enums import Operation
from kmipkit_server.backup.schedule import plan_of
from kmipkit_server.config import Config, Settings, address, require_writable
from kmipkit_server.net.open_files import OTHER_FILES
from kmipkit_server.net.revocation import load_lists
from kmipkit_server.net.sockets import open_sockets
from kmipkit_server.service import stores
from kmipkit_server.service.audit import check_audit
from kmipkit_server.service.policy import warnings_of
from kmipkit_server.service.registry import offer, registry
from kmipkit_server.service.tls_files import existing_files, revocation_files
from kmipkit_server.store.sqlite import inspection
from kmipkit_server.store.sqlite.database import lock_file
from kmipkit_server.vault.kinds import open_vault

Check = Callable[["Checking"], Iterator[str]]
"""Yields warnings; a fault is raised or added."""


@dataclass(slots=True)
class Findings:
    """What a start would complain of."""

    faults: list[str] = field(default_factory=list)
    """Why the server would not start."""
    warnings: list[str] = field(default_factory=list)
    """Why its clients or its operator may not be content."""


class _Row(NamedTuple):
    check: Check
    sections: frozenset[str]


class Checking:
    """What the checks share."""

    def __init__(
        self, settings: Settings, password: KeyPassword, now: datetime, findings: Findings
    ) -> None:
        self.settings = settings
        self.config: Config = settings.config
        self.password = password
        self.now = now
        self.findings = findings
        self.holder = inspection.holder(lock_file(self.config.database), seconds=0)
        """The process of the server that uses the directory now."""

    def is_stated(self, setting: str) -> bool:
        """Whether the setting has another source than its default."""
        return setting in self.settings.origins


def check(
    settings: Settings,
    password: KeyPassword,
    now: datetime,
    faults: tuple[str, ...] = (),
    faulty: frozenset[str] = frozenset(),
) -> Findings:
    """Everything that is wrong.

    Args:
        faults: what is wrong with the settings themselves.
        faulty: the sections that have such a fault; ``""`` stands for all.
    """
    findings = Findings(list(faults))
    checking = Checking(settings, password, now, findings)
    for row in CHECKS:
        if "" in faulty or faulty & row.sections:
            continue
        try:
            findings.warnings += row.check(checking)
        except KMIPError as error:
            findings.faults.append(str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            findings.faults.append(f"{where}{error.strerror or error}")
    # Several checks may meet the same fault, such as a file that cannot be read.
    return Findings(*(list(dict.fromkeys(each)) for each in (findings.faults, findings.warnings)))


def _operations(checking: Checking) -> Iterator[str]:
    clients = offer(checking.config, registry(checking.config)).clients
    if Operation.DISCOVER_VERSIONS not in clients:
        yield (
            "kmip: clients may not ask for Discover Versions, with which many of them begin; add it to"
            " kmip.only_operations, or remove it from kmip.without_operations"
        )


def _certificates(checking: Checking) -> Iterator[str]:
    files = existing_files(checking.config, checking.password)
    material = None if files is None else files.load()
    if material is not None:
        material.server_context()
        yield from material.warnings(lambda: checking.now)


def _revocations(checking: Checking) -> Iterator[str]:
    files = existing_files(checking.config, checking.password)
    authorities = () if files is None else files.load().authorities()
    lists = load_lists(revocation_files(checking.config), authorities)
    for each in lists.expired(checking.now).values():
        yield (
            f"{each.path}: the revocation list of {each.issuer!r} expired on"
            f" {each.end:%Y-%m-%d %H:%M} UTC"
        )


def _directory(checking: Checking) -> Iterator[str]:
    require_writable(checking.config.store.directory)
    yield from ()


def _store(checking: Checking) -> Iterator[str]:
    """The root key and the database: both are there or neither is, and they belong together."""
    config, database = checking.config, checking.config.database
    if not stores.exists(config):
        path = config.root_key.path
        if path is None or path.exists():
            vault = open_vault(config.root_key, config.counter)
            if not vault.is_new:
                yield from inspection.require_no_root_key(stores.place_of(config), vault)
        return
    vault = stores.open_root_key(config)
    if config.store.url is None and not os.access(database, os.W_OK):
        checking.findings.faults.append(f"{database}: no permission to write to it")
    yield from stores.examine(config, vault)


def _policy(checking: Checking) -> Iterator[str]:
    return warnings_of(checking.config)


def _audit(checking: Checking) -> Iterator[str]:
    check_audit(checking.config)
    yield from ()


def _backup(checking: Checking) -> Iterator[str]:
    """The recipients are usable, and backups are not lost together with the data directory."""
    config = checking.config
    if plan_of(config, checking.settings.file) is None:
        return
    directory = config.backup.directory
    assert directory is not None
    require_writable(directory)
    place, data = directory.absolute(), config.store.directory.absolute()
    if place == data or data in place.parents:
        yield (
            f"backup.directory is {directory}, in the data directory: whoever loses one loses both;"
            " choose a directory on another disk or machine"
        )


def _ports(checking: Checking) -> Iterator[str]:
    """The ports that the configuration states are free, or belong to the server that runs."""
    config = checking.config
    if checking.holder is not None:
        yield (
            f"{config.store.directory} is in use by process {checking.holder}: its ports are not"
            " checked"
        )
        return
    addresses = [address(config.metrics.listen)] if config.metrics.listen else []
    if checking.is_stated("listen.port"):
        addresses.append((config.listen.host, config.listen.port))
    for host, port in addresses:
        try:
            for listening in open_sockets(host, port):
                listening.close()
        except OSError as error:
            checking.findings.faults.append(str(error.strerror or error))


def _monitoring(checking: Checking) -> Iterator[str]:
    metrics = checking.config.metrics
    if metrics.listen and metrics.tls == "off" and not is_loopback(address(metrics.listen)[0]):
        yield (
            f"metrics.listen is {metrics.listen}: everybody who reaches this address can read the"
            ' metrics; set metrics.tls to "mutual", or listen on a loopback address'
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tracing(checking: Checking) -> Iterator[str]:
    if checking.config.tracing.endpoint and not has_tracing():
        checking.findings.faults.append(MISSING_TRACING)
    yield from ()


MISSING_TRACING = (
    "tracing.endpoint needs packages that are not installed; run: pip install 'kmipkit[otel]'"
)


def has_tracing() -> bool:
    """Whether the packages of the extra ``otel`` are installed."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _open_files(checking: Checking) -> Iterator[str]:
    connections = checking.config.limits.connections
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + OTHER_FILES:
        yield (
            f"the system permits {hard} open files to the server, which is not enough for"
            f" limits.connections = {connections}"
        )


CHECKS = (
    _Row(_operations, frozenset({"kmip", "tls"})),
    _Row(_certificates, frozenset({"tls", "store"})),
    _Row(_revocations, frozenset({"tls", "store"})),
    _Row(_directory, frozenset({"store"})),
    _Row(_store, frozenset({"store"})),
    _Row(_policy, frozenset({"policy"})),
    _Row(_audit, frozenset({"audit", "store"})),
    _Row(_backup, frozenset({"backup", "store"})),
    _Row(_ports, frozenset({"listen", "metrics", "store"})),
    _Row(_monitoring, frozenset({"metrics"})),
    _Row(_tracing, frozenset({"tracing"})),
    _Row(_open_files, frozenset({"limits"})),
)
"""All checks, in the order of a start."""
