"""The values that apply where the default of a setting depends on other settings."""

import os
from collections.abc import Mapping
from dataclasses import replace

from kmipkit.spec.versions import VERSIONS, Version
from kmipkit_server.config.sections import Config

ADMIN = "admin"
DEVELOPMENT_ADMINISTRATORS = (ADMIN, "administrator")
"""The default administrators with development certificates; otherwise there are none."""


def is_development(config: Config) -> bool:
    """Whether the server uses certificates that it has made itself."""
    return config.tls.cert is None


def workers(config: Config) -> int:
    """How many processes serve clients."""
    if config.server.workers is not None:
        return config.server.workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def administrators(config: Config) -> tuple[str, ...]:
    """The accounts that manage users and groups."""
    configured = config.identity.administrators
    if configured is not None:
        return configured
    return DEVELOPMENT_ADMINISTRATORS if is_development(config) else ()


def notified_accounts(config: Config) -> Mapping[str, str]:
    """The accounts that are notified, with their addresses."""
    if config.notify.accounts is not None:
        return config.notify.accounts
    return dict.fromkeys(DEVELOPMENT_ADMINISTRATORS if is_development(config) else (), "")


def offers_interop(config: Config) -> bool:
    """Whether the server supports Interop."""
    configured = config.kmip.interop
    return is_development(config) if configured is None else configured


def offered_versions(config: Config) -> tuple[Version, ...]:
    """The versions in which clients may ask, oldest first."""
    configured = config.kmip.versions
    return tuple(each for each in VERSIONS if not configured or str(each) in configured)


def share_of_connections(config: Config) -> int:
    """The connections of one address or account, by default."""
    return max(1, config.limits.connections * 3 // 4)


def effective(config: Config) -> Config:
    """The configuration with these values in place of missing ones."""
    limits = config.limits
    share = share_of_connections(config)
    return replace(
        config,
        server=replace(config.server, workers=workers(config)),
        identity=replace(config.identity, administrators=administrators(config)),
        store=replace(config.store, root_key=config.root_key, counter=config.counter),
        audit=replace(config.audit, directory=config.audit_directory),
        limits=replace(
            limits,
            connections_per_address=limits.connections_per_address or share,
            connections_per_account=limits.connections_per_account or share,
        ),
        kmip=replace(config.kmip, interop=offers_interop(config)),
        notify=replace(config.notify, accounts=notified_accounts(config)),
    )
